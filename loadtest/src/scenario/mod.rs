//! Scenarios, one file each: what connects, what publishes, and which figures are reported.
//!
//! A scenario gathers subscribers, drives the server, reads what it cost and gives a `Report`. Its file has its flags, its help and all that
//! it does; this file lists them. `broadcast` is the round that several of them publish, `measure` has stopwatch and verdict.

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

use clap::Subcommand;

use crate::failure::Outcome;
use crate::options::Target;
use crate::report::Report;

/// What a scenario's flags can do.
trait Measure {
    /// The flags that all scenarios have.
    fn target(&self) -> &Target;
    /// Measures.
    fn measure(&self) -> Outcome<Report>;
}

macro_rules! scenarios {
    ($($name:ident($options:ty),)*) => {
        /// A scenario, by its command.
        #[derive(Subcommand)]
        pub(crate) enum Scenario {
            $($name($options),)*
        }

        impl Scenario {
            fn chosen(&self) -> &dyn Measure {
                match self {
                    $(Self::$name(options) => options,)*
                }
            }
        }
    };
}

scenarios! {
    Channels(channels::ChannelsOptions),
    ClientEvents(client_events::ClientEventsOptions),
    Connect(connect::ConnectOptions),
    Fanout(fanout::FanoutOptions),
    Idle(idle::IdleOptions),
    Presence(presence::PresenceOptions),
    Publish(publish::PublishOnlyOptions),
    Slow(slow::SlowOptions),
    Soak(soak::SoakOptions),
}

impl Scenario {
    /// Measures, then prints the result and writes it where it was asked for.
    pub(crate) fn run(&self) -> Outcome<()> {
        let scenario = self.chosen();
        let target = scenario.target();
        target.check_reachable()?;
        scenario.measure()?.publish(target.json.as_deref(), target.report.as_deref())
    }
}
