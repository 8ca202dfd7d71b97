//! Scenarios, one file each: who connects, who publishes, and which figures tell the story.
//!
//! A scenario gathers subscribers, drives the server, reads what it cost and gives a `Report`. What all of them need stands here: the
//! server's process before and after, the generator's own share, and the verdict on who was the bottleneck.

mod broadcast;
pub(crate) mod channels;
pub(crate) mod client_events;
pub(crate) mod connect;
mod deliveries;
pub(crate) mod fanout;
pub(crate) mod idle;
pub(crate) mod presence;
pub(crate) mod publish;
pub(crate) mod slow;
pub(crate) mod soak;

use std::hash::{BuildHasher, RandomState};

use crate::clock::Clock;
use crate::failure::{Failure, Outcome};
use crate::measure::late::Late;
use crate::options::{Command, Target};
use crate::proc::{Process, Spent, Usage, descriptors_max};
use crate::report::{Report, Unit};

/// Poll sets, wakers, standard streams, the REST connections' margin.
const DESCRIPTORS_SPARE: u64 = 32;
/// From this share of its CPU on, the generator is taken for the bottleneck.
const BUSY_RATIO: f64 = 0.9;
/// From this share of the time on that a thread of the server waited for a core, its figures are doubtful.
const WAIT_RATIO: f64 = 0.05;
/// More late sends than this share spoil latencies.
const LATE_RATIO: f64 = 0.01;

pub(crate) fn run(command: &Command) -> Outcome<()> {
    command.target().map_or(Ok(()), Target::check_reachable)?;
    let (report, target) = match command {
        Command::Channels(options) => (channels::run(options)?, &options.target),
        Command::ClientEvents(options) => (client_events::run(options)?, &options.target),
        Command::Connect(options) => (connect::run(options)?, &options.target),
        Command::Fanout(options) => (fanout::run(options)?, &options.target),
        Command::Idle(options) => (idle::run(options)?, &options.target),
        Command::Presence(options) => (presence::run(options)?, &options.target),
        Command::Publish(options) => (publish::run(options)?, &options.target),
        Command::Slow(options) => (slow::run(options)?, &options.target),
        Command::Soak(options) => (soak::run(options)?, &options.target),
        Command::Compare(options) => return crate::compare::run(options),
        Command::Floor(options) => {
            if options.with_parent {
                crate::compare::leave_with_parent();
            }
            return crate::floor::run(options);
        }
        Command::Receive => return crate::clients::remote::receive(),
    };
    report.publish(target.json.as_deref(), target.report.as_deref())
}

/// The two processes whose CPU time is compared.
struct Stopwatch {
    clock: Clock,
    own: Process,
    server: Option<Process>,
}

/// A reading of both at one moment.
struct Reading {
    at_ns: u64,
    own: Usage,
    server: Option<Usage>,
}

/// What happened between two readings.
struct Cost {
    wall_ns: u64,
    own: Spent,
    server: Option<Spent>,
}

impl Stopwatch {
    fn new(target: &Target, clock: Clock) -> Outcome<Self> {
        Ok(Self { clock, own: Process::own()?, server: target.pid.map(Process::open).transpose()? })
    }

    fn read(&self) -> Outcome<Reading> {
        let server = self.server.as_ref().map(Process::usage).transpose()?;
        Ok(Reading { at_ns: self.clock.now_ns(), own: self.own.usage()?, server })
    }

    fn cost_since(&self, earlier: &Reading) -> Outcome<Cost> {
        let now = self.read()?;
        let server =
            now.server.as_ref().zip(earlier.server.as_ref()).map(|(now, earlier)| now.since(earlier));
        Ok(Cost { wall_ns: now.at_ns - earlier.at_ns, own: now.own.since(&earlier.own), server })
    }

    fn server(&self) -> Option<Process> {
        self.server
    }

    fn server_rss(&self) -> Outcome<Option<u64>> {
        self.server.as_ref().map(Process::rss_bytes).transpose()
    }

    fn shares_cores(&self) -> Outcome<bool> {
        let own = self.own.cores()?;
        let server = self.server.as_ref().map(Process::cores).transpose()?.unwrap_or_default();
        Ok(server.iter().any(|core| own.contains(core)))
    }

