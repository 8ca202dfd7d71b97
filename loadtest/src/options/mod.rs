//! The command line: what to drive, how hard, for how long, and where to write the result.
//!
//! Owns flag names, defaults and the checks that one flag can pass alone. Flags common to all scenarios are in `Target`;
//! what one scenario adds stands in that scenario's file. Nothing is read from the environment or from files.

mod floor;
mod target;
pub(crate) mod values;

use clap::{Parser, Subcommand};

pub(crate) use self::floor::{FloorMode, FloorOptions};
pub(crate) use self::target::{App, Endpoint, Site, Target};
use crate::compare::CompareOptions;
use crate::scenario::channels::ChannelsOptions;
use crate::scenario::client_events::ClientEventsOptions;
use crate::scenario::connect::ConnectOptions;
use crate::scenario::fanout::FanoutOptions;
use crate::scenario::idle::IdleOptions;
use crate::scenario::presence::PresenceOptions;
use crate::scenario::publish::PublishOnlyOptions;
use crate::scenario::slow::SlowOptions;
use crate::scenario::soak::SoakOptions;

/// Measures servers that speak the Pusher Channels protocol.
#[derive(Parser)]
#[command(name = "corecast-loadtest", disable_help_subcommand = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Many channels with few subscribers each: what a channel costs beside a delivery
    Channels(ChannelsOptions),
    /// Groups on private channels whose members send to each other: latency, loss, order
    ClientEvents(ClientEventsOptions),
    /// Opens connections and subscribes each of them: rate, failures, cost and memory per connection; --storm drops all and lets them come back
    Connect(ConnectOptions),
    /// One channel, many subscribers: latency, loss, order, cost per delivery
    Fanout(FanoutOptions),
    /// Connections that only ping: memory of each, and CPU of the server
    Idle(IdleOptions),
    /// Members come and go in waves: who was told, how late, and whether all rosters are right
    Presence(PresenceOptions),
    /// REST calls alone, to a channel without subscribers: rate, cost and time to the answer
    Publish(PublishOnlyOptions),
    /// Some subscribers never read: what becomes of the others, beside a run with none that is slow
    Slow(SlowOptions),
    /// All of it at once, gently, for long: what is lost, who falls out, and how memory grows
    Soak(SoakOptions),
    /// The same scenario on several servers in turn: medians, and ratios with their spread
    Compare(CompareOptions),
    /// The least a fan-out server can do, as a yardstick: ready-made bytes to every socket
    Floor(FloorOptions),
    /// Receives for another process of the same run, which writes the task to its standard input
    #[command(hide = true)]
    Receive,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_consistent() {
        use clap::CommandFactory;
        Options::command().debug_assert();
    }
}
