//! What hooks count, for `/metrics` and for the operator: one value that all their threads share.
//!
//! Each counter is written by the thread that its part belongs to, and read by anybody. Totals only grow; gauges say how it
//! is now. What must never happen here: a decision that depends on one of these.

use std::sync::Arc;

use crate::settings::Endpoint;

pub use self::count::Count;
pub use self::delivery::{DeliveryCounters, EndpointCounters};
pub use self::journal::JournalCounters;
pub use self::stream::StreamCounters;

mod count;
mod delivery;
mod journal;
mod stream;

/// Everything that is counted, part by part. A clone is the same counters.
#[derive(Clone, Debug)]
pub struct Counters {
    /// The journal.
    pub journal: Arc<JournalCounters>,
    /// The endpoints, where the server delivers.
    pub delivery: Arc<DeliveryCounters>,
    /// The stream, where there is one.
    pub stream: Arc<StreamCounters>,
}

impl Counters {
    /// Counters for these endpoints.
    pub fn new(endpoints: &[Endpoint]) -> Self {
        let delivery = Arc::new(DeliveryCounters::new(endpoints));
        Self { journal: Arc::default(), delivery, stream: Arc::default() }
    }
}
