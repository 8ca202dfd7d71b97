//! Kernel and io_uring: whether a ring works, and what forbids it if not.
//!
//! A ring is made and tried, never guessed from a version. What must never happen here: a ring that is left open.

use std::fs;

use super::finding::Finding;
use crate::driver::probe::{ProbeError, probe_ring};

/// From this kernel on the server sends in batches.
const GOOD: (u32, u32) = (6, 0);

const BY_SECCOMP: &str = "give the container or unit a seccomp profile that allows io_uring_setup, io_uring_enter and \
    io_uring_register (docker: --security-opt seccomp=FILE, or seccomp=unconfined; systemd: SystemCallFilter=@io-event \
    io_uring_setup io_uring_enter io_uring_register beside what it has)";
const BY_SYSCTL: &str =
    "set `sysctl -w kernel.io_uring_disabled=0` on the host (to keep it: a file in /etc/sysctl.d)";
const BY_MEMLOCK: &str = "raise the limit of locked memory: `ulimit -l unlimited` (systemd: LimitMEMLOCK=infinity; container: --ulimit memlock=-1)";

/// What a kernel says of io_uring.
#[derive(Debug)]
pub(super) struct Kernel {
    release: String,
    /// `kernel.io_uring_disabled`, which kernels have from 6.6 on.
    disabled: Option<u32>,
    /// Whether a seccomp filter is in force for this process.
    is_filtered: bool,
    /// What came of the attempt to make a ring.
    ring: Result<(), ProbeError>,
}

impl Kernel {
    /// Reads it, and tries a ring.
    pub(super) fn read() -> Self {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        Self {
            release: text("/proc/sys/kernel/osrelease").trim().to_owned(),
            disabled: text("/proc/sys/kernel/io_uring_disabled").trim().parse().ok(),
            is_filtered: is_filtered(&text("/proc/self/status")),
            ring: probe_ring(),
        }
    }

    /// What there is to say of it.
    pub(super) fn findings(&self) -> Vec<Finding> {
        vec![self.judge_release(), self.judge_ring(), self.judge_switch(), self.judge_filter()]
    }

    fn judge_release(&self) -> Finding {
        let what = format!("Linux {}", self.release);
        match parse_release(&self.release) {
            Some(version) if version < GOOD => Finding::warn(
                "kernel",
                format!("{what} is old"),
                "Linux 6.0 or newer costs less per delivery; 5.17 is the least",
            ),
            _ => Finding::ok("kernel", what),
        }
    }

    fn judge_ring(&self) -> Finding {
        let error = match &self.ring {
            Ok(()) => return Finding::ok("io_uring", "a ring was made, and works"),
            Err(error) => error,
        };
        let cure = match error {
            ProbeError::Missing | ProbeError::Forbidden | ProbeError::NoMemory => self.cures(error),
            error => error.cure().unwrap_or_else(|| "see what the kernel log says (dmesg)".to_owned()),
        };
        Finding::fail("io_uring", format!("{}: {}", error.cause(), self.reason(error)), cure)
    }

    /// What most likely forbids it.
    fn reason(&self, error: &ProbeError) -> String {
        match (error, self.disabled, self.is_filtered) {
            (ProbeError::Missing | ProbeError::Forbidden, Some(switch @ 1..), _) => {
                format!("kernel.io_uring_disabled is {switch}")
            }
            (ProbeError::Missing | ProbeError::Forbidden, _, true) => "a seccomp filter forbids it".to_owned(),
            (ProbeError::Forbidden, _, false) => {
                "neither seccomp nor kernel.io_uring_disabled forbids it, so a security module (SELinux, AppArmor) may"
                    .to_owned()
            }
            (ProbeError::Missing, _, false) => {
                format!("Linux {} was built without CONFIG_IO_URING, or is older than 5.1", self.release)
            }
            (ProbeError::NoMemory, _, _) => "the limit of locked memory is used up".to_owned(),
            _ => format!("this is Linux {}", self.release),
        }
    }

    /// All three, the likely one first.
    fn cures(&self, error: &ProbeError) -> String {
        let cures = match (error, self.disabled) {
            (ProbeError::NoMemory, _) => [BY_MEMLOCK, BY_SECCOMP, BY_SYSCTL],
            (_, Some(1..)) => [BY_SYSCTL, BY_SECCOMP, BY_MEMLOCK],
            _ => [BY_SECCOMP, BY_SYSCTL, BY_MEMLOCK],
        };
        let [first, second, third] = cures;
        format!("(1) {first}; (2) if that is not it, {second}; (3) {third}")
    }

    fn judge_switch(&self) -> Finding {
        const NAME: &str = "kernel.io_uring_disabled";
        match (self.disabled, &self.ring) {
            (None, _) => Finding::ok(NAME, "this kernel has no such switch"),
            (Some(0), _) => Finding::ok(NAME, "0: everybody may use io_uring"),
            (Some(1), Ok(())) => Finding::warn(
                NAME,
                "1: this user may use io_uring, and others only with CAP_SYS_ADMIN or in the group of kernel.io_uring_group",
                format!("if the server runs as another user, {BY_SYSCTL}"),
            ),
            (Some(switch), _) => {
                Finding::fail(NAME, format!("{switch}: this process may not use io_uring"), BY_SYSCTL)
            }
        }
    }

