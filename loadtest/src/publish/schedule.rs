//! When to publish next: open loop at a rate, closed loop on a window, or open loop that skips what finds no room.
//!
//! Owns the intended send time of every call. Pure: it is asked with the time and what has been seen, and answers what to do;
//! it never waits. An open loop must not slow down because answers come slowly: that is how generators hide latency.

use crate::clock::SECOND_NS;

#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Pace {
    /// Events per second, come what may; what finds no room is sent late and counts from its intended time.
    Paced(f64),
    /// Events sent but not yet seen by every subscriber, at most.
    Window(u64),
    /// Events per second; what finds no room is not sent at all.
    Overload(f64),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    Send {
        intended_ns: u64,
    },
    Sleep {
        until_ns: u64,
    },
    /// Until all subscribers are past this sequence number.
    Await {
        sequence: u64,
    },
    Done,
}

pub(crate) struct Schedule {
    pace: Pace,
    /// Events in one call.
    batch: u32,
    start_ns: u64,
    end_ns: u64,
    /// Calls sent or skipped.
    calls: u64,
    /// What a stalled closed loop takes for seen.
    presumed_seen: u64,
}

impl Schedule {
    pub(crate) fn new(pace: Pace, batch: u32, start_ns: u64, end_ns: u64) -> Self {
        assert!(batch > 0, "a call carries at least one event");
        Self { pace, batch, start_ns, end_ns, calls: 0, presumed_seen: 0 }
    }

    pub(crate) fn batch(&self) -> u32 {
        self.batch
    }

    /// What to do at `now_ns`, with `sent` events on their way of which `seen` have reached every subscriber.
    pub(crate) fn poll(&self, now_ns: u64, sent: u64, seen: u64) -> Step {
        match self.pace {
            Pace::Window(window) => self.poll_window(window, now_ns, sent, seen.max(self.presumed_seen)),
            Pace::Paced(rate) | Pace::Overload(rate) => self.poll_rate(rate, now_ns),
        }
    }

    /// The call that was asked for has been sent.
    pub(crate) fn advance(&mut self) {
        self.calls += 1;
    }

    pub(crate) fn may_skip(&self) -> bool {
        matches!(self.pace, Pace::Overload(_))
    }

    /// The call that was asked for will not be sent; returns its events.
    pub(crate) fn skip(&mut self) -> u64 {
        self.calls += 1;
        u64::from(self.batch)
    }

    /// Goes on as if all subscribers were past `sequence`: what is awaited may be lost.
    pub(crate) fn widen(&mut self, sequence: u64) {
        self.presumed_seen = sequence;
    }

    fn poll_rate(&self, rate: f64, now_ns: u64) -> Step {
        let offset_ns = self.calls as f64 * f64::from(self.batch) / rate * SECOND_NS as f64;
        let intended_ns = self.start_ns + offset_ns as u64;
        if intended_ns >= self.end_ns {
            Step::Done
        } else if intended_ns > now_ns {
            Step::Sleep { until_ns: intended_ns }
        } else {
            Step::Send { intended_ns }
        }
    }

    /// A whole call must fit the window; one that is larger than the window goes when nothing else is under way.
    fn poll_window(&self, window: u64, now_ns: u64, sent: u64, seen: u64) -> Step {
        let sequence = (sent + u64::from(self.batch)).saturating_sub(window).min(sent);
        if now_ns >= self.end_ns {
            Step::Done
        } else if seen >= sequence {
            Step::Send { intended_ns: now_ns }
        } else {
            Step::Await { sequence }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn open_loop_keeps_its_times_however_late_it_is_asked() {
        let mut schedule = Schedule::new(Pace::Paced(100.0), 1, 1000 * MS, 1050 * MS);
        assert_eq!(schedule.poll(990 * MS, 0, 0), Step::Sleep { until_ns: 1000 * MS });
        // The generator stalls here: intended times do not move.
        for intended in [1000, 1010, 1020, 1030, 1040] {
            assert_eq!(schedule.poll(5000 * MS, 0, 0), Step::Send { intended_ns: intended * MS });
            schedule.advance();
        }
        assert_eq!(schedule.poll(5000 * MS, 0, 0), Step::Done);
    }

    #[test]
    fn rate_counts_events_not_calls() {
        let mut schedule = Schedule::new(Pace::Paced(1000.0), 10, 0, 100 * MS);
        let mut calls = 0;
        while let Step::Send { intended_ns } = schedule.poll(u64::MAX, 0, 0) {
            assert_eq!(intended_ns, calls * 10 * MS);
            schedule.advance();
            calls += 1;
        }
        assert_eq!(calls, 10);
    }

    #[test]
    fn closed_loop_sends_while_the_window_has_room_for_a_whole_call() {
        let schedule = Schedule::new(Pace::Window(64), 10, 0, 100);
        let cases = [
            (0, 0, Step::Send { intended_ns: 7 }),
            (50, 0, Step::Send { intended_ns: 7 }),
            (60, 0, Step::Await { sequence: 6 }),
            (60, 5, Step::Await { sequence: 6 }),
            (60, 6, Step::Send { intended_ns: 7 }),
            (60, u64::MAX, Step::Send { intended_ns: 7 }),
        ];
        for (sent, seen, step) in cases {
            assert_eq!(schedule.poll(7, sent, seen), step, "sent {sent} seen {seen}");
        }
        assert_eq!(schedule.poll(100, 0, 0), Step::Done);
    }

    #[test]
    fn call_larger_than_the_window_goes_when_all_was_seen() {
        let schedule = Schedule::new(Pace::Window(1), 10, 0, 100);
        assert_eq!(schedule.poll(0, 0, 0), Step::Send { intended_ns: 0 });
        assert_eq!(schedule.poll(0, 10, 9), Step::Await { sequence: 10 });
        assert_eq!(schedule.poll(0, 10, 10), Step::Send { intended_ns: 0 });
    }

    #[test]
    fn stalled_closed_loop_goes_on_by_one_call() {
        let mut schedule = Schedule::new(Pace::Window(10), 10, 0, 100);
        assert_eq!(schedule.poll(0, 10, 0), Step::Await { sequence: 10 });
        schedule.widen(10);
        assert_eq!(schedule.poll(0, 10, 0), Step::Send { intended_ns: 0 });
        assert_eq!(schedule.poll(0, 20, 0), Step::Await { sequence: 20 });
    }

    #[test]
    fn only_overload_skips() {
        let mut schedule = Schedule::new(Pace::Overload(100.0), 10, 0, 1000 * MS);
        assert!(schedule.may_skip());
        assert_eq!(schedule.skip(), 10);
        assert_eq!(schedule.poll(0, 0, 0), Step::Sleep { until_ns: 100 * MS });
        assert!(!Schedule::new(Pace::Paced(1.0), 1, 0, 1).may_skip());
    }
}
