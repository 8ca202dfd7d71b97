//! What is going on while a scenario runs: a live line for people, readings of a counter for the plots.
//!
//! Owns one thread that wakes ten times a second, reads a counter that others keep, and never touches a socket. The line is on
//! standard error and only on a terminal (on one that cannot move its cursor, a plain line each second); elsewhere nothing is said.
//! A scenario begins phases; it never waits for this thread.

use std::io::IsTerminal;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const TICK: Duration = Duration::from_millis(100);
/// Ticks between two plain lines, and over which the rate that is shown is averaged.
const TICKS_PER_SECOND: usize = 10;
const PHASES_WAITING_MAX: usize = 4;

/// A stretch of a run.
pub(crate) struct Phase {
    name: &'static str,
    goal: Goal,
    /// What is counted, and its name: «deliveries».
    counter: Box<dyn Fn() -> u64 + Send>,
    noun: &'static str,
}

enum Goal {
    Count(u64),
    Time(Duration),
}

/// Readings (seconds since the phase began, count) of the longest timed phase.
pub(crate) type Readings = Vec<(f64, u64)>;

/// Ends with its owner.
pub(crate) struct Ticker {
    phases: Option<SyncSender<Phase>>,
    thread: Option<JoinHandle<Readings>>,
}

impl Phase {
    /// Until the counter reaches `goal`.
    pub(crate) fn counted(
        name: &'static str,
        goal: u64,
        noun: &'static str,
        counter: impl Fn() -> u64 + Send + 'static,
    ) -> Self {
        Self { name, goal: Goal::Count(goal), counter: Box::new(counter), noun }
    }

    /// For about `duration`. Its readings are kept.
    pub(crate) fn timed(
        name: &'static str,
        duration: Duration,
        noun: &'static str,
        counter: impl Fn() -> u64 + Send + 'static,
    ) -> Self {
        Self { name, goal: Goal::Time(duration), counter: Box::new(counter), noun }
    }
}

impl Ticker {
    pub(crate) fn start() -> Self {
        let (phases, incoming) = sync_channel(PHASES_WAITING_MAX);
        let thread = std::thread::Builder::new().name("progress".to_owned()).spawn(move || watch(&incoming));
        // Without a thread there is no line and no plot, but the run is as good.
        Self { phases: Some(phases), thread: thread.ok() }
    }

    /// From now on this is what is going on.
    pub(crate) fn begin(&self, phase: Phase) {
        let Some(phases) = &self.phases else { return };
        // Nobody listens if the thread could not start.
        let _ = phases.send(phase);
    }

    /// Clears the line; the readings of the last timed phase.
    pub(crate) fn finish(mut self) -> Readings {
        self.phases = None;
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.phases = None;
        self.thread.take().into_iter().for_each(|thread| drop(thread.join()));
    }
}

fn watch(phases: &Receiver<Phase>) -> Readings {
    let mut kept = Readings::new();
    let Ok(mut phase) = phases.recv() else { return kept };
    loop {
        let (next, readings) = follow(&phase, phases);
        if matches!(phase.goal, Goal::Time(_)) {
            kept = readings;
        }
        let Some(next) = next else { return kept };
        phase = next;
    }
}

/// Shows one phase until the next begins, or the run ends.
fn follow(phase: &Phase, phases: &Receiver<Phase>) -> (Option<Phase>, Readings) {
    let (start, line) = (Instant::now(), Line::new(phase));
    let mut readings = vec![(0.0, (phase.counter)())];
    loop {
        let next = phases.recv_timeout(TICK);
        readings.push((start.elapsed().as_secs_f64(), (phase.counter)()));
        match next {
            Err(RecvTimeoutError::Timeout) => line.show(phase, &readings),
            Err(RecvTimeoutError::Disconnected) => return (None, readings),
            Ok(next) => return (Some(next), readings),
        }
    }
}

