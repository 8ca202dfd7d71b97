//! What is going on while a scenario runs: a live line for people, readings of what it shows for the plots.
//!
//! Owns one thread that wakes ten times a second, reads what others keep, and never touches a socket. A scenario begins phases; it
//! never waits for this thread. `line` is what people see, `readings` what is kept, `meter` how busy this program was, `pulse` how
//! threads show what they have.

mod line;
mod meter;
mod pulse;
mod readings;

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use self::line::Line;
use self::meter::Meter;
pub(crate) use self::pulse::{CoarseP99, Pulse};
pub(crate) use self::readings::Readings;
use crate::output::say;
use crate::proc::Process;

const TICK: Duration = Duration::from_millis(100);
/// Memory and CPU are read, and the rate that is shown is averaged, over so many ticks.
const TICKS_PER_SECOND: usize = 10;
/// A shorter end of a phase says nothing about CPU.
const SHARE_MIN: Duration = Duration::from_millis(500);
const WORDS_WAITING_MAX: usize = 16;

/// A stretch of a run.
pub(crate) struct Phase {
    name: &'static str,
    goal: Goal,
    /// What is counted, and its name: «deliveries».
    counter: Box<dyn Fn() -> u64 + Send>,
    noun: &'static str,
    is_kept: bool,
    /// Microseconds; 0 while there is nothing to tell.
    p99_us: Option<Box<dyn Fn() -> u64 + Send>>,
    server: Option<Process>,
}

enum Goal {
    Count(u64),
    Time(Duration),
}

/// Ends with its owner.
pub(crate) struct Ticker {
    words: Option<SyncSender<Word>>,
    thread: Option<JoinHandle<Readings>>,
}

enum Word {
    Begin(Phase),
    Say(String),
}

impl Phase {
    /// Until the counter reaches `goal`.
    pub(crate) fn counted(
        name: &'static str,
        goal: u64,
        noun: &'static str,
        counter: impl Fn() -> u64 + Send + 'static,
    ) -> Self {
        Self::new(name, Goal::Count(goal), noun, Box::new(counter))
    }

    /// For about `duration`.
    pub(crate) fn timed(
        name: &'static str,
        duration: Duration,
        noun: &'static str,
        counter: impl Fn() -> u64 + Send + 'static,
    ) -> Self {
        Self::new(name, Goal::Time(duration), noun, Box::new(counter))
    }

    /// This is what is measured: the run keeps its readings, and those of no other phase.
    pub(crate) fn kept(mut self) -> Self {
        self.is_kept = true;
        self
    }

    /// Shows the p99 so far, in microseconds.
    pub(crate) fn p99(mut self, us: impl Fn() -> u64 + Send + 'static) -> Self {
        self.p99_us = Some(Box::new(us));
        self
    }

    /// Reads the memory of this process too, once a second.
    pub(crate) fn memory_of(mut self, server: Option<Process>) -> Self {
        self.server = server;
        self
    }

    fn new(name: &'static str, goal: Goal, noun: &'static str, counter: Box<dyn Fn() -> u64 + Send>) -> Self {
        Self { name, goal, counter, noun, is_kept: false, p99_us: None, server: None }
    }
}

impl Ticker {
    pub(crate) fn start() -> Self {
        let (words, incoming) = sync_channel(WORDS_WAITING_MAX);
        let thread = std::thread::Builder::new().name("progress".to_owned()).spawn(move || watch(&incoming));
        // Without a thread there is no line and no plot, but the run is as good.
        Self { words: Some(words), thread: thread.ok() }
    }

    /// From now on this is what is going on.
    pub(crate) fn begin(&self, phase: Phase) {
        self.tell(Word::Begin(phase));
    }

    /// A line of its own on standard error, above the live one.
    pub(crate) fn say(&self, line: String) {
        self.tell(Word::Say(line));
    }

    /// Clears the line; the readings of the last phase that is kept.
    pub(crate) fn finish(mut self) -> Readings {
        self.words = None;
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }

    fn tell(&self, word: Word) {
        let Some(words) = &self.words else { return };
        // Nobody listens if the thread could not start.
        let _ = words.send(word);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.words = None;
        self.thread.take().into_iter().for_each(|thread| drop(thread.join()));
    }
}

fn watch(words: &Receiver<Word>) -> Readings {
    let mut kept = Readings::default();
    let mut word = words.recv().ok();
    while let Some(current) = word {
        word = match current {
            Word::Say(line) => {
                say(line);
                words.recv().ok()
            }
            Word::Begin(phase) => {
                let (next, readings) = follow(&phase, words);
                if phase.is_kept {
                    kept = readings;
                } else {
                    // What is measured may end in a phase of its own, such as draining.
                    kept.note_own_busy(readings.own_busy_max());
                }
                next.map(Word::Begin)
            }
        };
    }
    kept
}

/// Shows one phase until the next begins, or the run ends.
fn follow(phase: &Phase, words: &Receiver<Word>) -> (Option<Phase>, Readings) {
    let (start, line) = (Instant::now(), Line::new(phase));
    let (mut readings, mut meter) = (Readings::default(), Meter::start());
    readings.note_count(0.0, (phase.counter)());
    for tick in 1_usize.. {
        let word = words.recv_timeout(TICK);
        let seconds = start.elapsed().as_secs_f64();
        readings.note_count(seconds, (phase.counter)());
        let is_over = matches!(word, Err(RecvTimeoutError::Disconnected) | Ok(Word::Begin(_)));
        if tick.is_multiple_of(TICKS_PER_SECOND) || is_over && meter.age() >= SHARE_MIN {
            readings.note_own_busy(meter.share());
            let memory = phase.server.as_ref().and_then(|server| server.rss_bytes().ok());
            memory.into_iter().for_each(|bytes| readings.note_memory(seconds, bytes));
        }
        match word {
            Err(RecvTimeoutError::Timeout) => line.show(phase, &readings),
            Err(RecvTimeoutError::Disconnected) => return (None, readings),
            Ok(Word::Begin(next)) => return (Some(next), readings),
            Ok(Word::Say(text)) => line.say(&text),
        }
    }
    (None, readings)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn readings_are_those_of_the_phase_that_is_kept() {
        let counter = Arc::new(AtomicU64::new(7));
        let read = |counter: &Arc<AtomicU64>| {
            let counter = Arc::clone(counter);
            move || counter.load(Ordering::Relaxed)
        };
        let ticker = Ticker::start();
        ticker.begin(Phase::counted("connecting", 5, "connections", || 3));
        ticker.begin(Phase::timed("publishing", Duration::from_secs(1), "deliveries", read(&counter)).kept());
        ticker.say(String::new());
        // The send waits for no reading; the next one finds the counter as it was when the phase began or later.
        ticker.begin(Phase::counted("draining", 9, "deliveries", || 9));
        let readings = ticker.finish();
        let counts = readings.counts();
        assert!(counts.len() >= 2 && counts.iter().all(|&(_, count)| count == 7), "{counts:?}");
    }

    #[test]
    fn run_without_phases_has_no_readings() {
        let readings = Ticker::start().finish();
        assert!(readings.counts().is_empty() && readings.own_busy_max().is_none());
    }
}
