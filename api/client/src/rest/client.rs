//! The client of the REST API: signs a call, sends it over a pool of connections, and reads the answer.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::Value;
use ureq::Agent;

use super::authorize::{ChannelAuth, UserAuth};
use super::call::{Call, channel_path, terminate_path};
use super::error::ApiError;
use super::reply::{self, ChannelInfo, Info, joined};
use super::trigger::Trigger;
use super::webhook::{Webhook, WebhookError};
use crate::credentials::{Credentials, parse_pusher_url};
use crate::http::{agent, send};
use crate::member::Member;
use crate::place::{Place, UrlError};

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client of the REST API of one app. It signs calls, keeps connections open between them, and verifies and signs what
/// a back end has to. Cheap to clone; clones share the connections. No proxy of the environment is used.
///
/// ```no_run
/// use corecast_client::{ApiClient, Trigger};
///
/// let api = ApiClient::from_url("http://key:secret@127.0.0.1:6001/apps/1")?;
/// api.trigger(&Trigger::new("news", "hello", r#"{"text":"hi"}"#))?;
/// for (channel, _) in api.channels(None, &[])? {
///     println!("{channel} has subscribers");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ApiClient {
    app: Credentials,
    further: Vec<Credentials>,
    place: Place,
    agent: Agent,
}

impl ApiClient {
    /// A client for the app on the server at `http(s)://HOST[:PORT][/PATH]`.
    pub fn new(server: &str, app: Credentials) -> Result<Self, UrlError> {
        let (place, userinfo) = Place::parse(server)?;
        if userinfo.is_some() {
            return Err(UrlError("the URL of the server has credentials: use from_url".to_owned()));
        }
        Ok(Self::of(place, app))
    }

    /// A client for what SDKs call `PUSHER_URL`: `http(s)://KEY:SECRET@HOST[:PORT]/apps/ID`.
    pub fn from_url(url: &str) -> Result<Self, UrlError> {
        let (place, app) = parse_pusher_url(url)?;
        Ok(Self::of(place, app))
    }

    fn of(place: Place, app: Credentials) -> Self {
        Self { app, further: Vec::new(), place, agent: agent(PATIENCE) }
    }