    /// Under which conditions the other figures came about, and what that means for them.
    fn report_conditions(&self, report: &mut Report, cost: &Cost, generator: &Generator) -> Outcome<()> {
        let late = generator.late;
        let ratio = cost.own.busy_ratio(self.own.cores()?.len(), cost.wall_ns).unwrap_or(0.0);
        let is_late = late.sends as f64 > late.calls as f64 * LATE_RATIO;
        report.figure("generator.cpu_ratio", "generator CPU", ratio, Unit::Ratio);
        report.count("generator.late_sends", "generator late sends", late.sends);
        report.figure(
            "generator.late_max_us",
            "generator latest send",
            late.max_ns as f64 / 1e3,
            Unit::Microseconds,
        );
        report.figure(
            "generator.busy_ratio_max",
            "generator busy or without a core, worst second",
            generator.busy_max_with(ratio),
            Unit::Ratio,
        );
        let is_slow = generator.was_closed_for_its_own_slowness(ratio);
        report.flag("generator.late", "generator sent late", is_late);
        report.flag(
            "generator.bottleneck",
            "generator was the bottleneck",
            generator.was_bottleneck(ratio, is_late),
        );
        if ratio >= BUSY_RATIO {
            report
                .note("The generator used up its CPU: it, not the server, may have set rates and latencies.");
        }
        if is_slow {
            report.note(format!(
                "The server closed {} subscribers as too slow (4100) while the generator had no time left to read: its sockets were slow, \
                 not the server. What those subscribers lost, and latencies, say little about the server. Give the generator more cores \
                 (--threads), or less to read: fewer --connections, a lower --rate, a smaller --size.",
                generator.closed_as_slow
            ));
        }
        if is_late {
            let why = if generator.was_bottleneck(ratio, is_late) {
                "It had no time left: it, not the server, may have set rates and latencies."
            } else {
                "It had time enough, but got its core late: other programs ran there, or it was stopped."
            };
            report.note(format!(
                "The generator sent late: what was late counts from when it was sent, not from when it was due. {why}"
            ));
        }
        let waited = cost.server.map(|server| server.waited_ns as f64 / cost.wall_ns as f64);
        report.figure("server.wait_ratio", "server waited for a core", waited, Unit::Ratio);
        if let Some(server) = cost.server {
            let system = (server.total_ns > 0).then(|| server.system_ns as f64 / server.total_ns as f64);
            report.figure("server.system_ratio", "server CPU, in the kernel", system, Unit::Ratio);
            report.count("server.voluntary_switches", "server switches, asleep", server.voluntary_switches);
            report.count(
                "server.involuntary_switches",
                "server switches, sent off",
                server.involuntary_switches,
            );
        }
        if waited.is_some_and(|ratio| ratio >= WAIT_RATIO) {
            report.note("The server waited for its core: others ran there, or its threads share one.");
        }
        if self.shares_cores()? {
            report.note(
                "Server and generator may run on the same cores: pin both with taskset to compare servers.",
            );
        }
        Ok(())
    }
}

/// How this program itself fared.
#[derive(Default)]
struct Generator {
    late: Late,
    /// Share of the busiest second in which it ran or waited for a core.
    busy_max: Option<f64>,
    /// Subscribers that the server closed with 4100.
    closed_as_slow: u64,
}

impl Generator {
    /// Whether subscribers were closed as slow while this program had no time to read. A mean hides that: after the closings there is
    /// less to do.
    fn was_closed_for_its_own_slowness(&self, mean: f64) -> bool {
        self.closed_as_slow > 0 && self.busy_max_with(mean) >= BUSY_RATIO
    }

    /// Whether it, not the server, may have set the figures: it had no time left, over all or when it mattered. Late sends alone do
    /// not say so, since a machine that gives it its core late makes them at any load.
    fn was_bottleneck(&self, mean: f64, is_late: bool) -> bool {
        let had_no_time = mean >= BUSY_RATIO || (is_late && self.busy_max_with(mean) >= BUSY_RATIO);
        had_no_time || self.was_closed_for_its_own_slowness(mean)
    }

    /// Where no second was looked at, the mean is all that is known.
    fn busy_max_with(&self, mean: f64) -> f64 {
        self.busy_max.map_or(mean, |busy| busy.max(mean))
    }
}

/// A number that events of other runs do not carry.
fn random_run() -> u32 {
    RandomState::new().hash_one(std::process::id()) as u32
}

/// Whether this process, or each receiving process, may open what it needs.
fn check_descriptors(target: &Target, others: u32) -> Outcome<()> {
    let connections = target.connections.div_ceil(target.processes);
    let needed = u64::from(connections) + u64::from(others) + DESCRIPTORS_SPARE;
    let max = descriptors_max()?;
    if needed <= max {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{connections} connections need {needed} descriptors, a process may open {max}: raise `ulimit -n`, \
         lower --connections, or spread them over --processes"
    )))
}

/// For scenarios whose connections act, all of them in this process.
fn check_one_process(target: &Target) -> Outcome<()> {
    if target.processes == 1 && target.threads == 1 {
        return Ok(());
    }
    Err(Failure::new(
        "--processes and --threads are for scenarios that only receive: fanout, channels, connect, idle, slow",
    ))
}

/// NAME, or NAME-0, NAME-1, …
fn several_channels(target: &Target, count: u32) -> Vec<String> {
    match count {
        1 => vec![target.channel.clone()],
        several => (0..several).map(|index| format!("{}-{index}", target.channel)).collect(),
    }
}

/// Reasons with their counts, the most frequent first.
fn name_partings(partings: &std::collections::BTreeMap<String, u64>) -> String {
    let mut reasons: Vec<_> = partings.iter().collect();
    reasons.sort_by_key(|&(_, &count)| std::cmp::Reverse(count));
    let named = reasons.iter().take(3).map(|(why, count)| format!("{count} × {why}"));
    named.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closings_are_the_generators_fault_if_it_was_busy_in_any_second() {
        let own = |closed_as_slow, busy_max| Generator { closed_as_slow, busy_max, ..Generator::default() };
        assert!(own(1, Some(0.95)).was_closed_for_its_own_slowness(0.4));
        assert!(own(1, None).was_closed_for_its_own_slowness(0.9));
        assert!(!own(1, Some(0.5)).was_closed_for_its_own_slowness(0.4));
        assert!(!own(0, Some(1.0)).was_closed_for_its_own_slowness(1.0));
    }

    #[test]
    fn a_generator_with_time_left_is_no_bottleneck_however_late_it_got_its_core() {
        let own = |busy_max| Generator { busy_max, ..Generator::default() };
        // Mean CPU, the busiest second, late sends, and the verdict.
        for (mean, busy_max, is_late, verdict) in [
            (0.01, Some(0.1), true, false),
            (0.01, None, true, false),
            (0.4, Some(0.95), true, true),
            (0.4, Some(0.95), false, false),
            (0.95, None, false, true),
        ] {
            assert_eq!(own(busy_max).was_bottleneck(mean, is_late), verdict, "{mean} {busy_max:?} {is_late}");
        }
    }
}
