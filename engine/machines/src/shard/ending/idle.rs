//! Silence: a connection that has not been heard for long is pinged, and closed when no byte comes in answer.
//!
//! Any byte of the peer counts, nothing that is sent to it does: half-open connections take bytes for minutes. A read
//! costs one store; a silent connection is looked at about once a minute, whatever their number. A connection whose
//! input waits for a gate is not silent, it is not listened to: its clock stands still, and so does everybody's while
//! the core does not turn. Nothing here is exact to less than a second.

use std::rc::Rc;

use protocol::close::Close;
use protocol::ws;

use crate::chunks::Chunks;
use crate::machine::{Now, Token};
use crate::outbox::run::Run;
use crate::shard::Shard;
use crate::shard::fanout::connection::Heard;

/// Seconds in the wheel. Longer waits go round again.
const TURN_SECONDS: usize = 64;

/// The end of a list.
const NONE: u32 = u32::MAX;

/// In place of the next slot: this one is in no list.
const ABSENT: u32 = u32::MAX - 1;

/// Which slots are looked at in which second: a list per second, threaded through one array, so a slot is in at most
/// one list and a connection that leaves costs nothing. Its place serves the slot's next tenant.
#[derive(Debug)]
pub(super) struct Wheel {
    seconds: [u32; TURN_SECONDS],
    /// By slot: the next one in the same list.
    next: Chunks<u32>,
    /// Those of the present second that are still to be looked at.
    due: u32,
    second: u16,
    /// When the next second begins, in `mono_ms`.
    next_second_ms: u64,
    /// Slots in any list.
    len: usize,
}

impl Default for Wheel {
    fn default() -> Self {
        Self {
            seconds: [NONE; TURN_SECONDS],
            next: Chunks::default(),
            due: NONE,
            second: 0,
            next_second_ms: 0,
            len: 0,
        }
    }
}

impl Wheel {
    /// Something was heard just now.
    pub(super) fn heard(&self) -> Heard {
        Heard { second: self.second.to_ne_bytes(), pinged: false }
    }

    /// Seconds since a connection was heard, or pinged.
    fn silence_s(&self, heard: Heard) -> u16 {
        self.second.wrapping_sub(u16::from_ne_bytes(heard.second))
    }

    /// A slot is looked at after so many seconds, or earlier if it is in the wheel already.
    fn watch(&mut self, slot: u32, after_s: u16, now_ms: u64) {
        if self.len == 0 {
            self.next_second_ms = now_ms + 1000;
        }
        let index = slot as usize;
        self.next.grow_to(index + 1, &ABSENT);
        let after = usize::from(after_s).clamp(1, TURN_SECONDS - 1);
        let at = (usize::from(self.second) + after) % TURN_SECONDS;
        if let Some(next) = self.next.get_mut(index).filter(|next| **next == ABSENT)
            && let Some(first) = self.seconds.get_mut(at)
        {
            *next = std::mem::replace(first, slot);
            self.len += 1;
        }
    }

    /// When `turn` must be called, in `mono_ms`; None while nobody is watched.
    fn deadline_ms(&self) -> Option<u64> {
        match self.due {
            NONE => (self.len > 0).then_some(self.next_second_ms),
            _ => Some(0),
        }
    }

    /// Lets the next second begin when it is time and the last one is done. What a core has missed by not turning is
    /// not made up for: nobody was listened to meanwhile.
    fn turn(&mut self, now_ms: u64) {
        if self.due != NONE || self.len == 0 || now_ms < self.next_second_ms {
            return;
        }
        self.second = self.second.wrapping_add(1);
        if let Some(first) = self.seconds.get_mut(usize::from(self.second) % TURN_SECONDS) {
            self.due = std::mem::replace(first, NONE);
        }
        self.next_second_ms += 1000;
        if self.next_second_ms <= now_ms {
            self.next_second_ms = now_ms + 1000;
        }
    }

    /// The next slot of this second. It is in no list then.
    fn poll_due(&mut self) -> Option<u32> {
        let slot = self.due;
        let next = self.next.get_mut(slot as usize)?;
        self.due = std::mem::replace(next, ABSENT);
        self.len -= 1;
        Some(slot)
    }
}

impl Shard {
    /// A connection has come: its silence begins.
    pub(in crate::shard) fn watch(&mut self, id: Token, now: Now) {
        if self.limits.idle_check {
            self.ending.wheel.watch(id.slot, self.ping_after_s(), now.mono_ms);
        }
    }

    /// Bytes of this connection have come.
    pub(in crate::shard) fn note_heard(&mut self, id: Token) {
        self.fanout.note_heard(id, self.ending.wheel.heard());
    }