enum Line {
    Bar(ProgressBar),
    Plain,
    Silent,
}

impl Line {
    fn new(phase: &Phase) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Silent;
        }
        if std::env::var_os("TERM").is_none_or(|term| term == "dumb") {
            return Self::Plain;
        }
        let bar = ProgressBar::with_draw_target(Some(phase.end()), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{prefix:<11} [{bar:24}] {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        bar.set_prefix(phase.name);
        Self::Bar(bar)
    }

    fn show(&self, phase: &Phase, readings: &Readings) {
        match self {
            Self::Bar(bar) => {
                bar.set_message(phase.tell(readings));
                bar.set_position(phase.position(readings).min(phase.end()));
            }
            Self::Plain if readings.len().is_multiple_of(TICKS_PER_SECOND) => {
                eprintln!("{:<11} {}", phase.name, phase.tell(readings));
            }
            Self::Plain | Self::Silent => {}
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

impl Phase {
    /// A bar counts what is counted, or milliseconds.
    fn end(&self) -> u64 {
        match self.goal {
            Goal::Count(goal) => goal.max(1),
            Goal::Time(duration) => duration.as_millis() as u64,
        }
    }

    fn position(&self, readings: &Readings) -> u64 {
        let last = readings.last().copied().unwrap_or_default();
        match self.goal {
            Goal::Count(_) => last.1,
            Goal::Time(_) => (last.0 * 1e3) as u64,
        }
    }

    fn tell(&self, readings: &Readings) -> String {
        let (seconds, count) = readings.last().copied().unwrap_or_default();
        let (noun, rate) = (self.noun, rate_now(readings));
        match self.goal {
            Goal::Count(goal) => format!("{count}/{goal} {noun} · {rate:.0} /s"),
            Goal::Time(duration) => {
                format!("{seconds:.0}/{:.0} s · {count} {noun} · {rate:.0} /s", duration.as_secs_f64())
            }
        }
    }
}

/// Over the last second.
fn rate_now(readings: &Readings) -> f64 {
    let earlier = readings.len().saturating_sub(TICKS_PER_SECOND + 1);
    let (first, last) = (readings.get(earlier).copied(), readings.last().copied());
    let ((from, before), (to, now)) = (first.unwrap_or_default(), last.unwrap_or_default());
    if to > from { now.saturating_sub(before) as f64 / (to - from) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn readings_are_those_of_the_timed_phase_alone() {
        let counter = Arc::new(AtomicU64::new(7));
        let read = |counter: &Arc<AtomicU64>| {
            let counter = Arc::clone(counter);
            move || counter.load(Ordering::Relaxed)
        };
        let ticker = Ticker::start();
        ticker.begin(Phase::counted("connecting", 5, "connections", || 3));
        ticker.begin(Phase::timed("publishing", Duration::from_secs(1), "deliveries", read(&counter)));
        // The send waits for no reading; the next one finds the counter as it was when the phase began or later.
        ticker.begin(Phase::counted("draining", 9, "deliveries", || 9));
        let readings = ticker.finish();
        assert!(readings.len() >= 2 && readings.iter().all(|&(_, count)| count == 7), "{readings:?}");
    }

    #[test]
    fn run_without_phases_has_no_readings() {
        assert!(Ticker::start().finish().is_empty());
    }

    #[test]
    fn line_tells_how_far_and_how_fast() {
        let readings: Readings = (0..=20).map(|tick| (f64::from(tick) * 0.1, tick as u64 * 50)).collect();
        let timed = Phase::timed("publishing", Duration::from_secs(10), "deliveries", || 0);
        assert_eq!(timed.tell(&readings), "2/10 s · 1000 deliveries · 500 /s");
        let counted = Phase::counted("connecting", 2000, "connections", || 0);
        assert_eq!(counted.tell(&readings), "1000/2000 connections · 500 /s");
        assert_eq!((timed.position(&readings), timed.end()), (2000, 10_000));
    }
}
