//! How long published events take, from when they were received until a write was tried for all who are subscribed here.
//!
//! Events that were received in the same moment and come one after another are one entry, and an entry is looked at when a
//! phase begins: so an event costs a comparison, and a delivery nothing. Dirty connections tell how far writing has come:
//! each has the mark of the phase in which it became dirty. Connections that the kernel takes nothing for are not waited for.
//! What waits for a tick of its app's flush interval is apart, since what comes behind it may overtake it.
//! Read for metrics alone, never to decide anything.

use std::collections::VecDeque;

use crate::limits::TIMED_MAX;
use crate::machine::Now;
use crate::now::Moment;
use crate::readings::latencies::Latencies;

/// Events that are on their way, and how long those took that are written.
#[derive(Debug, Default)]
pub(super) struct Timing {
    now: Now,
    latencies: Latencies,
    /// In the order of their ends.
    direct: VecDeque<Timed>,
    paced: VecDeque<Timed>,
}

/// Events that were received in the same moment.
#[derive(Clone, Copy, Debug)]
struct Timed {
    received: Moment,
    events: u32,
    /// They wait for ticks of it; 0: for none.
    interval_ms: u32,
    /// Bytes of all Runs decided so far, the last of them included.
    end: u64,
}

impl Timing {
    /// When this phase began.
    pub(super) fn began(&self) -> Moment {
        self.now.moment()
    }

    /// What was measured so far.
    pub(super) fn latencies(&self) -> Latencies {
        self.latencies
    }

    /// An event is in the Runs, which come to so many bytes with it.
    pub(super) fn note_decided(&mut self, received: Moment, interval_ms: u32, end: u64) {
        let entries = if interval_ms == 0 { &mut self.direct } else { &mut self.paced };
        let full = entries.len() >= TIMED_MAX;
        match entries.back_mut() {
            // Past the bound an event counts as received with those before it, so it seems to take longer.
            Some(last) if full || (last.received, last.interval_ms) == (received, interval_ms) => {
                last.events += 1;
                last.end = end;
            }
            _ => entries.push_back(Timed { received, events: 1, interval_ms, end }),
        }
    }

    /// A phase begins. Writes were tried for all Runs up to `tried`, but for what waits for ticks: for those of an interval since
    /// `waiting_since` it.
    #[inline]
    pub(super) fn begin_phase(&mut self, now: Now, tried: u64, waiting_since: impl Fn(u32) -> Option<u64>) {
        self.now = now;
        while let Some(timed) = self.direct.front().copied().filter(|timed| timed.end <= tried) {
            self.latencies.note(timed.received.elapsed_us(now), u64::from(timed.events));
            self.direct.pop_front();
        }
        if !self.paced.is_empty() {
            self.note_paced(tried, waiting_since);
        }
    }

    fn note_paced(&mut self, tried: u64, waiting_since: impl Fn(u32) -> Option<u64>) {
        let (now, latencies) = (self.now, &mut self.latencies);
        self.paced.retain(|timed| {
            let waits = waiting_since(timed.interval_ms).is_some_and(|since| since < timed.end);
            let is_written = timed.end <= tried && !waits;
            if is_written {
                latencies.note(timed.received.elapsed_us(now), u64::from(timed.events));
            }
            !is_written
        });
    }

    /// Events that are on their way.
    pub(super) fn untimed(&self) -> u64 {
        self.direct.iter().chain(&self.paced).map(|timed| u64::from(timed.events)).sum()
    }

    /// Gives back what nothing needs now.
    pub(super) fn give_back_room(&mut self) {
        self.direct.shrink_to_fit();
        self.paced.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: fn(u32) -> Option<u64> = |_| None;

    fn measured(timing: &Timing) -> (u64, u64) {
        (timing.latencies().count(), timing.latencies().sum_us())
    }

    #[test]
    fn an_event_is_measured_when_all_up_to_it_is_written() {
        let mut timing = Timing::default();
        timing.note_decided(Now::at(1, 0).moment(), 0, 10);
        timing.note_decided(Now::at(1, 0).moment(), 0, 20);
        timing.note_decided(Now::at(3, 0).moment(), 0, 30);
        timing.begin_phase(Now::at(5, 0), 19, NEVER);
        assert_eq!(measured(&timing), (0, 0));
        timing.begin_phase(Now::at(6, 0), 20, NEVER);
        assert_eq!(measured(&timing), (2, 10_000));
        timing.begin_phase(Now::at(7, 0), u64::MAX, NEVER);
        assert_eq!(measured(&timing), (3, 14_000));
    }

    #[test]
    fn what_waits_for_a_tick_holds_up_nobody_else() {
        let mut timing = Timing::default();
        timing.note_decided(Now::at(1, 0).moment(), 100, 10);
        timing.note_decided(Now::at(1, 0).moment(), 0, 20);
        timing.note_decided(Now::at(1, 0).moment(), 50, 30);
        let waiting = |interval_ms| (interval_ms == 100).then_some(0);
        timing.begin_phase(Now::at(51, 0), u64::MAX, waiting);
        assert_eq!(measured(&timing), (2, 100_000));
        assert!(timing.latencies().quantile_us(0.99).is_some_and(|us| (20_000..=50_000).contains(&us)));
        timing.begin_phase(Now::at(101, 0), u64::MAX, NEVER);
        assert_eq!(measured(&timing), (3, 200_000));
    }

    #[test]
    fn what_is_kept_has_a_bound_and_nothing_goes_uncounted() {
        let mut timing = Timing::default();
        let events = TIMED_MAX as u64 + 100;
        (1..=events).for_each(|ms| timing.note_decided(Now::at(ms, 0).moment(), 0, ms));
        assert_eq!(timing.direct.len(), TIMED_MAX);
        timing.begin_phase(Now::at(events, 0), u64::MAX, NEVER);
        assert_eq!(measured(&timing).0, events);
    }
}
