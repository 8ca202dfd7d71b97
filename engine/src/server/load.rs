//! Whether the server has too much to do to welcome new connections: how full it is, how much memory is used, how long gates
//! are closed. A thread looks four times a second.
//!
//! Each reason has a mark where it begins and a lower one where it ends, so that a server at its limit does not change its
//! mind with every connection. Short memory also has newcomers turned away. What must never happen here: a core that waits.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::driver::control::{CoreLoad, Health};
use crate::settings::{Load, Marks, Memory, Watched};
use machines::cores::Cores;

/// How often the thread looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How far back closed gates count, in looks: five seconds.
const GATED_LOOKS: u64 = 20;

/// Percent of what fits, where a server is full and where it no longer is.
const FULL: Marks = Marks { high: 95, low: 90 };

/// Percent of the time behind a closed gate, where a core has too much to do and where it no longer has.
const GATED: Marks = Marks { high: 90, low: 50 };

/// What is too much, and since it began is not yet little enough.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Shedding {
    memory: bool,
    connections: bool,
    gates: bool,
}

impl Shedding {
    /// Whether any of it is.
    fn any(self) -> bool {
        self.memory || self.connections || self.gates
    }
}

/// Whether it is too much now, if it was before.
fn beyond(marks: Marks, was: bool, value: u64) -> bool {
    if was { value > marks.low } else { value >= marks.high }
}

/// The share of the last seconds that one core spent behind closed gates.
#[derive(Clone, Copy, Debug, Default)]
struct GatedShare {
    seen_ms: u64,
    percent: u64,
}

impl GatedShare {
    /// Its gates have been closed for so long altogether. Each look counts for less than the one after it.
    fn note(&mut self, gated_ms: u64) -> u64 {
        let since = gated_ms.saturating_sub(self.seen_ms);
        self.seen_ms = gated_ms;
        // In hundredths of a percent, or what is small would never be seen.
        let now = (10_000 * since / LOOK_EVERY.as_millis() as u64).min(10_000);
        self.percent = (self.percent * (GATED_LOOKS - 1) + now) / GATED_LOOKS;
        self.percent / 100
    }
}

/// The marks, which a reload may change.
#[derive(Clone, Debug)]
pub struct LoadMarks(Arc<Mutex<Load>>);

impl LoadMarks {
    pub(super) fn new(load: Load) -> Self {
        Self(Arc::new(Mutex::new(load)))
    }

    /// From now on these are the marks.
    pub fn change(&self, load: Load) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = load;
    }

    /// The marks as they are.
    pub(super) fn current(&self) -> Load {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks from now on, on a thread of its own, which ends with the process. So many clients fit.
pub(super) fn watch_load(
    marks: LoadMarks,
    health: Arc<Health>,
    cores: Cores,
    clients: usize,
) -> io::Result<()> {
    let memory = Memory::find();
    let mut shedding = Shedding::default();
    let mut shares = vec![GatedShare::default(); cores.shards()];
    let watch = move || {
        loop {
            let loads: Vec<CoreLoad> = cores.each_shard().map(|shard| health.load(shard)).collect();
            let connections: u64 = loads.iter().map(|load| load.connections).sum();
            let gated = shares.iter_mut().zip(&loads).map(|(share, load)| share.note(load.gated_ms)).max();
            let load = marks.current();
            let next = Shedding {
                memory: is_memory_short(load, memory.as_ref(), shedding.memory),
                connections: beyond(FULL, shedding.connections, 100 * connections / clients.max(1) as u64),
                gates: beyond(GATED, shedding.gates, gated.unwrap_or(0)),
            };
            if next != shedding {
                tell(shedding, next);
                shedding = next;
                health.set_shedding(next.any(), next.memory);
            }
            thread::sleep(LOOK_EVERY);
        }
    };
    thread::Builder::new().name("load".to_owned()).spawn(watch).map(drop)
}

/// A mark that is set is about this process; one that is not, about all who share the memory.
fn is_memory_short(load: Load, memory: Option<&Memory>, was: bool) -> bool {
    let Some(marks) = load.marks(memory.map(|memory| memory.bytes)) else { return false };
    let of = match (load.memory_high_bytes, memory) {
        (None, Some(memory)) => &memory.of,
        _ => &Watched::Process,
    };
    // What cannot be read keeps nobody out.
    of.used_bytes().is_some_and(|used| beyond(marks, was, used))
}

fn tell(was: Shedding, is: Shedding) {
    let reasons = [
        (was.memory, is.memory, "memory", "newcomers get 4100 until less is used (memory_low_bytes)"),
        (was.connections, is.connections, "connections", "/ready and /accept-traffic answer 503"),
        (was.gates, is.gates, "gates", "/ready and /accept-traffic answer 503"),
    ];
    for (was, is, what, then) in reasons {
        match (was, is) {
            (false, true) => logging::say!("load: {what}: too much; {then}"),
            (true, false) => logging::say!("load: {what}: little enough again"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_begun_at_the_high_mark_ends_at_the_low_one() {
        let marks = Marks { high: 90, low: 80 };
        let mut is = false;
        for (value, then) in
            [(0, false), (89, false), (90, true), (81, true), (80, false), (89, false), (200, true)]
        {
            is = beyond(marks, is, value);
            assert_eq!(is, then, "{value}");
        }
    }

    #[test]
    fn gates_count_when_they_are_closed_for_seconds() {
        let (mut share, mut gated_ms) = (GatedShare::default(), 0);
        let mut looks_until = |share: &mut GatedShare, each_ms: u64, is: fn(u64) -> bool| {
            (1..1000).find(|_| {
                gated_ms += each_ms;
                is(share.note(gated_ms))
            })
        };
        let begins = looks_until(&mut share, 250, |percent| percent >= GATED.high).unwrap();
        assert!((GATED_LOOKS..4 * GATED_LOOKS).contains(&begins), "{begins}");
        assert!(looks_until(&mut share, 0, |percent| percent <= GATED.low).unwrap() < 20);
        assert_eq!(looks_until(&mut GatedShare::default(), 200, |percent| percent >= GATED.high), None);
    }

    #[test]
    fn memory_is_short_by_a_mark_of_this_process_or_by_all_there_is() {
        let set = |high| Load { memory_high_bytes: Some(high), memory_low_bytes: None };
        let memory = |bytes| Memory { bytes, of: Watched::Machine };
        assert!(
            is_memory_short(set(1), None, false) && !is_memory_short(set(1 << 50), Some(&memory(1)), false)
        );
        assert!(is_memory_short(Load::default(), Some(&memory(1 << 10)), false));
        assert!(!is_memory_short(Load::default(), Some(&memory(1 << 50)), true));
        assert!(!is_memory_short(Load::default(), None, true), "nobody knows");
    }
}
