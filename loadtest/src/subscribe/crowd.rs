//! All subscribers of a run, spread over threads, each with its ledger and its latencies.
//!
//! Owns the receiving threads and what they tell the outside while they run (`Progress`: who is connected, what all have
//! seen). A publisher in closed loop sleeps on it. Threads share nothing per frame: they keep their own figures, which are put
//! together after the run. Scenarios call `gather`, publish, and `dismiss`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::Waker;

use super::dialogue::{Parting, Script};
use super::ledger::{Counts, Ledger};
use super::swarm::{Observer, Opening, Swarm};
use crate::clock::Clock;
use crate::failure::{Context, Failure, Outcome};
use crate::options::Target;
use crate::publish::Audience;
use crate::stamp::Reader;

/// How often a thread looks up although no socket is ready.
const IDLE: Duration = Duration::from_millis(50);
const HOUR_US: u64 = 3_600_000_000;

pub(crate) struct Crowd {
    progress: Arc<Progress>,
    threads: Vec<JoinHandle<Outcome<Listener>>>,
}

/// What the crowd has heard, all threads together.
pub(crate) struct Tally {
    pub(crate) counts: Counts,
    pub(crate) lost: u64,
    /// Microseconds from the intended send time to arrival.
    pub(crate) latency: Histogram<u64>,
    /// Microseconds from connect to confirmed subscription.
    pub(crate) took: Histogram<u64>,
    /// Why connections ended, and how many of them had been subscribed.
    pub(crate) partings: BTreeMap<String, u64>,
    pub(crate) parted_live: u64,
    pub(crate) last_arrival_ns: u64,
    pub(crate) last_subscribed_ns: u64,
}

impl Crowd {
    /// Starts connecting `target.connections` subscribers, subscriber i to channel i modulo their number.
    pub(crate) fn gather(
        target: &Target,
        channels: &[String],
        period_ns: Option<u64>,
        run: u32,
        clock: Clock,
    ) -> Outcome<Self> {
        let threads = target.threads.min(target.connections) as usize;
        let progress = Arc::new(Progress::new(threads));
        let scripts: Vec<_> =
            channels.iter().map(|name| Script::new(target.ws, &target.app.key, name)).collect();
        let scripts: Arc<[Script]> = scripts.into();
        let spawn = |thread: usize| {
            let opening = Opening {
                server: target.ws,
                scripts: Arc::clone(&scripts),
                subscribers: share(target.connections as usize, threads, thread),
                under_way_max: share(target.opening as usize, threads, thread).max(1),
                period_ns: period_ns.map(|period| period * threads as u64),
            };
            let listener = Listener::new(opening.subscribers, run, clock, Arc::clone(&progress));
            let body = move || listener.run(Swarm::new(opening, clock)?, thread);
            std::thread::Builder::new()
                .name(format!("listener-{thread}"))
                .spawn(body)
                .context("cannot start a thread")
        };
        let threads = (0..threads).map(spawn).collect::<Outcome<_>>()?;
        Ok(Self { progress, threads })
    }

