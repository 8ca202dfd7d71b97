//! `slow`: some subscribers never read; how the others fare, compared with the same run in which all read.
//!
//! Both runs are in one command, alternating over `--rounds`, since figures of different days cannot be compared. Slow subscribers have a
//! receive buffer of a few KiB and segments as on a network, so that the server soon feels them: after some 90 KB on Linux. The server
//! may close them; that is counted, and nothing that they miss is a loss.

use clap::Args;
use hdrhistogram::Histogram;

use crate::clients::plan::Plan;
use crate::clock::Clock;
use crate::failure::{Context, Outcome};
use crate::measure::stopwatch::Stopwatch;
use crate::measure::tally::{Tally, histogram};
use crate::measure::verdict::Verdict;
use crate::options::Target;
use crate::options::help::{duration, rate};
use crate::options::values::parse_percent;
use crate::progress::Readings;
use crate::report::{Report, Unit};
use crate::scenario::Measure;
use crate::scenario::broadcast::{Broadcast, PublishOptions, Round};

const RATE_DEFAULT: f64 = 100.0;
/// What the kernels of both ends keep of a connection that never reads, with room to spare.
const KERNEL_BYTES: u64 = 128 * 1024;

/// Some subscribers never read: how the others fare, compared with a run in which all of them read
#[derive(Args)]
#[command(
    mut_args(rate("Publishes per second [default: 100]")),
    mut_args(duration("Length of each run; also 90m or 8h [default: 10]"))
)]
pub(crate) struct SlowOptions {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) publish: PublishOptions,
    /// Share of the subscribers that never read
    #[arg(long, value_name = "PERCENT", default_value = "10", value_parser = parse_percent)]
    pub(crate) slow_percent: f64,
    /// Pairs of runs, without and with slow subscribers; each run takes --duration
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,
}

/// One run without and one with slow subscribers.
struct Pair {
    without: Round,
    with: Round,
}

impl Measure for SlowOptions {
    fn target(&self) -> &Target {
        &self.target
    }

    fn measure(&self) -> Outcome<Report> {
        run(self)
    }
}

fn run(options: &SlowOptions) -> Outcome<Report> {
    let target = &options.target;
    target.check_descriptors(options.publish.publishers)?;
    let clock = Clock::start();
    let stopwatch = Stopwatch::new(target.pid, clock)?;
    let round = |mute_ratio: f64| {
        let plan = Plan { mute_ratio, ..Plan::new(target, vec![target.channel.clone()]) };
        let options = &options.publish;
        Broadcast { target, options, plan, seed: None, rate_default: RATE_DEFAULT }.run(&stopwatch, clock)
    };
    let mut pairs = Vec::new();
    for _ in 0..options.rounds {
        pairs.push(Pair { without: round(0.0)?, with: round(options.slow_percent / 100.0)? });
    }
    report(options, &stopwatch, pairs)
}

fn report(options: &SlowOptions, stopwatch: &Stopwatch, pairs: Vec<Pair>) -> Outcome<Report> {
    let ratio = median(pairs.iter().map(Pair::p99_ratio).collect());
    let (mut without, mut with, mut alone) = (Tally::new(), Tally::new(), histogram());
    let (mut last, mut readings_alone) = (None, Readings::default());
    for Pair { without: calm, with: mut slow } in pairs {
        add_latency(&mut alone, &calm)?;
        without.add(calm.tally)?;
        readings_alone = calm.readings;
        with.add(std::mem::replace(&mut slow.tally, Tally::new()))?;
        last = Some(slow);
    }
    let mut last = last.expect("there is at least one round");
    last.tally = with;
    let mut report = Report::new("slow");
    last.report_load(&mut report, &options.target, &options.publish);
    report.count("rounds", "pairs of runs", u64::from(options.rounds));
    report.figure("slow_ratio", "subscribers that never read", options.slow_percent / 100.0, Unit::Ratio);
    last.report(&mut report);
    report.count("slow_closed", "of those, closed by the server", last.tally.mutes_closed);
    report_felt(&mut report, options, &last);
    report.rate_over_time("deliveries without slow ones", readings_alone.counts());
    report.percentiles("without_slow_us", "without slow ones", &alone);
    report.count("without_slow.delivered", "delivered without slow ones", without.counts.delivered);
    report.count("without_slow.lost", "lost without slow ones", without.lost);
    report.figure("p99_ratio", "p99 with ÷ without, median", ratio, Unit::Ratio);
    if options.rounds > 1 {
        report.note("Deliveries and latencies are those of all rounds; publishes, rates and server figures of the last.");
    }
    report.conditions(&Verdict::reach(stopwatch, &last.measured.cost, last.generator())?);
    Ok(report)
}

/// How much there was for each slow subscriber in the last round, and whether that was enough to speak of one.
fn report_felt(report: &mut Report, options: &SlowOptions, last: &Round) {
    let due_bytes = last.publisher.results().accepted * u64::from(options.target.size);
    report.count("slow_due_bytes", "bytes of data for each of those", due_bytes);
    if due_bytes < KERNEL_BYTES {
        report.note(format!(
            "The kernel may have taken all {due_bytes} bytes for those that never read, so that the server felt nothing: raise \
             --rate, --size or --duration."
        ));
    }
}

impl Pair {
    fn p99_ratio(&self) -> f64 {
        let p99 = |round: &Round| round.tally.measured().value_at_quantile(0.99).max(1) as f64;
        p99(&self.with) / p99(&self.without)
    }
}

fn add_latency(sum: &mut Histogram<u64>, round: &Round) -> Outcome<()> {
    sum.add(round.tally.measured()).context("cannot add up latencies")
}

/// The middle one, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 9.0]), 3.0);
    }
}
