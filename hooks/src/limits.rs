//! The bounds of hooks: what is read, kept or sent at once. What an operator may set is in `settings`.

use std::time::Duration;

/// Dead letters that are kept; beyond that, the oldest are deleted.
pub(crate) const LETTERS_MAX: u64 = 100_000;

/// How many rows an endpoint may hold; at that many it reads no more, and its place stays.
pub(crate) const HELD_ROWS_MAX: usize = 20_000;

/// About the bytes of the rows that an endpoint holds.
pub(crate) const HELD_BYTES_MAX: usize = 16 << 20;

/// Batches of an endpoint that wait for their next try. At that many no new one is begun, so a new row cannot be
/// refused for long.
pub(crate) const RETRIES_MAX: usize = 256;

/// Events that an endpoint is done with or holds behind the oldest that it holds: with more, what only one channel's refusals
/// hold up is given up early.
pub(crate) const SPAN_ROWS_MAX: usize = 100_000;

/// Room among the rows that an endpoint may hold, below which the same is done.
pub(crate) const SPARE_ROWS_MIN: usize = 1_000;

/// Parts of a batch that was not answered, at most: each part may cost a timeout.
pub(crate) const PARTS_MAX: usize = 16;

/// Pages of the journal's log at which the writer moves all that there is: a writer that writes as fast as it can is
/// never overtaken by a pass beside it.
pub(crate) const LOG_PAGES_MAX: u64 = 12_000;

/// Prepared statements that the journal keeps; it has fewer.
pub(crate) const CACHED_STATEMENTS_MAX: usize = 32;

/// The newest rows of the journal that stay in memory for its readers.
pub(crate) const TAIL_ROWS_MAX: usize = 65_536;

/// About the bytes of these rows.
pub(crate) const TAIL_BYTES_MAX: usize = 64 << 20;

/// Rows that the journal commits together.
pub(crate) const JOURNAL_BATCH_ROWS_MAX: usize = 8_192;

/// Bytes that the journal commits together.
pub(crate) const JOURNAL_BATCH_BYTES_MAX: usize = 4 << 20;

/// Free room in the journal's file, in bytes. A file with more, and with more than it uses, becomes smaller.
pub(crate) const FREE_BYTES_MAX: u64 = 8 << 20;

/// What is kept of what a command says on its standard error, in bytes.
pub(crate) const STDERR_BYTES_MAX: usize = 1_024;

/// What is read of a webhook's answer, in bytes. Beyond it the connection is given up, not the delivery.
pub(crate) const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// What is kept for the operator of an answer that is no success, in bytes.
pub(crate) const EXCERPT_BYTES_MAX: usize = 200;

/// Pairs of a stream's entry and the row that it holds.
pub(crate) const CHECKPOINTS_MAX: usize = 16_384;

/// Rows that go to Redis in one transaction.
pub(crate) const STREAM_BATCH_ROWS_MAX: usize = 1_000;

/// Bytes of one transaction, but for its last row: Redis does nothing else meanwhile.
pub(crate) const STREAM_BATCH_BYTES_MAX: usize = 1 << 20;

/// Rows of the stream that stay in memory, so that endpoints which keep up need not ask Redis for them.
pub(crate) const RECENT_ROWS_MAX: usize = 16_384;

/// About the bytes of these rows.
pub(crate) const RECENT_BYTES_MAX: usize = 32 << 20;

/// Milliseconds in which entries came that are not acknowledged yet; 24 bytes each. Past it nothing more is taken.
pub(crate) const RUNS_MAX: usize = 2_000_000;

/// How often a taking is tried again because the lease was renewed in the middle of it.
pub(crate) const TAKING_TRIES_MAX: usize = 3;

/// Edges of a cluster that are remembered beside the stream, of about 150 bytes each. A node that dies leaves some hundred that
/// are added again; those that it has in its journal then come with its next start.
pub(crate) const ONCE_EDGES_MAX: isize = 16_384;

/// Entries at the end of a stream that are looked at; others may write there too.
pub(crate) const LOOKED_AT_MAX: usize = 64;

/// A disk with less room than this counts as full.
pub(crate) const JOURNAL_ROOM_BYTES_MIN: u64 = 1 << 20;

/// Nobody but us writes; a reader may hold a checkpoint up for a moment.
pub(crate) const JOURNAL_BUSY_MAX: Duration = Duration::from_millis(50);

/// How long an idle writer sleeps at most.
pub(crate) const WRITER_SLEEP_MAX: Duration = Duration::from_secs(3_600);

/// The pause after the first try of an outage, which grows with each try.
pub(crate) const OUTAGE_PAUSE_MIN: Duration = Duration::from_millis(50);

/// The longest of these pauses.
pub(crate) const OUTAGE_PAUSE_MAX: Duration = Duration::from_secs(2);

/// How long a delivery thread waits for work before it ends.
pub(crate) const WORKER_IDLE_MAX: Duration = Duration::from_secs(15);

/// How long one reading may go on taking entries of which none is an event here.
pub(crate) const TAKING_MAX: Duration = Duration::from_secs(1);

/// A dead consumer's lease ends after this time at the latest.
pub(crate) const LEASE_MAX: Duration = Duration::from_secs(15);

/// The longest pause between two looks of a waiting consumer.
pub(crate) const LEASE_LOOK_MAX: Duration = Duration::from_secs(5);

/// The longest pause of a consumer that cannot reach Redis.
pub(crate) const LEASE_PAUSE_MAX: Duration = Duration::from_secs(10);
