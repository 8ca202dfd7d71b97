//! What is told for the log of calls and of what they are refused. Queries have signatures in them: none is told.

use api::refused::Refused;
use protocol::http::Head;

use super::ApiCore;
use crate::limits::PATH_BYTES_MAX;
use crate::machine::{Effect, Now, Token};
use crate::notices::{Notice, Refusal, What};

impl ApiCore {
    /// A connection asks this now.
    pub(super) fn note_asked(&mut self, token: Token, head: &Head<'_>, now: Now) {
        if self.notices.ends()
            && let Some(connection) = self.connections.by_token(token)
        {
            let call = &mut connection.call;
            call.method.clear();
            call.method.push_str(cut(head.method, 16));
            call.path.clear();
            call.path.push_str(cut(head.path, PATH_BYTES_MAX));
            call.since_ms = now.mono_ms;
        }
    }

    /// What comes is no request.
    pub(super) fn note_malformed(&mut self, token: Token) {
        if let Some(connection) = self.connections.by_token(token) {
            connection.call.path.clear();
        }
    }

    /// Tells that what a connection has asked was answered.
    pub(super) fn tell_answered(&mut self, token: Token, status: u16, now: Now) {
        if self.notices.calls()
            && let Some(connection) = self.connections.view(token)
            && !connection.call.path.is_empty()
        {
            let asked = connection.call.clone();
            let ms = now.mono_ms.saturating_sub(asked.since_ms);
            self.effects.push_back(Effect::Notice(Box::new(Notice::Called { token, asked, status, ms })));
        }
    }

    /// Tells what an operator has done.
    pub(super) fn tell_operated(&mut self, token: Token, action: &'static str, about: String) {
        if self.notices.ends() {
            self.effects.push_back(Effect::Notice(Box::new(Notice::Operated { token, action, about })));
        }
    }

    /// Tells why what a connection has asked was refused.
    pub(super) fn tell_refused(&mut self, token: Token, refused: &Refused) {
        if !self.notices.takes_refusal() {
            return;
        }
        let path = self.connections.view(token).map(|connection| connection.call.path.as_str());
        let path = path.filter(|path| !path.is_empty());
        // A call with a key of no app, or of another, is nobody's: its path proves nothing.
        let named = path.filter(|_| refused.unknown_key.is_none()).and_then(|path| {
            let rest = self.path_prefix.strip(path).strip_prefix("/apps/")?;
            self.apps.by_id(rest.split('/').next()?)
        });
        // Behind it stands the signature that came, which may be right for something else.
        let text = refused.text.split(", but you sent ").next().unwrap_or_default();
        let (path, key, status) = (path.map(Into::into), refused.unknown_key.clone(), Some(refused.status));
        // The text of a wrong signature says in its second half what should have been signed.
        let (reason, remedy) = match text.split_once(": ") {
            Some((reason @ "Invalid signature", remedy)) => (reason, Some(remedy.to_owned().into())),
            _ => (text, None),
        };
        let mut refusal =
            Refusal { path, key, status, ..Refusal::new(What::Rest, named.map(|app| &**app), reason) };
        refusal.remedy = remedy.or(refusal.remedy);
        self.effects.push_back(Effect::Notice(Box::new(Notice::Refused { token, refusal })));
    }
}

/// The beginning of a text.
fn cut(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or_default()
}
