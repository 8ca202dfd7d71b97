//! Connections whose events wait for the next tick of their app's `flush_interval_ms`.
//!
//! A tick is a multiple of the interval on the shard's clock, so all connections of an app are flushed together. Held
//! connections count as untried: a hold ends early when what was gained comes to half of what the flush gate allows, so
//! the gate never waits for a tick. What must never happen here: a frame for one connection alone that waits (its
//! connection becomes dirty as ever, and its place here means nothing any more), or one connection twice in a group.

use crate::machine::Token;
use crate::shard::fanout::Fanout;

/// All holds of a shard, by interval.
#[derive(Debug, Default)]
pub(super) struct Holds {
    groups: Vec<Group>,
}

/// Those who wait for the same tick.
#[derive(Debug)]
pub(super) struct Group {
    interval_ms: u32,
    due_ms: u64,
    /// Bytes of all Runs decided when the first of them came.
    mark: u64,
    /// Somebody was there when the round of flushing began.
    of_last_round: bool,
    held: Vec<Token>,
}

impl Holds {
    /// The connection waits for the next multiple of the interval.
    pub(super) fn hold(&mut self, id: Token, interval_ms: u32, now_ms: u64, mark: u64) {
        let group = self.group(interval_ms);
        if group.held.is_empty() {
            group.due_ms = (now_ms / u64::from(interval_ms) + 1) * u64::from(interval_ms);
            group.mark = mark;
        }
        group.held.push(id);
    }

    /// There are as many groups as apps have different intervals.
    fn group(&mut self, interval_ms: u32) -> &mut Group {
        let at = self.groups.iter().position(|group| group.interval_ms == interval_ms);
        let at = at.unwrap_or_else(|| {
            self.groups.push(Group {
                interval_ms,
                due_ms: 0,
                mark: 0,
                of_last_round: false,
                held: Vec::new(),
            });
            self.groups.len() - 1
        });
        let Some(group) = self.groups.get_mut(at) else { unreachable!("it was found or added") };
        group
    }

    /// When the next tick is that somebody waits for.
    pub(super) fn deadline_ms(&self) -> Option<u64> {
        self.waiting().map(|group| group.due_ms).min()
    }

    /// `Dirty::mark` of the connection that has waited for longest.
    pub(super) fn oldest_mark(&self) -> Option<u64> {
        self.waiting().map(|group| group.mark).min()
    }

    /// The same, of those who wait for ticks of this interval.
    pub(super) fn mark_of(&self, interval_ms: u32) -> Option<u64> {
        self.waiting().find(|group| group.interval_ms == interval_ms).map(|group| group.mark)
    }

    /// True when nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting().next().is_none()
    }

    /// True when somebody waits who was there when the round began.
    pub(super) fn any_of_last_round(&self) -> bool {
        self.groups.iter().any(|group| group.of_last_round)
    }

    /// A round of flushing begins.
    pub(super) fn begin_round(&mut self) {
        for group in &mut self.groups {
            group.of_last_round = !group.held.is_empty();
        }
    }

    /// Takes out one of the groups whose tick was before or is at this moment: its mark, whether it was there when the
    /// round began, and its connections. They are to be given back with [`Holds::give_back`].
    pub(super) fn poll_due(&mut self, now_ms: u64) -> Option<(u64, bool, Vec<Token>)> {
        let due = |group: &&mut Group| !group.held.is_empty() && group.due_ms <= now_ms;
        let group = self.groups.iter_mut().find(due)?;
        let old = std::mem::take(&mut group.of_last_round);
        Some((group.mark, old, std::mem::take(&mut group.held)))
    }

    /// The room of a group that was polled serves it again.
    pub(super) fn give_back(&mut self, mut held: Vec<Token>) {
        held.clear();
        if let Some(group) = self.groups.iter_mut().find(|group| group.held.capacity() == 0) {
            group.held = held;
        }
    }

    /// Gives back what nothing needs now.
    pub(super) fn give_back_room(&mut self) {
        self.groups.retain(|group| !group.held.is_empty());
        self.groups.iter_mut().for_each(|group| group.held.shrink_to_fit());
    }

    fn waiting(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(|group| !group.held.is_empty())
    }
}

impl Fanout {
    /// Ends all holds when they come to half of what the gate allows, so that it never waits for a tick, and when somebody
    /// may have as many ranges as go out in one write.
    pub(in crate::shard) fn end_holds_early(&mut self) {
        let one = self.flush.unflushed_bytes() > self.limits.unflushed_bytes_max as u64 / 2;
        let all = self.flush.untried_bytes() > self.limits.unflushed_shard_bytes_max as u64 / 2;
        let many = self.flush.ranges_max() >= self.limits.held_ranges_max as u64;
        let enough = one || all || many || self.is_over_budget();
        if enough && self.end_holds(u64::MAX) {
            self.stats.holds_cut += 1;
            self.stats.holds_cut_by_ranges += u64::from(many);
        }
    }

    /// Ends the holds whose tick was before or is at this moment.
    pub(in crate::shard) fn end_due_holds(&mut self, now_ms: u64) {
        self.stats.holds_ended += u64::from(self.end_holds(now_ms));
    }

    fn end_holds(&mut self, now_ms: u64) -> bool {
        let mut any = false;
        while let Some((mark, old, held)) = self.flush.holds.poll_due(now_ms) {
            self.flush.release(mark, old, &held, &mut self.connections);
            self.flush.holds.give_back(held);
            any = true;
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(slot: u32) -> Token {
        Token { slot, generation: 0 }
    }

    #[test]
    fn all_who_come_within_an_interval_wait_for_the_same_tick() {
        let mut holds = Holds::default();
        holds.hold(id(1), 10, 1003, 5);
        holds.hold(id(2), 10, 1009, 7);
        holds.hold(id(3), 50, 1009, 7);
        assert_eq!((holds.deadline_ms(), holds.oldest_mark()), (Some(1010), Some(5)));
        assert!(holds.poll_due(1009).is_none());
        assert_eq!(holds.poll_due(1010), Some((5, false, vec![id(1), id(2)])));
        assert_eq!((holds.poll_due(1010), holds.deadline_ms()), (None, Some(1050)));
    }

    #[test]
    fn at_a_tick_begins_the_wait_for_the_next() {
        let mut holds = Holds::default();
        holds.hold(id(1), 10, 1010, 0);
        assert_eq!(holds.deadline_ms(), Some(1020));
        holds.begin_round();
        assert_eq!(
            (holds.any_of_last_round(), holds.poll_due(u64::MAX)),
            (true, Some((0, true, vec![id(1)])))
        );
        assert!(holds.is_empty() && !holds.any_of_last_round());
    }
}
