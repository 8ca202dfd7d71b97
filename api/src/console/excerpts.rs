//! What an operator is shown of events and messages of which only the beginning is known. Clients choose what is in them, so
//! nothing here may rely on their form; and a signature is never shown whole.

use std::borrow::Cow;

use protocol::json::{Value, parse_object};
use serde::Deserialize;

use crate::limits::ESCAPE_BYTES_MAX;

/// Hex digits in a row from which on they are taken for a signature: those of HMAC-SHA256.
const SIGNATURE_DIGITS: usize = 64;

/// How many of them are shown.
const SIGNATURE_SHOWN: usize = 8;

/// What the beginning of an event says.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct EventExcerpt {
    /// Its name.
    pub event: String,
    /// Its data, or as much of it as there is.
    pub data: String,
    /// The verified sender, where the whole event is known.
    pub user_id: Option<String>,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    event: Option<Value<'a>>,
    #[serde(borrow)]
    data: Option<Value<'a>>,
    #[serde(borrow)]
    user_id: Option<Value<'a>>,
}

impl EventExcerpt {
    /// Of an event as the server encodes it: the name comes first, then the channel, then the data.
    pub fn of(start: &[u8]) -> Self {
        let text = |value: Option<Value<'_>>| value.map(|value| text_of(value.raw()));
        if let Ok(Fields { event, data, user_id }) = parse_object::<Fields<'_>>(start) {
            let [event, data] = [text(event), text(data)].map(Option::unwrap_or_default);
            return Self { event, data, user_id: text(user_id) };
        }
        let start = valid_start(start);
        let Some(rest) = start.strip_prefix("{\"event\":") else { return Self::default() };
        let (event, rest) = rest.split_at(literal_bytes(rest));
        let event = text_of(event);
        let Some(rest) = rest.strip_prefix(",\"channel\":") else { return Self { event, ..Self::default() } };
        let rest = rest.get(literal_bytes(rest)..).unwrap_or_default();
        let data = rest.strip_prefix(",\"data\":").map(text_of).unwrap_or_default();
        Self { event, data, user_id: None }
    }
}

/// What a message is called, and the channel that it is about; nothing of what it says. None where it was cut before that.
pub fn name_of(start: &[u8]) -> (Option<String>, Option<String>) {
    #[derive(Deserialize)]
    struct Names<'a> {
        #[serde(borrow)]
        event: Option<Value<'a>>,
        #[serde(borrow)]
        channel: Option<Value<'a>>,
        #[serde(borrow)]
        data: Option<Value<'a>>,
    }
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(borrow)]
        channel: Option<Value<'a>>,
    }
    let Ok(Names { event, channel, data }) = parse_object::<Names<'_>>(start) else {
        let EventExcerpt { event, .. } = EventExcerpt::of(start);
        return (Some(event).filter(|event| !event.is_empty()), None);
    };
    let of_data = || data?.object::<Data<'_>>().ok()?.channel;
    let [event, channel] = [event, channel.or_else(of_data)];
    let text = |value: Option<Value<'_>>| value.map(|value| text_of(value.raw()));
    (text(event), text(channel))
}

/// A message, without what could be used for a signature.
pub fn message_text(start: &[u8]) -> String {
    without_signatures(valid_start(start)).into_owned()
}

