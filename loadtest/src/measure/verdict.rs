//! Whether the figures of a run can be believed: whether this program kept up, and what was the bottleneck.
//!
//! Owns the thresholds. A run whose generator had no time left, or whose server waited for a core, says little about the server;
//! `report::conditions` tells readers so.

use super::late::Late;
use super::stopwatch::{Cost, Stopwatch};
use crate::failure::Outcome;
use crate::proc::Spent;

/// From this share of its CPU on, the generator is taken for the bottleneck.
const BUSY_RATIO: f64 = 0.9;
/// From this share of the time on that a thread of the server waited for a core, its figures are doubtful.
const WAIT_RATIO: f64 = 0.05;
/// More late sends than this share spoil latencies.
const LATE_RATIO: f64 = 0.01;

/// How this program itself fared.
#[derive(Default)]
pub(crate) struct Generator {
    pub(crate) late: Late,
    /// Share of the busiest second in which it ran or waited for a core.
    pub(crate) busy_max: Option<f64>,
    /// Subscribers that the server closed with 4100.
    pub(crate) closed_as_slow: u64,
}

/// The conditions under which the other figures came about, and what that means for them.
pub(crate) struct Verdict {
    pub(crate) generator: Generator,
    /// The generator's CPU over the whole time.
    pub(crate) cpu_ratio: f64,
    pub(crate) server: Option<Spent>,
    /// The share of the time for which the server waited for a core.
    pub(crate) server_wait_ratio: Option<f64>,
    pub(crate) shares_cores: bool,
}

impl Verdict {
    pub(crate) fn reach(stopwatch: &Stopwatch, cost: &Cost, generator: Generator) -> Outcome<Self> {
        Ok(Self {
            generator,
            cpu_ratio: cost.own.busy_ratio(stopwatch.own_cores()?, cost.wall_ns).unwrap_or(0.0),
            server: cost.server,
            server_wait_ratio: cost.server.map(|server| server.waited_ns as f64 / cost.wall_ns as f64),
            shares_cores: stopwatch.shares_cores()?,
        })
    }

    pub(crate) fn busy_max(&self) -> f64 {
        self.generator.busy_max_with(self.cpu_ratio)
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.cpu_ratio >= BUSY_RATIO
    }

    pub(crate) fn is_late(&self) -> bool {
        let late = self.generator.late;
        late.sends as f64 > late.calls as f64 * LATE_RATIO
    }

    pub(crate) fn was_bottleneck(&self) -> bool {
        self.generator.was_bottleneck(self.cpu_ratio, self.is_late())
    }

    pub(crate) fn was_closed_for_its_own_slowness(&self) -> bool {
        self.generator.was_closed_for_its_own_slowness(self.cpu_ratio)
    }

    pub(crate) fn server_waited(&self) -> bool {
        self.server_wait_ratio.is_some_and(|ratio| ratio >= WAIT_RATIO)
    }
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
