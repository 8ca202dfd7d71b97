//! What must hold of a shard in every turn: its bounds, by its limits and those of its app.

use std::sync::Arc;

use corecast_machines::limits::{Limits, PARTING_PART};
use corecast_machines::machine::{Machine, Now};
use corecast_machines::readings::stats::Stats;
use corecast_machines::shard::Shard;
use protocol::app::App;

use crate::clients::Clients;
use crate::cores::Cores;
use crate::socket::{Reader, Socket};

/// Turns of its shard that unread bytes of a socket may wait.
const UNREAD_TURNS_MAX: u32 = 120;

/// What clocks that tick at different moments, and a few turns, may differ by.
const SECONDS_OFF_MAX: u32 = 4;

/// More than outboxes may gain in a decide phase here, with what growing memory leaves unused.
const PHASE_BYTES_MAX: usize = 2 * (2000 + 2 * ITEM_BYTES_MAX as usize);

/// More than any one message or roster here.
const ITEM_BYTES_MAX: u64 = 4000;

/// More than any one event or any one small private item here.
const EVENT_BYTES_MAX: usize = 1200;

/// More than an error frame and a close frame.
const LAST_WORDS_BYTES_MAX: usize = 500;

#[derive(Debug)]
pub struct Bounds {
    limits: Limits,
    app: Arc<App>,
}

impl Bounds {
    pub fn new(limits: Limits, app: Arc<App>) -> Self {
        Self { limits, app }
    }

    /// In which time a connection must be authorized; 0: none.
    pub fn authorization_timeout_ms(&self) -> u64 {
        u64::from(self.app.authorization_timeout_s) * 1000
    }

    /// After the deciding part of a turn.
    pub fn check_phase(&self, me: usize, shard: &Shard) -> Result<(), String> {
        let limits = &self.limits;
        let subscriptions = shard.fanout().subscriptions();
        if limits.subscriptions_per_shard_max.is_some_and(|max| subscriptions > max) {
            return Err(format!("shard {me} has {subscriptions} subscriptions"));
        }
        // Here no two shards take one at the same time.
        let (of_app, app_max) = (self.app.subscriptions(), self.app.limits.subscriptions_max);
        if app_max.is_some_and(|max| of_app > max.into()) {
            return Err(format!("the app has {of_app} subscriptions"));
        }
        let unflushed = shard.fanout().unflushed_bytes();
        let unflushed_max = limits.unflushed_bytes_max as u64 + ITEM_BYTES_MAX;
        if unflushed > unflushed_max {
            return Err(format!("{unflushed} bytes are unflushed, at most {unflushed_max} may be"));
        }
        let untried = shard.fanout().untried_bytes() as usize;
        let untried_max = limits.unflushed_shard_bytes_max + EVENT_BYTES_MAX;
        if untried > untried_max {
            return Err(format!("{untried} bytes of Runs are untried, at most {untried_max} may be"));
        }
        if let Some(budget) = limits.outboxes_bytes_max {
            let (held, most) = (shard.fanout().held_bytes(), budget + PHASE_BYTES_MAX);
            if held > most {
                return Err(format!("outboxes keep {held} bytes in a phase, at most {most} may be"));
            }
        }
        let (cached, cached_max) = (shard.home().cache().bytes(), limits.cache_bytes_max);
        if cached > cached_max {
            return Err(format!("shard {me} remembers {cached} bytes, at most {cached_max} may be"));
        }
        for (slot, backlog) in shard.fanout().backlogs() {
            let most = limits.outbox_bytes_max as u64 + unflushed_max + ITEM_BYTES_MAX;
            if backlog.bytes as u64 > most {
                return Err(format!(
                    "slot {slot} has {} bytes waiting, at most {most} may be",
                    backlog.bytes
                ));
            }
        }
        let (roots, leaves) = shard.open_batches();
        // A command adds up to two roots, a root up to two leaves, to a batch that was not full.
        if roots > limits.batch_messages_max + 2 || leaves > limits.batch_messages_max + 1 {
            return Err(format!("open batches of {roots} roots and {leaves} leaves"));
        }
        let (lists, terminations) = shard.open_walks();
        if lists > limits.lists_max || terminations > 2 * limits.terminations_max {
            return Err(format!("{lists} lists and {terminations} terminations"));
        }
        let (due, paced) = shard.home().subscription_counts().waiting();
        // What may be told again is due beside what has changed. Here nobody has a hundred subscriptions.
        let again_max = if limits.counts_exact_max < 100 { limits.counts_paced_max + 1 } else { 0 };
        let due_max = limits.counts_due_max + again_max;
        if due > due_max || paced > limits.counts_paced_max {
            return Err(format!("the counts of {due} channels are due, and {paced} wait"));
        }
        Ok(())
    }

    /// Nobody waits beyond the next multiple of the interval, nor with more ranges than may wait.
    pub fn check_holds(&self, shard: &Shard, now_ms: u64) -> Result<(), String> {
        self.check_held_ranges(shard)?;
        let due_ms = shard.fanout().next_tick_ms();
        let next_ms = now_ms + u64::from(self.app.flush_interval_ms);
        match due_ms.filter(|due_ms| !(now_ms + 1..=next_ms).contains(due_ms)) {
            Some(due_ms) => Err(format!("a hold ends at {due_ms} ms, and it is {} ms", now_ms)),
            None => Ok(()),
        }
    }

