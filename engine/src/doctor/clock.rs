//! The clock: whether it is right, as far as something here knows better, and whether it is cheap to read.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use super::finding::Finding;

/// The beginning of 2026, before which no clock of a machine with this program can be.
const EARLIEST_UNIX_S: i64 = 1_767_225_600;

/// A difference that is no fault: what answers and clocks that are set by NTP are apart.
const SMALL_MS: u64 = 2_000;

/// A difference that leaves back ends too little of the 600 s in which their signatures hold.
const LARGE_MS: u64 = 60_000;

const SET_IT: &str = "set the clocks of both by NTP (`timedatectl set-ntp true`, or chrony): a REST call whose auth_timestamp is \
    more than 600 s from this clock is refused with 401";

/// Sources of time that cost a call of the kernel or more.
const SLOW: [&str; 4] = ["hpet", "acpi_pm", "jiffies", "refined-jiffies"];

/// The clock of this process at one moment.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    unix_s: i64,
    /// The time by the kernel's tables.
    kernel_unix_s: Option<i64>,
    /// Where the kernel has its time from.
    source: String,
}

/// Another clock, and how far it is ahead of ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Other {
    pub(super) name: String,
    pub(super) ahead_ms: i64,
}

impl Clock {
    /// Reads it.
    pub(super) fn read() -> Self {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            unix_s: since.map_or(0, |since| since.as_secs() as i64),
            kernel_unix_s: kernel_time(&text("/proc/stat"), &text("/proc/uptime")),
            source: text("/sys/devices/system/clocksource/clocksource0/current_clocksource")
                .trim()
                .to_owned(),
        }
    }

    /// The time, in seconds of Unix time.
    pub(super) fn unix_s(&self) -> i64 {
        self.unix_s
    }

    /// What there is to say of it, beside these others.
    pub(super) fn findings(&self, others: &[Other]) -> Vec<Finding> {
        let mut findings = self.judge_alone().map_or_else(Vec::new, |finding| vec![finding]);
        findings.extend(others.iter().filter_map(judge_beside));
        if findings.is_empty() {
            findings.push(match others {
                [] => Finding::ok("clock", "as the kernel's; there is no Redis to compare it with"),
                [first, ..] => {
                    Finding::ok("clock", format!("{} ms from that of {}", first.ahead_ms.abs(), first.name))
                }
            });
        }
        findings.push(self.judge_source());
        findings
    }

    fn judge_alone(&self) -> Option<Finding> {
        if self.unix_s < EARLIEST_UNIX_S {
            let what = format!("it is at {} s of Unix time, which is long ago", self.unix_s);
            return Some(Finding::fail("clock", what, SET_IT));
        }
        let apart = self.unix_s - self.kernel_unix_s?;
        (apart.unsigned_abs() * 1_000 >= LARGE_MS).then(|| {
            Finding::fail(
                "clock",
                format!("this process sees a time {} the kernel's: something fakes it", shift(apart * 1_000)),
                "start the server without what fakes its clock (libfaketime: LD_PRELOAD, FAKETIME)",
            )
        })
    }

    fn judge_source(&self) -> Finding {
        const NAME: &str = "clock_source";
        match &*self.source {
            "" => Finding::ok(NAME, "not visible here"),
            slow if SLOW.contains(&slow) => Finding::warn(
                NAME,
                format!("{slow}, which is slow: each look at the clock is a call of the kernel"),
                "let the machine use tsc or the clock of its hypervisor (kernel parameter clocksource=tsc, if dmesg says that it is stable)",
            ),
            source => Finding::ok(NAME, source),
        }
    }
}

fn judge_beside(other: &Other) -> Option<Finding> {
    let what = format!("this clock is {} that of {}", shift(-other.ahead_ms), other.name);
    match other.ahead_ms.unsigned_abs() {
        LARGE_MS.. => Some(Finding::fail("clock", what, SET_IT)),
        SMALL_MS.. => Some(Finding::warn("clock", what, SET_IT)),
        _ => None,
    }
}

/// A difference in words.
fn shift(ahead_ms: i64) -> String {
    let seconds = (ahead_ms.unsigned_abs() + 500) / 1_000;
    format!("{seconds} s {}", if ahead_ms < 0 { "behind" } else { "ahead of" })
}

/// When the machine was booted, and how long it has run since then.
fn kernel_time(stat: &str, uptime: &str) -> Option<i64> {
    let booted: i64 = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    let up_s: f64 = uptime.split_ascii_whitespace().next()?.parse().ok()?;
    Some(booted + up_s as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;

    fn clock(ahead_s: i64) -> Clock {
        let now = EARLIEST_UNIX_S + 1_000_000;
        Clock { unix_s: now + ahead_s, kernel_unix_s: Some(now), source: "tsc".to_owned() }
    }

    fn beside(ahead_ms: i64) -> Finding {
        let mut findings = clock(0).findings(&[Other { name: "redis://h".to_owned(), ahead_ms }]);
        assert_eq!(findings.len(), 2, "{findings:?}");
        findings.remove(0)
    }

    #[test]
    fn a_clock_beside_that_of_redis_is_told_by_how_much_it_differs() {
        for (ahead_ms, state, words) in [
            (0, State::Ok, "0 ms from that of redis://h"),
            (-1_999, State::Ok, "1999 ms"),
            (2_000, State::Warn, "2 s behind that of redis://h"),
            (-5_400, State::Warn, "5 s ahead of that of redis://h"),
            (600_000, State::Fail, "600 s behind"),
            (-599_990, State::Fail, "600 s ahead of"),
        ] {
            let finding = beside(ahead_ms);
            assert_eq!(finding.state, state, "{finding:?}");
            assert!(finding.what.contains(words), "{finding:?}");
            assert_eq!(finding.cure.is_some_and(|cure| cure.contains("NTP")), state != State::Ok);
        }
    }

    #[test]
    fn a_clock_that_is_faked_or_was_never_set_fails_without_any_other() {
        for (clock, state, words) in [
            (clock(0), State::Ok, "no Redis"),
            (clock(600), State::Fail, "600 s ahead of the kernel's"),
            (clock(-600), State::Fail, "600 s behind the kernel's"),
            (Clock { kernel_unix_s: None, ..clock(600) }, State::Ok, "no Redis"),
            (Clock { unix_s: 5, ..clock(0) }, State::Fail, "long ago"),
        ] {
            let findings = clock.findings(&[]);
            assert_eq!(findings[0].state, state, "{findings:?}");
            assert!(findings[0].what.contains(words), "{findings:?}");
        }
    }

    #[test]
    fn a_slow_source_is_warned_of() {
        for (source, state) in
            [("tsc", State::Ok), ("kvm-clock", State::Ok), ("", State::Ok), ("hpet", State::Warn)]
        {
            let clock = Clock { source: source.to_owned(), ..clock(0) };
            assert_eq!(clock.judge_source().state, state, "{source}");
        }
    }

    #[test]
    fn the_time_of_the_kernel_is_that_of_the_boot_and_what_has_passed_since() {
        assert_eq!(kernel_time("cpu 1\nbtime 1000\n", "20.75 3.00\n"), Some(1_020));
        assert_eq!(kernel_time("", "20.75"), None);
        let here = Clock::read();
        assert!(here.kernel_unix_s.is_some_and(|kernel| (kernel - here.unix_s()).abs() < 5), "{here:?}");
    }
}