    /// Calls may take so long, in place of ten seconds.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { agent: agent(timeout), ..self }
    }

    /// Another key of the app: webhooks signed with it are believed too, while keys are exchanged.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<String>, secret: &str) -> Self {
        self.further.push(Credentials::new(self.app.app_id(), key, secret));
        self
    }

    /// The credentials that calls are signed with.
    pub fn credentials(&self) -> &Credentials {
        &self.app
    }

    /// Publishes an event. The reply has what the event asks for, by channel.
    pub fn trigger(&self, event: &Trigger) -> Result<BTreeMap<String, ChannelInfo>, ApiError> {
        reply::channels(&self.answer(&Call::post("/events", event.body()))?)
    }

    /// Publishes several events with one call, each to one channel; a server takes ten or so. If any asks for something,
    /// the reply has one entry for each.
    pub fn trigger_batch(&self, events: &[Trigger]) -> Result<Vec<ChannelInfo>, ApiError> {
        reply::batch(&self.answer(&Call::post("/batch_events", Trigger::batch_body(events)?))?)
    }

    /// Publishes an event to all connections that are signed in as a user.
    pub fn trigger_to_user(
        &self,
        user_id: &str,
        name: &str,
        data: &(impl Serialize + ?Sized),
    ) -> Result<(), ApiError> {
        self.trigger(&Trigger::to_user(user_id, name, data)?).map(drop)
    }

    /// The channels with subscribers, or those whose names begin with a prefix, and what is asked of each.
    pub fn channels(
        &self,
        prefix: Option<&str>,
        info: &[Info],
    ) -> Result<BTreeMap<String, ChannelInfo>, ApiError> {
        let mut params = asking(info);
        params.extend(prefix.map(|prefix| ("filter_by_prefix", prefix.to_owned())));
        reply::channels(&self.answer(&Call::get("/channels".to_owned(), params))?)
    }

    /// Whether a channel has subscribers, and what is asked of it.
    pub fn channel(&self, channel: &str, info: &[Info]) -> Result<ChannelInfo, ApiError> {
        reply::channel(&self.answer(&Call::get(channel_path(channel), asking(info)))?)
    }

    /// The ids of the users in a presence channel.
    pub fn users(&self, channel: &str) -> Result<Vec<String>, ApiError> {
        let path = format!("{}/users", channel_path(channel));
        reply::users(&self.answer(&Call::get(path, Vec::new()))?)
    }

    /// Ends all connections that are signed in as a user.
    pub fn terminate_user_connections(&self, user_id: &str) -> Result<(), ApiError> {
        self.answer(&Call::post(&terminate_path(user_id), String::new())).map(drop)
    }

    /// Reads a webhook, if it is signed with a key of the app. `key` and `signature` are its headers `X-Pusher-Key` and
    /// `X-Pusher-Signature`, and `body` is what came, byte for byte.
    ///
    /// ```
    /// use corecast_client::{ApiClient, WebhookError};
    ///
    /// let api = ApiClient::from_url("http://key:secret@127.0.0.1:6001/apps/1")?.with_key("older", "its-secret");
    /// let forged = api.webhook("key", "0123", br#"{"time_ms":1,"events":[]}"#);
    /// assert_eq!(forged, Err(WebhookError::BadSignature));
    /// # Ok::<(), corecast_client::UrlError>(())
    /// ```
    pub fn webhook(&self, key: &str, signature: &str, body: &[u8]) -> Result<Webhook, WebhookError> {
        Webhook::verify(std::iter::once(&self.app).chain(&self.further), key, signature, body)
    }

    /// What an auth endpoint answers to a connection that wants to subscribe to a private channel, or with a `member` to a
    /// presence channel.
    ///
    /// ```
    /// use corecast_client::{ApiClient, Member};
    ///
    /// let api = ApiClient::from_url("http://key:secret@127.0.0.1:6001/apps/1")?;
    /// let answer = api.authorize_channel("123.456", "presence-room", Some(&Member::new("ann")));
    /// assert!(serde_json::to_string(&answer)?.starts_with(r#"{"auth":"key:"#));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn authorize_channel(&self, socket_id: &str, channel: &str, member: Option<&Member>) -> ChannelAuth {
        ChannelAuth::sign(&self.app, socket_id, channel, member)
    }

    /// The same for an encrypted channel, with the secret that clients decrypt with.
    pub fn authorize_encrypted_channel(
        &self,
        socket_id: &str,
        channel: &str,
        master_key: &[u8; 32],
    ) -> ChannelAuth {
        ChannelAuth::sign_encrypted(&self.app, socket_id, channel, master_key)
    }

    /// What an auth endpoint answers to a connection that wants to sign in. `user_data` is an object with an `id`.
    pub fn authenticate_user(&self, socket_id: &str, user_data: &Value) -> UserAuth {
        UserAuth::sign(&self.app, socket_id, user_data)
    }

    fn answer(&self, call: &Call) -> Result<String, ApiError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let url = call.url(&self.place, &self.app, now);
        let request = ureq::http::Request::builder().uri(url);
        let request = if call.is_post() {
            request.method("POST").header("Content-Type", "application/json")
        } else {
            request.method("GET")
        };
        let request = request
            .body(call.body().to_owned())
            .map_err(|error| ApiError::Invalid(format!("the call is no request: {error}")))?;
        let (status, body) = send(&self.agent, request).map_err(ApiError::Unreachable)?;
        if matches!(status, 200 | 202) { Ok(body) } else { Err(ApiError::Refused { status, body }) }
    }
}

fn asking(info: &[Info]) -> Vec<(&'static str, String)> {
    if info.is_empty() { Vec::new() } else { vec![("info", joined(info))] }
}
