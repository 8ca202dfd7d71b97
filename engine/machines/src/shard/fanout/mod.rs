//! The fan-out side of a shard: its connections, the topics that they are subscribed to, and the Runs of this phase.
//!
//! Where to look: `connections` what other parts ask of a connection, `connection` its record and `slots` where it stands;
//! `topics` and `subscriptions` who is subscribed to what; `delivery` events on their way into outboxes, `writing` what
//! happens to these at the kernel, `timing` how long that takes. What waits and how much of it may: `flush`, `pacing` and `unflushed`, `gate`, `budget`.
//! `departed` those who have gone, `reading` how all of this stands.

use protocol::socket_id::Place;

use crate::limits::{Limits, OUTBOXES_BYTES_MIN};
use crate::machine::{Now, Token};
use crate::outbox::OPEN;
use crate::outbox::held::Held;
use crate::outbox::run::Run;
use crate::readings::stats::FanoutStats;
use crate::shard::fanout::departed::Departed;
use crate::shard::fanout::flush::{Flush, NO_RUN};
use crate::shard::fanout::slots::Connections;
use crate::shard::fanout::timing::Timing;
use crate::shard::fanout::topics::LocalTopics;
use crate::traffic_meter::TrafficMeter;

mod budget;
pub mod connection;
pub(super) mod connections;
mod delivery;
mod departed;
mod event_bucket;
mod flush;
mod gate;
mod pacing;
mod reading;
mod slots;
mod subscriptions;
mod timing;
pub(super) mod topics;
mod unflushed;
mod writing;

/// Connections and their topics on this shard.
#[derive(Debug)]
pub struct Fanout {
    /// Where the shard is, as socket ids say it.
    place: Place,
    connections: Connections,
    topics: LocalTopics,
    /// Those who have gone, and what they were subscribed to.
    departed: Departed,
    /// What must be written.
    flush: Flush,
    /// How long published events take.
    timing: Timing,
    /// What passes for each app.
    traffic: TrafficMeter,
    stats: FanoutStats,
    /// What Runs keep alive.
    held: Held,
    /// What the outboxes may keep together.
    outboxes_bytes_max: usize,
    /// Subscriptions of all connections.
    subscriptions: usize,
    limits: Limits,
}

impl Fanout {
    /// Nobody is connected.
    pub(in crate::shard) fn new(place: Place, limits: &Limits) -> Self {
        Self {
            place,
            connections: Connections::default(),
            topics: LocalTopics::default(),
            departed: Departed::new(limits.given_up_per_turn_max),
            flush: Flush::default(),
            timing: Timing::default(),
            traffic: TrafficMeter::default(),
            stats: FanoutStats::default(),
            held: Held::default(),
            outboxes_bytes_max: limits.outboxes_bytes_max.unwrap_or(OUTBOXES_BYTES_MIN),
            subscriptions: 0,
            limits: limits.clone(),
        }
    }

    /// A Run that many connections share counts as held as long as it lives.
    pub(in crate::shard) fn count_as_held(&self, run: &Run) {
        run.charge(&self.held);
    }

    /// A decide phase begins.
    pub(in crate::shard) fn begin_phase(&mut self, now: Now) {
        self.timing
            .begin_phase(now, self.flush.tried_until(), |interval_ms| self.flush.holds.mark_of(interval_ms));
        self.flush.begin_phase(now.mono_ms);
    }

    /// So many bytes came from a connection.
    pub(in crate::shard) fn note_received(&mut self, id: Token, bytes: usize) {
        if let Some(connection) = self.connections.view(id) {
            self.traffic.of(connection.app()).received_bytes += bytes as u64;
        }
    }

    /// A message of a connection was taken.
    pub(in crate::shard) fn note_command(&mut self, id: Token) {
        if let Some(connection) = self.connections.view(id) {
            self.traffic.of(connection.app()).received += 1;
        }
    }

    /// What has passed so far is told to the apps.
    pub(in crate::shard) fn settle_traffic(&mut self) {
        self.traffic.settle();
    }

    /// Gives back what nothing needs now.
    pub(in crate::shard) fn give_back_room(&mut self) {
        self.departed.give_back_room();
        self.flush.give_back_room();
        self.timing.give_back_room();
        self.topics.give_back_room();
    }
}

const _: () = assert!(OPEN == NO_RUN, "both are the largest u32, and neither is a length that can occur");
