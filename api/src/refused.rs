//! Requests that are not carried out: a status and a text for the author of the client.
//!
//! A text says what to fix and names the setting of a limit. It never holds a secret. The engine encodes refusals of its
//! own (a deadline, a full server) through here as well, so that all errors look alike.

use std::borrow::Cow;

use protocol::http::{self, HttpError};

use crate::answer::Manner;

/// Why a request is not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The status of the response.
    pub status: u16,
    /// What stands in its body under `error`.
    pub text: Cow<'static, str>,
    /// A further header line that this status calls for.
    pub header: Option<(&'static str, Cow<'static, str>)>,
    /// The key that it came with, if that is what is wrong.
    pub unknown_key: Option<Box<str>>,
}

impl Refused {
    /// A refusal without a header of its own.
    pub fn new(status: u16, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, text: text.into(), header: None, unknown_key: None }
    }

    /// 503: the server cannot answer now, and says when to come back.
    pub fn retry_later(text: &'static str) -> Self {
        Self { header: Some(("Retry-After", Cow::Borrowed("1"))), ..Self::new(503, text) }
    }

    /// 415, for a body that is packed.
    pub(crate) fn coding(coding: &str) -> Self {
        let coding: String = coding.chars().take(64).collect();
        let text = format!("Content-Encoding {coding:?} is not taken here: send the body as it is");
        Self { header: Some(("Accept-Encoding", Cow::Borrowed("identity"))), ..Self::new(415, text) }
    }

    /// 400.
    pub(crate) fn invalid(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(400, text)
    }

    /// 405, with the methods that the path has.
    pub(crate) fn method(allow: &'static str) -> Self {
        let text = format!("Method not allowed: this path takes {allow}");
        Self { header: Some(("Allow", Cow::Borrowed(allow))), ..Self::new(405, text) }
    }
}

impl From<HttpError> for Refused {
    fn from(error: HttpError) -> Self {
        Self::new(error.status, error.text)
    }
}

/// Appends the whole response of a refusal; `date` is the time as HTTP writes it.
pub fn encode_refusal(out: &mut Vec<u8>, date: &str, refused: &Refused, manner: Manner) {
    let Refused { status, text, header, unknown_key: _ } = refused;
    let header = header.as_ref().map(|(name, value)| (*name, &**value));
    let body_bytes = http::encode_refusal(out, date, *status, text, manner.keep_alive, header.as_slice());
    manner.finish(out, body_bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Manner = Manner { keep_alive: true, head_only: false };

    fn text(refused: &Refused, manner: Manner) -> String {
        let mut out = Vec::new();
        encode_refusal(&mut out, "Sun, 06 Nov 1994 08:49:37 GMT", refused, manner);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_refusal_is_json_with_its_status() {
        let response = text(&Refused::new(400, "bad \"name\""), PLAIN);
        assert!(response.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{response}");
        assert!(
            response.contains("\r\nContent-Type: application/json\r\n") && response.contains("\r\nDate: Sun"),
            "{response}"
        );
        assert!(response.ends_with("\r\n\r\n{\"error\":\"bad \\\"name\\\"\"}"), "{response}");
    }

    #[test]
    fn statuses_bring_their_headers() {
        assert!(text(&Refused::method("GET, HEAD"), PLAIN).contains("\r\nAllow: GET, HEAD\r\n"));
        assert!(text(&Refused::retry_later("busy"), PLAIN).contains("\r\nRetry-After: 1\r\n"));
    }

    #[test]
    fn a_refused_head_request_gets_no_body() {
        let response = text(&Refused::new(404, "nothing"), Manner { keep_alive: false, head_only: true });
        assert!(response.contains("Content-Length: 19\r\n") && response.ends_with("\r\n\r\n"), "{response}");
    }
}
