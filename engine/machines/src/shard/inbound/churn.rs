//! How fast connections may change their subscriptions: members of presence channels pay for everyone who comes and
//! goes, so one connection that does so without end is a flood for all of them.
//!
//! A token bucket for each connection. What it gave up is what counts, and what it may not do is subscribe anew: without
//! giving up it has as many subscriptions as it may (`subscriptions_per_connection_max`, which is also the burst), and an
//! unsubscribe that was refused would leave a client with events that it does not want. Only buckets that are not full
//! are kept, so a connection that never unsubscribes has none.

use hashbrown::HashMap;

use crate::limits::BUCKETS_MIN;
use crate::machine::Token;

/// The buckets that are not full.
#[derive(Debug, Default)]
pub(in crate::shard) struct Churn {
    /// When each is full again, in `mono_ms`.
    full_ms: HashMap<Token, u64>,
    /// With so many, those that are full by now are cleared away.
    clear_at: usize,
}

impl Churn {
    /// The connection gives up a subscription.
    pub(in crate::shard) fn charge(&mut self, id: Token, per_second: u32, now_ms: u64) {
        if self.full_ms.len() >= self.clear_at.max(BUCKETS_MIN) {
            self.full_ms.retain(|_, full_ms| *full_ms > now_ms);
            self.clear_at = 2 * self.full_ms.len();
        }
        let full_ms = self.full_ms.entry(id).or_default();
        *full_ms = now_ms.max(*full_ms) + each_ms(per_second);
    }

    /// Whether the connection may subscribe: of `burst` tokens it has one.
    pub(in crate::shard) fn allows(&self, id: Token, per_second: u32, burst: usize, now_ms: u64) -> bool {
        // Mostly nobody has given up anything lately.
        if self.full_ms.is_empty() {
            return true;
        }
        let Some(full_ms) = self.full_ms.get(&id) else { return true };
        full_ms.saturating_sub(now_ms) + each_ms(per_second) <= burst as u64 * each_ms(per_second)
    }

    /// The connection has gone.
    pub(in crate::shard) fn forget(&mut self, id: Token) {
        if !self.full_ms.is_empty() {
            self.full_ms.remove(&id);
        }
    }

    /// True when all buckets are full.
    #[cfg(test)]
    pub(in crate::shard) fn is_empty(&self) -> bool {
        self.full_ms.is_empty()
    }

    /// Gives back what nothing needs now.
    pub(in crate::shard) fn give_back_room(&mut self) {
        self.full_ms.shrink_to_fit();
    }
}

/// What a token takes to come back.
fn each_ms(per_second: u32) -> u64 {
    u64::from(1000_u32.checked_div(per_second).unwrap_or(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Token = Token { slot: 3, generation: 1 };

    #[test]
    fn a_burst_passes_and_then_so_many_per_second() {
        let mut churn = Churn::default();
        let mut change = |now_ms| {
            let allowed = churn.allows(ID, 50, 1000, now_ms);
            if allowed {
                churn.charge(ID, 50, now_ms);
            }
            allowed
        };
        assert!((0..1000).all(|_| change(5_000)));
        assert!(!change(5_000) && !change(5_019) && change(5_020) && !change(5_020));
        assert_eq!((0..1000).filter(|ms| change(6_020 + ms)).count(), 50 + 49);
        assert!((0..1000).all(|_| change(100_000)), "the bucket is full again");
    }

    #[test]
    fn whoever_gives_up_all_at_once_may_begin_anew() {
        let mut churn = Churn::default();
        (0..1000).for_each(|_| churn.charge(ID, 50, 0));
        assert!(!churn.allows(ID, 50, 1000, 0) && churn.allows(ID, 50, 1001, 0));
        let other = Token { generation: 2, ..ID };
        assert!(churn.allows(other, 50, 1, 0), "a later tenant of the slot pays for nothing");
        churn.forget(ID);
        assert!(churn.allows(ID, 50, 1, 0));
    }

    #[test]
    fn buckets_that_are_full_again_are_not_kept() {
        let mut churn = Churn::default();
        for slot in 0..100_000 {
            churn.charge(Token { slot, generation: 0 }, 50, u64::from(slot));
            assert!(churn.full_ms.len() <= BUCKETS_MIN, "{}", churn.full_ms.len());
        }
    }
}
