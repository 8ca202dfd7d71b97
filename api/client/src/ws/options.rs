//! What a client is told before it connects.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::authorizer::{AuthError, AuthRequest, Authorizer};
use crate::credentials::Credentials;
use crate::member::Member;
use crate::place::{Place, UrlError};
use crate::rest::{ChannelAuth, UserAuth};
use crate::sign::escape;

/// What a client is told before it connects.
///
/// ```
/// use corecast_client::{Credentials, Member, WsOptions};
///
/// // Public channels need no more than this.
/// let options = WsOptions::new("ws://127.0.0.1:6001", "key")?;
/// // Private and presence channels need somebody who signs. For a page that is an auth endpoint …
/// let options = WsOptions::new("wss://example.com", "key")?.auth_url("https://example.com/pusher/auth");
/// // … and for a program that has the secret, the program itself.
/// let app = Credentials::new("1", "key", "secret");
/// let options = WsOptions::new("ws://127.0.0.1:6001", "key")?.sign_with(app, Member::new("ann"));
/// # Ok::<(), corecast_client::UrlError>(())
/// ```
#[derive(Clone, Debug)]
pub struct WsOptions {
    pub(super) place: Place,
    pub(super) key: String,
    pub(super) channels: Option<Authorizer<ChannelAuth>>,
    pub(super) users: Option<Authorizer<UserAuth>>,
    headers: BTreeMap<String, String>,
    pub(super) activity_timeout: Duration,
    pub(super) pong_timeout: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) answer_timeout: Duration,
    pub(super) retry_least: Duration,
    pub(super) retry_most: Duration,
    pub(super) queue: usize,
}

impl WsOptions {
    /// A client of the app with this key, on the server at `ws(s)://HOST[:PORT][/PATH]`; `http` and `https` mean the same.
    pub fn new(server: &str, key: impl Into<String>) -> Result<Self, UrlError> {
        let (place, userinfo) = Place::parse(server)?;
        if userinfo.is_some() {
            return Err(UrlError(
                "the URL of the server has credentials, and a client shows none".to_owned(),
            ));
        }
        Ok(Self {
            place,
            key: key.into(),
            channels: None,
            users: None,
            headers: BTreeMap::new(),
            activity_timeout: Duration::from_secs(120),
            pong_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(10),
            retry_least: Duration::from_secs(1),
            retry_most: Duration::from_secs(30),
            queue: 4096,
        })
    }

    /// A client of an app at Pusher, in one of its clusters, such as `eu`.
    pub fn pusher(cluster: &str, key: impl Into<String>) -> Result<Self, UrlError> {
        Self::new(&format!("wss://ws-{cluster}.pusher.com"), key)
    }

    /// A header for the requests to auth endpoints, such as a cookie or a token; before `auth_url` and `user_auth_url`.
    #[must_use]
    pub fn auth_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.insert(name.into(), value.into());
        self
    }

    /// Asks this auth endpoint to let the client into private and presence channels, as Pusher's clients do: a form with
    /// `socket_id` and `channel_name` is posted, and `auth` comes back, with `channel_data` on presence channels.
    #[must_use]
    pub fn auth_url(mut self, url: impl Into<String>) -> Self {
        self.channels = Some(Authorizer::url(url.into(), self.headers.clone(), self.answer_timeout));
        self
    }

    /// Asks a closure in place of an auth endpoint. It may take its time: nothing waits for it but the subscription.
    #[must_use]
    pub fn authorize_with(
        mut self,
        closure: impl Fn(&AuthRequest) -> Result<ChannelAuth, AuthError> + Send + Sync + 'static,
    ) -> Self {
        self.channels = Some(Authorizer::closure(closure));
        self
    }

    /// Signs with the secret of the app; `member` is who the client is on presence channels.
    #[must_use]
    pub fn sign_with(self, app: Credentials, member: Member) -> Self {
        self.authorize_with(move |request| {
            let member = request.channel.starts_with("presence-").then_some(&member);
            Ok(ChannelAuth::sign(&app, &request.socket_id, &request.channel, member))
        })
    }

    /// Asks this auth endpoint when the client signs in: a form with `socket_id` is posted, and `auth` and `user_data` come back.
    #[must_use]
    pub fn user_auth_url(mut self, url: impl Into<String>) -> Self {
        self.users = Some(Authorizer::url(url.into(), self.headers.clone(), self.answer_timeout));
        self
    }

    /// Asks a closure when the client signs in.
    #[must_use]
    pub fn authenticate_with(
        mut self,
        closure: impl Fn(&AuthRequest) -> Result<UserAuth, AuthError> + Send + Sync + 'static,
    ) -> Self {
        self.users = Some(Authorizer::closure(closure));
        self
    }

    /// Signs in with the secret of the app as this user: an object with an `id`.
    #[must_use]
    pub fn sign_in_with(self, app: Credentials, user_data: Value) -> Self {
        self.authenticate_with(move |request| Ok(UserAuth::sign(&app, &request.socket_id, &user_data)))
    }

    /// After so long a silence the server is asked whether it is there, or sooner if it wishes so; 120 s unless this is called.
    #[must_use]
    pub fn activity_timeout(mut self, timeout: Duration) -> Self {
        self.activity_timeout = timeout;
        self
    }

    /// The server has so long to answer that; 30 s unless this is called.
    #[must_use]
    pub fn pong_timeout(mut self, timeout: Duration) -> Self {
        self.pong_timeout = timeout;
        self
    }

    /// A connection has so long to be made; 10 s unless this is called.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Auth endpoints have so long to answer, and `wait_subscribed` and `wait_signed_in` wait so long; 10 s unless this is
    /// called, before `auth_url`.
    #[must_use]
    pub fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.answer_timeout = timeout;
        self
    }

    /// The first pause before another connection, and the longest; 1 s and 30 s unless this is called. Pusher's rules for close
    /// codes hold all the same: 4000 to 4099 end the client, and after 4100 to 4199 the pause is a second at least.
    #[must_use]
    pub fn retry_pauses(mut self, first: Duration, longest: Duration) -> Self {
        self.retry_least = first;
        self.retry_most = longest;
        self
    }

    /// So many events wait for their handlers and for each receiver; 4,096 unless this is called. While that many wait, the
    /// client reads nothing more, so nothing is lost, and a server that must wait for too long ends the connection.
    #[must_use]
    pub fn queue(mut self, events: usize) -> Self {
        self.queue = events.max(1);
        self
    }

    /// The URL of the WebSocket.
    pub(super) fn url(&self) -> String {
        let client = concat!("protocol=7&client=corecast-rust&version=", env!("CARGO_PKG_VERSION"));
        format!("{}{}/app/{}?{client}", self.place.origin("ws", "wss"), self.place.path, escape(&self.key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_has_key_protocol_and_client_behind_the_path_of_the_proxy() {
        let url = |server: &str| WsOptions::new(server, "k").unwrap().url();
        assert!(url("ws://h:6001").starts_with("ws://h:6001/app/k?protocol=7&client=corecast-rust&version="));
        assert!(url("https://h/push/").starts_with("wss://h:443/push/app/k?"));
        assert!(WsOptions::pusher("eu", "k").unwrap().url().starts_with("wss://ws-eu.pusher.com:443/app/k?"));
        assert!(WsOptions::new("http://k:s@h", "k").is_err());
    }
}