    pub(in crate::shard) fn idle_deadline(&self) -> Option<u64> {
        self.ending.wheel.deadline_ms()
    }

    /// Looks at those whose time has come, at most a turn's share of them.
    pub(in crate::shard) fn check_silence(&mut self, now: Now) {
        self.ending.wheel.turn(now.mono_ms);
        for _ in 0..self.limits.idle_checks_per_turn_max {
            let Some(slot) = self.ending.wheel.poll_due() else { break };
            if let Some(id) = self.fanout.connection_in(slot)
                && let Some(after_s) = self.check_silence_of(id)
            {
                self.ending.wheel.watch(slot, after_s.min(self.ping_after_s()), now.mono_ms);
            }
        }
        self.finish_closes();
    }

    /// Pings or closes a connection if it was silent for too long. Returns after how many seconds to look again.
    fn check_silence_of(&mut self, id: Token) -> Option<u16> {
        let (ping_after_s, pong_s_max) = (self.ping_after_s(), self.limits.pong_s_max);
        let heard = self.fanout.last_heard(id, self.ending.wheel.heard())?;
        let silence_s = self.ending.wheel.silence_s(heard);
        let patience_s = if heard.pinged { pong_s_max } else { ping_after_s };
        if silence_s < patience_s {
            return Some(patience_s - silence_s);
        }
        if heard.pinged {
            self.ending.stats.pongs_missed += 1;
            self.close(id, Close::PONG_MISSED);
            return None;
        }
        self.fanout.note_pinged(id, self.ending.wheel.heard());
        self.ending.stats.pings += 1;
        self.fanout.push_urgent(id, Rc::clone(&self.ending.ping));
        Some(pong_s_max)
    }

    /// Clients ping by themselves after the announced silence; what is added is the time that their ping may take.
    fn ping_after_s(&self) -> u16 {
        self.limits.activity_timeout_s.saturating_add(self.limits.ping_grace_s)
    }
}

/// One ping for all: an empty one.
pub(in crate::shard) fn ping_run() -> Rc<Run> {
    let mut bytes = Vec::new();
    ws::encode_ping(&mut bytes, &[]);
    Run::private(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns through so many seconds, one by one; returns in which of them each slot was due.
    fn seconds(wheel: &mut Wheel, from_ms: u64, count: u64) -> Vec<(u64, u32)> {
        let mut due = Vec::new();
        for second in 1..=count {
            wheel.turn(from_ms + second * 1000);
            due.extend(std::iter::from_fn(|| wheel.poll_due()).map(|slot| (second, slot)));
        }
        due
    }

    #[test]
    fn a_slot_is_due_after_its_seconds_and_only_once() {
        let mut wheel = Wheel::default();
        for (slot, after_s) in [(3, 5), (0, 5), (7, 1), (9, 63)] {
            wheel.watch(slot, after_s, 0);
        }
        assert_eq!(seconds(&mut wheel, 0, 70), [(1, 7), (5, 0), (5, 3), (63, 9)]);
        assert_eq!((wheel.len, wheel.deadline_ms()), (0, None));
    }

    #[test]
    fn a_slot_that_is_watched_keeps_its_earlier_place() {
        let mut wheel = Wheel::default();
        wheel.watch(1, 5, 0);
        wheel.watch(1, 30, 0);
        assert_eq!(seconds(&mut wheel, 0, 63), [(5, 1)]);
    }

    #[test]
    fn a_wait_longer_than_the_wheel_is_looked_at_before() {
        let mut wheel = Wheel::default();
        wheel.watch(1, 600, 0);
        assert_eq!(seconds(&mut wheel, 0, 63), [(63, 1)]);
    }

    #[test]
    fn a_core_that_did_not_turn_for_an_hour_has_missed_one_second() {
        let mut wheel = Wheel::default();
        wheel.watch(1, 3, 0);
        let heard = wheel.heard();
        wheel.turn(3_600_000);
        assert_eq!(wheel.silence_s(heard), 1);
        assert_eq!(wheel.deadline_ms(), Some(3_601_000));
        assert_eq!(seconds(&mut wheel, 3_600_000, 3), [(2, 1)]);
    }

    #[test]
    fn seconds_are_counted_across_the_wrap_of_their_counter() {
        let mut wheel = Wheel { second: u16::MAX - 1, ..Wheel::default() };
        let heard = wheel.heard();
        wheel.watch(1, 10, 0);
        assert_eq!(seconds(&mut wheel, 0, 20), [(10, 1)]);
        assert_eq!(wheel.silence_s(heard), 10);
    }
}
