//! Scenarios, one file each: who connects, who publishes, and which figures tell the story.
//!
//! A scenario gathers subscribers, drives the server, reads what it cost and gives a `Report`. Here stand their commands and nothing
//! that they share: `broadcast` is the round that several of them publish, `measure` has stopwatch and verdict.

mod broadcast;
mod channels;
mod client_events;
mod connect;
mod fanout;
mod idle;
mod presence;
mod publish;
mod slow;
mod soak;

use clap::{Arg, Subcommand};

use self::channels::ChannelsOptions;
use self::client_events::ClientEventsOptions;
use self::connect::ConnectOptions;
use self::fanout::FanoutOptions;
use self::idle::IdleOptions;
use self::presence::PresenceOptions;
use self::publish::PublishOnlyOptions;
use self::slow::SlowOptions;
use self::soak::SoakOptions;
use crate::failure::Outcome;
use crate::options::Target;

#[derive(Subcommand)]
pub(crate) enum Scenario {
    /// Many channels with few subscribers each: the cost of a channel beside that of a delivery
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
    /// Members join and leave in waves: which members were told, how late, and whether every roster is right
    #[command(mut_args(rate("Joins and leaves per second in all channels together [default: 100]")), mut_args(without(&ONE_PROCESS)), mut_args(without(&["size"])))]
    Presence(PresenceOptions),
    /// REST calls alone, to a channel without subscribers: rate, cost and time to the answer
    #[command(mut_args(rate("Publishes per second [default: as fast as answers come]")), mut_args(without(&ONE_PROCESS)), mut_args(without(&SUBSCRIBERS)))]
    Publish(PublishOnlyOptions),
    /// Some subscribers never read: how the others fare, compared with a run without slow ones
    #[command(
        mut_args(rate("Publishes per second [default: 100]")),
        mut_args(duration("Length of each run; also 90m or 8h [default: 10]"))
    )]
    Slow(SlowOptions),
    /// Everything at once, at a low rate, for hours: what is lost, which clients are dropped, and how memory grows
    #[command(mut_args(rate("Publishes per second to the half that only receives [default: 10]")), mut_args(without(&ONE_PROCESS)), mut_args(duration("Length of the run; also 90m or 8h [default: 1h]")))]
    Soak(SoakOptions),
}

impl Scenario {
    /// Measures, then prints the result and writes it where it was asked for.
    pub(crate) fn run(&self) -> Outcome<()> {
        let target = self.target();
        target.check_reachable()?;
        let report = match self {
            Self::Channels(options) => channels::run(options)?,
            Self::ClientEvents(options) => client_events::run(options)?,
            Self::Connect(options) => connect::run(options)?,
            Self::Fanout(options) => fanout::run(options)?,
            Self::Idle(options) => idle::run(options)?,
            Self::Presence(options) => presence::run(options)?,
            Self::Publish(options) => publish::run(options)?,
            Self::Slow(options) => slow::run(options)?,
            Self::Soak(options) => soak::run(options)?,
        };
        report.publish(target.json.as_deref(), target.report.as_deref())
    }

    fn target(&self) -> &Target {
        match self {
            Self::Channels(options) => &options.target,
            Self::ClientEvents(options) => &options.target,
            Self::Connect(options) => &options.target,
            Self::Fanout(options) => &options.target,
            Self::Idle(options) => &options.target,
            Self::Presence(options) => &options.target,
            Self::Publish(options) => &options.target,
            Self::Slow(options) => &options.target,
            Self::Soak(options) => &options.target,
        }
    }
}

/// Flags that scenarios refuse when their connections act.
const ONE_PROCESS: [&str; 2] = ["threads", "processes"];
/// Flags that mean nothing without subscribers.
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

/// Hides these flags; they are still accepted, since a comparison may run other scenarios with the same line.
fn without(names: &'static [&'static str]) -> impl FnMut(Arg) -> Arg {
    move |arg| {
        let is_without = names.contains(&arg.get_id().as_str());
        if is_without { arg.hide(true) } else { arg }
    }
}
