//! What an auth endpoint answers to a client that wants to subscribe or to sign in.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::credentials::Credentials;
use crate::member::Member;
use crate::sign::{channel_auth, shared_secret, user_auth};

/// The answer to a client that wants to subscribe. It serializes to the JSON that clients expect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelAuth {
    /// `KEY:SIGNATURE`.
    pub auth: String,
    /// Who the client is, on presence channels: the very text that is signed.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text_or_json")]
    pub channel_data: Option<String>,
    /// What decrypts the events of an encrypted channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_secret: Option<String>,
}

impl ChannelAuth {
    /// Signs the subscription of a connection to a channel; `member` is who it is, on a presence channel.
    pub(crate) fn sign(app: &Credentials, socket_id: &str, channel: &str, member: Option<&Member>) -> Self {
        let channel_data = member.map(Member::channel_data);
        let auth = channel_auth(app, socket_id, channel, channel_data.as_deref());
        Self { auth, channel_data, shared_secret: None }
    }

    /// The same for an encrypted channel.
    pub(crate) fn sign_encrypted(
        app: &Credentials,
        socket_id: &str,
        channel: &str,
        master_key: &[u8; 32],
    ) -> Self {
        let shared_secret = Some(shared_secret(channel, master_key));
        Self { shared_secret, ..Self::sign(app, socket_id, channel, None) }
    }
}

/// The answer to a client that wants to sign in. It serializes to the JSON that clients expect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserAuth {
    /// `KEY:SIGNATURE`.
    pub auth: String,
    /// Who the user is: the very text that is signed, an object with an `id`.
    pub user_data: String,
}

impl UserAuth {
    pub(crate) fn sign(app: &Credentials, socket_id: &str, user_data: &Value) -> Self {
        let user_data = user_data.to_string();
        Self { auth: user_auth(app, socket_id, &user_data), user_data }
    }
}

/// Some servers answer with an object where Pusher has a text. It is sent on as the same JSON.
fn text_or_json<'de, D: serde::Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(value)? {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_has_the_fields_of_its_kind_and_no_others() {
        let app = Credentials::new("1", "k", "s");
        let text = |auth: &ChannelAuth| serde_json::to_value(auth).unwrap();
        let private = ChannelAuth::sign(&app, "1.2", "private-a", None);
        assert_eq!(text(&private).as_object().unwrap().keys().collect::<Vec<_>>(), ["auth"]);
        let member = Member::with_info("u", json!({"name": "U"}));
        let presence = ChannelAuth::sign(&app, "1.2", "presence-a", Some(&member));
        assert_eq!(presence.channel_data.as_deref(), Some(r#"{"user_id":"u","user_info":{"name":"U"}}"#));
        let encrypted = ChannelAuth::sign_encrypted(&app, "1.2", "private-encrypted-a", &[0; 32]);
        assert_eq!(
            text(&encrypted).as_object().unwrap().keys().collect::<Vec<_>>(),
            ["auth", "shared_secret"]
        );
    }

    #[test]
    fn channel_data_is_read_as_a_text_or_as_an_object() {
        let data = |json: &str| serde_json::from_str::<ChannelAuth>(json).unwrap().channel_data;
        assert_eq!(
            data(r#"{"auth":"k:s","channel_data":"{\"user_id\":\"1\"}"}"#).as_deref(),
            Some(r#"{"user_id":"1"}"#)
        );
        assert_eq!(
            data(r#"{"auth":"k:s","channel_data":{"user_id":"1"}}"#).as_deref(),
            Some(r#"{"user_id":"1"}"#)
        );
        assert_eq!(data(r#"{"auth":"k:s","channel_data":null}"#), None);
        assert_eq!(data(r#"{"auth":"k:s"}"#), None);
    }
}
