//! What the hooks core counts, for `/metrics` and for the operator: one value that all its threads share.
//!
//! Written by the thread that a part belongs to, read by anybody. Totals only grow; gauges say how it is now. What must
//! never happen here: a decision that depends on one of these.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::delivery::DeliveryCounters;
use crate::settings::Endpoint;
use crate::stream::counters::StreamCounters;

/// Everything that is counted, part by part. A clone is the same counters.
#[derive(Clone, Debug)]
pub struct Counters {
    /// The journal.
    pub journal: Arc<JournalCounters>,
    /// The endpoints, where the server delivers.
    pub delivery: Arc<DeliveryCounters>,
    /// The road through Redis, where there is one.
    pub stream: Arc<StreamCounters>,
}

impl Counters {
    /// Counters for these endpoints.
    pub fn new(endpoints: &[Endpoint]) -> Self {
        let delivery = Arc::new(DeliveryCounters::new(endpoints));
        Self { journal: Arc::default(), delivery, stream: Arc::default() }
    }
}

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

/// A number that one thread writes and others read.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds to a total.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Sets a gauge.
    pub fn set(&self, now: u64) {
        self.0.store(now, Ordering::Relaxed);
    }

    /// The number now.
    pub fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
