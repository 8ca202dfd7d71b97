//! What a dispatcher works with, and how it is made from settings.

use std::sync::Arc;

use protocol::app::Apps;

use super::start_error::StartError;
use crate::counters::DeliveryCounters;
use crate::dead_letters::DeadLetters;
use crate::settings::{DeliverySettings, Endpoint, Settings};
use crate::sink::Outlet;
use crate::sinks::{self, SinkFault};

/// What a dispatcher works with beside its source.
pub struct Means {
    /// The endpoints, and what takes their batches.
    pub outlets: Vec<(Endpoint, Outlet)>,
    /// How deliveries are retried.
    pub delivery: DeliverySettings,
    /// Where events go that an endpoint does not take.
    pub dead_letters: DeadLetters,
    /// The apps, to read dead letters back.
    pub apps: Arc<Apps>,
    /// What is counted: made for the same endpoints in the same order.
    pub counters: Arc<DeliveryCounters>,
}

impl Means {
    /// What settings ask for: the sinks that come with the server, and dead letters in the data directory.
    pub fn new(
        settings: &Settings,
        apps: Arc<Apps>,
        counters: Arc<DeliveryCounters>,
    ) -> Result<Self, StartError> {
        let open = |endpoint: &Endpoint| {
            let outlet = sinks::open(endpoint, &settings.delivery, settings.durability)?;
            Ok((endpoint.clone(), outlet))
        };
        let outlets = settings.endpoints.iter().map(open).collect::<Result<_, SinkFault>>()?;
        let dead_letters = DeadLetters::open(&settings.data_dir)?;
        Ok(Self { outlets, delivery: settings.delivery.clone(), dead_letters, apps, counters })
    }
}
