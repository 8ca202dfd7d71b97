//! The bounds of the driver, each with its reason: what a turn takes, what a write offers, how long a peer may take.
//! Those of queues between cores and of what a machine keeps are in `machines::limits`.

use std::time::Duration;

/// Connections taken per turn, over all listeners of the core.
pub(super) const ACCEPTS_PER_TURN_MAX: usize = 64;

/// The same of a queue that other cores share, so that a crowd is spread over them.
pub(super) const INHERITED_ACCEPTS_PER_TURN_MAX: usize = 8;

/// How long a core that is ahead leaves such a queue to others, in milliseconds.
pub(super) const YIELD_MS: u64 = 2;

/// A shard is ahead of another that has fewer connections by so many and a part of its own.
pub(super) const AHEAD_MIN: u64 = 32;
pub(super) const AHEAD_PART: u64 = 8;

/// How often a core gives free memory back while memory is short, in milliseconds.
pub(super) const GIVE_BACK_EVERY_MS: u64 = 2_000;

/// How long accepting waits when the system has no descriptors or memory to give, in milliseconds.
pub(super) const ACCEPT_PAUSE_MS: u64 = 100;

/// How long a core is silent after it has logged a violation of an invariant, in milliseconds.
pub(super) const VIOLATION_LOG_PAUSE_MS: u64 = 1_000;

/// Connections taken over from other cores per turn.
pub(super) const HANDOVERS_PER_TURN_MAX: usize = 64;

/// The longest sleep. A core that has slept so long shows that it lives and sleeps on.
pub(super) const SLEEP_MAX: Duration = Duration::from_secs(1);

/// Writes in one slice of a flush.
pub(super) const FLUSH_WRITES_MAX: usize = 512;

/// Time for one slice of a flush.
pub(super) const FLUSH_TIME_MAX: Duration = Duration::from_millis(1);

/// Time for handshakes of TLS in one turn: with ten thousand clients at the door, those who are in wait for no more. One step
/// is always taken.
pub(super) const HANDSHAKES_TIME_MAX: Duration = Duration::from_micros(500);

/// With so many steps of handshakes waiting for their turn, newcomers with TLS wait in the queue of their listener.
pub(super) const HANDSHAKES_WAITING_MAX: usize = 64;

/// What goes into one record of TLS, and so what is sealed for a socket that may not take it: the most that TLS allows.
pub(super) const TLS_RECORD_BYTES_MAX: usize = 16 << 10;

/// What TLS itself may have to say to a peer that does not listen: the certificates of a handshake, and a record.
pub(super) const TLS_UNSENT_BYTES_MAX: usize = 128 << 10;

/// Pieces that go out in one write.
pub(super) const PIECES_MAX: usize = 64;

/// How long a closing peer may take nothing, and after our FIN, how long it may take to answer with its own.
pub(super) const CLOSE_MS_MAX: u64 = 5_000;

/// How long a peer may take for that while the core drains: a round trip to the far side of the world. What it had sent
/// before it heard of the end has arrived by then, and its answer to the end may meet a reset.
pub(super) const DRAIN_LINGER_MS_MAX: u64 = 300;

/// How long a peer may take its last bytes in, in milliseconds, for as long as it takes fewer than `READ_BYTES_PER_S_MIN` of
/// them.
pub(super) const LAST_MS_MAX: u64 = 30_000;

/// A peer that reads at least this fast may take all the time it needs, in bytes per second.
pub(super) const READ_BYTES_PER_S_MIN: u64 = 1 << 10;

/// What a peer may send after our FIN before it is cut off: a body of the default limit, whose sender looks for the answer
/// only when it has sent all of it.
pub(super) const DISCARD_BYTES_MAX: usize = (2 << 20) + (64 << 10);

/// How long a port may still be held by a process that has just ended.
pub(super) const PROBE_PATIENCE: Duration = Duration::from_secs(2);

/// The same where the server goes on without the port.
pub(super) const UNWANTED_PATIENCE: Duration = Duration::from_millis(100);

/// Connections that wait for accept, unless the system allows fewer (`net.core.somaxconn`, 4096 by default). When
/// everybody comes back at once, whom the queue cannot hold tries again after one second, then after three.
pub(super) const BACKLOG_MAX: i32 = 65_535;

/// Unsent bytes beyond which a socket is not writable. Without it a dead reader swallows 4 MiB in the kernel before
/// its outbox sees a byte; with it about 147 KiB, and autotuning for far readers stays on.
pub(super) const NOTSENT_LOWAT_BYTES: u32 = 32 << 10;

/// A peer that connects and says nothing is accepted after this long all the same, and has the time for a head from then
/// on: a second is the least, the first retransmission of the kernel's answer. A peer that speaks is accepted with its
/// first bytes.
pub(super) const SILENCE_S_MAX: i32 = 1;

/// How long a peer may leave what was sent unacknowledged.
pub(super) const USER_TIMEOUT: Duration = Duration::from_secs(30);

/// Outboxes in a chunk of a flush slice, which is written at once.
pub(super) const FLUSH_CHUNK_MAX: usize = 128;

/// So many outboxes are written one at a time. A batch of one costs 1.10 × a plain write, of two 0.94, of sixteen and
/// more 0.78.
pub(super) const SINGLE_WRITES_MAX: usize = 1;

/// Questions for apps that wait for the source of apps, of all cores. Past it one is unanswered at once.
pub(super) const APP_QUESTIONS_MAX: usize = 1024;

/// Verdicts on them that wait for a core, which takes them at its next turn.
pub(super) const APP_VERDICTS_MAX: usize = APP_WAITS_MAX;

/// Clients, or calls, of a core that wait for the source of apps.
pub const APP_WAITS_MAX: usize = 4096;

/// How often a submission is tried again that the kernel puts off for want of memory.
pub(super) const SUBMISSION_TRIES_MAX: usize = 32;

/// Fewer connections than this need no room worth giving back.
pub(super) const CROWD_MIN: usize = 256;

/// glommio refuses to start below this limit, whatever its rings take.
pub(super) const EXECUTOR_LIMIT_MIN: u64 = 512 << 10;

/// Different agents that are kept for the log, of the clients of a core; beyond them a client has none there.
pub const AGENTS_MAX: usize = 1_024;

/// Lines of one kind of refusal within a second, of all cores; the others are counted.
pub const REFUSALS_PER_SECOND_MAX: u64 = 50;

/// Refusals that the console shows, of all apps together; the oldest are forgotten.
pub const PROBLEMS_MAX: usize = 500;

/// Those of one app.
pub const PROBLEMS_PER_APP_MAX: usize = 50;
