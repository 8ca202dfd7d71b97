//! Those who wait until a source of apps has answered for the app that they name, by that name: however many they are, it
//! is asked once.
//!
//! Bounded by `app_waits_max`, by `APP_WAITS_BYTES_MAX` and in time by `APP_WAIT_MS_MAX`. One that has gone meanwhile is
//! counted until its question is over.

use std::collections::VecDeque;

use hashbrown::HashMap;
use protocol::app::{AppQuestion, Apps};

use crate::limits::{APP_WAIT_MS_MAX, APP_WAITS_BYTES_MAX, Limits};

/// Those who wait, each with what its core needs to go on with it.
#[derive(Debug)]
pub(crate) struct AppWaits<W> {
    asked: HashMap<AppQuestion, Asked<W>>,
    /// In order of their time; those that are over are skipped.
    due: VecDeque<(u64, AppQuestion)>,
    waiting: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Asked<W> {
    due_ms: u64,
    waiting: Vec<W>,
    bytes: usize,
}

impl<W> Default for AppWaits<W> {
    fn default() -> Self {
        Self { asked: HashMap::new(), due: VecDeque::new(), waiting: 0, bytes: 0 }
    }
}

impl<W> AppWaits<W> {
    /// Whether one more may wait.
    pub(crate) fn has_room(&self, limits: &Limits) -> bool {
        self.waiting < limits.app_waits_max && self.bytes < APP_WAITS_BYTES_MAX
    }

    /// One more waits, of whom so many bytes are kept. Returns whether the question is to be asked.
    pub(crate) fn add(&mut self, question: &AppQuestion, one: W, bytes: usize, now_ms: u64) -> bool {
        self.waiting += 1;
        self.bytes += bytes;
        if let Some(asked) = self.asked.get_mut(question) {
            asked.waiting.push(one);
            asked.bytes += bytes;
            return false;
        }
        let due_ms = now_ms + APP_WAIT_MS_MAX;
        self.asked.insert(question.clone(), Asked { due_ms, waiting: vec![one], bytes });
        self.due.push_back((due_ms, question.clone()));
        true
    }

    /// Those who wait for this, and do so no more.
    pub(crate) fn take(&mut self, question: &AppQuestion) -> Vec<W> {
        let Some(asked) = self.asked.remove(question) else { return Vec::new() };
        self.waiting -= asked.waiting.len();
        self.bytes -= asked.bytes;
        while self.due.front().is_some_and(|(due_ms, question)| !self.is_open(*due_ms, question)) {
            self.due.pop_front();
        }
        asked.waiting
    }

    /// What is answered by these apps.
    pub(crate) fn answered_by(&self, apps: &Apps) -> Vec<AppQuestion> {
        self.asked.keys().filter(|question| question.is_answered_by(apps)).cloned().collect()
    }

    /// What nobody has answered in time.
    pub(crate) fn late(&self, now_ms: u64) -> Vec<AppQuestion> {
        let late = self.due.iter().take_while(|(due_ms, _)| *due_ms <= now_ms);
        late.filter(|(due_ms, question)| self.is_open(*due_ms, question))
            .map(|(_, question)| question.clone())
            .collect()
    }

    /// All that is asked.
    pub(crate) fn questions(&self) -> Vec<AppQuestion> {
        self.asked.keys().cloned().collect()
    }

    /// When the next question is late, on the monotonic clock.
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.due.front().map(|(due_ms, _)| *due_ms)
    }

    fn is_open(&self, due_ms: u64, question: &AppQuestion) -> bool {
        self.asked.get(question).is_some_and(|asked| asked.due_ms == due_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::app::App;

    fn key(name: &str) -> AppQuestion {
        AppQuestion::of_key(name).unwrap()
    }

    #[test]
    fn a_question_is_asked_once_and_ends_for_all_who_wait() {
        let mut waits = AppWaits::default();
        assert!(waits.add(&key("a"), 1, 10, 0) && !waits.add(&key("a"), 2, 10, 5));
        assert!(waits.add(&key("b"), 3, 10, 7));
        assert_eq!(waits.deadline(), Some(APP_WAIT_MS_MAX));
        let apps = Apps::new(vec![App::new("1", "a", "s")]).unwrap();
        assert_eq!(waits.answered_by(&apps), [key("a")]);
        assert_eq!(waits.take(&key("a")), [1, 2]);
        assert_eq!((waits.take(&key("a")), waits.deadline()), (Vec::new(), Some(APP_WAIT_MS_MAX + 7)));
        assert!(waits.add(&key("a"), 4, 10, 9), "it is asked again");
        assert_eq!(waits.take(&key("b")), [3]);
        assert_eq!(waits.take(&key("a")), [4]);
        assert_eq!((waits.waiting, waits.bytes, waits.deadline()), (0, 0, None));
    }

    #[test]
    fn a_question_is_late_by_its_own_time_though_it_was_asked_before() {
        let mut waits = AppWaits::default();
        waits.add(&key("other"), 0, 0, 0);
        waits.add(&key("a"), 1, 0, 1);
        waits.take(&key("a"));
        waits.add(&key("a"), 2, 0, 1_000);
        assert_eq!(waits.late(APP_WAIT_MS_MAX + 1), [key("other")]);
        let late = waits.late(APP_WAIT_MS_MAX + 1_000);
        assert_eq!(late, [key("other"), key("a")]);
    }

    #[test]
    fn as_many_may_wait_as_the_bounds_allow() {
        let limits = Limits { app_waits_max: 2, ..Limits::default() };
        let mut waits = AppWaits::default();
        assert!(!waits.has_room(&Limits::default()) && waits.has_room(&limits));
        waits.add(&key("a"), 1, APP_WAITS_BYTES_MAX, 0);
        assert!(!waits.has_room(&limits), "for its bytes");
        waits.take(&key("a"));
        waits.add(&key("a"), 1, 0, 0);
        assert!(waits.has_room(&limits));
        waits.add(&key("a"), 1, 0, 0);
        assert!(!waits.has_room(&limits), "for their number");
    }
}
