//! What processes say to each other, as bytes: a length, a kind, fields in little-endian order.
//!
//! The greeting has the same form in all versions, so that different versions part with a reason. Everything read is bounded
//! and checked, although only processes of the same user may connect. An event of an app that this process does not have
//! goes to no client here: its sender hears that it was decided.

use std::sync::Arc;

use protocol::app::Apps;
use protocol::socket_id::SocketId;
use protocol::ws::Frame;

use machines::exchange::{Homes, Message};
use machines::mesh::{Event, Origin, Terminate};
use machines::topic::TopicKey;

use crate::limits::TAKEOVER_MESSAGE_BYTES_MAX;

/// The version of everything after the greeting.
const VERSION: u8 = 3;

const MAGIC: [u8; 8] = *b"corecast";

/// The process that opens a link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Hello {
    /// When the process began, in ticks of a clock that all share.
    pub started_ticks: u64,
    /// Tells apart two processes that began at the same time.
    pub random: u64,
}

/// Why a process does not follow another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Refusal {
    /// It speaks another version.
    Version = 1,
    /// It is the younger one.
    Younger = 2,
    /// Another process leads it.
    Led = 3,
}

/// A message as it was read.
#[derive(Debug)]
pub enum Said {
    /// The first word of a newcomer; None in another version.
    Hello(Option<Hello>),
    /// The answer to it.
    Welcome,
    /// The other answer.
    Refused(Refusal),
    /// An offered event of an app that is not here.
    Unknown {
        /// The follower's home.
        home: u16,
        /// That home's number for it.
        seq: u64,
        /// How long it was.
        bytes: u32,
    },
    /// All that follows.
    Message(Message<Event>),
    /// Something about an app that is not here.
    Nothing,
}

/// The bytes mean nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Garbled;

const HELLO: u8 = 0;
const WELCOME: u8 = 1;
const REFUSED: u8 = 2;
const LEAD: u8 = 3;
const READY: u8 = 4;
const BEAT: u8 = 5;
const OFFERED: u8 = 6;
const DECIDED: u8 = 7;
const HEARD: u8 = 8;
const TERMINATE: u8 = 9;

const BACK_END: u8 = 0;
const CLIENT: u8 = 1;

/// Appends the first word.
pub fn encode_hello(out: &mut Vec<u8>, hello: Hello) {
    append(out, HELLO, |out| {
        out.extend_from_slice(&MAGIC);
        out.push(VERSION);
        out.extend_from_slice(&hello.started_ticks.to_le_bytes());
        out.extend_from_slice(&hello.random.to_le_bytes());
    });
}

/// Appends the answer to it.
pub fn encode_answer(out: &mut Vec<u8>, answer: Result<(), Refusal>) {
    match answer {
        Ok(()) => append(out, WELCOME, |_| {}),
        Err(refusal) => append(out, REFUSED, |out| out.push(refusal as u8)),
    }
}

/// Appends a message.
pub fn encode(out: &mut Vec<u8>, message: &Message<Event>) {
    match message {
        Message::Lead => append(out, LEAD, |_| {}),
        Message::Ready => append(out, READY, |_| {}),
        Message::Beat => append(out, BEAT, |_| {}),
        Message::Offered { home, seq, event } => append(out, OFFERED, |out| {
            out.extend_from_slice(&home.to_le_bytes());
            out.extend_from_slice(&seq.to_le_bytes());
            append_event(out, event);
        }),
        Message::Decided { home, seq, bytes } => append(out, DECIDED, |out| {
            out.extend_from_slice(&home.to_le_bytes());
            out.extend_from_slice(&seq.to_le_bytes());
            out.extend_from_slice(&bytes.to_le_bytes());
        }),
        Message::Heard(event) => append(out, HEARD, |out| append_event(out, event)),
        Message::Terminate(Terminate { app, user_id }) => append(out, TERMINATE, |out| {
            append_text(out, &app.id);
            append_text(out, user_id);
        }),
    }
}

fn append(out: &mut Vec<u8>, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, kind]);
    body(out);
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

fn append_event(out: &mut Vec<u8>, event: &Event) {
    append_text(out, &event.topic.app.id);
    append_text(out, &event.topic.name());
    out.push(u8::from(event.except.is_some()));
    if let Some(SocketId { first, second }) = event.except {
        out.extend_from_slice(&first.to_le_bytes());
        out.extend_from_slice(&second.to_le_bytes());
    }
    out.push(match event.origin {
        Origin::BackEnd => BACK_END,
        Origin::Client => CLIENT,
    });
    out.push(u8::from(event.frame.holds_json()));
    out.extend_from_slice(event.frame.as_bytes());
}

