//! What a call was answered with, and the response made of it. The bodies are in the files of their endpoints.
//!
//! Bodies are exact: SDKs of strictly typed languages fail on an empty list where an object should be, on a number where
//! a string should be, and on any status but 200.

use std::borrow::Cow;

use protocol::channel::ChannelKind;
use protocol::http::{Head, encode_response};

use crate::endpoints::{channels, events, health, users};
use crate::info::{Counts, Info};

pub(crate) const JSON: &str = "application/json";

/// What a call was answered with.
#[derive(Clone, Copy, Debug)]
pub enum Answer<'a> {
    /// A publish that asked for nothing.
    Published,
    /// The channels of an event that asked for `info`.
    Event(&'a [Row<'a>]),
    /// The channels of a batch in which some event asked for `info`, one for each of its events in their order.
    Batch(&'a [Row<'a>]),
    /// Occupied channels.
    Channels(&'a [Row<'a>]),
    /// One channel.
    Channel(Row<'a>),
    /// Ids of the members of a presence channel.
    Users(&'a [Box<str>]),
    /// The user's connections will be closed.
    Terminated,
    /// Whether every core still turns.
    Live(bool),
    /// Whether new connections are welcome.
    Ready(bool),
    /// Somebody is there.
    Index,
    /// A page in HTML.
    Page(&'a str),
    /// The methods of a path, and whether what it tells of is well.
    Options {
        /// They, as `Allow` lists them.
        allow: &'static str,
        /// False is answered 503.
        well: bool,
    },
    /// All metrics, in Prometheus' text format.
    Metrics(&'a str),
}

/// A channel and what was asked about it.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The channel's name.
    pub name: &'a str,
    /// What its prefix says.
    pub kind: ChannelKind,
    /// What was asked.
    pub info: Info,
    /// What was found.
    pub counts: Counts,
}

/// How a response is given, by the request that it answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Manner {
    /// Whether the connection goes on afterwards.
    pub keep_alive: bool,
    /// The request was HEAD: the response has the headers of GET and no body.
    pub head_only: bool,
}

impl Manner {
    /// As this request wants it.
    pub fn of(head: &Head<'_>) -> Self {
        Self { keep_alive: head.keep_alive(), head_only: head.method == "HEAD" }
    }

    // Takes the body off again that stands at the end of `out`.
    pub(crate) fn finish(self, out: &mut Vec<u8>, body_bytes: usize) {
        if self.head_only {
            out.truncate(out.len() - body_bytes);
        }
    }
}

/// Appends the whole response; `date` is the time as HTTP writes it.
pub fn encode_answer(out: &mut Vec<u8>, date: &str, answer: &Answer<'_>, manner: Manner) {
    let body = body_of(answer);
    let status = match answer {
        Answer::Live(false) | Answer::Ready(false) | Answer::Options { well: false, .. } => 503,
        _ => 200,
    };
    let content_type = match answer {
        Answer::Index => "text/plain",
        Answer::Page(_) => "text/html; charset=utf-8",
        Answer::Metrics(_) => "text/plain; version=0.0.4; charset=utf-8",
        Answer::Options { .. } => "",
        _ => JSON,
    };
    let allow = match answer {
        Answer::Options { allow, .. } => Some(("Allow", *allow)),
        _ => None,
    };
    encode_response(out, date, status, content_type, &body, manner.keep_alive, allow.as_slice());
    manner.finish(out, body.len());
}

fn body_of<'a>(answer: &Answer<'a>) -> Cow<'a, [u8]> {
    let mut out = Vec::new();
    match answer {
        Answer::Published | Answer::Terminated => return b"{}".into(),
        Answer::Index => return b"OK".into(),
        Answer::Page(text) | Answer::Metrics(text) => return text.as_bytes().into(),
        Answer::Options { .. } => {}
        Answer::Event(rows) | Answer::Channels(rows) => channels::encode_rows(&mut out, rows),
        Answer::Batch(rows) => events::encode_batch(&mut out, rows),
        Answer::Channel(row) => channels::encode_channel(&mut out, row),
        Answer::Users(ids) => users::encode_users(&mut out, ids),
        Answer::Live(live) => health::encode_state(&mut out, "live", *live),
        Answer::Ready(ready) => health::encode_state(&mut out, "ready", *ready),
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, info: Info, subscriptions: u64, users: u32) -> Row<'_> {
        Row { name, kind: ChannelKind::of(name), info, counts: Counts { subscriptions, users } }
    }

    fn body(answer: &Answer<'_>) -> String {
        String::from_utf8(body_of(answer).into_owned()).unwrap()
    }

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BOTH: Info = Info { asked: true, user_count: true, subscription_count: true };
    const NONE: Info = Info { asked: false, user_count: false, subscription_count: false };

    #[test]
    fn bodies_are_what_strict_sdks_decode() {
        let rows = [row("presence-a", BOTH, 50, 42), row("b", BOTH, 13, 0), row("c", NONE, 1, 0)];
        let table = [
            (Answer::Published, "{}"),
            (Answer::Terminated, "{}"),
            (
                Answer::Event(&rows),
                r#"{"channels":{"presence-a":{"user_count":42,"subscription_count":50},"b":{"subscription_count":13},"c":{}}}"#,
            ),
            (
                Answer::Batch(&rows),
                r#"{"batch":[{"user_count":42,"subscription_count":50},{"subscription_count":13},{}]}"#,
            ),
            (Answer::Channels(&[]), r#"{"channels":{}}"#),
            (Answer::Channel(row("a", NONE, 0, 0)), r#"{"occupied":false}"#),
            (Answer::Channel(row("a", BOTH, 2, 0)), r#"{"occupied":true,"subscription_count":2}"#),
            (
                Answer::Channel(row("presence-a", BOTH, 2, 1)),
                r#"{"occupied":true,"user_count":1,"subscription_count":2}"#,
            ),
            (Answer::Users(&[]), r#"{"users":[]}"#),
            (Answer::Users(&["1".into(), "a\"b".into()]), r#"{"users":[{"id":"1"},{"id":"a\"b"}]}"#),
            (Answer::Live(true), r#"{"live":true}"#),
            (Answer::Ready(false), r#"{"ready":false}"#),
            (Answer::Index, "OK"),
        ];
        for (answer, expected) in table {
            assert_eq!(body(&answer), expected);
        }
    }

    #[test]
    fn every_success_is_exactly_200_with_json() {
        let mut out = Vec::new();
        encode_answer(&mut out, DATE, &Answer::Published, Manner { keep_alive: true, head_only: false });
        let expected = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                        Content-Type: application/json\r\nContent-Length: 2\r\n\
                        Connection: keep-alive\r\n\r\n{}";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn ill_health_is_503() {
        let options = Answer::Options { allow: "GET", well: false };
        for answer in [Answer::Live(false), Answer::Ready(false), options] {
            let mut out = Vec::new();
            encode_answer(&mut out, DATE, &answer, Manner { keep_alive: false, head_only: false });
            assert!(out.starts_with(b"HTTP/1.1 503 "));
        }
    }
}
