//! The connections for whom most is waiting: a walk through all slots, in steps, so that a million connections are looked at
//! between deliveries and not instead of them.
//!
//! Only those count that the kernel has refused: what nobody has tried to write is no sign of a slow reader. Walks are
//! made one after another; past a few in line a question is answered Busy.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::cores::CoreId;
use crate::limits::{SLOW_SHOWN_MAX, SLOW_WALKS_MAX};
use crate::machine::Token;
use crate::mesh::Found;
use crate::shard::Shard;
use crate::watching::Introduction;

/// Questions for the slowest, the first of them with its walk.
#[derive(Debug, Default)]
pub(super) struct SlowWalk {
    askers: VecDeque<(CoreId, u64)>,
    next_slot: u32,
    /// With what waits for each. The one for whom least is waiting comes out first.
    worst: BinaryHeap<Reverse<(usize, u32)>>,
}

impl SlowWalk {
    /// How many questions have no answer yet.
    pub(super) fn len(&self) -> usize {
        self.askers.len()
    }

    fn keep(&mut self, waiting: usize, slot: u32) {
        self.worst.push(Reverse((waiting, slot)));
        if self.worst.len() > SLOW_SHOWN_MAX {
            self.worst.pop();
        }
    }

    /// Slots of those who were found, the worst first. The walk is over.
    fn end(&mut self) -> Vec<u32> {
        self.next_slot = 0;
        let mut found = std::mem::take(&mut self.worst).into_vec();
        found.sort_unstable();
        found.into_iter().map(|Reverse((_, slot))| slot).collect()
    }
}

impl Shard {
    /// Somebody asks for the slowest.
    pub(in crate::shard) fn ask_for_slowest(&mut self, asker: CoreId, query: u64) {
        if self.watching.slow.len() >= SLOW_WALKS_MAX {
            return self.home.answer(asker, query, Found::Busy);
        }
        self.watching.slow.askers.push_back((asker, query));
    }

    /// One step of the walk. Returns whether there was one.
    pub(in crate::shard) fn continue_slow_walk(&mut self) -> bool {
        let Some((asker, query)) = self.watching.slow.askers.front().copied() else { return false };
        let from = self.watching.slow.next_slot;
        let looks = u32::try_from(self.limits.walk_looks_max).unwrap_or(u32::MAX);
        // Where nobody is blocked there is nobody to be found.
        let slots = if self.fanout.blocked() == 0 { from } else { self.fanout.slots() };
        let end = slots.min(from.saturating_add(looks));
        for slot in from..end {
            if let Some(waiting) = self.fanout.backlog_in(slot) {
                self.watching.slow.keep(waiting, slot);
            }
        }
        self.watching.slow.next_slot = end;
        if end >= slots {
            self.watching.slow.askers.pop_front();
            let slots = self.watching.slow.end();
            let ids = slots.into_iter().filter_map(|slot| self.fanout.connection_in(slot));
            let views: Vec<(Token, _)> = ids.filter_map(|id| Some((id, self.view_of(id)?))).collect();
            self.introduce(Introduction { views, asker, query, is_one: false });
        }
        true
    }
}