/// The text without the end of each signature in it.
fn without_signatures(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut shown = String::new();
    let (mut copied, mut at) = (0, 0);
    while at < bytes.len() {
        let digits = bytes.iter().skip(at).take_while(|byte| byte.is_ascii_hexdigit()).count();
        // At its end the text may be cut.
        let is_cut = at + digits == bytes.len() && digits > SIGNATURE_SHOWN;
        if digits >= SIGNATURE_DIGITS || is_cut {
            shown.push_str(text.get(copied..at + SIGNATURE_SHOWN).unwrap_or_default());
            shown.push('…');
            copied = at + digits;
        }
        at += digits.max(1);
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    shown.push_str(text.get(copied..).unwrap_or_default());
    Cow::Owned(shown)
}

/// As much of it as is whole characters. What is no UTF-8 in its middle ends it.
fn valid_start(start: &[u8]) -> &str {
    match std::str::from_utf8(start) {
        Ok(text) => text,
        Err(error) => {
            std::str::from_utf8(start.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default()
        }
    }
}

/// How long the string literal is with which this begins.
fn literal_bytes(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// What a JSON value says, or the beginning of a string literal; other values as they are written.
fn text_of(json: &str) -> String {
    if !json.starts_with('"') {
        return json.to_owned();
    }
    #[derive(Deserialize)]
    struct One<'a> {
        #[serde(borrow)]
        v: Option<Value<'a>>,
    }
    let parse = |literal: &str| {
        let wrapped = format!("{{\"v\":{literal}}}");
        let One { v } = parse_object(wrapped.as_bytes()).ok()?;
        Some(v?.text().ok()?.into_owned())
    };
    let whole =
        (json.len() > 1 && literal_bytes(json) == json.len() && json.ends_with('"')).then(|| parse(json));
    if let Some(Some(text)) = whole {
        return text;
    }
    // Its end may have been cut within an escape.
    let ends = (0..=ESCAPE_BYTES_MAX).filter_map(|cut| json.get(..json.len().checked_sub(cut)?));
    ends.filter_map(|start| parse(&format!("{start}\""))).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::json::EventData;
    use protocol::server_event::encode_event;
    use protocol::ws::Frame;

    fn encoded(event: &str, channel: &str, data: &str, user_id: Option<&str>) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_event(&mut bytes, event, channel, &EventData::of_text(data), user_id);
        Frame::from(bytes).payload().to_vec()
    }

    #[test]
    fn a_whole_event_is_read_as_it_is() {
        let bytes = encoded("e\"\\", "private-a", "{\"a\":\"\u{1F600}\n\"}", Some("u"));
        let expected = EventExcerpt {
            event: "e\"\\".to_owned(),
            data: "{\"a\":\"\u{1F600}\n\"}".to_owned(),
            user_id: Some("u".to_owned()),
        };
        assert_eq!(EventExcerpt::of(&bytes), expected);
    }

    #[test]
    fn wherever_an_event_is_cut_what_is_shown_is_its_beginning() {
        let (event, data) = ("<img onerror>\u{202E}\"", "\u{1b}[31m\"\\ \u{1F600}\u{0} text, \"data\":\"x\"");
        let bytes = encoded(event, "presence-a\"b", data, Some("u"));
        for end in 0..bytes.len() {
            let shown = EventExcerpt::of(&bytes[..end]);
            assert!(event.starts_with(&shown.event) && data.starts_with(&shown.data), "{end}: {shown:?}");
        }
        let behind_data = bytes.len() - ",\"user_id\":\"u\"}".len();
        assert_eq!(EventExcerpt::of(&bytes[..behind_data]).data, data);
    }

    #[test]
    fn what_is_no_event_shows_nothing() {
        for bytes in [&b""[..], b"x", b"{\"event\":", b"\xff\xfe", b"{\"event\":\"\\u", b"[1]"] {
            assert_eq!(EventExcerpt::of(bytes), EventExcerpt::default(), "{bytes:?}");
        }
    }

    #[test]
    fn a_message_is_called_by_its_event_and_channel_wherever_that_stands() {
        let table = [
            (
                r#"{"event":"pusher:subscribe","data":{"channel":"a","auth":"x"}}"#,
                Some("pusher:subscribe"),
                Some("a"),
            ),
            (
                r#"{"event":"client-x","channel":"private-a","data":"secret"}"#,
                Some("client-x"),
                Some("private-a"),
            ),
            (r#"{"event":"pusher:ping"}"#, Some("pusher:ping"), None),
            (r#"{"event":"e","channel":"a","data":"cu"#, Some("e"), None),
            ("{", None, None),
        ];
        for (message, event, channel) in table {
            let (found, about) = name_of(message.as_bytes());
            assert_eq!((found.as_deref(), about.as_deref()), (event, channel), "{message}");
        }
    }

    #[test]
    fn a_signature_is_not_shown_whole() {
        let signature = "0123456789abcdefABCDEF".repeat(3)[..64].to_owned();
        let message = format!("{{\"auth\":\"key:{signature}\",\"channel\":\"ü\",\"auth2\":\"{signature}\"}}");
        let shown = message_text(message.as_bytes());
        assert_eq!(shown, "{\"auth\":\"key:01234567…\",\"channel\":\"ü\",\"auth2\":\"01234567…\"}");
        let cut = &message[..message.find(&signature).unwrap() + 63];
        assert_eq!(message_text(cut.as_bytes()), "{\"auth\":\"key:01234567…");
        let short = "deadbeefdeadbeefdeadbeefdeadbeef is no signature";
        assert_eq!(message_text(short.as_bytes()), short);
        assert_eq!(message_text(b"a\xffb"), "a");
    }
}
