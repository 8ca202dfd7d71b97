//! How many clients fit into the descriptors that the process may open.
//!
//! Each core has some for itself, and some are kept for back ends; shards share the rest. The server holds shards to it, and
//! the command line tells the operator.

use std::fmt;

use crate::limits::CLIENTS_PER_SHARD_MIN;
use machines::limits::DESCRIPTORS_KEPT;
use protocol::app::App;
use protocol::limits::SLOTS_MAX;

/// Descriptors of a core itself: rings, eventfds, listeners.
const DESCRIPTORS_PER_CORE: usize = 16;

/// How many clients a number of shards can hold with a number of descriptors.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capacity {
    descriptors: usize,
    shards: usize,
}

impl Capacity {
    /// For a process that may open `descriptors_max` and has this many shards, and an API core.
    pub fn new(descriptors_max: u64, shards: usize) -> Self {
        Self { descriptors: usize::try_from(descriptors_max).unwrap_or(usize::MAX), shards }
    }

    /// The WebSocket clients of one shard.
    pub fn clients_per_shard(self) -> usize {
        let kept = DESCRIPTORS_KEPT + DESCRIPTORS_PER_CORE * (self.shards + 1);
        let share = self.descriptors.saturating_sub(kept) / self.shards;
        share.clamp(CLIENTS_PER_SHARD_MIN, SLOTS_MAX as usize)
    }

    /// WebSocket clients of the whole server.
    pub fn clients(self) -> usize {
        self.clients_per_shard() * self.shards
    }

    /// The files that the process may open.
    pub fn descriptors(self) -> usize {
        self.descriptors
    }

    /// The connections of one shard without a complete head.
    pub fn half_open_per_shard(self) -> usize {
        (self.descriptors / 8 / self.shards).max(CLIENTS_PER_SHARD_MIN)
    }

    /// A line for each app whose `connections_max` is more than fits.
    pub fn warnings<'a>(self, apps: impl IntoIterator<Item = &'a App>) -> Vec<String> {
        let promised = apps.into_iter().filter_map(|app| Some((app, app.limits.connections_max?)));
        let beyond = promised.filter(|(_, max)| *max as usize > self.clients());
        beyond
            .map(|(app, max)| format!("app {}: connections_max is {max}, but only {self}", app.id))
            .collect()
    }
}

impl fmt::Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} clients fit into {} open files (raise `ulimit -n` for more; systemd: LimitNOFILE=; container: --ulimit nofile=)",
            self.clients(),
            self.descriptors
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_share_what_cores_and_back_ends_leave() {
        for (descriptors, shards, clients, half_open) in [
            (64, 1, 16, 16),
            (1024, 1, 736, 128),
            (1024, 3, 702, 42),
            (20_000, 2, 19_696, 1_250),
            (u64::MAX, 2, 2 << 20, usize::MAX / 16),
        ] {
            let capacity = Capacity::new(descriptors, shards);
            assert_eq!(capacity.clients(), clients, "{descriptors} for {shards}");
            assert_eq!(capacity.half_open_per_shard(), half_open, "{descriptors} for {shards}");
        }
    }

    #[test]
    fn an_app_that_is_promised_more_than_fits_is_named() {
        let app = |id, max| {
            let mut app = App::new(id, id, "s");
            app.limits.connections_max = max;
            app
        };
        let apps = [app("any", None), app("fits", Some(736)), app("large", Some(737))];
        let warnings = Capacity::new(1024, 1).warnings(&apps);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        for words in ["app large", "connections_max is 737", "736 clients", "1024 open files", "ulimit -n"] {
            assert!(warnings[0].contains(words), "{warnings:?}");
        }
    }
}
