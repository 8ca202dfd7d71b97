//! The sinks that come with the server: webhook, file, command, and none.
//!
//! Here settings become something that takes batches, or a fault that is found before anything was sent. What must never
//! happen in a sink is written in `sink.rs`.

mod address;
mod bodies;
mod exec;
mod file;
mod line;
mod running;
mod signature;
pub(crate) mod webhook;

use std::fmt;

use crate::settings::{DeliverySettings, Durability, Endpoint, SinkSettings};
use crate::sink::{Outlet, Sink};

/// What takes the batches of this endpoint.
pub fn open(
    endpoint: &Endpoint,
    delivery: &DeliverySettings,
    durability: Durability,
) -> Result<Outlet, SinkFault> {
    let fault = |text: String| SinkFault { endpoint: endpoint.name.clone(), text };
    match &endpoint.sink {
        SinkSettings::Webhook { url, format, headers } => {
            let opened = webhook::Webhook::open(endpoint, url, format, headers, delivery);
            let webhook = opened.map_err(fault)?;
            Ok(Outlet::threads(delivery.in_flight_max, move || Box::new(webhook.clone()) as Box<dyn Sink>))
        }
        SinkSettings::File { path } => {
            let (path, power) = (path.clone(), durability == Durability::Power);
            // One at a time: lines in the file stand in order over all channels.
            Ok(Outlet::threads(1, move || Box::new(file::File::new(path.clone(), power)) as Box<dyn Sink>))
        }
        SinkSettings::Exec { command } => {
            let exec = exec::Exec::new(command, endpoint.timeout).map_err(fault)?;
            Ok(Outlet::threads(delivery.in_flight_max, move || Box::new(exec.clone()) as Box<dyn Sink>))
        }
        SinkSettings::None => Ok(Outlet::instant()),
    }
}

/// Something in the settings of an endpoint that can never work.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SinkFault {
    endpoint: String,
    text: String,
}

impl fmt::Display for SinkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hook endpoint {:?}: {}", self.endpoint, self.text)
    }
}

impl std::error::Error for SinkFault {}
