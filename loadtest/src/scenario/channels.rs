//! `channels`: many channels with few subscribers each, publishes over the REST API to all of them.
//!
//! Shows what a channel costs beside what a delivery costs: compare with `fanout` at the same number of deliveries. Each connection is
//! on one channel and checks every event of it; numbers count per channel.

use clap::Args;

use crate::clients::plan::Plan;
use crate::clock::Clock;
use crate::failure::{Failure, Outcome};
use crate::measure::stopwatch::Stopwatch;
use crate::measure::verdict::Verdict;
use crate::options::Target;
use crate::options::help::rate;
use crate::report::Report;
use crate::scenario::Measure;
use crate::scenario::broadcast::{Broadcast, PublishOptions};
use crate::stamp::random_run;

const RATE_DEFAULT: f64 = 1000.0;

/// Many channels with few subscribers each: what a channel costs on top of its deliveries
#[derive(Args)]
#[command(mut_args(rate("Publishes per second to all channels together [default: 1000]")))]
pub(crate) struct ChannelsOptions {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) publish: PublishOptions,
    /// Channels NAME-0, NAME-1, …; the connections are divided among them evenly
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) channels: u32,
    /// Publish to a random channel each time instead of one after the other
    #[arg(long)]
    pub(crate) random: bool,
}

impl Measure for ChannelsOptions {
    fn target(&self) -> &Target {
        &self.target
    }

    fn measure(&self) -> Outcome<Report> {
        run(self)
    }
}

fn run(options: &ChannelsOptions) -> Outcome<Report> {
    let (target, channels) = (&options.target, options.channels);
    if !target.connections.is_multiple_of(channels) {
        let connections = target.connections;
        return Err(Failure::new(format!(
            "{connections} connections cannot be divided evenly among {channels} channels"
        )));
    }
    target.check_descriptors(options.publish.publishers)?;
    let clock = Clock::start();
    let stopwatch = Stopwatch::new(target.pid, clock)?;
    let broadcast = Broadcast {
        target,
        options: &options.publish,
        plan: Plan::new(target, target.several_channels(channels)),
        seed: options.random.then(|| u64::from(random_run())),
        rate_default: RATE_DEFAULT,
    };
    let round = broadcast.run(&stopwatch, clock)?;
    let mut report = Report::new("channels");
    round.report_load(&mut report, target, &options.publish);
    report.count("channels", "channels", u64::from(channels));
    report.count("subscribers_per_channel", "subscribers of each", u64::from(target.connections / channels));
    round.report(&mut report);
    report.conditions(&Verdict::reach(&stopwatch, &round.measured.cost, round.generator())?);
    Ok(report)
}
