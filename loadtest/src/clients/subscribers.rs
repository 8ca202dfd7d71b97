//! All subscribers of a run, spread over threads or over processes, each with its ledger and its latencies.
//!
//! Owns the receiving threads, and the handles of receiving processes. Their figures are put together after the run. Scenarios call
//! `gather`, publish, and `dismiss`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::listener::Listener;
use super::plan::Plan;
use super::progress::Progress;
use super::remote::Remote;
use super::socket_pool::Ending;
use crate::clock::Clock;
use crate::failure::{Context, Failure, Outcome};
use crate::measure::ledger::Promise;
use crate::measure::tally::Tally;
use crate::progress::Phase;
use crate::publish::Audience;

pub(crate) struct Subscribers {
    progress: Arc<Progress>,
    threads: Vec<JoinHandle<Outcome<Listener>>>,
    remotes: Vec<Remote>,
}

impl Subscribers {
    /// Starts connecting all subscribers of the plan, by threads of this process or, if there are several, in others.
    pub(crate) fn gather(plan: &Plan, processes: u32, run: u32, clock: Clock) -> Outcome<Self> {
        if processes <= 1 {
            return Self::gather_here(plan, run, clock);
        }
        let processes = (processes as usize).min(plan.subscribers.len());
        let progress = Arc::new(Progress::new(processes));
        let start = |(index, part): (usize, Plan)| Remote::start(part, run, clock, index, &progress);
        let remotes = plan.split(processes).into_iter().enumerate().map(start).collect::<Outcome<_>>()?;
        Ok(Self { progress, threads: Vec::new(), remotes })
    }

    /// By threads of this process.
    pub(crate) fn gather_here(plan: &Plan, run: u32, clock: Clock) -> Outcome<Self> {
        let threads = plan.threads.min(plan.subscribers.len());
        let progress = Arc::new(Progress::new(threads));
        let spawn = |(index, part): (usize, Plan)| {
            let listener = Listener::new(part, run, clock, Arc::clone(&progress));
            let progress = Arc::clone(&progress);
            let body = move || {
                let result = listener.run(index);
                progress.member(index).ended.store(true, Ordering::Release);
                result
            };
            let thread = std::thread::Builder::new().name(format!("listener-{index}"));
            thread.spawn(body).context("cannot start a thread")
        };
        let threads = plan.split(threads).into_iter().enumerate().map(spawn).collect::<Outcome<_>>()?;
        Ok(Self { progress, threads, remotes: Vec::new() })
    }

    /// Waits until every connection is subscribed or has failed; returns how many are subscribed.
    pub(crate) fn wait_until_settled(&self, patience: Duration) -> u64 {
        let start = Instant::now();
        while !self.progress.is_settled() && start.elapsed() < patience {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.progress.live()
    }

    pub(crate) fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// The deliveries of a stretch of the run, with how late they are, for the live line.
    pub(crate) fn deliveries(&self, name: &'static str, duration: Duration) -> Phase {
        let (frames, latency) = (Arc::clone(&self.progress), Arc::clone(&self.progress));
        Phase::timed(name, duration, "deliveries", move || frames.frames()).p99(move || latency.p99_us())
    }

    /// Ends all connections at once; they come back by themselves.
    pub(crate) fn storm(&self, ending: Ending) {
        self.progress.order_storm(ending);
    }

    /// Ends all connections and puts the figures together. A promise for each channel.
    pub(crate) fn dismiss(self, promises: &[Promise]) -> Outcome<Tally> {
        self.progress.order_stop();
        let mut tally = Tally::new();
        for thread in self.threads {
            let listener = thread.join().map_err(|_| Failure::new("a receiving thread panicked"))??;
            tally.add(listener.tally(promises))?;
        }
        for remote in self.remotes {
            tally.add(remote.dismiss(promises)?)?;
        }
        Ok(tally)
    }
}