fn append_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// The message at the beginning and its length; None until it is whole.
pub fn decode(bytes: &[u8], apps: &Apps, homes: &Homes) -> Result<Option<(Said, usize)>, Garbled> {
    let mut fields = Fields(bytes);
    let Ok(length) = fields.u32() else { return Ok(None) };
    let length = length as usize;
    if length == 0 || length > TAKEOVER_MESSAGE_BYTES_MAX {
        return Err(Garbled);
    }
    let Ok(body) = fields.bytes(length) else { return Ok(None) };
    let said = decode_body(Fields(body), apps, homes)?;
    Ok(Some((said, 4 + length)))
}

fn decode_body(mut fields: Fields<'_>, apps: &Apps, homes: &Homes) -> Result<Said, Garbled> {
    let kind = fields.u8()?;
    let said = match kind {
        HELLO => {
            if fields.array()? != MAGIC {
                return Err(Garbled);
            }
            if fields.u8()? != VERSION {
                return Ok(Said::Hello(None));
            }
            Said::Hello(Some(Hello { started_ticks: fields.u64()?, random: fields.u64()? }))
        }
        WELCOME => Said::Welcome,
        REFUSED => Said::Refused(match fields.u8()? {
            2 => Refusal::Younger,
            3 => Refusal::Led,
            _ => Refusal::Version,
        }),
        LEAD => Said::Message(Message::Lead),
        READY => Said::Message(Message::Ready),
        BEAT => Said::Message(Message::Beat),
        OFFERED => {
            let (home, seq, bytes) = (fields.u16()?, fields.u64()?, fields.0.len() as u32);
            match decode_event(fields, apps, homes)? {
                Some(event) => Said::Message(Message::Offered { home, seq, event }),
                None => Said::Unknown { home, seq, bytes },
            }
        }
        DECIDED => {
            Said::Message(Message::Decided { home: fields.u16()?, seq: fields.u64()?, bytes: fields.u32()? })
        }
        HEARD => decode_event(fields, apps, homes)?
            .map_or(Said::Nothing, |event| Said::Message(Message::Heard(event))),
        TERMINATE => {
            let (app, user_id) = (fields.text()?, fields.text()?);
            apps.by_id(app).map_or(Said::Nothing, |app| {
                Said::Message(Message::Terminate(Terminate { app: Arc::clone(app), user_id: user_id.into() }))
            })
        }
        _ => return Err(Garbled),
    };
    Ok(said)
}

/// None for an app that is not here.
fn decode_event(mut fields: Fields<'_>, apps: &Apps, homes: &Homes) -> Result<Option<Event>, Garbled> {
    const FINAL_TEXT: u8 = 0x81;
    let (app, channel) = (fields.text()?, fields.text()?);
    let except = match fields.u8()? {
        0 => None,
        _ => Some(SocketId { first: fields.u64()?, second: fields.u64()? }),
    };
    let origin = match fields.u8()? {
        BACK_END => Origin::BackEnd,
        CLIENT => Origin::Client,
        _ => return Err(Garbled),
    };
    let holds_json = fields.u8()? != 0;
    if fields.0.len() < 2 || fields.0[0] != FINAL_TEXT {
        return Err(Garbled);
    }
    let Some(app) = apps.by_id(app) else { return Ok(None) };
    let topic = homes.topic(app, TopicKey::of(channel));
    let frame = Frame::from(fields.0).holding_json(holds_json);
    Ok(Some(Event { topic, frame, except, origin, received: None }))
}

/// What is left of a message.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], Garbled> {
        let (taken, left) = self.0.split_at_checked(count).ok_or(Garbled)?;
        self.0 = left;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Garbled> {
        self.bytes(N)?.try_into().map_err(|_| Garbled)
    }

    fn u8(&mut self) -> Result<u8, Garbled> {
        self.array().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, Garbled> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, Garbled> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Garbled> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Result<&'a str, Garbled> {
        let length = self.u32()? as usize;
        std::str::from_utf8(self.bytes(length)?).map_err(|_| Garbled)
    }
}

#[cfg(test)]
mod tests {
    use protocol::app::App;

    use super::*;

    fn house() -> (Apps, Homes) {
        (Apps::new(vec![App::new("1", "key", "secret")]).unwrap(), Homes::new(7, 3))
    }

