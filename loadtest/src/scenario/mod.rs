//! Scenarios, one file each: who connects, who publishes, and which figures tell the story.
//!
//! A scenario gathers subscribers, drives the server, reads what it cost and gives a `Report`. Here stands
//! which command runs which; stopwatch and verdict are `measure`, and what several publish is `broadcast`.

mod broadcast;
pub(crate) mod channels;
pub(crate) mod client_events;
pub(crate) mod connect;
pub(crate) mod fanout;
pub(crate) mod idle;
pub(crate) mod presence;
pub(crate) mod publish;
pub(crate) mod slow;
pub(crate) mod soak;

use crate::failure::Outcome;
use crate::options::{Command, Target};

pub(crate) fn run(command: &Command) -> Outcome<()> {
    command.target().map_or(Ok(()), Target::check_reachable)?;
    let (report, target) = match command {
        Command::Channels(options) => (channels::run(options)?, &options.target),
        Command::ClientEvents(options) => (client_events::run(options)?, &options.target),
        Command::Connect(options) => (connect::run(options)?, &options.target),
        Command::Fanout(options) => (fanout::run(options)?, &options.target),
        Command::Idle(options) => (idle::run(options)?, &options.target),
        Command::Presence(options) => (presence::run(options)?, &options.target),
        Command::Publish(options) => (publish::run(options)?, &options.target),
        Command::Slow(options) => (slow::run(options)?, &options.target),
        Command::Soak(options) => (soak::run(options)?, &options.target),
        Command::Compare(options) => return crate::compare::run(options),
        Command::Floor(options) => {
            if options.with_parent {
                crate::compare::leave_with_parent();
            }
            return crate::floor::run(options);
        }
        Command::Receive => return crate::clients::remote::receive(),
    };
    report.publish(target.json.as_deref(), target.report.as_deref())
}
