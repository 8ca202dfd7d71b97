//! Webhooks: whether one is from the server, and what it tells.

use std::fmt;

use serde_json::Value;

use crate::credentials::Credentials;
use crate::sign::is_signed;

/// What a webhook tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    /// When it was sent, in milliseconds since 1970.
    pub time_ms: u64,
    /// What has happened, in order.
    pub events: Vec<WebhookEvent>,
}

/// One thing that has happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum WebhookEvent {
    /// A channel has its first subscription.
    ChannelOccupied {
        /// The channel.
        channel: String,
    },
    /// A channel has lost its last subscription.
    ChannelVacated {
        /// The channel.
        channel: String,
    },
    /// A user has entered a presence channel.
    MemberAdded {
        /// The channel.
        channel: String,
        /// The user.
        user_id: String,
    },
    /// A user has left a presence channel.
    MemberRemoved {
        /// The channel.
        channel: String,
        /// The user.
        user_id: String,
    },
    /// A client has sent an event.
    ClientEvent {
        /// The channel.
        channel: String,
        /// The name of the event.
        event: String,
        /// Its data; JSON if it was no text.
        data: String,
        /// The connection that has sent it.
        socket_id: String,
        /// The user who has sent it, on presence channels.
        user_id: Option<String>,
    },
    /// An empty cache channel was subscribed to.
    CacheMiss {
        /// The channel.
        channel: String,
    },
    /// How many subscriptions a channel has now.
    SubscriptionCount {
        /// The channel.
        channel: String,
        /// How many.
        count: u64,
    },
    /// Anything else, as the object that was sent.
    Other(Value),
}

/// Why a webhook is not to be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WebhookError {
    /// Its key is none of ours.
    UnknownKey,
    /// Its signature is not that of its body.
    BadSignature,
    /// It is signed and cannot be read.
    Unreadable(String),
}

impl fmt::Display for WebhookError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey => out.write_str("the key of the webhook is unknown"),
            Self::BadSignature => out.write_str("the signature of the webhook is wrong"),
            Self::Unreadable(why) => write!(out, "the webhook cannot be read: {why}"),
        }
    }
}

impl std::error::Error for WebhookError {}

impl Webhook {
    /// Reads a webhook that is signed with any of these keys.
    pub(super) fn verify<'a>(
        tokens: impl Iterator<Item = &'a Credentials>,
        key: &str,
        signature: &str,
        body: &[u8],
    ) -> Result<Self, WebhookError> {
        let of_key: Vec<&Credentials> = tokens.filter(|token| token.key() == key).collect();
        if of_key.is_empty() {
            return Err(WebhookError::UnknownKey);
        }
        if !of_key.iter().any(|token| is_signed(token.signing(), body, signature)) {
            return Err(WebhookError::BadSignature);
        }
        Self::read(body)
    }

    fn read(body: &[u8]) -> Result<Self, WebhookError> {
        let unreadable = |why: &str| WebhookError::Unreadable(why.to_owned());
        let value: Value = serde_json::from_slice(body).map_err(|error| unreadable(&error.to_string()))?;
        let events =
            value.get("events").and_then(Value::as_array).ok_or_else(|| unreadable("it has no events"))?;
        let time = value.get("time_ms");
        // Some servers send a fraction.
        let whole = |time: &Value| time.as_u64().or_else(|| time.as_f64().map(|time| time as u64));
        Ok(Self {
            time_ms: time.and_then(whole).unwrap_or_default(),
            events: events
                .iter()
                .map(|event| known(event).unwrap_or_else(|| WebhookEvent::Other(event.clone())))
                .collect(),
        })
    }
}

