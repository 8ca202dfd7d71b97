//! `fanout`: one channel, many subscribers, publishes over the REST API.
//!
//! Paced it shows latency and the cost of one delivery at a known load; saturated, what the server can fan out; overloaded,
//! what becomes of subscribers when more is offered than that. Every subscriber checks every event by its sequence number.

use clap::Args;

use crate::clients::plan::Plan;
use crate::clock::Clock;
use crate::failure::Outcome;
use crate::measure::stopwatch::Stopwatch;
use crate::measure::verdict::Verdict;
use crate::options::Target;
use crate::options::help::rate;
use crate::report::Report;
use crate::scenario::Measure;
use crate::scenario::broadcast::{Broadcast, PublishOptions};

const RATE_DEFAULT: f64 = 100.0;

/// One channel, many subscribers: latency, loss, order, cost per delivery
#[derive(Args)]
#[command(mut_args(rate("Publishes per second; each subscriber receives as many [default: 100]")))]
pub(crate) struct FanoutOptions {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) publish: PublishOptions,
}

impl Measure for FanoutOptions {
    fn target(&self) -> &Target {
        &self.target
    }

    fn measure(&self) -> Outcome<Report> {
        run(self)
    }
}

fn run(options: &FanoutOptions) -> Outcome<Report> {
    let target = &options.target;
    target.check_descriptors(options.publish.publishers)?;
    let clock = Clock::start();
    let stopwatch = Stopwatch::new(target.pid, clock)?;
    let broadcast = Broadcast {
        target,
        options: &options.publish,
        plan: Plan::new(target, vec![target.channel.clone()]),
        seed: None,
        rate_default: RATE_DEFAULT,
    };
    let round = broadcast.run(&stopwatch, clock)?;
    let mut report = Report::new("fanout");
    round.report_load(&mut report, target, &options.publish);
    round.report(&mut report);
    report.conditions(&Verdict::reach(&stopwatch, &round.measured.cost, round.generator())?);
    Ok(report)
}
