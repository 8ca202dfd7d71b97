//! The client of the REST API for programs that run on tokio: the same calls, each on a thread where blocking is allowed.

use std::collections::BTreeMap;

use serde::Serialize;

use super::client::ApiClient as Blocking;
use super::error::ApiError;
use super::reply::{ChannelInfo, Info};
use super::trigger::Trigger;
use crate::credentials::Credentials;
use crate::place::UrlError;

/// A client of the REST API of one app, for programs that run on tokio. Each call is made on one of tokio's threads for
/// blocking work, over the connections of a [blocking client](crate::ApiClient), from which it can be made too.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use corecast_client::Trigger;
/// use corecast_client::tokio::ApiClient;
///
/// let api = ApiClient::from_url("http://key:secret@127.0.0.1:6001/apps/1")?;
/// api.trigger(Trigger::new("news", "hello", r#"{"text":"hi"}"#)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ApiClient(Blocking);

impl From<Blocking> for ApiClient {
    fn from(client: Blocking) -> Self {
        Self(client)
    }
}

impl ApiClient {
    /// A client for the app on the server at `http(s)://HOST[:PORT][/PATH]`.
    pub fn new(server: &str, app: Credentials) -> Result<Self, UrlError> {
        Blocking::new(server, app).map(Self)
    }

    /// A client for what SDKs call `PUSHER_URL`: `http(s)://KEY:SECRET@HOST[:PORT]/apps/ID`.
    pub fn from_url(url: &str) -> Result<Self, UrlError> {
        Blocking::from_url(url).map(Self)
    }

    /// The client that blocks: for all that needs no server, such as `authorize_channel` and `webhook`.
    pub fn blocking(&self) -> &Blocking {
        &self.0
    }

    async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Blocking) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let client = self.0.clone();
        let called = ::tokio::task::spawn_blocking(move || call(&client)).await;
        called.unwrap_or_else(|error| Err(ApiError::Invalid(format!("the call was not made: {error}"))))
    }

    /// Publishes an event. The reply has what the event asks for, by channel.
    pub async fn trigger(&self, event: Trigger) -> Result<BTreeMap<String, ChannelInfo>, ApiError> {
        self.call(move |client| client.trigger(&event)).await
    }

    /// Publishes several events with one call, each to one channel.
    pub async fn trigger_batch(&self, events: Vec<Trigger>) -> Result<Vec<ChannelInfo>, ApiError> {
        self.call(move |client| client.trigger_batch(&events)).await
    }

    /// Publishes an event to all connections that are signed in as a user.
    pub async fn trigger_to_user(
        &self,
        user_id: &str,
        name: &str,
        data: &(impl Serialize + ?Sized),
    ) -> Result<(), ApiError> {
        let event = Trigger::to_user(user_id, name, data)?;
        self.call(move |client| client.trigger(&event)).await.map(drop)
    }

    /// The channels with subscribers, or those whose names begin with a prefix, and what is asked of each.
    pub async fn channels(
        &self,
        prefix: Option<&str>,
        info: &[Info],
    ) -> Result<BTreeMap<String, ChannelInfo>, ApiError> {
        let (prefix, info) = (prefix.map(str::to_owned), info.to_vec());
        self.call(move |client| client.channels(prefix.as_deref(), &info)).await
    }

    /// Whether a channel has subscribers, and what is asked of it.
    pub async fn channel(&self, channel: &str, info: &[Info]) -> Result<ChannelInfo, ApiError> {
        let (channel, info) = (channel.to_owned(), info.to_vec());
        self.call(move |client| client.channel(&channel, &info)).await
    }

    /// The ids of the users in a presence channel.
    pub async fn users(&self, channel: &str) -> Result<Vec<String>, ApiError> {
        let channel = channel.to_owned();
        self.call(move |client| client.users(&channel)).await
    }

    /// Ends all connections that are signed in as a user.
    pub async fn terminate_user_connections(&self, user_id: &str) -> Result<(), ApiError> {
        let user_id = user_id.to_owned();
        self.call(move |client| client.terminate_user_connections(&user_id)).await
    }
}
