//! `corecast publish`: one event to a running server, signed as a server SDK signs it.

use std::env;

use clap::Args;
use corecast_client::{ApiClient, ApiError, Trigger};

use super::failure::Failure;
use super::output::print;
use super::target::TargetArgs;

#[derive(Debug, Args)]
pub(super) struct PublishArgs {
    /// The channel to publish to
    channel: String,
    /// The name of the event
    event: String,
    /// The data of the event, sent unchanged
    data: String,
    #[command(flatten)]
    target: TargetArgs,
}

pub(super) fn run(args: PublishArgs) -> Result<(), Failure> {
    let target = args.target.find(env::var("PUSHER_URL").ok()).map_err(Failure::config)?;
    let client = ApiClient::new(&target.to.url(), target.credentials())
        .map_err(|error| Failure::config(error.to_string()))?;
    let event = Trigger::new(&*args.channel, &*args.event, args.data);
    client.trigger(&event).map_err(|error| unpublished(&error, &target.to.address))?;
    Ok(print(&format!("published {} to {}\n", args.event, args.channel))?)
}

fn unpublished(error: &ApiError, server: &str) -> Failure {
    Failure::outside(match error {
        ApiError::Unreachable(why) => {
            format!("no answer from {server}: {why} (is the server running there?)")
        }
        refused => format!("the server refused the event: {refused}"),
    })
}
