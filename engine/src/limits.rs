//! The bounds of server, takeover and commands. Those of a core are `machines::limits`, those of its driver
//! `driver::limits`; what an operator may set has its bounds beside the setting, in `config`.

use std::time::Duration;

/// Reports that a core may send: up, draining, empty, closed, ended.
pub(crate) const REPORTS_PER_CORE_MAX: usize = 5;

/// Other processes that may wait for the server to hear of them, beside the reports of its cores.
pub(crate) const SUCCESSORS_MAX: usize = 16;

/// A core that has not turned for so many milliseconds hangs: idle ones turn every second.
pub(crate) const BEAT_MS_MAX: u64 = 5_000;

/// A core that is idle beats every second: a supervisor that wants to hear more often is not told of a fault for that.
pub(crate) const BEAT_MS_MIN: u64 = 2_000;

/// Shards of a server: more than any machine has processors for.
pub(crate) const SHARDS_MAX: usize = 256;

/// Sockets that a supervisor passes on: more than any unit has.
pub(crate) const INHERITED_MAX: usize = 64;

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

/// How often the files of certificates are looked at.
pub(crate) const CERTIFICATES_LOOK: Duration = Duration::from_secs(5);

/// How long a handshake of the server with itself may take at its start, on a busy machine.
pub(crate) const SELF_CHECK_MAX: Duration = Duration::from_secs(10);

/// How long a node of a cluster that stops serves on: those that stop at the same time have said so by then, and none of them
/// sends its clients to another.
pub(crate) const NODE_LEAVES: Duration = Duration::from_millis(300);

/// How long shards may take to begin to drain.
pub(crate) const DRAIN_BEGIN_MAX: Duration = Duration::from_secs(5);

/// How long the last clients may take to leave when the server stops, after the time that the rate allows.
pub(crate) const SHARD_DRAIN_MAX: Duration = Duration::from_secs(10);

/// How long back ends may take after that.
pub(crate) const API_DRAIN_MAX: Duration = Duration::from_secs(3);

/// How long the last clients may take to leave, after the queues are quiet.
pub(crate) const LAST_ONES_MAX: Duration = Duration::from_secs(1);

/// What the end may take besides the time of the clients: back ends, hooks, the last of all.
pub(crate) const AFTER_CLIENTS_MAX: Duration = Duration::from_secs(20);

/// How long a core may take to start; its ring's memory alone may take two seconds.
pub(crate) const CORES_START_MAX: Duration = Duration::from_secs(10);

/// How long cores may take to end.
pub(crate) const CORES_END_MAX: Duration = Duration::from_secs(3);

/// How long deliveries under way may take once the server has ended.
pub(crate) const HOOKS_FLUSH_MAX: Duration = Duration::from_secs(5);

/// How long endpoints may take, at the end, for deliveries already under way.
pub(crate) const WORKER_FLUSH_MAX: Duration = Duration::from_secs(5);

/// Others write for a moment only.
pub(crate) const APP_STORE_BUSY_MAX: Duration = Duration::from_secs(5);

/// How long predecessors may take to answer before this server begins to serve.
pub(crate) const MEETING_MAX: Duration = Duration::from_secs(5);

/// How long, and how often, to look for a predecessor that is known to be there.
pub(crate) const LOOKING_MAX: Duration = Duration::from_secs(1);

/// How long it may take at the end until other processes have received everything.
pub(crate) const SHARING_FINISH_MAX: Duration = Duration::from_secs(2);

/// How long a live process may be silent. It sends something each second.
pub(crate) const LINK_SILENCE_MAX: Duration = Duration::from_secs(5);

/// The longest sleep of a bus thread: by then it has seen that the server ends.
pub(crate) const BUS_SLEEP_MAX: Duration = Duration::from_millis(100);

/// How long what homes said last may take to reach the servers of the cluster when the server ends.
pub(crate) const BUS_END_MAX: Duration = Duration::from_millis(500);

/// The longest sleep without links.
pub(crate) const RELAY_SLEEP_MAX: Duration = Duration::from_secs(3600);

/// Clients that a shard always accepts. With very few descriptors these may run out, which closes idle connections.
pub(crate) const CLIENTS_PER_SHARD_MIN: usize = 16;

/// The settings that the log tells at the start, in bytes as JSON writes them: a field of the log has room for them.
pub(crate) const TOLD_SETTINGS_BYTES_MAX: usize = 440;

/// One value among them.
pub(crate) const TOLD_VALUE_BYTES_MAX: usize = 120;

/// How long a server may take to answer `corecast health`.
pub(crate) const HEALTH_ANSWER_MAX: Duration = Duration::from_secs(3);

/// What `corecast health` reads of an answer, in bytes: nothing but its status counts.
pub(crate) const HEALTH_ANSWER_BYTES_MAX: u64 = 64 << 10;

/// How long a running server may take to answer `corecast doctor`.
pub(crate) const DOCTOR_ANSWER_MAX: Duration = Duration::from_secs(3);

/// What `corecast doctor` reads of an answer, in bytes.
pub(crate) const DOCTOR_ANSWER_BYTES_MAX: u64 = 4 << 20;

/// The token of the console, in bytes. A sign-in has room for it.
pub(crate) const TOKEN_BYTES_MAX: usize = 512;

/// What a server has told `corecast top` and is not shown yet.
pub(crate) const TOP_NEWS_MAX: usize = 64;

/// How long `corecast top` waits for a connection, and for the head of an answer.
pub(crate) const TOP_ANSWER_MAX: Duration = Duration::from_secs(5);

/// An answer to `corecast top`, or a line of the console's stream: the history of ten minutes has about 300 KiB.
pub(crate) const TOP_ANSWER_BYTES_MAX: u64 = 16 << 20;

/// Apps whose channels `corecast top` lists: those with most connections.
pub(crate) const TOP_APPS_MAX: usize = 5;

/// How long `corecast top --once` waits for all that it shows.
pub(crate) const TOP_ONCE_MAX: Duration = Duration::from_secs(20);

/// Seconds of deliveries that `corecast top` shows as a line.
pub(crate) const TOP_HISTORY_MAX: usize = 600;

/// Rows of each list that `corecast top --once` prints.
pub(crate) const TOP_ROWS_MAX: usize = 20;

/// What the console shows of the data of a dead letter, in bytes.
pub(crate) const LETTER_BYTES_MAX: usize = 4 << 10;

/// Questions of the console about hooks that may wait for an answer; one more is refused.
pub(crate) const HOOKS_QUESTIONS_MAX: usize = 16;

/// Edges that a server of the cluster keeps for hooks: about 100 MB. Past it levels are told later.
pub(crate) const EDGES_MAX: u64 = 1_000_000;

/// Levels that a server is told in one call that they were passed on: some milliseconds of it.
pub(crate) const EDGES_PASSED_MAX: usize = 4096;
