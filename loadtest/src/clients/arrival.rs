//! Waiting until all subscribers have come in, with a live line meanwhile.
//!
//! Owns how long that may take, and the failure that says why some did not connect.

use std::sync::Arc;
use std::time::Duration;

use super::plan::Plan;
use super::subscribers::Subscribers;
use crate::clock::Clock;
use crate::failure::{Failure, Outcome};
use crate::measure::tally::name_partings;
use crate::progress::{Phase, Ticker};

pub(crate) const CONNECT_PATIENCE: Duration = Duration::from_secs(60);

impl Subscribers {
    /// All subscribers of the plan, or a failure: a group that is not complete would be another measurement.
    pub(crate) fn gather_all(plan: &Plan, processes: u32, run: u32, clock: Clock) -> Outcome<Self> {
        let subscribers = Self::gather(plan, processes, run, clock)?;
        let wanted = plan.subscribers.len();
        let (ticker, progress) = (Ticker::start(), Arc::clone(subscribers.progress()));
        ticker.begin(Phase::counted("connecting", wanted as u64, "connections", move || progress.live()));
        let live = subscribers.wait_until_settled(CONNECT_PATIENCE);
        drop(ticker);
        if live == wanted as u64 {
            return Ok(subscribers);
        }
        let partings = name_partings(&subscribers.dismiss(&[])?.partings);
        let why = if partings.is_empty() { "the server is silent".to_owned() } else { partings };
        Err(Failure::new(format!("only {live} of {wanted} subscribers came in: {why}")))
    }
}