    fn event(app: &str) -> Event {
        let app = Arc::new(App::new(app, "k", "s"));
        let topic = house().1.topic(&app, TopicKey::of("private-x"));
        let except = Some(SocketId { first: 2, second: 1 << 40 });
        let frame = Frame::from(vec![0x81, 1, b'x']);
        Event { topic, frame, except, origin: Origin::Client, received: None }
    }

    fn said(bytes: &[u8]) -> Said {
        let (apps, homes) = house();
        let (said, length) = decode(bytes, &apps, &homes).unwrap().unwrap();
        assert_eq!(length, bytes.len());
        said
    }

    #[test]
    fn events_arrive_as_they_were_sent() {
        let mut bytes = Vec::new();
        encode(&mut bytes, &Message::Offered { home: 5, seq: 1 << 33, event: event("1") });
        let Said::Message(Message::Offered { home: 5, seq: 0x2_0000_0000, event }) = said(&bytes) else {
            panic!("{:?}", said(&bytes))
        };
        assert_eq!((&*event.topic.name(), &*event.topic.app.id), ("private-x", "1"));
        assert_eq!(event.frame.as_bytes(), [0x81, 1, b'x']);
        assert_eq!(event.except, Some(SocketId { first: 2, second: 1 << 40 }));
        assert_eq!(event.origin, Origin::Client);
    }

    #[test]
    fn an_event_that_holds_json_stays_one() {
        for holds_json in [false, true] {
            let mut bytes = Vec::new();
            let frame = event("1").frame.holding_json(holds_json);
            encode(&mut bytes, &Message::Heard(Event { frame, ..event("1") }));
            let Said::Message(Message::Heard(heard)) = said(&bytes) else { panic!("{:?}", said(&bytes)) };
            assert_eq!(heard.frame.holds_json(), holds_json);
        }
    }

    #[test]
    fn an_event_of_a_back_end_stays_one() {
        for except in [None, Some(SocketId { first: 2, second: 3 })] {
            let mut bytes = Vec::new();
            encode(&mut bytes, &Message::Heard(Event { except, origin: Origin::BackEnd, ..event("1") }));
            let Said::Message(Message::Heard(heard)) = said(&bytes) else { panic!("{:?}", said(&bytes)) };
            assert_eq!((heard.origin, heard.except), (Origin::BackEnd, except));
        }
    }

    #[test]
    fn an_event_of_an_unknown_app_is_told_from_a_known_one() {
        let mut bytes = Vec::new();
        encode(&mut bytes, &Message::Offered { home: 5, seq: 9, event: event("2") });
        assert!(matches!(said(&bytes), Said::Unknown { home: 5, seq: 9, .. }));
        bytes.clear();
        encode(&mut bytes, &Message::Heard(event("2")));
        assert!(matches!(said(&bytes), Said::Nothing));
    }

    #[test]
    fn another_version_is_understood_as_such() {
        let mut bytes = Vec::new();
        let hello = Hello { started_ticks: 3, random: 4 };
        encode_hello(&mut bytes, hello);
        assert!(matches!(said(&bytes), Said::Hello(Some(heard)) if heard == hello));
        bytes[4 + 1 + MAGIC.len()] += 1;
        assert!(matches!(said(&bytes), Said::Hello(None)));
        bytes.clear();
        encode_answer(&mut bytes, Err(Refusal::Version));
        assert!(matches!(said(&bytes), Said::Refused(Refusal::Version)));
    }

    #[test]
    fn a_part_is_waited_for_and_garbage_is_refused() {
        let (apps, homes) = house();
        let mut whole = Vec::new();
        encode(&mut whole, &Message::Heard(event("1")));
        for length in 0..whole.len() {
            assert!(decode(&whole[..length], &apps, &homes).unwrap().is_none(), "{length}");
        }
        for cut in 5..whole.len() - 1 {
            // Shorter than its fields say, but whole by its own length.
            let mut bytes = whole[..cut].to_vec();
            bytes[..4].copy_from_slice(&(cut as u32 - 4).to_le_bytes());
            assert!(cut > whole.len() - 3 || decode(&bytes, &apps, &homes).is_err(), "{cut}");
        }
        for garbage in [&[0; 8][..], &[0xff; 8], &[1, 0, 0, 0, 99], b"GET / HTTP/1.1\r\n\r\n"] {
            assert!(decode(garbage, &apps, &homes).is_err(), "{garbage:?}");
        }
    }
}
