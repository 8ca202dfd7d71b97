//! The last refusals, for the console: what was refused to whom, why, and how to mend it.
//!
//! They come from all cores where the lines of the log are made, at most so many a second, and only while somebody may look.
//! One that is like another of its app counts for that one. What must never happen here: an app whose refusals drive out
//! those of all others.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::limits::{PROBLEMS_MAX, PROBLEMS_PER_APP_MAX};
use machines::notices::Refusal;

static KEPT: AtomicBool = AtomicBool::new(false);
static PROBLEMS: Mutex<Problems> = Mutex::new(Problems { all: VecDeque::new() });

/// From now on they are kept.
pub fn start_keeping() {
    KEPT.store(true, Ordering::Relaxed);
}

/// Whether they are.
pub(super) fn are_kept() -> bool {
    KEPT.load(Ordering::Relaxed)
}

/// Something was refused.
pub(super) fn keep(what: &'static str, refusal: &Refusal, address: Option<String>, unix_ms: u64) {
    if are_kept() {
        lock().note(Problem::of(what, refusal, address, unix_ms));
    }
}

/// A connection ended before any machine had met its client.
pub(super) fn keep_unmet(address: Option<String>, reason: &str, unix_ms: u64) {
    if are_kept() {
        lock().note(Problem::unmet(address, reason, unix_ms));
    }
}

/// Those that are kept, the newest first.
pub fn problems() -> Vec<Problem> {
    lock().all.iter().rev().cloned().collect()
}

fn lock() -> MutexGuard<'static, Problems> {
    PROBLEMS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A refusal, or several that are alike.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// When, for the last time, in milliseconds since the Unix epoch.
    pub unix_ms: u64,
    /// How often.
    pub count: u64,
    /// What was refused, by its name in the log.
    pub what: &'static str,
    /// The app, if it is known.
    pub app: Option<Box<str>>,
    /// A key that no app has.
    pub key: Option<Box<str>>,
    /// The channel, if it is about one.
    pub channel: Option<Box<str>>,
    /// The path, if it is about one.
    pub path: Option<Box<str>>,
    /// Where the last one came from.
    pub address: Option<String>,
    /// What was wrong.
    pub reason: Box<str>,
    /// How to mend it, where the reason does not say it.
    pub remedy: Option<Cow<'static, str>>,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
}

impl Problem {
    fn of(what: &'static str, refusal: &Refusal, address: Option<String>, unix_ms: u64) -> Self {
        let Refusal { app, key, channel, path, reason, remedy, status, what: _ } = refusal;
        Self {
            unix_ms,
            count: 1,
            what,
            app: app.clone(),
            key: key.clone(),
            channel: channel.clone(),
            path: path.clone(),
            address,
            reason: reason.clone(),
            remedy: remedy.clone(),
            status: *status,
        }
    }

    fn unmet(address: Option<String>, reason: &str, unix_ms: u64) -> Self {
        Self {
            unix_ms,
            count: 1,
            what: "connection",
            app: None,
            key: None,
            channel: None,
            path: None,
            address,
            reason: reason.into(),
            remedy: None,
            status: None,
        }
    }

    fn is_like(&self, other: &Self) -> bool {
        (&self.app, self.what, &self.reason, &self.remedy, &self.channel, &self.path, &self.key)
            == (&other.app, other.what, &other.reason, &other.remedy, &other.channel, &other.path, &other.key)
    }
}

#[derive(Debug, Default)]
struct Problems {
    /// The newest last.
    all: VecDeque<Problem>,
}

impl Problems {
    fn note(&mut self, mut problem: Problem) {
        if let Some(at) = self.all.iter().rposition(|other| other.is_like(&problem)) {
            let before = self.all.remove(at).map_or(0, |before| before.count);
            problem.count += before;
        } else if self.all.iter().filter(|other| other.app == problem.app).count() >= PROBLEMS_PER_APP_MAX {
            let oldest = self.all.iter().position(|other| other.app == problem.app);
            oldest.and_then(|at| self.all.remove(at));
        } else if self.all.len() >= PROBLEMS_MAX {
            self.all.pop_front();
        }
        self.all.push_back(problem);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(app: &str, reason: &str) -> Problem {
        Problem { app: Some(app.into()), ..Problem::unmet(None, reason, 1) }
    }

    #[test]
    fn those_that_are_alike_are_one_and_the_newest() {
        let mut problems = Problems::default();
        for reason in ["a", "b", "a"] {
            problems.note(problem("1", reason));
        }
        let kept: Vec<_> = problems.all.iter().map(|it| (&*it.reason, it.count)).collect();
        assert_eq!(kept, [("b", 1), ("a", 2)]);
    }

    #[test]
    fn an_app_drives_out_its_own_and_all_apps_the_oldest() {
        let mut problems = Problems::default();
        problems.note(problem("quiet", "a"));
        for number in 0..PROBLEMS_PER_APP_MAX + 5 {
            problems.note(problem("loud", &number.to_string()));
        }
        assert_eq!(problems.all.len(), PROBLEMS_PER_APP_MAX + 1);
        assert_eq!((&*problems.all[0].reason, &*problems.all[1].reason), ("a", "5"));
        for number in 0..PROBLEMS_MAX {
            problems.note(problem(&number.to_string(), "x"));
        }
        assert_eq!(problems.all.len(), PROBLEMS_MAX);
    }
}
