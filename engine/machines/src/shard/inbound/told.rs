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
use crate::notices::{Explanation, Notice, Refusal, What};
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
            Some(key) => format!("no app has the key {:?}", cut(key, PATH_BYTES_MAX)),
            None => reason_of(close, upgrade.origin),
        };
        let mut refusal = Refusal {
            key: unknown.map(|key| cut(key, PATH_BYTES_MAX).into()),
            path: Some(cut(path, PATH_BYTES_MAX).into()),
            status: unknown.is_none().then_some(close.code),
            ..Refusal::new(What::Connection, app.as_deref(), reason)
        };
        if unknown.is_some() {
            let advice = "give the client the key of an app, or add an app with this key";
            refusal.remedy = Some(advice.into());
        }
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
        reason: &str,
    ) {
        self.tell_explained(token, what, channel, Explanation::of(reason));
    }

    /// The same of a signature that is not right.
    pub(in crate::shard) fn tell_explained(
        &mut self,
        token: Token,
        what: What,
        channel: Option<&str>,
        why: Explanation<'_>,
    ) {
        if self.notices.takes_refusal() {
            let app = self.fanout.app_of(token);
            let mut refusal = Refusal {
                channel: channel.map(|channel| cut(channel, PATH_BYTES_MAX).into()),
                key: why.key,
                ..Refusal::new(what, app.map(|app| &**app), why.reason)
            };
            refusal.remedy = why.remedy.or(refusal.remedy);
            self.tell(Notice::Refused { token, refusal });
        }
    }

    /// What is told of a signature that is not right: the key, if it is none of the app's, and what should have been signed,
    /// and by whom. What came is not, since it may be the signature of something else.
    pub(in crate::shard) fn explain(
        &self,
        token: Token,
        error: &ClientAuthError,
        signed: &str,
    ) -> Explanation<'static> {
        match error {
            ClientAuthError::Format => Explanation::of(error.to_string()),
            ClientAuthError::Key { what, key } => Explanation {
                key: Some(key.clone()),
                reason: format!("Invalid key in {what} auth data").into(),
                remedy: Some("sign with an enabled key of the app and its secret".into()),
            },
            ClientAuthError::Signature { .. } => {
                let socket_id = self.fanout.socket_id(token).map(|id| id.to_string()).unwrap_or_default();
                let remedy = format!(
                    "signature should have been made over \"{socket_id}:{signed}\", with the secret that belongs to \
                     the key before its colon"
                );
                Explanation { key: None, reason: "Invalid signature".into(), remedy: Some(remedy.into()) }
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