    /// Waits until every connection is subscribed or has failed; returns how many are subscribed.
    pub(crate) fn wait_until_settled(&self, patience: Duration) -> u64 {
        let start = Instant::now();
        let is_done = |(thread, member): (&JoinHandle<_>, &Member)| {
            thread.is_finished() || member.settled.load(Ordering::Acquire)
        };
        while !self.threads.iter().zip(&self.progress.members).all(is_done) && start.elapsed() < patience {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.progress.members.iter().map(|member| member.live.load(Ordering::Acquire)).sum()
    }

    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Ends all connections and puts the figures together. `excused` sequence numbers were never promised to arrive.
    pub(crate) fn dismiss(self, sent: u64, excused: &[u64]) -> Outcome<Tally> {
        self.progress.stop.store(true, Ordering::Release);
        let mut tally = Tally::new();
        for thread in self.threads {
            let listener = thread.join().map_err(|_| Failure::new("a receiving thread panicked"))??;
            tally.add(listener, sent, excused)?;
        }
        Ok(tally)
    }
}

/// What the threads show of themselves while they run.
pub(crate) struct Progress {
    members: Vec<Member>,
    /// Sequences from here on count for latency.
    measured_from: AtomicU64,
    /// Whether a publisher follows what all have seen. Looking for the slowest costs a little on each wake-up.
    followed: AtomicBool,
    /// A publisher sleeps until all are past this sequence number; u64::MAX: none does.
    wanted: AtomicU64,
    waker: std::sync::OnceLock<Arc<Waker>>,
    stop: AtomicBool,
}

#[derive(Default)]
struct Member {
    settled: AtomicBool,
    live: AtomicU64,
    frames: AtomicU64,
    seen: AtomicU64,
}

impl Progress {
    fn new(threads: usize) -> Self {
        Self {
            members: (0..threads).map(|_| Member::default()).collect(),
            measured_from: AtomicU64::new(0),
            followed: AtomicBool::new(false),
            wanted: AtomicU64::new(u64::MAX),
            waker: std::sync::OnceLock::new(),
            stop: AtomicBool::new(false),
        }
    }

    pub(crate) fn measure_from(&self, sequence: u64) {
        self.measured_from.store(sequence, Ordering::Release);
    }

    /// Lets a closed loop follow what was seen; `waker` wakes it.
    pub(crate) fn follow(&self, waker: Arc<Waker>) {
        self.waker.get_or_init(|| waker);
        self.followed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn unfollow(&self) {
        self.followed.store(false, Ordering::SeqCst);
    }

    /// Called by a thread after each wake-up.
    fn update(&self, thread: usize, swarm: &Swarm, listener: &Listener) {
        let member = &self.members[thread];
        let counts = listener.ledger.counts();
        member.live.store(listener.live, Ordering::Release);
        member.settled.store(swarm.is_settled(), Ordering::Release);
        member.frames.store(counts.delivered + counts.duplicated, Ordering::Release);
        if self.followed.load(Ordering::SeqCst) {
            member.seen.store(listener.ledger.seen_by_all(), Ordering::SeqCst);
            self.wake_if_wanted();
        }
    }

    /// The publisher stores `wanted` and then reads `seen`; threads store `seen` and then read `wanted`: one of them sees the other.
    fn wake_if_wanted(&self) {
        let wanted = self.wanted.load(Ordering::SeqCst);
        if self.seen_by_all() >= wanted && self.wanted.swap(u64::MAX, Ordering::SeqCst) != u64::MAX {
            self.waker.get().into_iter().for_each(|waker| waker.wake().unwrap_or(()));
        }
    }
}

impl Audience for Progress {
    fn seen_by_all(&self) -> u64 {
        self.members.iter().map(|member| member.seen.load(Ordering::SeqCst)).min().unwrap_or(0)
    }

    fn wake_at(&self, sequence: u64) {
        self.wanted.store(sequence, Ordering::SeqCst);
    }

    fn frames(&self) -> u64 {
        self.members.iter().map(|member| member.frames.load(Ordering::Acquire)).sum()
    }
}

/// One thread's figures.
struct Listener {
    reader: Reader,
    ledger: Ledger,
    latency: Histogram<u64>,
    took: Histogram<u64>,
    partings: BTreeMap<String, u64>,
    live: u64,
    parted_live: u64,
    last_arrival_ns: u64,
    last_subscribed_ns: u64,
    clock: Clock,
    progress: Arc<Progress>,
}

impl Listener {
    fn new(subscribers: usize, run: u32, clock: Clock, progress: Arc<Progress>) -> Self {
        Self {
            reader: Reader::new(run),
            ledger: Ledger::new(subscribers),
            latency: histogram(),
            took: histogram(),
            partings: BTreeMap::new(),
            live: 0,
            parted_live: 0,
            last_arrival_ns: 0,
            last_subscribed_ns: 0,
            clock,
            progress,
        }
    }

