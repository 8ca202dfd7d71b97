//! How a session stands, for metrics and for `/ready`.

use crate::cluster::answer::Registered;
use crate::cluster::bus::Server;
use crate::cluster::epoch::Epoch;
use crate::readings::latencies::Latencies;

/// Why a session was lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// It held for too long.
    Held,
    /// The server has closed it, or another node has killed it.
    Fenced,
    /// The server does not know it, or has another memory.
    Gone,
    /// Its inbox had too much in it.
    Cut,
    /// An entry of its inbox, or a command, is missing.
    Gap,
    /// Too much waited while it held.
    Full,
}

impl Why {
    /// All of them, in the order of [`Stats::lost`].
    pub const ALL: [Self; 6] = [Self::Held, Self::Fenced, Self::Gone, Self::Cut, Self::Gap, Self::Full];
}

/// What has happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Sessions that began.
    pub begun: u64,
    /// Sessions that were lost, by [`Why`].
    pub lost: [u64; Why::ALL.len()],
    /// Sessions that went on after a connection had broken.
    pub resumed: u64,
    /// Scripts that have failed.
    pub failed: u64,
    /// Registrations that were refused because other nodes have another list of servers.
    pub map_refused: u64,
    /// Dead sessions of others that this one has killed.
    pub killed: u64,
    /// Calls that have swept them.
    pub swept: u64,
    /// What homes said of sessions before.
    pub said_stale: u64,
    /// Items of the inbox that no script writes.
    pub items_unreadable: u64,
}

impl Stats {
    pub(super) fn count_lost(&mut self, why: Why) {
        for (count, other) in self.lost.iter_mut().zip(Why::ALL) {
            *count += u64::from(other == why);
        }
    }
}

/// All sessions, as the last beat has shown them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Shown {
    /// Each of them.
    pub all: Vec<Registered>,
    /// How many beats have shown them.
    pub beats: u64,
    /// How many of these had the time of a beat between them: by them a session is judged whose beat does not change.
    pub judged: u64,
}

/// How a session stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reading {
    /// With which server.
    pub server: Server,
    /// Commands are carried out.
    pub is_up: bool,
    /// There is a session, even if it holds.
    pub has_session: bool,
    /// Since when it is up, or is not, in `mono_ms`.
    pub since_ms: u64,
    /// The session.
    pub epoch: Option<Epoch>,
    /// Topics with a link.
    pub topics: usize,
    /// Commands that are not acknowledged.
    pub commands: usize,
    /// Their bytes.
    pub command_bytes: usize,
    /// When the last sign of life went out that the server has taken, in `mono_ms`.
    pub alive_ms: u64,
    /// What waited in the inbox then, in bytes.
    pub inbox_bytes: u64,
    /// How long commands and signs of life took to the server and back, in all sessions.
    pub round_trips: Latencies,
    /// What has happened.
    pub stats: Stats,
}
