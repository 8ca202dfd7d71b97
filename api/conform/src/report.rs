//! Plays checks, and says how each ended.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{fmt, iter, thread};

use serde_json::{Value, json};

use crate::check::Check;
use crate::ground::Ground;
use crate::limits::CHECKS_AT_ONCE;
use crate::target::Target;
use crate::verdict::Deviation;

/// How a check ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The check.
    pub check: Check,
    /// What was expected and what came instead, if the server deviates.
    pub deviation: Option<String>,
}

/// How all checks ended.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// In the order in which they were given.
    pub outcomes: Vec<Outcome>,
}

/// Plays these checks, some at a time: most of them wait for the server.
pub fn run<'c>(target: &Target, checks: impl IntoIterator<Item = &'c Check>) -> Report {
    let checks: Vec<&Check> = checks.into_iter().collect();
    let (ground, next) = (Ground::new(target), AtomicUsize::new(0));
    let play = || {
        let taken = iter::from_fn(|| checks.get(next.fetch_add(1, Ordering::Relaxed)));
        let played = taken.map(|check| Outcome {
            check: **check,
            deviation: (check.play)(&ground).err().map(|Deviation(words)| words),
        });
        played.collect::<Vec<_>>()
    };
    let mut outcomes: Vec<Outcome> = thread::scope(|scope| {
        let players: Vec<_> = (0..CHECKS_AT_ONCE).map(|_| scope.spawn(play)).collect();
        players
            .into_iter()
            .flat_map(|player| player.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    });
    let place = |outcome: &Outcome| checks.iter().position(|check| check.name == outcome.check.name);
    outcomes.sort_by_key(place);
    Report { outcomes }
}

impl Report {
    /// Those that failed.
    pub fn deviations(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|outcome| outcome.deviation.is_some())
    }

    /// For programs: `{"checks": N, "deviations": [{"name", "what", "breaks"}]}`.
    pub fn json(&self) -> Value {
        let deviations: Vec<Value> = self
            .deviations()
            .map(|outcome| json!({"name": outcome.check.name, "what": outcome.deviation, "breaks": outcome.check.breaks}))
            .collect();
        json!({"checks": self.outcomes.len(), "deviations": deviations})
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for outcome in self.deviations() {
            let what = outcome.deviation.as_deref().unwrap_or_default();
            writeln!(out, "{}\n    {what}\n    breaks: {}", outcome.check.name, outcome.check.breaks)?;
        }
        let bad = self.deviations().count();
        writeln!(
            out,
            "{} checks, {bad} {}",
            self.outcomes.len(),
            if bad == 1 { "deviation" } else { "deviations" }
        )
    }
}
