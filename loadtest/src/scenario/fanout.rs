//! `fanout`: one channel, many subscribers, publishes over the REST API.
//!
//! Paced it shows latency and the cost of one delivery at a known load; saturated, what the server can fan out; overloaded,
//! what becomes of subscribers when more is offered than that. Every subscriber checks every event by its sequence number.

use clap::Args;

use super::broadcast::{Broadcast, PublishOptions, Round};
use super::deliveries::report_round;
use super::{Stopwatch, check_descriptors};
use crate::clients::plan::Plan;
use crate::clock::Clock;
use crate::failure::Outcome;
use crate::options::Target;
use crate::publish::schedule::Pace;
use crate::report::{Report, Unit};

const RATE_DEFAULT: f64 = 100.0;

#[derive(Args)]
pub(crate) struct FanoutOptions {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) publish: PublishOptions,
}

pub(super) fn run(options: &FanoutOptions) -> Outcome<Report> {
    let target = &options.target;
    check_descriptors(target, options.publish.publishers)?;
    let clock = Clock::start();
    let stopwatch = Stopwatch::new(target, clock)?;
    let broadcast = Broadcast {
        target,
        options: &options.publish,
        plan: Plan::new(target, vec![target.channel.clone()]),
        seed: None,
        rate_default: RATE_DEFAULT,
    };
    let round = broadcast.run(&stopwatch, clock)?;
    let mut report = Report::new("fanout");
    report_load(&mut report, target, &options.publish, &round);
    report_round(&mut report, &round);
    stopwatch.report_conditions(&mut report, &round.measured.cost, &round.generator())?;
    Ok(report)
}

/// What was asked of the server.
pub(super) fn report_load(report: &mut Report, target: &Target, options: &PublishOptions, round: &Round) {
    let (name, offered) = match round.pace {
        Pace::Paced(rate) => ("paced", Some(rate)),
        Pace::Window(_) => ("saturate", None),
        Pace::Overload(rate) => ("overload", Some(rate)),
    };
    report.text("mode", "mode", name);
    report.count("connections", "subscribers", u64::from(target.connections));
    report.count("size", "bytes of data per event", u64::from(target.size));
    report.figure("offered_per_second", "publishes offered", offered, Unit::PerSecond);
    report.figure("window", "window", options.saturate.then_some(f64::from(options.window)), Unit::Count);
}
