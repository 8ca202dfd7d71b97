//! Who may use the console: those who know the token, and those who have shown it and have a session since.
//!
//! Wrong tokens are bounded whoever sends them, so that nobody guesses one; past the bound right ones must wait, too, or
//! it would be none. Sessions never wait for it.

use std::collections::VecDeque;

use api::console::session::{SESSION_S, Session};
use protocol::auth::ConsoleKey;
use protocol::http::Head;

use crate::limits::{CONSOLE_SIGN_OUTS_MAX, WRONG_TOKEN_MS, WRONG_TOKENS_MAX};
use crate::machine::Now;

/// What it knows.
pub(super) struct Doorkeeper {
    key: ConsoleKey,
    /// When all wrong tokens are forgiven, on the monotonic clock.
    forgiven_ms: u64,
    sessions: u64,
    /// Those that operators have ended before their time, the newest last.
    ended: VecDeque<u64>,
    /// No session up to this one holds any more: more were ended than are remembered.
    ended_up_to: u64,
    /// Wrong tokens since the start, and tokens that were not looked at.
    pub(super) refused: u64,
}

impl Doorkeeper {
    pub(super) fn new(key: ConsoleKey) -> Self {
        Self { key, forgiven_ms: 0, sessions: 0, ended: VecDeque::new(), ended_up_to: 0, refused: 0 }
    }

    /// From now on another token is the right one, and no session holds.
    pub(super) fn change(&mut self, key: ConsoleKey) {
        *self = Self { refused: self.refused, ..Self::new(key) };
    }

    /// Whether a token may be tried, or in how many milliseconds.
    pub(super) fn check_pace(&mut self, now: Now) -> Result<(), u64> {
        let owed_ms = self.forgiven_ms.saturating_sub(now.mono_ms);
        let wait_ms = (owed_ms + WRONG_TOKEN_MS).saturating_sub(WRONG_TOKENS_MAX * WRONG_TOKEN_MS);
        if wait_ms == 0 {
            return Ok(());
        }
        self.refused += 1;
        Err(wait_ms)
    }

    /// Whether this is the token; an error if it may not be tried now.
    pub(super) fn try_token(&mut self, guess: &str, now: Now) -> Result<bool, u64> {
        self.check_pace(now)?;
        let is_right = self.key.is_token(guess);
        if !is_right {
            self.refused += 1;
            self.forgiven_ms = self.forgiven_ms.max(now.mono_ms) + WRONG_TOKEN_MS;
        }
        Ok(is_right)
    }

    /// A new session, as the line that sets its cookie.
    pub(super) fn begin_session(&mut self, head: &Head<'_>, secure: bool, now: Now) -> String {
        self.sessions += 1;
        let session = Session { number: self.sessions, ends_s: now.unix_ms / 1_000 + SESSION_S };
        session.cookie(head, &self.key, secure)
    }

    /// The number of the session that a cookie is for, if it holds.
    pub(super) fn session(&self, value: &str, now: Now) -> Option<u64> {
        let Session { number, .. } = Session::parse(value, &self.key, now.unix_ms / 1_000)?;
        (number > self.ended_up_to && !self.ended.contains(&number)).then_some(number)
    }

    /// The operator has signed out.
    pub(super) fn end_session(&mut self, number: u64) {
        self.ended.push_back(number);
        if self.ended.len() > CONSOLE_SIGN_OUTS_MAX
            && let Some(oldest) = self.ended.pop_front()
        {
            self.ended_up_to = self.ended_up_to.max(oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::http::{RequestParse, parse_request};

    fn doorkeeper() -> Doorkeeper {
        Doorkeeper::new(ConsoleKey::new(&[3; 32], "right"))
    }

    fn begin(doorkeeper: &mut Doorkeeper, now: Now) -> String {
        let RequestParse::Complete { request, .. } = parse_request(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        else {
            panic!()
        };
        let line = doorkeeper.begin_session(&request.head, false, now);
        line.split_once('=').unwrap().1.split(';').next().unwrap().to_owned()
    }

    #[test]
    fn so_many_tokens_may_be_wrong_and_one_more_each_second() {
        let mut doorkeeper = doorkeeper();
        let at = |ms| Now::at(ms, 0);
        for _ in 0..WRONG_TOKENS_MAX {
            assert_eq!(doorkeeper.try_token("right", at(50)), Ok(true));
            assert_eq!(doorkeeper.try_token("wrong", at(50)), Ok(false));
        }
        for guess in ["right", "wrong"] {
            assert_eq!(doorkeeper.try_token(guess, at(50)), Err(WRONG_TOKEN_MS));
        }
        assert_eq!(doorkeeper.try_token("wrong", at(50 + WRONG_TOKEN_MS)), Ok(false));
        assert_eq!(doorkeeper.try_token("right", at(50 + WRONG_TOKEN_MS)), Err(WRONG_TOKEN_MS));
        assert_eq!(doorkeeper.try_token("right", at(50 + 2 * WRONG_TOKEN_MS)), Ok(true));
        assert_eq!(doorkeeper.refused, WRONG_TOKENS_MAX + 4);
    }

    #[test]
    fn a_session_holds_until_its_time_or_until_it_is_ended() {
        let mut doorkeeper = doorkeeper();
        let now = Now::at(0, 1_000_000);
        let (one, other) = (begin(&mut doorkeeper, now), begin(&mut doorkeeper, now));
        assert_eq!((doorkeeper.session(&one, now), doorkeeper.session(&other, now)), (Some(1), Some(2)));
        doorkeeper.end_session(1);
        assert_eq!((doorkeeper.session(&one, now), doorkeeper.session(&other, now)), (None, Some(2)));
        let late = Now::at(0, 1_000_000 + SESSION_S * 1_000);
        assert_eq!(doorkeeper.session(&other, late), None);
    }

    #[test]
    fn a_session_that_was_ended_never_comes_back() {
        let mut doorkeeper = doorkeeper();
        let now = Now::at(0, 1_000_000);
        let values: Vec<String> =
            (0..CONSOLE_SIGN_OUTS_MAX + 5).map(|_| begin(&mut doorkeeper, now)).collect();
        (1..=values.len() as u64).for_each(|number| doorkeeper.end_session(number));
        assert!(values.iter().all(|value| doorkeeper.session(value, now).is_none()));
        let next = begin(&mut doorkeeper, now);
        assert!(doorkeeper.session(&next, now).is_some());
    }
}
