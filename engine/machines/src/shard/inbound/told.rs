//! What is told for the log of clients that come, and of what they are refused: so that its reader can mend it. A
//! signature, a secret or a payload is never in it.

use std::sync::Arc;

use protocol::auth::ClientAuthError;
use protocol::close::Close;
use protocol::http::Head;
use protocol::query::Query;
use protocol::ws::{self, Upgrade};

use crate::limits::{AGENT_BYTES_MAX, PATH_BYTES_MAX};
use crate::machine::Token;
use crate::notices::{Notice, Refusal, What};
use crate::shard::Shard;

impl Shard {
    /// Tells of a client that has connected.
    pub(super) fn tell_opened(&mut self, token: Token, agent: Option<Box<str>>) {
        if self.notices.ends()
            && let Some((app, socket_id)) = self.fanout.app_of(token).zip(self.fanout.socket_id(token))
        {
            let app = Arc::clone(app);
            self.tell(Notice::Opened { token, app, socket_id, agent });
        }
    }

    /// Tells why an upgrade was refused.
    pub(super) fn tell_refused_upgrade(&mut self, token: Token, upgrade: &Upgrade<'_>, close: Close) {
        let path = upgrade.path;
        if !self.notices.takes_refusal() {
            return;
        }
        let key = ws::route_app(self.inbound.path_prefix.strip(path)).ok();
        let app = key.and_then(|key| self.inbound.apps.by_key(key)).cloned();
        let unknown = key.filter(|_| app.is_none());
        let reason = match unknown {
            Some(key) => format!(
                "no app has the key {:?}: give the client the key of an app, or add an app with this key",
                cut(key, PATH_BYTES_MAX)
            ),
            None => reason_of(close, upgrade.origin),
        };
        let refusal = Refusal {
            key: unknown.map(|key| cut(key, PATH_BYTES_MAX).into()),
            path: Some(cut(path, PATH_BYTES_MAX).into()),
            status: unknown.is_none().then_some(close.code),
            ..Refusal::new(What::Connection, app.as_deref(), reason)
        };
        self.tell(Notice::Refused { token, refusal });
    }

    /// Tells why a head was refused, of which no app is known.
    pub(super) fn tell_refused_head(&mut self, token: Token, path: Option<&str>, text: &str) {
        if self.notices.takes_refusal() {
            let refusal = Refusal {
                path: path.map(|path| cut(path, PATH_BYTES_MAX).into()),
                ..Refusal::new(What::Connection, None, text)
            };
            self.tell(Notice::Refused { token, refusal });
        }
    }

    /// Tells why something is refused to a connection.
    pub(in crate::shard) fn tell_refused(
        &mut self,
        token: Token,
        what: What,
        channel: Option<&str>,
        key: Option<&str>,
        reason: &str,
    ) {
        if self.notices.takes_refusal() {
            let app = self.fanout.app_of(token);
            let refusal = Refusal {
                channel: channel.map(|channel| cut(channel, PATH_BYTES_MAX).into()),
                key: key.map(Into::into),
                ..Refusal::new(what, app.map(|app| &**app), reason)
            };
            self.tell(Notice::Refused { token, refusal });
        }
    }

    /// What is told of a signature that is not right: the key, if it is none of the app's, and what should have been signed,
    /// and by whom. What came is not, since it may be the signature of something else.
    pub(in crate::shard) fn mended<'e>(
        &self,
        token: Token,
        error: &'e ClientAuthError,
        signed: &str,
    ) -> (Option<&'e str>, String) {
        match error {
            ClientAuthError::Format => (None, error.to_string()),
            ClientAuthError::Key { what, key } => {
                let advice = "sign with an enabled key of the app and its secret";
                (Some(key), format!("Invalid key in {what} auth data: {advice}"))
            }
            ClientAuthError::Signature { .. } => {
                let socket_id = self.fanout.socket_id(token).map(|id| id.to_string()).unwrap_or_default();
                let reason = format!(
                    "Invalid signature: signature should have been made over \"{socket_id}:{signed}\", with the \
                     secret that belongs to the key before its colon"
                );
                (None, reason)
            }
        }
    }
}

/// Why a client may not connect.
fn reason_of(close: Close, origin: Option<&str>) -> String {
    match origin {
        Some(origin) if close == Close::ORIGIN => {
            format!(
                "Origin is not allowed: {:?}, which allowed_origins of the app lacks",
                cut(origin, PATH_BYTES_MAX)
            )
        }
        _ => close.reason.to_owned(),
    }
}

/// What a client says that it is: the library and its version, as Pusher's clients name them, or the program.
pub(super) fn agent(head: &Head<'_>, query: &Query<'_>) -> Option<Box<str>> {
    let Some(client) = query.first("client") else {
        return Some(cut(head.header("User-Agent")?, AGENT_BYTES_MAX).into());
    };
    let Some(version) = query.first("version") else {
        return Some(cut(client, AGENT_BYTES_MAX).into());
    };
    let mut said = [client, "/", version].concat();
    said.truncate(said.floor_char_boundary(AGENT_BYTES_MAX));
    Some(said.into_boxed_str())
}

/// The beginning of a text.
fn cut(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or_default()
}
