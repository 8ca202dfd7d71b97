//! The bounds of server, takeover and commands. Those of a core are `machines::limits`, those of its driver
//! `driver::limits`; what an operator may set has its bounds beside the setting, in `config`.

/// Reports that a core may send: up, draining, empty, closed, ended.
pub(crate) const REPORTS_PER_CORE_MAX: usize = 5;

/// Other processes that may wait for the server to hear of them, beside the reports of its cores.
pub(crate) const SUCCESSORS_MAX: usize = 16;

/// A core that has not turned for so many milliseconds hangs: idle ones turn every second.
pub(crate) const BEAT_MS_MAX: u64 = 5_000;

/// Shards of a server: more than any machine has processors for.
pub(crate) const SHARDS_MAX: usize = 256;

/// Sockets of other processes that are looked at when one is searched for; a process that makes more of them is up to
/// no good.
pub(crate) const FOUND_SOCKETS_MAX: usize = 16;

/// What may wait for another process before homes must wait, in bytes: unsent, and sent but not decided.
pub(crate) const WAITING_BYTES_SOFT_MAX: usize = 8 << 20;

/// What may wait for another process before the link is given up, in bytes.
pub(crate) const WAITING_BYTES_MAX: usize = 64 << 20;

/// Commands that may wait for the relay between two processes; successors beyond that are turned away and ask again.
pub(crate) const RELAY_COMMANDS_MAX: usize = 32;

/// What the relay may keep for the homes before it reads nothing more, in bytes.
pub(crate) const RELAY_ROOTS_BYTES_MAX: usize = 4 << 20;

/// The longest message between two processes, in bytes. No body of a REST call may be longer.
pub(crate) const TAKEOVER_MESSAGE_BYTES_MAX: usize = 256 << 20;

/// Entries behind an endpoint that `hooks status` counts: Redis does nothing else meanwhile.
pub(crate) const COUNTED_ENTRIES_MAX: usize = 10_000;

/// Events that `hooks tail` reads at once.
pub(crate) const TAIL_EVENTS_MAX: usize = 1_000;
