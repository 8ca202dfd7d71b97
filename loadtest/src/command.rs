//! The command line: its commands, and what carries them out.
//!
//! `scenario` has the commands of the scenarios; the others are here. The help of a scenario leaves out the flags that mean nothing
//! to it.

use clap::{Parser, Subcommand};

use crate::compare::{self, CompareOptions};
use crate::failure::Outcome;
use crate::options::FloorOptions;
use crate::scenario::Scenario;
use crate::{clients, floor};

/// Measures servers that speak the Pusher Channels protocol.
///
/// A scenario connects subscribers, publishes, and checks that every event arrives once and in order. It reports latency, what the
/// server spent, and whether this program itself was the bottleneck. `corecast-loadtest SCENARIO --help` shows its flags.
#[derive(Parser)]
#[command(
    name = "corecast-loadtest",
    version,
    subcommand_value_name = "SCENARIO",
    subcommand_help_heading = "Scenarios and other commands"
)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Scenario(Box<Scenario>),
    /// Runs the same scenario on several servers in turn: medians, and ratios with their spread
    Compare(CompareOptions),
    /// Runs the cheapest possible fan-out server, as a yardstick: it writes ready-made bytes to every socket
    Floor(FloorOptions),
    /// Receives for another process of the same run, which writes the task to its standard input
    #[command(hide = true)]
    Receive,
}

impl Command {
    pub(crate) fn run(&self) -> Outcome<()> {
        match self {
            Self::Scenario(scenario) => scenario.run(),
            Self::Compare(options) => compare::run(options),
            Self::Floor(options) => {
                if options.with_parent {
                    compare::leave_with_parent();
                }
                floor::run(options)
            }
            Self::Receive => clients::receive::receive(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_consistent() {
        use clap::CommandFactory;
        Options::command().debug_assert();
    }

    #[test]
    fn help_of_a_scenario_shows_what_means_something_to_it() {
        let help = |scenario: &str| {
            let told = Options::try_parse_from(["x", scenario, "--help"]).map(drop).unwrap_err().to_string();
            assert!(told.contains("--ws <HOST:PORT>") && told.contains("--report <FILE.html>"), "{told}");
            told
        };
        for (scenario, shown) in
            [("fanout", "[default: 100]"), ("soak", "[default: 1h]"), ("connect", "Connects per second")]
        {
            assert!(help(scenario).contains(shown), "{scenario}");
        }
        for (scenario, hidden) in
            [("idle", "--rate"), ("publish", "--connections <N>"), ("presence", "--processes")]
        {
            assert!(!help(scenario).contains(hidden), "{scenario}");
        }
    }
}
