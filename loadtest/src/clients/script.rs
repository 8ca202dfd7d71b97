//! What subscribers say: the upgrade, subscriptions with their signatures, and how it is put into frames.
//!
//! Owns the app's key for private and presence channels (hex HMAC-SHA256 of `socket_id:channel`, on presence channels with
//! `:channel_data` behind it). Made once for all subscribers of a thread; subscriber i is user `u<i>`. Pure.

use std::fmt::Write;

use ring::hmac;
use serde_json::json;

use super::frame::{self, encode_client_frame};
use crate::hex::hex;
use crate::options::Site;

pub(crate) struct Script {
    upgrade: String,
    channels: Vec<Topic>,
    app_key: String,
    key: hmac::Key,
}

struct Topic {
    name: String,
    kind: Kind,
}

enum Kind {
    /// The same frame for every subscriber.
    Public(Vec<u8>),
    Private,
    Presence,
}

impl Script {
    /// Subscriber i is on channel i modulo their number; with none, no subscriber subscribes by itself.
    pub(crate) fn new(site: &Site, channels: &[String]) -> Self {
        let Site { ws, path_prefix, key, .. } = site;
        let upgrade = format!(
            "GET {path_prefix}/app/{key}?protocol=7&client=loadtest&version=1.0 HTTP/1.1\r\nHost: {}\r\n\
             Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ",
            ws.name
        );
        Self {
            upgrade,
            channels: channels.iter().map(|name| Topic::new(name)).collect(),
            app_key: key.clone(),
            key: hmac::Key::new(hmac::HMAC_SHA256, site.secret.as_bytes()),
        }
    }

    pub(crate) fn subscribes(&self) -> bool {
        !self.channels.is_empty()
    }

    pub(crate) fn encode_upgrade(&self, out: &mut Vec<u8>, key: &str) {
        out.extend_from_slice(self.upgrade.as_bytes());
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
    }

    /// The subscription of subscriber `index` to its channel.
    pub(crate) fn encode_subscribe(&self, out: &mut Vec<u8>, index: usize, socket_id: &str) {
        let topic = &self.channels[index % self.channels.len()];
        match &topic.kind {
            Kind::Public(frame) => out.extend_from_slice(frame),
            Kind::Private | Kind::Presence => self.encode_signed(out, &topic.name, index, socket_id),
        }
    }

    /// A subscription to any private or presence channel.
    pub(crate) fn encode_signed(&self, out: &mut Vec<u8>, channel: &str, index: usize, socket_id: &str) {
        let mut data = json!({ "channel": channel });
        let mut signed = format!("{socket_id}:{channel}");
        if channel.starts_with("presence-") {
            let person =
                json!({"user_id": user_id(index), "user_info": {"name": index.to_string()}}).to_string();
            write!(signed, ":{person}").expect("a String takes every write");
            data["channel_data"] = json!(person);
        }
        let signature = hex(hmac::sign(&self.key, signed.as_bytes()).as_ref());
        data["auth"] = json!(format!("{}:{signature}", self.app_key));
        encode_text(out, &json!({"event": "pusher:subscribe", "data": data}).to_string());
    }
}

impl Topic {
    fn new(name: &str) -> Self {
        let kind = match name {
            _ if name.starts_with("presence-") => Kind::Presence,
            _ if name.starts_with("private-") => Kind::Private,
            _ => {
                let mut frame = Vec::new();
                let message = format!(r#"{{"event":"pusher:subscribe","data":{{"channel":"{name}"}}}}"#);
                encode_text(&mut frame, &message);
                Kind::Public(frame)
            }
        };
        Self { name: name.to_owned(), kind }
    }
}

pub(crate) fn encode_unsubscribe(out: &mut Vec<u8>, channel: &str) {
    encode_text(out, &format!(r#"{{"event":"pusher:unsubscribe","data":{{"channel":"{channel}"}}}}"#));
}

pub(crate) fn encode_ping(out: &mut Vec<u8>) {
    encode_text(out, r#"{"event":"pusher:ping","data":{}}"#);
}

pub(crate) fn encode_text(out: &mut Vec<u8>, message: &str) {
    encode_client_frame(out, frame::TEXT, message.as_bytes());
}

/// The user id of subscriber `index` on presence channels.
pub(crate) fn user_id(index: usize) -> String {
    format!("u{index}")
}

/// Which subscriber a user is; None for users of others.
pub(crate) fn parse_user_id(user_id: &str) -> Option<usize> {
    user_id.strip_prefix('u')?.parse().ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::Value;

    use super::*;
    use crate::options::Encryption;
    use crate::options::values::parse_endpoint;

    pub(crate) fn site() -> Site {
        Site {
            ws: parse_endpoint("127.0.0.1:1").unwrap(),
            encryption: Encryption::None,
            path_prefix: String::new(),
            key: "278d425bdf160c739803".to_owned(),
            secret: "7ad3773142a6692b25b8".to_owned(),
            sources: Vec::new(),
        }
    }

    /// The message under the mask of a short client frame or a longer one.
    fn unmask(frame: &[u8]) -> Value {
        let (_, start) = frame::parse_length(frame).unwrap();
        let (mask, payload) = frame[start..].split_at(4);
        let text: Vec<u8> = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        serde_json::from_slice(&text).unwrap()
    }

    #[test]
    fn private_channel_is_signed_as_in_the_published_example() {
        let script = Script::new(&site(), &["private-foobar".to_owned()]);
        let mut out = Vec::new();
        script.encode_subscribe(&mut out, 0, "1234.1234");
        assert_eq!(
            unmask(&out)["data"]["auth"],
            "278d425bdf160c739803:58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"
        );
    }

    #[test]
    fn presence_subscribers_are_users_of_their_own() {
        let script = Script::new(&site(), &["presence-a".to_owned(), "presence-b".to_owned()]);
        let people: Vec<Value> = [3, 4]
            .map(|index| {
                let mut out = Vec::new();
                script.encode_subscribe(&mut out, index, "1.1");
                unmask(&out)["data"].take()
            })
            .to_vec();
        assert_eq!(
            (&people[0]["channel"], &people[1]["channel"]),
            (&"presence-b".into(), &"presence-a".into())
        );
        let person: Value = serde_json::from_str(people[0]["channel_data"].as_str().unwrap()).unwrap();
        assert_eq!(person["user_id"], "u3");
        assert_eq!(parse_user_id("u3"), Some(3));
        assert_ne!(people[0]["auth"], people[1]["auth"]);
    }

    #[test]
    fn prefix_stands_before_the_path_of_the_app() {
        let script = Script::new(&Site { path_prefix: "/reverb".to_owned(), ..site() }, &[]);
        let mut out = Vec::new();
        script.encode_upgrade(&mut out, "abc");
        assert!(out.starts_with(b"GET /reverb/app/278d425bdf160c739803?protocol=7&"));
        assert!(out.ends_with(b"Sec-WebSocket-Key: abc\r\n\r\n"));
        assert!(!script.subscribes());
    }
}
