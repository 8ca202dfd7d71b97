//! The end of a shard's service: newcomers are sent away, those who are there are closed one after another.
//!
//! Closing all at once would bring all of them back at once, each with its subscriptions and its questions to the
//! application's back end. So a drain has a rate, for the whole server; each shard keeps its share of it. Until a
//! connection's turn comes it is served as ever. Turns that come late are made up for by 5 ms at most, and the pace is
//! 5 % below the rate, so that no 100 ms see more closes of a shard than its share of them, and one.

use std::num::NonZeroU32;
use std::sync::atomic::Ordering;

use protocol::close::Close;

use crate::limits::DRAIN_LAG_US_MAX;
use crate::machine::Now;
use crate::shard::Shard;

/// How a server drains.
#[derive(Clone, Copy, Debug)]
pub struct DrainPlan {
    /// Connections that the whole server closes per second, at most.
    pub connections_per_second_max: NonZeroU32,
    /// What those who are connected are told. Newcomers always get 4100.
    pub close: Close,
}

/// A server of 19,000 connections leaves in 20 s, within the 30 s that supervisors give; and a thousand clients per
/// second that come back, with a question for each private channel, are what a back end can answer.
const CONNECTIONS_PER_SECOND: NonZeroU32 = NonZeroU32::new(1000).unwrap();

impl Default for DrainPlan {
    fn default() -> Self {
        Self { connections_per_second_max: CONNECTIONS_PER_SECOND, close: Close::DRAINING }
    }
}

/// A drain in progress.
#[derive(Debug)]
pub(in crate::shard) struct Drain {
    interval_us: u64,
    next_us: u64,
    /// Slots below it have been seen; a newcomer that takes one of them later is turned away before.
    next_slot: u32,
}

impl Drain {
    /// Shards begin one after another within the first interval, so that they take turns.
    fn begin(plan: &DrainPlan, shard: usize, shards: usize, now: Now) -> Self {
        let rate = u64::from(plan.connections_per_second_max.get());
        let interval_us = (shards as u64 * 1_050_000).div_ceil(rate);
        let next_us = now.mono_ms * 1000 + interval_us * shard as u64 / shards as u64;
        Self { interval_us, next_us, next_slot: 0 }
    }

    fn deadline_ms(&self) -> u64 {
        self.next_us.div_ceil(1000)
    }

    /// How many may be closed now.
    fn poll_share(&mut self, now: Now) -> u64 {
        let now_us = now.mono_ms * 1000;
        if now_us < self.next_us {
            return 0;
        }
        self.next_us = self.next_us.max(now_us.saturating_sub(DRAIN_LAG_US_MAX));
        let share = (now_us - self.next_us) / self.interval_us + 1;
        self.next_us += share * self.interval_us;
        share
    }
}

impl Shard {
    pub(in crate::shard) fn begin_drain(&mut self, now: Now) {
        if self.ending.drain.is_none() {
            if self.ending.others.as_ref().is_some_and(|others| others.load(Ordering::Relaxed)) {
                self.ending.plan.close = Close::RECONNECT;
            }
            self.ending.drain =
                Some(Drain::begin(&self.ending.plan, self.place.shard.into(), self.hash.shards(), now));
            self.home.end();
        }
    }

    pub(in crate::shard) fn drain_deadline(&self) -> Option<u64> {
        let drain = self.ending.drain.as_ref()?;
        (self.fanout.connections() > 0).then(|| drain.deadline_ms())
    }

    /// Closes those whose turn has come.
    pub(in crate::shard) fn continue_drain(&mut self, now: Now) {
        let share = self.ending.drain.as_mut().map_or(0, |drain| drain.poll_share(now));
        for _ in 0..share {
            let Some(drain) = &mut self.ending.drain else { break };
            let Some(id) = self.fanout.next_from(drain.next_slot) else { break };
            drain.next_slot = id.slot + 1;
            self.ending.stats.drained += 1;
            self.close_after_outbox(id, self.ending.plan.close);
        }
        self.finish_closes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(mono_ms: u64) -> Now {
        Now::at(mono_ms, 0)
    }

    fn drain(rate: u32, shard: usize, shards: usize) -> Drain {
        let plan =
            DrainPlan { connections_per_second_max: NonZeroU32::new(rate).unwrap(), close: Close::DRAINING };
        Drain::begin(&plan, shard, shards, at(1000))
    }

    /// Closes per millisecond over three seconds, of a core that turns when it is due and `lag_ms` later.
    fn closes(drain: &mut Drain, lag_ms: impl Fn(u64) -> u64) -> Vec<u64> {
        let mut closes = vec![0; 3000];
        let mut ms = 1000;
        while let Some(count) = closes.get_mut(ms as usize - 1000) {
            *count += drain.poll_share(at(ms));
            ms = drain.deadline_ms().max(ms + 1) + lag_ms(ms);
        }
        closes
    }

    #[test]
    fn no_100_ms_see_more_than_their_share_and_one_of_each_shard() {
        for rate in [1, 7, 100, 500, 1000, 20_000] {
            for shards in [1, 3] {
                for lag in [0, 1, 4, 30, 250] {
                    let mut all = vec![0; 3000];
                    for shard in 0..shards {
                        let mut drain = drain(rate, shard, shards);
                        let of_shard = closes(&mut drain, |ms| if lag > 4 { ms * 7 % lag } else { lag });
                        all.iter_mut().zip(of_shard).for_each(|(all, count)| *all += count);
                    }
                    let most = all.windows(100).map(|window| window.iter().sum::<u64>()).max().unwrap();
                    let allowed = u64::from(rate).div_ceil(10) + shards as u64;
                    assert!(
                        most <= allowed,
                        "{rate}/s on {shards} with lag {lag}: {most}, {allowed} allowed"
                    );
                }
            }
        }
    }

    #[test]
    fn a_core_that_turns_in_time_keeps_the_pace() {
        for (rate, lag_ms) in [(100, 0), (500, 2), (1000, 1), (20_000, 1)] {
            let total: u64 = closes(&mut drain(rate, 0, 1), |_| lag_ms).iter().sum();
            let wanted = u64::from(rate) * 3;
            assert!(total * 100 >= wanted * 94, "{rate}/s: {total} in 3 s");
        }
    }
}
