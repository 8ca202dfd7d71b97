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
use crate::scenario::connect::ConnectOptions;
use crate::scenario::fanout::FanoutOptions;

/// Measures servers that speak the Pusher Channels protocol.
#[derive(Parser)]
#[command(name = "corecast-loadtest", disable_help_subcommand = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Opens connections and subscribes each of them: rate, failures, cost and memory per connection
    Connect(ConnectOptions),
    /// One channel, many subscribers: latency, loss, order, cost per delivery
    Fanout(FanoutOptions),
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
