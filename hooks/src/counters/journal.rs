//! What the journal's writer and its readers count.

use super::count::Count;

/// What the journal's writer and its readers count.
#[derive(Debug, Default)]
pub struct JournalCounters {
    /// Total: events that were committed.
    pub written: Count,
    /// Total: transactions that were committed.
    pub commits: Count,
    /// Total: transactions, and starts of the journal, that failed and were tried again.
    pub failures: Count,
    /// Total: rows that were passed over since nobody here can read them.
    pub undecodable: Count,
    /// Total: times that the journal was damaged and set aside.
    pub set_aside: Count,
    /// Gauge: 1 while nothing is taken, since the disk or the journal is full, cannot be written or is not open yet.
    pub blocked: Count,
    /// Gauge: rows that are kept.
    pub rows: Count,
    /// Gauge: bytes of the file and its write-ahead log.
    pub bytes: Count,
    /// Gauge: when the oldest row that is kept happened, in milliseconds of Unix time; 0 without rows.
    pub oldest_ms: Count,
    /// Gauge: how long the oldest event of the last transaction had to wait for its commit, in milliseconds.
    pub delay_ms: Count,
    /// Gauge: the id of the newest row.
    pub last_id: Count,
}
