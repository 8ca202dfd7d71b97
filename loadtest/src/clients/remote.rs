//! Receiving processes: copies of this program, each with its part of the plan.
//!
//! Owns their protocol, one JSON object per line: the task and then orders on the child's standard input, its state and at last
//! its tally on its standard output. The secret goes that way too, never over a command line. A child whose parent is gone sees
//! the end of its input and ends.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::plan::Plan;
use super::progress::Progress;
use super::socket_pool::Ending;
use crate::clock::Clock;
use crate::failure::{Context, Failure, Outcome};
use crate::measure::ledger::Promise;
use crate::measure::tally::{PHASES, Packed, Tally};

/// How often a child tells its state if it has changed: what a closed loop waits for at most.
pub(super) const TELL: Duration = Duration::from_millis(1);

/// The first line.
#[derive(Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) plan: Plan,
    pub(super) run: u32,
    pub(super) epoch_ns: u64,
}

/// What subscribers are told while they run, as a whole, so that a line may be missed.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Orders {
    pub(super) phases: [u64; PHASES - 1],
    pub(super) followed: bool,
    pub(super) storms: u64,
    pub(super) resets: bool,
    /// Given once, at the end.
    pub(super) dismiss: Option<Vec<Promise>>,
}

/// What a child tells.
#[derive(Serialize, Deserialize)]
pub(super) enum Told {
    State { settled: bool, storms: u64, live: u64, frames: u64, seen: u64, pongs: u64, p99_us: u64 },
    Tally(Packed),
}

/// The parent's side of one child.
pub(crate) struct Remote {
    child: Child,
    reader: JoinHandle<Outcome<Tally>>,
    orders: JoinHandle<Outcome<ChildStdin>>,
}

impl Remote {
    pub(crate) fn start(
        plan: Plan,
        run: u32,
        clock: Clock,
        index: usize,
        progress: &Arc<Progress>,
    ) -> Outcome<Self> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let mut command = Command::new(program);
        command.arg("receive").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start a receiving process")?;
        let (mut input, output) = child.stdin.take().zip(child.stdout.take()).expect("both are piped");
        tell(&mut input, &Task { plan, run, epoch_ns: clock.epoch_ns() })?;
        let (listening, ordering) = (Arc::clone(progress), Arc::clone(progress));
        let reader = std::thread::spawn(move || {
            let result = hear(BufReader::new(output), &listening, index);
            listening.member(index).ended.store(true, Ordering::Release);
            result
        });
        let orders = std::thread::spawn(move || pass_orders(input, &ordering));
        Ok(Self { child, reader, orders })
    }

    /// The `stop` of all must have been ordered.
    pub(crate) fn dismiss(mut self, promises: &[Promise]) -> Outcome<Tally> {
        let input = self.orders.join().map_err(|_| Failure::new("a thread panicked"))?;
        let dismissed = input.and_then(|mut input| {
            tell(&mut input, &Orders { dismiss: Some(promises.to_vec()), ..Orders::default() })
        });
        let tally = self.reader.join().map_err(|_| Failure::new("a thread panicked"))?;
        self.child.wait().context("cannot wait for a receiving process")?;
        // What the child said about its end is worth more than that it was not there to be told.
        tally.and_then(|tally| dismissed.map(|()| tally))
    }
}

/// Takes in what a child tells until its tally comes.
fn hear(output: impl BufRead, progress: &Progress, index: usize) -> Outcome<Tally> {
    for line in output.lines() {
        let line = line.context("cannot read from a receiving process")?;
        match serde_json::from_str(&line).context("cannot understand a receiving process")? {
            Told::State { settled, storms, live, frames, seen, pongs, p99_us } => {
                let member = progress.member(index);
                member.live.store(live, Ordering::Release);
                member.settled.store(settled, Ordering::Release);
                member.storms.store(storms, Ordering::Release);
                member.frames.store(frames, Ordering::SeqCst);
                member.seen.store(seen, Ordering::SeqCst);
                member.pongs.store(pongs, Ordering::Relaxed);
                member.p99.show(p99_us);
                progress.wake_if_wanted();
            }
            Told::Tally(packed) => return Ok(packed.unpack()),
        }
    }
    Err(Failure::new("a receiving process ended too early"))
}

/// Passes on what has changed until all stop.
fn pass_orders(mut input: ChildStdin, progress: &Progress) -> Outcome<ChildStdin> {
    let mut last = Orders { phases: [u64::MAX; PHASES - 1], ..Orders::default() };
    while !progress.is_stopped() {
        let orders = Orders {
            phases: progress.phases(),
            followed: progress.is_followed(),
            storms: progress.storms(),
            resets: progress.ending() == Ending::Reset,
            dismiss: None,
        };
        if orders != last {
            tell(&mut input, &orders)?;
            last = orders;
        }
        std::thread::sleep(TELL);
    }
    Ok(input)
}

pub(super) fn tell(to: &mut impl Write, what: &impl Serialize) -> Outcome<()> {
    let mut line = serde_json::to_vec(what).context("cannot encode a line")?;
    line.push(b'\n');
    to.write_all(&line).and_then(|()| to.flush()).context("cannot write to a process of this run")
}
