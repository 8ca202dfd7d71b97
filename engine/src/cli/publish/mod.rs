//! `corecast publish`: one event to a running server, signed as a server SDK signs it.

mod client;
mod target;

use std::env;

use clap::Args;

use self::client::{Publication, publish};
use self::target::{Target, TargetArgs};
use super::failure::Failure;
use super::output::print;

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
    let Target { app, to } = args.target.find(env::var("PUSHER_URL").ok()).map_err(Failure::config)?;
    let publication = Publication { channel: &args.channel, event: &args.event, data: &args.data };
    publish(&app, &to, &publication).map_err(Failure::outside)?;
    Ok(print(&format!("published {} to {}\n", args.event, args.channel))?)
}
