//! What the mover and the consumer of the stream count.

use super::count::Count;

/// Counters of the mover, and of this server's consumer of the stream.
#[derive(Debug, Default)]
pub struct StreamCounters {
    /// Rows that the mover added to the stream, those added again included.
    pub added: Count,
    /// How often the stream had lost entries, so that rows were added again.
    pub losses: Count,
    /// Tries of the mover that failed.
    pub failures: Count,
    /// Gauge: 1 while the mover cannot add.
    pub in_trouble: Count,
    /// Gauge: 1 while the mover waits because the stream is as long as `queue_limit`.
    pub at_limit: Count,
    /// Gauge: entries in the stream.
    pub length: Count,
    /// Gauge: entries that the group has taken and not yet acknowledged.
    pub pending: Count,
    /// Gauge: the last row in the stream.
    pub last_added: Count,
    /// Gauge: the last row that the group has done with.
    pub last_released: Count,
    /// Entries that the consumer here took.
    pub taken: Count,
    /// Entries that it acknowledged.
    pub acknowledged: Count,
    /// Entries that were no event of an app that is known here.
    pub skipped: Count,
    /// Entries that it took although they had been given out before: to itself or to a consumer that is gone.
    pub redelivered: Count,
    /// Gauge: the most times that one of the last of them was given out.
    pub deliveries_max: Count,
    /// How often the consumer here took over the stream.
    pub takeovers: Count,
    /// Gauge: 1 while the consumer here is the active one.
    pub active: Count,
}
