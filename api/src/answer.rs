//! What a call is answered with, and the response made of it. The bodies are made in the files of their endpoints.
//!
//! Bodies are exact: SDKs of strictly typed languages fail on an empty list where an object should be, on a number where
//! a string should be, and on any status but 200.

use std::borrow::Cow;

use protocol::http::{Head, encode_response};

const JSON: &str = "application/json";

/// What a call was answered with.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    pub(crate) status: u16,
    /// May be empty if there is nothing to name.
    pub(crate) content_type: &'static str,
    pub(crate) body: Cow<'a, [u8]>,
    /// Further header lines.
    pub(crate) headers: Cow<'a, [(&'static str, &'a str)]>,
}

impl<'a> Answer<'a> {
    /// What was asked for is done, and there is nothing to say of it.
    pub fn done() -> Self {
        Self::json(b"{}")
    }

    /// What was asked for by a deprecated path is done.
    pub fn accepted() -> Self {
        Self { status: 202, ..Self::done() }
    }

    pub(crate) fn json(body: impl Into<Cow<'a, [u8]>>) -> Self {
        Self::text(JSON, body)
    }

    pub(crate) fn text(content_type: &'static str, body: impl Into<Cow<'a, [u8]>>) -> Self {
        Self { status: 200, content_type, body: body.into(), headers: Cow::Borrowed(&[]) }
    }

    /// The status of the response.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// 503 unless what it tells of is well.
    pub(crate) fn well(self, well: bool) -> Self {
        Self { status: if well { 200 } else { 503 }, ..self }
    }
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
    let Answer { status, content_type, body, headers } = answer;
    encode_response(out, date, *status, content_type, body, manner.keep_alive, headers);
    // What the caller has already is told of as HEAD would be (RFC 9110 §8.6).
    Manner { head_only: manner.head_only || *status == 304, ..manner }.finish(out, body.len());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Options;
    use crate::endpoints::health::{Condition, Probe};
    use crate::endpoints::{channels, events, health, users};
    use crate::info::{CachedEvent, Counts, Info, Row};
    use protocol::channel::ChannelKind;

    fn row(name: &str, info: Info, subscriptions: u64, users: u32) -> Row<'_> {
        Row { name, kind: ChannelKind::of(name), info, counts: Counts { subscriptions, users }, cache: None }
    }

    fn body(answer: &Answer<'_>) -> String {
        String::from_utf8(answer.body.to_vec()).unwrap()
    }

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const NONE: Info =
        Info { asked: false, user_count: false, subscription_count: false, cache: false, of_webman: false };
    const BOTH: Info = Info { asked: true, user_count: true, subscription_count: true, ..NONE };
    const ALL: Info = Info { cache: true, ..BOTH };

    #[test]
    fn bodies_are_what_strict_sdks_decode() {
        let rows = [row("presence-a", BOTH, 50, 42), row("b", BOTH, 13, 0), row("c", NONE, 1, 0)];
        let cached = CachedEvent { data_literal: r#""{\"a\":\"é\"}""#, ttl_s: 1799 };
        let users: [Box<str>; 2] = ["1".into(), "a\"b".into()];
        let table = [
            (Answer::done(), "{}"),
            (
                events::answer_event(rows),
                r#"{"channels":{"presence-a":{"user_count":42,"subscription_count":50},"b":{"subscription_count":13},"c":{}}}"#,
            ),
            (
                events::answer_batch(rows),
                r#"{"batch":[{"user_count":42,"subscription_count":50},{"subscription_count":13},{}]}"#,
            ),
            (channels::answer_channels([]), r#"{"channels":{}}"#),
            (channels::answer_channel(&row("a", NONE, 0, 0)), r#"{"occupied":false}"#),
            (channels::answer_channel(&row("a", BOTH, 2, 0)), r#"{"occupied":true,"subscription_count":2}"#),
            (
                channels::answer_channel(&row("presence-a", BOTH, 2, 1)),
                r#"{"occupied":true,"user_count":1,"subscription_count":2}"#,
            ),
            (
                channels::answer_channel(&row("presence-cache-a", ALL, 2, 1)),
                r#"{"occupied":true,"user_count":1,"subscription_count":2,"cache":null}"#,
            ),
            (
                channels::answer_channel(&Row { cache: Some(cached), ..row("cache-a", ALL, 0, 0) }),
                r#"{"occupied":false,"subscription_count":0,"cache":{"data":"{\"a\":\"é\"}","ttl":1799}}"#,
            ),
            (Answer::accepted(), "{}"),
            (users::answer_users(&[], false), r#"{"users":[]}"#),
            (users::answer_users(&users, false), r#"{"users":[{"id":"1"},{"id":"a\"b"}]}"#),
            (users::answer_users(&users, true), r#"{"users":["1","a\"b"]}"#),
            (health::answer_probe(Probe::Live, true, None, Condition::Ok), r#"{"live":true}"#),
            (health::answer_probe(Probe::Ready, false, None, Condition::Ok), r#"{"ready":false}"#),
            (health::answer_probe(Probe::Up, true, None, Condition::Ok), r#"{"health":"OK"}"#),
            (health::answer_probe(Probe::Up, false, None, Condition::Error), r#"{"health":"ERROR"}"#),
            (
                health::answer_probe(Probe::AcceptTraffic, false, None, Condition::Ok),
                r#"{"accept_traffic":false}"#,
            ),
            (health::answer_probe(Probe::Index, true, None, Condition::Ok), "OK"),
            (health::answer_probe(Probe::Hello, true, None, Condition::Ok), "Hello Workbunny!"),
        ];
        for (answer, expected) in table {
            assert_eq!(body(&answer), expected);
        }
    }

    #[test]
    fn every_success_is_exactly_200_with_json() {
        let mut out = Vec::new();
        encode_answer(&mut out, DATE, &Answer::done(), Manner { keep_alive: true, head_only: false });
        let expected = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                        Content-Type: application/json\r\nContent-Length: 2\r\n\
                        Connection: keep-alive\r\n\r\n{}";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn a_deprecated_call_is_accepted() {
        let mut out = Vec::new();
        encode_answer(&mut out, DATE, &Answer::accepted(), Manner { keep_alive: true, head_only: false });
        assert!(out.starts_with(b"HTTP/1.1 202 Accepted\r\n"));
    }

    #[test]
    fn ill_health_is_503() {
        let options = Options { allow: "GET", probe: Some(Probe::Ready) };
        let probe = |probe| health::answer_probe(probe, false, None, Condition::Error);
        for answer in [probe(Probe::Live), probe(Probe::Ready), options.answer(false)] {
            let mut out = Vec::new();
            encode_answer(&mut out, DATE, &answer, Manner { keep_alive: false, head_only: false });
            assert!(out.starts_with(b"HTTP/1.1 503 "));
        }
    }
}