    fn check_held_ranges(&self, shard: &Shard) -> Result<(), String> {
        let waiting = shard.fanout().outboxes().filter(|outbox| outbox.held);
        let most = waiting.map(|outbox| outbox.backlog.ranges).max();
        match most.filter(|most| *most >= self.limits.held_ranges_max) {
            Some(most) => {
                Err(format!("{most} ranges wait for a tick, {} may not", self.limits.held_ranges_max))
            }
            None => Ok(()),
        }
    }

    /// What waits for a connection that the kernel has not refused is what it has gained since it was last tried.
    pub fn check_gains(&self, shard: &Shard, sockets: &[Socket]) -> Result<(), String> {
        let most = self.limits.unflushed_bytes_max + EVENT_BYTES_MAX;
        for outbox in shard.fanout().outboxes().filter(|outbox| !outbox.blocked) {
            let socket = sockets.iter().find(|socket| socket.token == outbox.token);
            let old = socket.map_or(0, |socket| socket.refused);
            let gained = outbox.backlog.bytes.saturating_sub(old);
            if gained > most {
                return Err(format!(
                    "slot {} has gained {gained} bytes untried, {most} may be",
                    outbox.token.slot
                ));
            }
        }
        Ok(())
    }

    /// No Run grows: past the budget only those may be for whom no write was tried.
    pub fn check_budget(&self, shard: &Shard, sockets: &[Socket]) -> Result<(), String> {
        let fanout = shard.fanout();
        let Some(budget) = self.limits.outboxes_bytes_max else { return Ok(()) };
        let (kept, most) = (shard.parting_bytes(), budget / PARTING_PART);
        if kept > most {
            return Err(format!("{kept} bytes are kept for those who are closed, {most} may be"));
        }
        let partings = || sockets.iter().filter_map(|socket| socket.parting.as_ref());
        let lingers: usize = partings().map(|parting| parting.to_vec().len()).sum();
        let words = partings().count() * LAST_WORDS_BYTES_MAX;
        if lingers > kept + words {
            return Err(format!("{lingers} bytes linger for those who are closed, {kept} are counted"));
        }
        if fanout.held_bytes() > budget && fanout.backlogs().next().is_some() {
            return Err(format!("outboxes keep {} bytes, {budget} may be", fanout.held_bytes()));
        }
        Ok(())
    }

    /// A turn is over: no socket waits for too long to be read.
    pub fn check_unread(&self, me: usize, sockets: &mut [Socket]) -> Result<(), String> {
        for socket in sockets {
            socket.turns_unread = if socket.is_ready() { socket.turns_unread + 1 } else { 0 };
            if socket.turns_unread > UNREAD_TURNS_MAX {
                return Err(format!("a socket of shard {me} was not read in {UNREAD_TURNS_MAX} turns"));
            }
        }
        Ok(())
    }

    /// A core naps only while many are silent.
    pub fn check_nap(&self, me: usize, shard: &Shard, now: Now, before: &Stats) -> Result<(), String> {
        match shard.nap_ms_max(now) {
            0 => Ok(()),
            _ if heard_more_than_signs_of_life(before, &shard.stats()) => {
                Err(format!("shard {me} naps though somebody has just spoken"))
            }
            _ if shard.connections() < self.limits.nap_connections_min => {
                Err(format!("shard {me} naps for {} connections", shard.connections()))
            }
            nap_ms if nap_ms > self.limits.nap_ms_max => Err(format!("shard {me} naps for {nap_ms} ms")),
            _ => Ok(()),
        }
    }

    /// The least silence of a peer that is closed for it.
    pub fn silence_s_min(&self) -> u32 {
        (self.ping_after_s() + u32::from(self.limits.pong_s_max)).saturating_sub(SECONDS_OFF_MAX)
    }

    fn ping_after_s(&self) -> u32 {
        u32::from(self.limits.activity_timeout_s + self.limits.ping_grace_s)
    }

    /// A peer that was silent for long has been pinged; one that was silent for longer is gone.
    pub fn check_silence(&self, clients: &Clients, cores: &Cores) -> Result<(), String> {
        let ping_s = self.ping_after_s() + SECONDS_OFF_MAX;
        let close_s = ping_s + u32::from(self.limits.pong_s_max);
        let greeted = |number: &usize| clients.get(*number).socket_id.is_some();
        for number in (0..clients.len()).filter(greeted) {
            let socket = clients.socket(number, cores);
            let silent_s = socket.silent_s;
            if !socket.closed && silent_s > close_s {
                return Err(format!("client {number} is still there after {silent_s} s of silence"));
            }
            if !socket.closed && silent_s > ping_s && socket.reader == Reader::Healthy && !socket.pinged {
                return Err(format!("client {number} was not pinged in {silent_s} s of silence"));
            }
        }
        Ok(())
    }
}

/// Whether more has come between two readings than pings, pongs and silence.
fn heard_more_than_signs_of_life(before: &Stats, after: &Stats) -> bool {
    let talk =
        |it: &Stats| [it.attached, it.batches_taken, it.published, it.subscribed, it.subscribe_refused];
    talk(before) != talk(after)
}
