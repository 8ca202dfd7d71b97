//! REST calls of the Pusher Channels HTTP API: bodies with stamped events, signed as server SDKs sign them.
//!
//! Owns the signature (hex HMAC-SHA256 over method, path and sorted query, with the MD5 of the body). Pure but for the wall
//! clock that the signature asks for. Called once per publish, so everything constant is made beforehand.

use std::time::{SystemTime, UNIX_EPOCH};

use md5::{Digest, Md5};
use ring::hmac;

use crate::hex::hex;
use crate::options::{App, Target};
use crate::stamp::{Stamp, encode_data};

pub(crate) struct Requests {
    app: App,
    key: hmac::Key,
    host: String,
    path_prefix: String,
    channels: Vec<String>,
}

/// One event of a call: its channel by number, and its stamp.
#[derive(Clone, Copy)]
pub(crate) struct Event {
    pub(crate) channel: usize,
    pub(crate) stamp: Stamp,
}

impl Requests {
    pub(crate) fn new(target: &Target, channels: Vec<String>) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, target.app.secret.as_bytes()),
            app: target.app.clone(),
            host: target.http().name.clone(),
            path_prefix: target.path_prefix.clone(),
            channels,
        }
    }

    /// One event by `/events`, several by `/batch_events`; each with `size` bytes of data.
    pub(crate) fn encode_publish(&self, run: u32, events: &[Event], size: usize) -> Vec<u8> {
        let mut body = Vec::with_capacity(events.len() * (size + 80) + 16);
        if let &[event] = events {
            self.encode_event(&mut body, "channels", run, event, size);
            return self.encode_call("events", &body);
        }
        let mut separator = br#"{"batch":["#.as_slice();
        for &event in events {
            body.extend_from_slice(separator);
            self.encode_event(&mut body, "channel", run, event, size);
            separator = b",";
        }
        body.extend_from_slice(b"]}");
        self.encode_call("batch_events", &body)
    }

    /// An event on a channel of its own, without a stamp.
    pub(crate) fn encode_probe(&self) -> Vec<u8> {
        let body = format!(r#"{{"name":"probe","channels":["{}-probe"],"data":"probe"}}"#, self.channels[0]);
        self.encode_call("events", body.as_bytes())
    }

    /// The same with a signature that is wrong: its answer can be told from the others'.
    pub(crate) fn encode_bad_probe(&self) -> Vec<u8> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"not the secret");
        Self {
            key,
            app: self.app.clone(),
            host: self.host.clone(),
            path_prefix: self.path_prefix.clone(),
            channels: self.channels.clone(),
        }
        .encode_probe()
    }

    fn encode_event(&self, body: &mut Vec<u8>, field: &str, run: u32, event: Event, size: usize) {
        let (open, close) = if field == "channels" { ("[", "]") } else { ("", "") };
        let channel = &self.channels[event.channel];
        let head = format!(r#"{{"name":"loadtest","{field}":{open}"{channel}"{close},"data":""#);
        body.extend_from_slice(head.as_bytes());
        encode_data(body, run, event.stamp, size);
        body.extend_from_slice(b"\"}");
    }

    fn encode_call(&self, endpoint: &str, body: &[u8]) -> Vec<u8> {
        let path = format!("{}/apps/{}/{endpoint}", self.path_prefix, self.app.id);
        let timestamp = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let query = sign(&self.key, &self.app.key, &path, body, timestamp);
        let mut call = format!(
            "POST {path}?{query} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.host,
            body.len()
        )
        .into_bytes();
        call.extend_from_slice(body);
        call
    }
}

/// The query string of a signed POST.
fn sign(key: &hmac::Key, app_key: &str, path: &str, body: &[u8], timestamp: u64) -> String {
    let md5 = hex(&Md5::digest(body));
    let mut query = format!("auth_key={app_key}&auth_timestamp={timestamp}&auth_version=1.0&body_md5={md5}");
    let signature = hmac::sign(key, format!("POST\n{path}\n{query}").as_bytes());
    query.push_str("&auth_signature=");
    query.push_str(&hex(signature.as_ref()));
    query
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests() -> Requests {
        Requests {
            app: App { id: "3".to_owned(), key: "k".to_owned(), secret: "s".to_owned() },
            key: hmac::Key::new(hmac::HMAC_SHA256, b"s"),
            host: "127.0.0.1:80".to_owned(),
            path_prefix: String::new(),
            channels: vec!["c".to_owned(), "d".to_owned()],
        }
    }

    fn events(count: u64) -> Vec<Event> {
        let stamp = |sequence| Stamp { sequence, intended_ns: 5 };
        (0..count).map(|sequence| Event { channel: sequence as usize % 2, stamp: stamp(sequence) }).collect()
    }

    fn body_of(call: &[u8]) -> serde_json::Value {
        let start = call.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
        let length = format!("Content-Length: {}\r\n", call.len() - start);
        assert!(String::from_utf8_lossy(call).contains(&length));
        serde_json::from_slice(&call[start..]).unwrap()
    }

    #[test]
    fn signature_is_that_of_the_published_example() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"7ad3773142a6692b25b8");
        let body = br#"{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}"#;
        assert_eq!(
            sign(&key, "278d425bdf160c739803", "/apps/3/events", body, 1_353_088_179),
            "auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0\
             &body_md5=ec365a775a4cd0599faeb73354201b6f\
             &auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"
        );
    }

    #[test]
    fn single_event_goes_to_events_and_several_to_batch_events() {
        let single = requests().encode_publish(1, &events(1), 60);
        assert!(single.starts_with(b"POST /apps/3/events?auth_key=k&"));
        let body = body_of(&single);
        assert_eq!(body["channels"][0], "c");
        assert_eq!(body["data"].as_str().unwrap().len(), 60);

        let batch = requests().encode_publish(1, &events(3), 60);
        assert!(batch.starts_with(b"POST /apps/3/batch_events?auth_key=k&"));
        let body = body_of(&batch);
        assert_eq!(body["batch"].as_array().unwrap().len(), 3);
        assert_eq!((&body["batch"][1]["channel"], &body["batch"][2]["channel"]), (&"d".into(), &"c".into()));
        assert!(body["batch"][2]["data"].as_str().unwrap().starts_with("lt:00000001:0000000000000002:"));
    }

    #[test]
    fn prefix_is_part_of_the_path_and_of_what_is_signed() {
        let requests = Requests { path_prefix: "/p".to_owned(), ..requests() };
        let call = String::from_utf8(requests.encode_probe()).unwrap();
        let (path, rest) = call.strip_prefix("POST ").unwrap().split_once('?').unwrap();
        assert_eq!(path, "/p/apps/3/events");
        let (query, signature) = rest.split_once(" HTTP").unwrap().0.split_once("&auth_signature=").unwrap();
        let expected = hmac::sign(&requests.key, format!("POST\n{path}\n{query}").as_bytes());
        assert_eq!(signature, hex(expected.as_ref()));
        assert_ne!(requests.encode_bad_probe(), call.into_bytes());
    }
}
