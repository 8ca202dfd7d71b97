//! The life of a receiving process: `corecast-loadtest receive`.
//!
//! Owns nothing but its subscribers. Reads its task and then orders from standard input, writes its state and at last its tally to
//! standard output; `remote` is the other side. Ends when its input ends.

use std::sync::Arc;

use super::progress::Progress;
use super::remote::{Orders, TELL, Task, Told, tell};
use super::socket_pool::Ending;
use super::subscribers::Subscribers;
use crate::clock::Clock;
use crate::failure::{Context, Failure, Outcome};
use crate::publish::Audience;

/// The child's whole life: `corecast-loadtest receive`.
pub(crate) fn receive() -> Outcome<()> {
    let mut lines = std::io::stdin().lines();
    let mut next = move || lines.next().and_then(Result::ok);
    let first = next().ok_or_else(|| Failure::new("receive: no task on standard input"))?;
    let task: Task = serde_json::from_str(&first).context("receive: the task on standard input")?;
    let subscribers = Subscribers::gather_here(&task.plan, task.run, Clock::join(task.epoch_ns))?;
    let progress = Arc::clone(subscribers.progress());
    // Ends with this process.
    std::thread::spawn(move || tell_states(&progress));
    while let Some(line) = next() {
        let orders: Orders = serde_json::from_str(&line).context("receive: orders on standard input")?;
        if let Some(promises) = orders.dismiss {
            let tally = subscribers.dismiss(&promises)?;
            return tell(&mut std::io::stdout().lock(), &Told::Tally(tally.pack()));
        }
        obey(subscribers.progress(), &orders);
    }
    // The parent is gone, so there is no one left to tell.
    Ok(())
}

fn obey(progress: &Progress, orders: &Orders) {
    (1..).zip(orders.phases).for_each(|(phase, sequence)| progress.begin_phase(phase, sequence));
    progress.set_followed(orders.followed);
    let ending = if orders.resets { Ending::Reset } else { Ending::Fin };
    (progress.storms()..orders.storms).for_each(|_| progress.order_storm(ending));
}

fn tell_states(progress: &Progress) {
    let mut last = None;
    while !progress.is_stopped() {
        // In this order: what is settled is meant after these storms.
        let storms = progress.storms_done();
        let state = Told::State {
            settled: progress.is_settled(),
            storms,
            live: progress.live(),
            frames: progress.frames(),
            seen: progress.seen_by_all(),
            pongs: progress.pongs(),
            p99_us: progress.p99_us(),
        };
        let line = serde_json::to_string(&state).ok();
        if line != last && tell(&mut std::io::stdout().lock(), &state).is_err() {
            return;
        }
        last = line;
        std::thread::sleep(TELL);
    }
}
