//! What the source has no app for, for a while: the same wrong key, tried again and again, costs it one question.
//!
//! Bounded by `UNKNOWN_MAX`; the oldest goes first.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use protocol::app::AppQuestion;

use super::limits::{UNKNOWN_FOR, UNKNOWN_MAX};

#[derive(Debug, Default)]
pub(super) struct Unknown {
    since: HashMap<AppQuestion, Instant>,
    /// Oldest first; one that was remembered anew is skipped.
    order: VecDeque<(Instant, AppQuestion)>,
}

impl Unknown {
    /// There is no such app.
    pub(super) fn note(&mut self, question: AppQuestion, now: Instant) {
        self.since.insert(question.clone(), now);
        self.order.push_back((now, question));
        self.forget_old(now);
    }

    /// Whether there was none a moment ago.
    pub(super) fn has(&mut self, question: &AppQuestion, now: Instant) -> bool {
        self.forget_old(now);
        self.since.contains_key(question)
    }

    fn forget_old(&mut self, now: Instant) {
        while let Some((since, question)) = self.order.front()
            && (now.duration_since(*since) >= UNKNOWN_FOR || self.order.len() > UNKNOWN_MAX)
        {
            if self.since.get(question) == Some(since) {
                self.since.remove(question);
            }
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn key(name: &str) -> AppQuestion {
        AppQuestion::of_key(name).unwrap()
    }

    #[test]
    fn what_is_unknown_is_so_for_a_while_and_its_time_begins_anew() {
        let (mut unknown, start) = (Unknown::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        unknown.note(key("a"), start);
        assert!(unknown.has(&key("a"), at(4_999)) && !unknown.has(&key("b"), at(4_999)));
        assert!(!unknown.has(&key("a"), at(5_000)));
        unknown.note(key("a"), at(6_000));
        unknown.note(key("a"), at(8_000));
        assert!(unknown.has(&key("a"), at(12_999)) && !unknown.has(&key("a"), at(13_000)));
        assert!(unknown.order.is_empty() && unknown.since.is_empty());
    }

    #[test]
    fn so_many_are_remembered_and_the_oldest_goes() {
        let (mut unknown, now) = (Unknown::default(), Instant::now());
        (0..=UNKNOWN_MAX).for_each(|n| unknown.note(key(&n.to_string()), now));
        assert!(!unknown.has(&key("0"), now) && unknown.has(&key("1"), now));
        assert_eq!(unknown.since.len(), UNKNOWN_MAX);
    }
}
