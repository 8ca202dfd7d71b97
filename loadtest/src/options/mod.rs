//! The command line: what to drive, how hard, for how long, and where to write the result.
//!
//! Owns flag names, defaults and the checks that one flag can pass alone. Flags common to all scenarios are in `Target`;
//! what one scenario adds stands in that scenario's file; the help of a scenario shows what means something to it. Nothing is read from
//! the environment or from files.

mod floor;
mod target;
pub(crate) mod values;

use clap::{Arg, Parser, Subcommand};

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
///
/// A scenario connects subscribers, publishes, checks that every event arrives once and in order, and says how late, at what cost for
/// the server, and whether this program itself was the bottleneck. `corecast-loadtest SCENARIO --help` shows its flags.
#[derive(Parser)]
#[command(
    name = "corecast-loadtest",
    version,
    subcommand_value_name = "SCENARIO",
    subcommand_help_heading = "Scenarios, and what else there is"
)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Many channels with few subscribers each: what a channel costs beside a delivery
    #[command(mut_args(rate("Publishes per second to all channels together [default: 1000]")))]
    Channels(ChannelsOptions),
    /// Groups on private channels whose members send to each other: latency, loss, order
    #[command(mut_args(rate("Client events per second of all senders together [default: 5 of each sender]")), mut_args(without(&ONE_PROCESS)))]
    ClientEvents(ClientEventsOptions),
    /// Opens connections and subscribes each of them: rate, failures, cost and memory of each; --storm drops all at once
    #[command(
        mut_args(rate("Connects per second [default: as fast as --opening allows]")),
        mut_args(duration("How long to wait for the last connection [default: 10]"))
    )]
    Connect(ConnectOptions),
    /// One channel, many subscribers: latency, loss, order, cost per delivery
    #[command(mut_args(rate(
        "Publishes per second; deliveries are as many for each subscriber [default: 100]"
    )))]
    Fanout(FanoutOptions),
    /// Connections that only ping: memory of each, and CPU of the server
    #[command(mut_args(without(&["rate", "size"])))]
    Idle(IdleOptions),
    /// Members come and go in waves: who was told, how late, and whether all rosters are right
    #[command(mut_args(rate("Joins and leaves per second in all channels together [default: 100]")), mut_args(without(&ONE_PROCESS)), mut_args(without(&["size"])))]
    Presence(PresenceOptions),
    /// REST calls alone, to a channel without subscribers: rate, cost and time to the answer
    #[command(mut_args(rate("Publishes per second [default: as fast as answers come]")), mut_args(without(&ONE_PROCESS)), mut_args(without(&SUBSCRIBERS)))]
    Publish(PublishOnlyOptions),
    /// Some subscribers never read: what becomes of the others, beside a run with none that is slow
    #[command(
        mut_args(rate("Publishes per second [default: 100]")),
        mut_args(duration("How long each of the runs takes; also 90m or 8h [default: 10]"))
    )]
    Slow(SlowOptions),
    /// All of it at once, gently, for long: what is lost, who falls out, and how memory grows
    #[command(mut_args(rate("Publishes per second to the half that only receives [default: 10]")), mut_args(without(&ONE_PROCESS)), mut_args(duration("How long to act; also 90m or 8h [default: 1h]")))]
    Soak(SoakOptions),
    /// The same scenario on several servers in turn: medians, and ratios with their spread
    Compare(CompareOptions),
    /// The least a fan-out server can do, as a yardstick: ready-made bytes to every socket
    Floor(FloorOptions),
    /// Receives for another process of the same run, which writes the task to its standard input
    #[command(hide = true)]
    Receive,
}

impl Command {
    /// The server of a scenario that has one.
    pub(crate) fn target(&self) -> Option<&Target> {
        match self {
            Self::Channels(options) => Some(&options.target),
            Self::ClientEvents(options) => Some(&options.target),
            Self::Connect(options) => Some(&options.target),
            Self::Fanout(options) => Some(&options.target),
            Self::Idle(options) => Some(&options.target),
            Self::Presence(options) => Some(&options.target),
            Self::Publish(options) => Some(&options.target),
            Self::Slow(options) => Some(&options.target),
            Self::Soak(options) => Some(&options.target),
            Self::Compare(_) | Self::Floor(_) | Self::Receive => None,
        }
    }
}

/// Flags that scenarios refuse whose connections act.
const ONE_PROCESS: [&str; 2] = ["threads", "processes"];
/// Flags that mean nothing where nobody subscribes.
const SUBSCRIBERS: [&str; 4] = ["connections", "opening", "sources", "source_addresses"];

fn rate(help: &'static str) -> impl FnMut(Arg) -> Arg {
    say("rate", help)
}

fn duration(help: &'static str) -> impl FnMut(Arg) -> Arg {
    say("duration", help)
}

fn say(name: &'static str, help: &'static str) -> impl FnMut(Arg) -> Arg {
    move |arg| if arg.get_id() == name { arg.help(help) } else { arg }
}

/// They are taken all the same, since a comparison may run other scenarios by the same line.
fn without(names: &'static [&'static str]) -> impl FnMut(Arg) -> Arg {
    move |arg| {
        let is_without = names.contains(&arg.get_id().as_str());
        if is_without { arg.hide(true) } else { arg }
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