/// An event of a known name with all its fields.
fn known(event: &Value) -> Option<WebhookEvent> {
    let text = |name: &str| {
        event.get(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    let channel = text("channel")?;
    Some(match text("name")?.as_str() {
        "channel_occupied" => WebhookEvent::ChannelOccupied { channel },
        "channel_vacated" => WebhookEvent::ChannelVacated { channel },
        "member_added" => WebhookEvent::MemberAdded { channel, user_id: text("user_id")? },
        "member_removed" => WebhookEvent::MemberRemoved { channel, user_id: text("user_id")? },
        "cache_miss" => WebhookEvent::CacheMiss { channel },
        "subscription_count" => {
            WebhookEvent::SubscriptionCount { channel, count: event.get("subscription_count")?.as_u64()? }
        }
        "client_event" => WebhookEvent::ClientEvent {
            channel,
            event: text("event")?,
            data: text("data")?,
            socket_id: text("socket_id")?,
            user_id: text("user_id"),
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(secret: &str, text: &[u8]) -> String {
        crate::sign::sign(Credentials::new("", "", secret).signing(), text)
    }

    fn verify(key: &str, signature: &str, body: &str) -> Result<Webhook, WebhookError> {
        let tokens = [
            Credentials::new("1", "new", "s2"),
            Credentials::new("1", "old", "s1"),
            Credentials::new("1", "old", "s0"),
        ];
        Webhook::verify(tokens.iter(), key, signature, body.as_bytes())
    }

    #[test]
    fn a_webhook_is_believed_if_any_secret_of_its_key_has_signed_it() {
        let body = r#"{"time_ms":1,"events":[]}"#;
        for (key, secret) in [("new", "s2"), ("old", "s1"), ("old", "s0")] {
            assert!(verify(key, &sign(secret, body.as_bytes()), body).is_ok(), "{key} {secret}");
        }
        assert_eq!(verify("new", &sign("s1", body.as_bytes()), body), Err(WebhookError::BadSignature));
        assert_eq!(verify("no", &sign("s1", body.as_bytes()), body), Err(WebhookError::UnknownKey));
        assert_eq!(verify("new", "", body), Err(WebhookError::BadSignature));
        let signature = sign("s2", b"x");
        assert!(matches!(verify("new", &signature, "x"), Err(WebhookError::Unreadable(_))));
    }

    #[test]
    fn the_signature_of_the_documentation_is_right() {
        let token = Credentials::new("3", "278d425bdf160c739803", "7ad3773142a6692b25b8");
        let body =
            br#"{"time_ms":1327078148132,"events":[{"name":"channel_occupied","channel":"my-channel"}]}"#;
        let signature = "c19001ae3963ccb13bf618e5b16ba9848e7e74df0993aa0689168e341c6833cf";
        let webhook = Webhook::verify([&token].into_iter(), token.key(), signature, body).unwrap();
        assert_eq!(webhook.time_ms, 1_327_078_148_132);
        assert_eq!(webhook.events, [WebhookEvent::ChannelOccupied { channel: "my-channel".to_owned() }]);
    }

    #[test]
    fn events_of_each_kind_are_typed_and_others_are_kept() {
        let body = r#"{"time_ms":1.5,"events":[
            {"name":"channel_vacated","channel":"c"},{"name":"member_added","channel":"presence-c","user_id":"u"},
            {"name":"member_removed","channel":"presence-c","user_id":7},{"name":"cache_miss","channel":"cache-c"},
            {"name":"subscription_count","channel":"c","subscription_count":3},
            {"name":"client_event","channel":"private-c","event":"client-e","data":"x","socket_id":"1.2"},
            {"name":"client_event","channel":"presence-c","event":"client-e","data":{"a":1},"socket_id":"1.2","user_id":"u"},
            {"name":"user_online","user_id":"u"},{"name":"member_added","channel":"c"},3]}"#;
        let (channel, user_id) = (|name: &str| name.to_owned(), || "u".to_owned());
        let client_event = |name: &str, data: &str, user_id| WebhookEvent::ClientEvent {
            channel: channel(name),
            event: "client-e".to_owned(),
            data: data.to_owned(),
            socket_id: "1.2".to_owned(),
            user_id,
        };
        let found = Webhook::read(body.as_bytes()).unwrap();
        assert_eq!(found.time_ms, 1);
        assert_eq!(
            found.events[..7],
            [
                WebhookEvent::ChannelVacated { channel: channel("c") },
                WebhookEvent::MemberAdded { channel: channel("presence-c"), user_id: user_id() },
                WebhookEvent::MemberRemoved { channel: channel("presence-c"), user_id: "7".to_owned() },
                WebhookEvent::CacheMiss { channel: channel("cache-c") },
                WebhookEvent::SubscriptionCount { channel: channel("c"), count: 3 },
                client_event("private-c", "x", None),
                client_event("presence-c", r#"{"a":1}"#, Some(user_id())),
            ]
        );
        assert!(
            found.events[7..].iter().all(|event| matches!(event, WebhookEvent::Other(_)))
                && found.events.len() == 10
        );
    }
}
