//! What comes in: connections without a head, messages of clients, and the rotation in which a shard takes all of its
//! input. `addresses` counts connections by where they are from, `refuse` and `churn` say which subscriptions may not be, `quiet` when nothing but signs of life has come.

use std::sync::Arc;

use protocol::app::Apps;
use protocol::http::TrustedProxies;
use protocol::path_prefix::PathPrefix;

use crate::address_caps::AddressCaps;
use crate::cores::Cores;
use crate::http_date::HttpDate;
use crate::machine::Token;
use crate::readings::GatedMs;
use crate::readings::stats::InboundStats;
use crate::shard::inbound::addresses::Addresses;
use crate::shard::inbound::churn::Churn;
use crate::shard::inbound::commands::Stalled;
use crate::shard::inbound::gates::GateClocks;
use crate::shard::inbound::lobby::Lobby;
use crate::shard::inbound::quiet::Quiet;
use crate::shard::inbound::rotation::Rotation;
use crate::shard::inbound::unknown_apps::UnknownApps;

mod addresses;
mod admission;
mod churn;
mod client_events;
pub(super) mod commands;
mod gates;
mod lobby;
mod quiet;
pub(super) mod refuse;
mod replies;
mod rotation;
mod subscribe;
mod told;
mod unknown_apps;

/// What a shard keeps of what comes in.
pub(super) struct Inbound {
    /// The apps whose connections it takes.
    apps: Arc<Apps>,
    /// What may stand before their paths.
    path_prefix: PathPrefix,
    /// Whose word is taken for where a client is.
    trusted_proxies: TrustedProxies,
    random: Box<dyn FnMut() -> u64>,
    /// What its HTTP answers are dated with.
    date: HttpDate,
    lobby: Lobby,
    unknown_apps: UnknownApps,
    stalled: Stalled,
    churn: Churn,
    rotation: Rotation,
    gates: GateClocks,
    quiet: Quiet,
    /// Newcomers are told to come back later.
    memory_is_short: bool,
    addresses: Addresses,
    stats: InboundStats,
}

impl Inbound {
    /// Nothing has come. There are so many homes that commands wait for; so many heads may be incomplete.
    pub(super) fn new(
        cores: Cores,
        half_open_max: usize,
        apps: Arc<Apps>,
        path_prefix: PathPrefix,
        trusted_proxies: TrustedProxies,
        address_caps: AddressCaps,
        random: Box<dyn FnMut() -> u64>,
    ) -> Self {
        Self {
            apps,
            path_prefix,
            trusted_proxies,
            random,
            date: HttpDate::default(),
            lobby: Lobby::new(half_open_max),
            unknown_apps: UnknownApps::default(),
            stalled: Stalled::new(cores),
            churn: Churn::default(),
            rotation: Rotation::default(),
            gates: GateClocks::default(),
            quiet: Quiet::default(),
            memory_is_short: false,
            addresses: Addresses::new(address_caps),
            stats: InboundStats::default(),
        }
    }

    /// The apps whose connections it takes.
    pub(super) fn apps(&self) -> &Apps {
        &self.apps
    }

    /// From now on these are the apps.
    pub(super) fn change_apps(&mut self, apps: Arc<Apps>) {
        self.apps = apps;
    }

    /// Whether newcomers are told to come back later.
    pub(super) fn note_memory_shortage(&mut self, is_short: bool) {
        self.memory_is_short = is_short;
    }

    /// What happened.
    pub(super) fn stats(&self) -> &InboundStats {
        &self.stats
    }

    /// How many heads are incomplete.
    pub(super) fn half_open(&self) -> usize {
        self.lobby.half_open()
    }

    /// When a shard whose lobby is full must have looked again, on the monotonic clock.
    pub(super) fn hearing_deadline(&self) -> Option<u64> {
        self.lobby.hearing_deadline()
    }

    /// How many wait for a source of apps.
    pub(super) fn looking(&self) -> usize {
        self.lobby.looking()
    }

    /// When a question for an app is late, on the monotonic clock.
    pub(super) fn question_deadline(&self) -> Option<u64> {
        self.unknown_apps.deadline()
    }

    /// How long gates were closed.
    pub(super) fn gated_ms(&self) -> GatedMs {
        self.gates.ms()
    }

    /// The connection has gone: nothing of it waits any more.
    pub(super) fn forget(&mut self, id: Token) {
        self.stalled.forget(id);
        self.churn.forget(id);
        self.addresses.forget(id);
    }

    /// Gives back what nothing needs now.
    pub(super) fn give_back_room(&mut self) {
        self.lobby.give_back_room();
        self.stalled.give_back_room();
        self.churn.give_back_room();
        self.addresses.give_back_room();
    }

    /// True when no connection has lately given up a subscription.
    #[cfg(test)]
    pub(super) fn has_no_churn(&self) -> bool {
        self.churn.is_empty()
    }
}