    fn judge_filter(&self) -> Finding {
        let is_allowed = !matches!(self.ring, Err(ProbeError::Missing | ProbeError::Forbidden));
        match (self.is_filtered, is_allowed, self.disabled) {
            (false, _, _) => Finding::ok("seccomp", "no filter is in force"),
            (true, true, _) => Finding::ok("seccomp", "a filter is in force, and allows io_uring"),
            (true, false, Some(1..)) => {
                Finding::warn("seccomp", "a filter is in force, and may forbid io_uring too", BY_SECCOMP)
            }
            (true, false, _) => {
                Finding::fail("seccomp", "a filter is in force, and forbids io_uring", BY_SECCOMP)
            }
        }
    }
}

/// Whether the status of a process has a seccomp filter in it (mode 2).
fn is_filtered(status: &str) -> bool {
    let mode = status.lines().find_map(|line| line.strip_prefix("Seccomp:"));
    mode.is_some_and(|mode| mode.trim() == "2")
}

/// The first two numbers of a release.
fn parse_release(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;

    fn kernel(disabled: Option<u32>, is_filtered: bool, ring: Result<(), ProbeError>) -> Kernel {
        Kernel { release: "6.8.0-45-generic".to_owned(), disabled, is_filtered, ring }
    }

    #[test]
    fn what_forbids_a_ring_is_named_and_all_three_cures_with_it() {
        for (kernel, cause, first, states) in [
            (
                kernel(Some(0), true, Err(ProbeError::Forbidden)),
                "seccomp filter",
                "seccomp profile",
                [State::Ok, State::Fail],
            ),
            (
                kernel(None, true, Err(ProbeError::Missing)),
                "seccomp filter",
                "seccomp profile",
                [State::Ok, State::Fail],
            ),
            (
                kernel(Some(2), false, Err(ProbeError::Forbidden)),
                "io_uring_disabled is 2",
                "sysctl -w",
                [State::Fail, State::Ok],
            ),
            (
                kernel(Some(1), true, Err(ProbeError::Forbidden)),
                "io_uring_disabled is 1",
                "sysctl -w",
                [State::Fail, State::Warn],
            ),
            (
                kernel(Some(0), false, Err(ProbeError::Forbidden)),
                "SELinux",
                "seccomp profile",
                [State::Ok, State::Ok],
            ),
            (
                kernel(None, false, Err(ProbeError::Missing)),
                "CONFIG_IO_URING",
                "seccomp profile",
                [State::Ok, State::Ok],
            ),
            (
                kernel(Some(0), false, Err(ProbeError::NoMemory)),
                "locked memory",
                "ulimit -l",
                [State::Ok, State::Ok],
            ),
        ] {
            let [_, ring, switch, filter] = &kernel.findings()[..] else { panic!("{kernel:?}") };
            let cure = ring.cure.as_deref().unwrap_or_default();
            assert_eq!(ring.state, State::Fail, "{kernel:?}");
            assert!(ring.what.contains(cause), "{} lacks {cause}", ring.what);
            assert!(cure.find(first).is_some_and(|at| at < 80), "{cure} does not begin with {first}");
            for all in ["io_uring_setup", "kernel.io_uring_disabled=0", "ulimit -l"] {
                assert!(cure.contains(all), "{cure} lacks {all}");
            }
            assert_eq!([switch.state, filter.state], states, "{kernel:?}");
        }
    }

    #[test]
    fn a_ring_that_works_is_well_whatever_else_is_there() {
        for (kernel, states) in [
            (kernel(Some(0), false, Ok(())), [State::Ok; 4]),
            (kernel(None, true, Ok(())), [State::Ok; 4]),
            (kernel(Some(1), false, Ok(())), [State::Ok, State::Ok, State::Warn, State::Ok]),
        ] {
            assert_eq!(kernel.findings().iter().map(|it| it.state).collect::<Vec<_>>(), states, "{kernel:?}");
        }
    }

    #[test]
    fn an_old_kernel_is_warned_of() {
        for (release, state) in [
            ("6.18.44-fc", State::Ok),
            ("6.0.0", State::Ok),
            ("5.19.17", State::Warn),
            ("5.4.0-1-generic", State::Warn),
            ("strange", State::Ok),
        ] {
            let kernel = Kernel { release: release.to_owned(), ..kernel(None, false, Ok(())) };
            assert_eq!(kernel.judge_release().state, state, "{release}");
        }
    }

    #[test]
    fn a_filter_is_read_from_the_status_file() {
        for (status, filtered) in [
            ("Name:\tx\nSeccomp:\t2\nSeccomp_filters:\t1\n", true),
            ("Seccomp:\t0\nSeccomp_filters:\t0\n", false),
            ("", false),
        ] {
            assert_eq!(is_filtered(status), filtered, "{status}");
        }
    }
}