    fn run(mut self, mut swarm: Swarm, thread: usize) -> Outcome<Self> {
        let progress = Arc::clone(&self.progress);
        while !progress.stop.load(Ordering::Acquire) {
            swarm.poll(IDLE, &mut self)?;
            progress.update(thread, &swarm, &self);
        }
        Ok(self)
    }
}

impl Observer for Listener {
    #[inline]
    fn handle_message(&mut self, subscriber: usize, message: &[u8], now_ns: u64) -> bool {
        let Some(stamp) = self.reader.parse_message(message) else { return false };
        self.ledger.handle_event(subscriber, stamp.sequence);
        self.last_arrival_ns = now_ns;
        if stamp.sequence >= self.progress.measured_from.load(Ordering::Relaxed) {
            self.latency.saturating_record(now_ns.saturating_sub(stamp.intended_ns) / 1000);
        }
        true
    }

    fn handle_subscribed(&mut self, _subscriber: usize, took_ns: u64) {
        self.live += 1;
        self.took.saturating_record(took_ns / 1000);
        self.last_subscribed_ns = self.clock.now_ns();
    }

    fn handle_parted(&mut self, subscriber: usize, was_live: bool, parting: &Parting) {
        self.ledger.handle_parted(subscriber);
        *self.partings.entry(parting.to_string()).or_default() += 1;
        self.live -= u64::from(was_live);
        self.parted_live += u64::from(was_live);
    }
}

impl Tally {
    fn new() -> Self {
        Self {
            counts: Counts::default(),
            lost: 0,
            latency: histogram(),
            took: histogram(),
            partings: BTreeMap::new(),
            parted_live: 0,
            last_arrival_ns: 0,
            last_subscribed_ns: 0,
        }
    }

    fn add(&mut self, listener: Listener, sent: u64, excused: &[u64]) -> Outcome<()> {
        let counts = listener.ledger.counts();
        self.counts.delivered += counts.delivered;
        self.counts.duplicated += counts.duplicated;
        self.counts.reordered += counts.reordered;
        self.lost += listener.ledger.lost(sent, excused);
        self.latency.add(&listener.latency).context("cannot add up latencies")?;
        self.took.add(&listener.took).context("cannot add up latencies")?;
        for (why, count) in listener.partings {
            *self.partings.entry(why).or_default() += count;
        }
        self.parted_live += listener.parted_live;
        self.last_arrival_ns = self.last_arrival_ns.max(listener.last_arrival_ns);
        self.last_subscribed_ns = self.last_subscribed_ns.max(listener.last_subscribed_ns);
        Ok(())
    }
}

/// Microseconds up to an hour, three digits exact.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, HOUR_US, 3).expect("these bounds are valid")
}

/// Part `index` of `parts` nearly equal parts of `whole`.
fn share(whole: usize, parts: usize, index: usize) -> usize {
    whole / parts + usize::from(index < whole % parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_the_whole() {
        for (whole, parts) in [(10, 3), (3, 3), (1, 4), (0, 2), (20_000, 7)] {
            assert_eq!((0..parts).map(|index| share(whole, parts, index)).sum::<usize>(), whole);
        }
    }

    #[test]
    fn crowd_has_seen_what_its_slowest_thread_has_seen() {
        let progress = Progress::new(2);
        progress.members[0].seen.store(9, Ordering::SeqCst);
        progress.members[1].seen.store(4, Ordering::SeqCst);
        assert_eq!(progress.seen_by_all(), 4);
    }

    #[test]
    fn publisher_is_woken_once_and_only_when_all_are_past_its_mark() {
        let progress = Progress::new(1);
        progress.wake_at(5);
        progress.members[0].seen.store(4, Ordering::SeqCst);
        progress.wake_if_wanted();
        assert_eq!(progress.wanted.load(Ordering::SeqCst), 5);
        progress.members[0].seen.store(5, Ordering::SeqCst);
        progress.wake_if_wanted();
        assert_eq!(progress.wanted.load(Ordering::SeqCst), u64::MAX);
    }
}
