//! Requests that name an app which this server does not know, while a source of apps is asked for it.
//!
//! The connection waits with its request among its kept bytes, and takes nothing more. When the question is over, the
//! request is taken as if it had just come, and is not asked for again. An app that is found is there by then.

use api::call::named_app;
use api::refused::Refused;
use protocol::app::{AppQuestion, AppVerdict};
use protocol::http::Head;

use super::ApiCore;
use super::open_call::CallId;
use crate::app_waits::AppWaits;
use crate::machine::{Effect, Now, Token};

/// Connections that wait, each with what it waits by.
pub(super) type Waits = AppWaits<(Token, CallId)>;

/// What is known of the app that a request names.
pub(super) enum Known {
    /// Enough to take the request.
    Enough,
    /// Its connection waits.
    Asked,
    /// Nothing, and nobody can be asked.
    Unanswered(Refused),
}

impl ApiCore {
    /// Asks for the app of a request that this server does not know, once for each request.
    pub(super) fn look_for_app(&mut self, token: Token, head: &Head<'_>, now: Now) -> Known {
        let Some(connection) = self.connections.by_token(token) else { return Known::Enough };
        if self.limits.app_waits_max == 0 || connection.admin {
            return Known::Enough;
        }
        let verdict = connection.app_verdict.take();
        let unknown = named_app(&self.path_prefix, head).filter(|named| !named.is_answered_by(&self.apps));
        match (unknown, verdict) {
            (Some(_), Some(AppVerdict::Unanswered)) => Known::Unanswered(Refused::retry_later(
                "The app of this path could not be looked up just now (apps_url), try again later",
            )),
            (Some(question), None) => self.ask_for_app(token, &question, now),
            (Some(_), Some(AppVerdict::Found | AppVerdict::Unknown)) | (None, _) => Known::Enough,
        }
    }

    fn ask_for_app(&mut self, token: Token, question: &AppQuestion, now: Now) -> Known {
        if self.draining || !self.app_waits.has_room(&self.limits) {
            self.stats.app_waits_refused += 1;
            return Known::Unanswered(Refused::retry_later(
                "Over capacity: too many calls wait for apps to be looked up (apps_url), try again later",
            ));
        }
        let call = self.calls.name();
        if let Some(connection) = self.connections.by_token(token) {
            connection.pending = Some(call);
        }
        self.stats.app_waits += 1;
        if self.app_waits.add(question, (token, call), 0, now.mono_ms) {
            self.effects.push_back(Effect::AskForApp(question.clone()));
        }
        Known::Asked
    }

    /// The question is over for all who wait: they go on, each in its turn.
    pub(super) fn end_app_question(&mut self, question: &AppQuestion, verdict: AppVerdict) {
        for (token, call) in self.app_waits.take(question) {
            let connection = self.connections.by_token(token);
            let Some(connection) = connection.filter(|it| it.pending == Some(call)) else { continue };
            connection.pending = None;
            connection.app_verdict = Some(verdict);
            self.queue_ready(token);
        }
    }

    /// Ends what the registry answers now.
    pub(super) fn end_answered_questions(&mut self) {
        for question in self.app_waits.answered_by(&self.apps) {
            self.end_app_question(&question, AppVerdict::Found);
        }
    }

    /// Ends what has not been answered in time.
    pub(super) fn end_late_questions(&mut self, now: Now) {
        for question in self.app_waits.late(now.mono_ms) {
            self.end_app_question(&question, AppVerdict::Unknown);
        }
    }

    /// Ends everything: the server stops.
    pub(super) fn end_all_questions(&mut self) {
        for question in self.app_waits.questions() {
            self.end_app_question(&question, AppVerdict::Unanswered);
        }
    }
}
