//! One event to be published.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::reply::{Info, joined};

/// One event to be published.
///
/// ```
/// use corecast_client::{Info, Trigger};
///
/// // Data is a text. JSON in it is customary.
/// let event = Trigger::new("news", "hello", r#"{"text":"hi"}"#);
/// // To several channels, not to the connection that has caused it, and asking how many users are there.
/// let event = Trigger::json("presence-room", "moved", &[1, 2])?
///     .also_to("presence-lobby")
///     .except("123.456")
///     .asking(&[Info::UserCount]);
/// # Ok::<(), corecast_client::ApiError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Trigger {
    name: String,
    channels: Vec<String>,
    data: String,
    socket_id: Option<String>,
    info: Vec<Info>,
}

impl Trigger {
    /// An event of this name on a channel, with a text as its data.
    pub fn new(channel: impl Into<String>, name: impl Into<String>, data: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            channels: vec![channel.into()],
            data: data.into(),
            socket_id: None,
            info: Vec::new(),
        }
    }

    /// The same with a value as JSON.
    pub fn json(
        channel: impl Into<String>,
        name: impl Into<String>,
        data: &(impl Serialize + ?Sized),
    ) -> Result<Self, ApiError> {
        let text = serde_json::to_string(data)
            .map_err(|error| ApiError::Invalid(format!("the data is no JSON: {error}")))?;
        Ok(Self::new(channel, name, text))
    }

    /// The same for the connections that are signed in as a user.
    pub(super) fn to_user(
        user_id: &str,
        name: &str,
        data: &(impl Serialize + ?Sized),
    ) -> Result<Self, ApiError> {
        Self::json(format!("#server-to-user-{user_id}"), name, data)
    }

    /// Adds a channel. A server takes a hundred or so.
    #[must_use]
    pub fn also_to(mut self, channel: impl Into<String>) -> Self {
        self.channels.push(channel.into());
        self
    }

    /// Names the connection that does not get the event, by its socket id.
    #[must_use]
    pub fn except(mut self, socket_id: impl Into<String>) -> Self {
        self.socket_id = Some(socket_id.into());
        self
    }

    /// Asks for attributes of the channels, which the reply then has.
    #[must_use]
    pub fn asking(mut self, info: &[Info]) -> Self {
        self.info.extend_from_slice(info);
        self
    }

    fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("name".to_owned(), json!(self.name));
        fields.insert("data".to_owned(), json!(self.data));
        if let Some(socket_id) = &self.socket_id {
            fields.insert("socket_id".to_owned(), json!(socket_id));
        }
        if !self.info.is_empty() {
            fields.insert("info".to_owned(), json!(joined(&self.info)));
        }
        fields
    }

    /// The body of `POST /events`.
    pub(super) fn body(&self) -> String {
        let mut fields = self.fields();
        match self.channels.as_slice() {
            [channel] => fields.insert("channel".to_owned(), json!(channel)),
            channels => fields.insert("channels".to_owned(), json!(channels)),
        };
        Value::Object(fields).to_string()
    }

    /// The body of `POST /batch_events`.
    pub(super) fn batch_body(events: &[Self]) -> Result<String, ApiError> {
        let item = |event: &Self| match event.channels.as_slice() {
            [channel] => {
                let mut fields = event.fields();
                fields.insert("channel".to_owned(), json!(channel));
                Ok(Value::Object(fields))
            }
            _ => Err(ApiError::Invalid("an event of a batch has one channel".to_owned())),
        };
        let batch: Vec<Value> = events.iter().map(item).collect::<Result<_, _>>()?;
        Ok(json!({ "batch": batch }).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_what_was_asked_for_and_nothing_else() {
        let body = |event: &Trigger| serde_json::from_str::<Value>(&event.body()).unwrap();
        let event = Trigger::new("a", "e", "x");
        assert_eq!(body(&event), json!({"name": "e", "channel": "a", "data": "x"}));
        let event = Trigger::json("a", "e", &[1])
            .unwrap()
            .also_to("b")
            .except("1.2")
            .asking(&[Info::UserCount, Info::SubscriptionCount]);
        let wanted = json!({"name": "e", "channels": ["a", "b"], "data": "[1]", "socket_id": "1.2", "info": "user_count,subscription_count"});
        assert_eq!(body(&event), wanted);
        assert!(matches!(Trigger::batch_body(&[event]), Err(ApiError::Invalid(_))));
        let batch = Trigger::batch_body(&[Trigger::new("a", "e", "x"), Trigger::new("b", "f", "y")]).unwrap();
        assert!(batch.starts_with(r#"{"batch":["#), "{batch}");
    }
}
