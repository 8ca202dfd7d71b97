//! Clients with the key of an app that this server does not know, while a source of apps is asked for it.
//!
//! Nothing is read from them meanwhile, and their heads are kept. When the question is over, each head is taken as if it had
//! just come, in its turn among other input, and is not asked for again. An app that is found is there by then.

use std::collections::VecDeque;

use protocol::app::{AppQuestion, AppVerdict};
use protocol::close::Close;
use protocol::ws::{self, Upgrade};

use crate::app_waits::AppWaits;
use crate::machine::{Effect, Now, Token};
use crate::shard::Shard;
use crate::shard::inbound::Inbound;
use crate::shard::inbound::commands::Flow;

/// Those who wait, and those whose question is over.
#[derive(Debug, Default)]
pub(super) struct UnknownApps {
    waits: AppWaits<Waiting>,
    looked_up: VecDeque<(Waiting, AppVerdict)>,
}

/// A client, and all that it has sent.
#[derive(Debug)]
struct Waiting {
    token: Token,
    head: Vec<u8>,
}

impl UnknownApps {
    /// When the next question is late, on the monotonic clock.
    pub(super) fn deadline(&self) -> Option<u64> {
        self.waits.deadline()
    }

    fn end(&mut self, question: &AppQuestion, verdict: AppVerdict) {
        let over = self.waits.take(question);
        self.looked_up.extend(over.into_iter().map(|waiting| (waiting, verdict)));
    }
}

impl Inbound {
    /// The question is over for all who wait.
    pub(in crate::shard) fn end_question(&mut self, question: &AppQuestion, verdict: AppVerdict) {
        self.unknown_apps.end(question, verdict);
    }

    /// Ends what the registry answers now.
    pub(in crate::shard) fn end_answered_questions(&mut self) {
        for question in self.unknown_apps.waits.answered_by(&self.apps) {
            self.unknown_apps.end(&question, AppVerdict::Found);
        }
    }

    /// Ends what has not been answered in time.
    pub(in crate::shard) fn end_late_questions(&mut self, now: Now) {
        for question in self.unknown_apps.waits.late(now.mono_ms) {
            self.unknown_apps.end(&question, AppVerdict::Unknown);
        }
    }

    /// Ends everything: the server stops.
    pub(in crate::shard) fn end_all_questions(&mut self) {
        for question in self.unknown_apps.waits.questions() {
            self.unknown_apps.end(&question, AppVerdict::Unanswered);
        }
    }
}

impl Shard {
    /// What is to be asked for an upgrade that was refused so, or how it is refused.
    pub(super) fn look_or_close(
        &mut self,
        upgrade: &Upgrade<'_>,
        close: Close,
        verdict: Option<AppVerdict>,
    ) -> Result<AppQuestion, Close> {
        if close != Close::APP_UNKNOWN || self.limits.app_waits_max == 0 {
            return Err(close);
        }
        if self.ending.is_draining() {
            return Err(Close::DRAINING);
        }
        match verdict {
            Some(AppVerdict::Unanswered) => return Err(Close::APP_UNANSWERED),
            Some(AppVerdict::Found | AppVerdict::Unknown) => return Err(close),
            None => {}
        }
        let key = ws::route_app(self.inbound.path_prefix.strip(upgrade.path))?;
        let question = AppQuestion::of_key(key).ok_or(close)?;
        if !self.inbound.unknown_apps.waits.has_room(&self.limits) {
            self.inbound.stats.app_waits_refused += 1;
            return Err(Close::OVER_CAPACITY);
        }
        Ok(question)
    }

    /// The client waits, with what it has sent.
    pub(super) fn look_for_app(&mut self, token: Token, question: &AppQuestion, head: &[u8], now: Now) {
        self.inbound.stats.app_waits += 1;
        self.inbound.lobby.look(token);
        let waiting = Waiting { token, head: head.to_vec() };
        if self.inbound.unknown_apps.waits.add(question, waiting, head.len(), now.mono_ms) {
            self.effects.push_back(Effect::AskForApp(question.clone()));
        }
    }

    /// One client whose question is over goes on. Returns whether there was one.
    pub(super) fn take_looked_up(&mut self, now: Now) -> bool {
        let Some((Waiting { token, mut head }, verdict)) = self.inbound.unknown_apps.looked_up.pop_front()
        else {
            return false;
        };
        if self.inbound.lobby.is_looking(token)
            && self.handle_head(token, &mut head, Some(verdict), now) == Flow::Read
            && (self.fanout.has(token) || self.inbound.lobby.has(token))
        {
            self.effects.push_back(Effect::Resume(token));
        }
        true
    }
}
