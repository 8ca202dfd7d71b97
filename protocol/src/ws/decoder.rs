//! Client frames to messages, incrementally (RFC 6455 §5 and §8.1).
//!
//! A frame that is whole in the input is unmasked there and handed out without a copy: that is nearly all of them. Only
//! what is unfinished at the end of the input, or fragmented, is kept, in a box that goes away with the message. What
//! is kept never exceeds the limit on a message and one header, and it grows with the bytes that really came, not with
//! what a header announces. The first violation ends the connection. Called by the driver with what it read.

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use crate::close::Close;
use crate::limits::{CONTROL_BYTES_MAX, FRAME_HEADER_BYTES_MAX};

/// The state of one connection's incoming side: one word when nothing is unfinished.
#[derive(Debug, Default)]
pub struct Decoder(Option<Box<Pending>>);

/// One message, or one control frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A text message, all its fragments together. Valid UTF-8.
    Text(&'a [u8]),
    /// To be answered with a pong of the same payload, at most 125 bytes.
    Ping(&'a [u8]),
    /// A sign of life.
    Pong,
    /// The peer closes, with its code if it gave one. What follows in the input has no meaning.
    Close(Option<u16>),
}

impl Decoder {
    /// Takes one message out of `input` (which is unmasked in place) or out of what was kept. Returns how many bytes of
    /// `input` were used. Without a message all of it was used, and what is unfinished is kept: call until then, the
    /// last call also frees what a kept message occupied.
    ///
    /// `message_bytes_max` is the limit on a text message in decoded bytes, all fragments together. An error is how to
    /// close: 1002, 1003, 1007 or 1009.
    pub fn decode<'a>(
        &'a mut self,
        input: &'a mut [u8],
        message_bytes_max: usize,
    ) -> Result<(usize, Option<Message<'a>>), Close> {
        self.forget_message();
        let mut used = 0;
        while let Some(rest) = input.get_mut(used..).filter(|rest| !rest.is_empty()) {
            let (bytes, step) = self.take_frame(rest, message_bytes_max)?;
            used += bytes;
            match step {
                Step::More => {}
                Step::Whole(kind, payload_bytes) => {
                    let payload = input.get(used.saturating_sub(payload_bytes)..used).unwrap_or_default();
                    return Ok((used, Some(message(kind, payload)?)));
                }
                Step::Kept(kind) => {
                    let payload = self.0.as_deref().map(|pending| pending.payload(kind));
                    return Ok((used, Some(message(kind, payload.unwrap_or_default())?)));
                }
            }
        }
        Ok((used, None))
    }

    /// Whether no frame and no message is unfinished.
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|pending| pending.is_idle())
    }

    // Frees what the message handed out by the last call occupied.
    fn forget_message(&mut self) {
        if let Some(pending) = &mut self.0 {
            pending.forget_message();
            if pending.is_idle() {
                self.0 = None;
            }
        }
    }

    // Takes bytes of one frame from the input, up to its end.
    fn take_frame(&mut self, input: &mut [u8], message_bytes_max: usize) -> Result<(usize, Step), Close> {
        match &mut self.0 {
            None => self.start_frame(input, message_bytes_max),
            Some(pending) if pending.frame.is_some() => pending.take_payload(input),
            Some(pending) if pending.header_bytes > 0 => pending.take_header(input, message_bytes_max),
            Some(_) => self.start_frame(input, message_bytes_max),
        }
    }

    // A frame begins with the input.
    fn start_frame(&mut self, input: &mut [u8], message_bytes_max: usize) -> Result<(usize, Step), Close> {
        let message = self.0.as_deref().and_then(|pending| pending.text.as_ref());
        let message_bytes = message.map(|text| text.bytes.len());
        let Some((frame, header_bytes)) = parse_frame(input, message_bytes, message_bytes_max)? else {
            return Ok((input.len(), self.pending().keep_header(input)));
        };
        let end = header_bytes.saturating_add(frame.bytes_left);
        let is_alone = frame.kind.is_control() || (frame.is_final && message_bytes.is_none());
        match input.get_mut(header_bytes..end) {
            Some(payload) if is_alone => {
                frame.unmask(payload);
                if frame.kind == Kind::Text && std::str::from_utf8(payload).is_err() {
                    return Err(Close::NOT_UTF8);
                }
                Ok((end, Step::Whole(frame.kind, payload.len())))
            }
            _ => {
                self.pending().begin(frame);
                Ok((header_bytes, self.finish_if_empty()?))
            }
        }
    }

    // A frame without a payload is over with its header.
    fn finish_if_empty(&mut self) -> Result<Step, Close> {
        match &mut self.0 {
            Some(pending) => pending.finish_frame(),
            None => Ok(Step::More),
        }
    }

    fn pending(&mut self) -> &mut Pending {
        self.0.get_or_insert_default()
    }
}

// What taking bytes of a frame led to.
enum Step {
    // Nothing to hand out yet.
    More,
    // A message whose payload, so many bytes, ends where the used input ends.
    Whole(Kind, usize),
    // A message whose payload is kept.
    Kept(Kind),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Ping,
    Pong,
    Close,
}

impl Kind {
    fn is_control(self) -> bool {
        self != Self::Text
    }
}

// A frame whose header is known, and how much of its payload has not come.
#[derive(Clone, Copy, Debug)]
struct Frame {
    kind: Kind,
    is_final: bool,
    mask: [u8; 4],
    bytes_left: usize,
}

impl Frame {
    fn unmask(&self, payload: &mut [u8]) {
        unmask(payload, self.mask);
    }

    // After so many bytes of payload the mask goes on in its middle.
    fn advance(&mut self, bytes: usize) {
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        self.mask.rotate_left(bytes % 4);
    }
}

// The text message that is being collected, and how far it is known to be UTF-8. The rest, at most three bytes, is the
// beginning of a character.
#[derive(Debug, Default)]
struct Text {
    bytes: Vec<u8>,
    bytes_checked: usize,
}

impl Text {
    fn append(&mut self, bytes: &[u8]) -> Result<(), Close> {
        self.bytes.extend_from_slice(bytes);
        let unchecked = self.bytes.get(self.bytes_checked..).unwrap_or_default();
        match std::str::from_utf8(unchecked) {
            Ok(_) => self.bytes_checked = self.bytes.len(),
            Err(error) if error.error_len().is_some() => return Err(Close::NOT_UTF8),
            Err(error) => self.bytes_checked += error.valid_up_to(),
        }
        Ok(())
    }

    fn is_utf8(&self) -> bool {
        self.bytes_checked == self.bytes.len()
    }
}

#[derive(Debug, Default)]
struct Pending {
    // The beginning of a header.
    header: [u8; FRAME_HEADER_BYTES_MAX],
    header_bytes: usize,
    // The frame whose payload is coming.
    frame: Option<Frame>,
    // The message that its data frames belong to, and whether it was handed out.
    text: Option<Text>,
    is_handed_out: bool,
    // The payload of a control frame, so far.
    control: Vec<u8>,
}

impl Pending {
    fn is_idle(&self) -> bool {
        self.header_bytes == 0 && self.frame.is_none() && (self.text.is_none() || self.is_handed_out)
    }

    fn forget_message(&mut self) {
        if self.is_handed_out {
            self.text = None;
            self.is_handed_out = false;
        }
    }

    fn payload(&self, kind: Kind) -> &[u8] {
        match (kind, &self.text) {
            (Kind::Text, Some(text)) => &text.bytes,
            (Kind::Text, None) => &[],
            _ => &self.control,
        }
    }

    fn keep_header(&mut self, bytes: &[u8]) -> Step {
        for (kept, byte) in self.header.iter_mut().zip(bytes) {
            *kept = *byte;
        }
        self.header_bytes = bytes.len().min(FRAME_HEADER_BYTES_MAX);
        Step::More
    }

    // The header began in an earlier input and goes on in this one.
    fn take_header(&mut self, input: &[u8], message_bytes_max: usize) -> Result<(usize, Step), Close> {
        let kept = self.header_bytes;
        let mut joined = self.header;
        let room = joined.iter_mut().skip(kept);
        let copied = room.zip(input).map(|(to, from)| *to = *from).count();
        let joined = joined.get(..kept + copied).unwrap_or_default();
        let message_bytes = self.text.as_ref().map(|text| text.bytes.len());
        match parse_frame(joined, message_bytes, message_bytes_max)? {
            Some((frame, header_bytes)) => {
                self.header_bytes = 0;
                self.begin(frame);
                Ok((header_bytes.saturating_sub(kept), self.finish_frame()?))
            }
            None => Ok((copied, self.keep_header(joined))),
        }
    }

    fn begin(&mut self, frame: Frame) {
        self.frame = Some(frame);
        if frame.kind.is_control() {
            self.control.clear();
        } else {
            self.text.get_or_insert_default();
        }
    }

    fn take_payload(&mut self, input: &mut [u8]) -> Result<(usize, Step), Close> {
        let Some(frame) = &mut self.frame else { return Ok((0, Step::More)) };
        let bytes = frame.bytes_left.min(input.len());
        let payload = input.get_mut(..bytes).unwrap_or_default();
        frame.unmask(payload);
        frame.advance(bytes);
        match &mut self.text {
            Some(text) if !frame.kind.is_control() => text.append(payload)?,
            _ => self.control.extend_from_slice(payload),
        }
        Ok((bytes, self.finish_frame()?))
    }

    fn finish_frame(&mut self) -> Result<Step, Close> {
        let Some(frame) = self.frame.take_if(|frame| frame.bytes_left == 0) else { return Ok(Step::More) };
        if frame.kind.is_control() {
            return Ok(Step::Kept(frame.kind));
        }
        if !frame.is_final {
            return Ok(Step::More);
        }
        if !self.text.as_ref().is_some_and(Text::is_utf8) {
            return Err(Close::NOT_UTF8);
        }
        self.is_handed_out = true;
        Ok(Step::Kept(Kind::Text))
    }
}

fn message(kind: Kind, payload: &[u8]) -> Result<Message<'_>, Close> {
    match kind {
        Kind::Text => Ok(Message::Text(payload)),
        Kind::Ping => Ok(Message::Ping(payload)),
        Kind::Pong => Ok(Message::Pong),
        Kind::Close => parse_close(payload).map(Message::Close),
    }
}

fn parse_close(payload: &[u8]) -> Result<Option<u16>, Close> {
    match payload {
        [] => Ok(None),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !Close::may_be_sent(code) {
                return Err(Close::PROTOCOL_ERROR.with_reason("Invalid close code"));
            }
            std::str::from_utf8(reason).map_err(|_| Close::NOT_UTF8)?;
            Ok(Some(code))
        }
        [_] => Err(Close::PROTOCOL_ERROR.with_reason("Invalid close frame")),
    }
}

// The frame that begins with these bytes and the length of its header; `None` if the header is not complete.
// `message_bytes` is the length of the message that waits for more fragments, if one does.
fn parse_frame(
    bytes: &[u8],
    message_bytes: Option<usize>,
    message_bytes_max: usize,
) -> Result<Option<(Frame, usize)>, Close> {
    let mut cursor = Cursor::new(bytes);
    let parsed = FrameHeader::parse(&mut cursor);
    let Some((header, length)) = parsed.map_err(|_| Close::PROTOCOL_ERROR.with_reason("Invalid opcode"))?
    else {
        return Ok(None);
    };
    let header_bytes = cursor.position() as usize;
    let Some(mask) = header.mask else {
        return Err(Close::PROTOCOL_ERROR.with_reason("Client frames must be masked"));
    };
    if header.rsv1 || header.rsv2 || header.rsv3 {
        return Err(Close::PROTOCOL_ERROR.with_reason("No extension was agreed on"));
    }
    if header.len(length) != header_bytes || length >> 63 != 0 {
        return Err(Close::PROTOCOL_ERROR.with_reason("Invalid length of a frame"));
    }
    let kind = parse_kind(header.opcode, message_bytes.is_some())?;
    let bytes_max = if kind.is_control() {
        check_control(header.is_final, length)?;
        CONTROL_BYTES_MAX
    } else {
        message_bytes_max.saturating_sub(message_bytes.unwrap_or(0))
    };
    if length > bytes_max as u64 {
        return Err(Close::TOO_BIG);
    }
    Ok(Some((Frame { kind, is_final: header.is_final, mask, bytes_left: length as usize }, header_bytes)))
}

fn check_control(is_final: bool, length: u64) -> Result<(), Close> {
    if is_final && length <= CONTROL_BYTES_MAX as u64 {
        return Ok(());
    }
    Err(Close::PROTOCOL_ERROR.with_reason("Control frames are final and hold at most 125 bytes"))
}

fn parse_kind(opcode: OpCode, is_in_message: bool) -> Result<Kind, Close> {
    match opcode {
        OpCode::Data(Data::Continue) if is_in_message => Ok(Kind::Text),
        OpCode::Data(Data::Text) if !is_in_message => Ok(Kind::Text),
        OpCode::Data(Data::Binary) if !is_in_message => Err(Close::BINARY),
        OpCode::Control(Control::Ping) => Ok(Kind::Ping),
        OpCode::Control(Control::Pong) => Ok(Kind::Pong),
        OpCode::Control(Control::Close) => Ok(Kind::Close),
        OpCode::Data(Data::Reserved(_)) | OpCode::Control(Control::Reserved(_)) => {
            Err(Close::PROTOCOL_ERROR.with_reason("Invalid opcode"))
        }
        OpCode::Data(_) => Err(Close::PROTOCOL_ERROR.with_reason("Fragments out of order")),
    }
}

// Sixteen bytes at a time, which the compiler makes vector instructions of.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u128::from_ne_bytes([a, b, c, d, a, b, c, d, a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks_mut::<16>();
    for word in words {
        *word = (u128::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX: usize = 1000;
    const CONTINUE: u8 = 0x0;
    const TEXT: u8 = 0x1;
    const BINARY: u8 = 0x2;
    const CLOSE: u8 = 0x8;
    const PING: u8 = 0x9;
    const PONG: u8 = 0xa;
    const FINAL: u8 = 0x80;

    #[derive(Clone, Debug, PartialEq, Eq)]
    enum Owned {
        Text(String),
        Ping(Vec<u8>),
        Pong,
        Close(Option<u16>),
    }

    impl From<Message<'_>> for Owned {
        fn from(message: Message<'_>) -> Self {
            match message {
                Message::Text(text) => Self::Text(String::from_utf8(text.to_vec()).expect("text is UTF-8")),
                Message::Ping(payload) => Self::Ping(payload.to_vec()),
                Message::Pong => Self::Pong,
                Message::Close(code) => Self::Close(code),
            }
        }
    }

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        frame_with_mask(first, payload, [0x12, 0x34, 0xa5, 0xff])
    }

    fn frame_with_mask(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
        let mut bytes = vec![first];
        match payload.len() {
            length @ 0..=125 => bytes.push(0x80 | length as u8),
            length @ 126..=0xffff => {
                bytes.push(0x80 | 126);
                bytes.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                bytes.push(0x80 | 127);
                bytes.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        bytes.extend_from_slice(&mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    // What comes out of these reads, up to the first violation.
    fn decode(reads: &[&[u8]], max: usize) -> (Vec<Owned>, Option<u16>, Decoder) {
        let mut decoder = Decoder::default();
        let mut messages = Vec::new();
        for read in reads {
            let mut read = read.to_vec();
            let mut input = read.as_mut_slice();
            loop {
                match decoder.decode(input, max) {
                    Err(close) => return (messages, Some(close.code), decoder),
                    Ok((used, Some(message))) => {
                        messages.push(message.into());
                        input = &mut input[used..];
                    }
                    Ok((used, None)) => {
                        assert_eq!(used, input.len());
                        break;
                    }
                }
            }
            let kept = decoder.0.as_ref().and_then(|pending| pending.text.as_ref());
            assert!(kept.is_none_or(|text| text.bytes.len() <= max));
        }
        (messages, None, decoder)
    }

    fn text(text: &str) -> Owned {
        Owned::Text(text.into())
    }

    #[test]
    fn a_whole_frame_is_handed_out_from_the_input() {
        let mut input = frame(FINAL | TEXT, b"hello");
        let range = input.as_ptr_range();
        let mut decoder = Decoder::default();
        let (used, message) = decoder.decode(&mut input, MAX).unwrap();
        assert_eq!(used, 11);
        let Some(Message::Text(payload)) = message else { panic!("{message:?}") };
        assert_eq!(payload, b"hello");
        assert!(range.contains(&payload.as_ptr()));
        assert!(decoder.0.is_none());
    }

    #[test]
    fn an_idle_decoder_is_one_word() {
        assert_eq!(size_of::<Decoder>(), 8);
    }

    #[test]
    fn fragments_are_joined_and_control_frames_may_come_between() {
        let input = [
            frame(TEXT, b"a\xe2\x82"),
            frame(FINAL | PING, b"p"),
            frame(CONTINUE, b""),
            frame(FINAL | PONG, b""),
            frame(FINAL | CONTINUE, b"\xacb"),
            frame(FINAL | TEXT, b""),
            frame(FINAL | CLOSE, b""),
        ];
        let expected = [Owned::Ping(b"p".to_vec()), Owned::Pong, text("a€b"), text(""), Owned::Close(None)];
        let (messages, error, decoder) = decode(&[&input.concat()], MAX);
        assert_eq!((messages.as_slice(), error), (expected.as_slice(), None));
        assert!(decoder.is_empty() && decoder.0.is_none());
    }

    #[test]
    fn what_is_unfinished_is_kept_and_freed_with_its_message() {
        let bytes = frame(FINAL | TEXT, b"hello");
        let mut decoder = Decoder::default();
        for byte in &bytes[..bytes.len() - 1] {
            assert_eq!(decoder.decode(&mut [*byte], MAX), Ok((1, None)));
            assert!(!decoder.is_empty());
        }
        assert_eq!(decoder.decode(&mut [bytes[10]], MAX), Ok((1, Some(Message::Text(b"hello")))));
        assert!(decoder.is_empty());
        assert_eq!(decoder.decode(&mut [], MAX), Ok((0, None)));
        assert!(decoder.0.is_none());
    }

    #[test]
    fn each_violation_has_its_code() {
        let long = "x".repeat(MAX + 1);
        let unmasked = vec![FINAL | TEXT, 1, b'x'];
        let huge = |length: u64| [&[FINAL | TEXT, 0xff][..], &length.to_be_bytes(), &[0; 4]].concat();
        let table = [
            (1002, vec![unmasked]),
            (1002, vec![frame(FINAL | 0x40 | TEXT, b"x")]),
            (1002, vec![frame(FINAL | 0x20 | TEXT, b"x")]),
            (1002, vec![frame(FINAL | 0x10 | TEXT, b"x")]),
            (1002, vec![frame(FINAL | 0x3, b"x")]),
            (1002, vec![frame(FINAL | 0xb, b"x")]),
            (1002, vec![frame(FINAL | CONTINUE, b"x")]),
            (1002, vec![frame(TEXT, b"x"), frame(FINAL | TEXT, b"y")]),
            (1002, vec![frame(TEXT, b"x"), frame(FINAL | BINARY, b"y")]),
            (1002, vec![frame(PING, b"x")]),
            (1002, vec![frame(FINAL | PING, &[0; 126])]),
            (1002, vec![frame(FINAL | CLOSE, b"x")]),
            (1002, vec![frame(FINAL | CLOSE, &1005_u16.to_be_bytes())]),
            (1002, vec![frame(FINAL | CLOSE, &999_u16.to_be_bytes())]),
            (1002, vec![frame(FINAL | CLOSE, &5000_u16.to_be_bytes())]),
            // Not the shortest form of a length, and one that is no length.
            (1002, vec![vec![FINAL | TEXT, 0x80 | 126, 0, 1, 0, 0, 0, 0, b'x']]),
            (1002, vec![huge(u64::MAX)]),
            (1003, vec![frame(FINAL | BINARY, b"x")]),
            (1003, vec![frame(BINARY, b"")]),
            (1007, vec![frame(FINAL | TEXT, b"\xff")]),
            (1007, vec![frame(FINAL | TEXT, b"\xed\xa0\x80")]),
            (1007, vec![frame(FINAL | TEXT, b"\xe2\x82")]),
            (1007, vec![frame(TEXT, b"a\xe2"), frame(CONTINUE, b"a")]),
            (1007, vec![frame(TEXT, b"a\xe2"), frame(FINAL | CONTINUE, b"")]),
            (1007, vec![frame(FINAL | CLOSE, b"\x03\xe8\xff")]),
            (1009, vec![frame(FINAL | TEXT, long.as_bytes())]),
            (1009, vec![frame(TEXT, &long.as_bytes()[1..]), frame(FINAL | CONTINUE, b"x")]),
            (1009, vec![huge(u64::MAX >> 1)]),
        ];
        for (index, (code, frames)) in table.into_iter().enumerate() {
            let whole = frames.concat();
            assert_eq!(decode(&[&whole], MAX).1, Some(code), "row {index}");
            let bytes: Vec<_> = whole.chunks(1).collect();
            assert_eq!(decode(&bytes, MAX).1, Some(code), "row {index}, byte by byte");
        }
    }

    #[test]
    fn a_message_of_exactly_the_limit_passes() {
        let longest = "x".repeat(MAX);
        assert_eq!(decode(&[&frame(FINAL | TEXT, longest.as_bytes())], MAX).0, [text(&longest)]);
        let halves = [frame(TEXT, &longest.as_bytes()[1..]), frame(FINAL | CONTINUE, b"x")].concat();
        assert_eq!(decode(&[&halves], MAX).0, [text(&longest)]);
    }

    #[test]
    fn broken_text_is_noticed_before_the_message_ends() {
        let mut bytes = frame(FINAL | TEXT, b"ab\xffcdefgh");
        bytes.truncate(9);
        assert_eq!(decode(&[&bytes], MAX).1, Some(1007));
    }

    #[test]
    fn an_announced_length_takes_no_memory() {
        let header = &frame(FINAL | TEXT, &[b'x'; 100_000])[..20];
        let (_, error, decoder) = decode(&[header], 128 << 10);
        let kept = decoder.0.unwrap().text.unwrap();
        assert!(error.is_none() && kept.bytes.capacity() < 100, "{}", kept.bytes.capacity());
    }

    #[test]
    fn close_codes_of_peers_are_read() {
        // The whole registry (https://www.iana.org/assignments/websocket).
        let valid = |code| matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        for code in 0..=u16::MAX {
            let payload = [&u16::to_be_bytes(code)[..], b"bye"].concat();
            let (messages, error, _) = decode(&[&frame(FINAL | CLOSE, &payload)], MAX);
            let expected =
                if valid(code) { (vec![Owned::Close(Some(code))], None) } else { (vec![], Some(1002)) };
            assert_eq!((messages, error), expected, "{code}");
        }
    }

    // A message as frames: a text in fragments with pings between them, or a control frame.
    fn any_message() -> impl Strategy<Value = (Vec<Vec<u8>>, Vec<Owned>)> {
        let text =
            (".{0,200}", proptest::collection::vec((0..1000_usize, any::<bool>()), 0..4), any::<[u8; 4]>());
        let text = text.prop_map(|(text, cuts, mask)| text_in_fragments(&text, &cuts, mask));
        let ping = proptest::collection::vec(any::<u8>(), 0..=125)
            .prop_map(|payload| (vec![frame(FINAL | PING, &payload)], vec![Owned::Ping(payload)]));
        let pong = Just((vec![frame(FINAL | PONG, b"x")], vec![Owned::Pong]));
        prop_oneof![4 => text, 1 => ping, 1 => pong]
    }

    fn text_in_fragments(text: &str, cuts: &[(usize, bool)], mask: [u8; 4]) -> (Vec<Vec<u8>>, Vec<Owned>) {
        let mut cuts: Vec<_> = cuts.iter().map(|(at, ping)| (at % (text.len() + 1), *ping)).collect();
        cuts.sort_unstable();
        let (mut frames, mut messages) = (Vec::new(), Vec::new());
        let (mut start, mut opcode) = (0, TEXT);
        for (cut, ping) in cuts {
            frames.push(frame_with_mask(opcode, &text.as_bytes()[start..cut], mask));
            (start, opcode) = (cut, CONTINUE);
            if ping {
                frames.push(frame(FINAL | PING, b"between"));
                messages.push(Owned::Ping(b"between".to_vec()));
            }
        }
        frames.push(frame_with_mask(FINAL | opcode, &text.as_bytes()[start..], mask));
        messages.push(Owned::Text(text.into()));
        (frames, messages)
    }

    fn split<'a>(bytes: &'a [u8], at: &[usize]) -> Vec<&'a [u8]> {
        let mut at: Vec<_> = at.iter().map(|at| at % (bytes.len() + 1)).collect();
        at.sort_unstable();
        at.push(bytes.len());
        let mut start = 0;
        let mut parts = Vec::new();
        for end in at {
            parts.push(&bytes[start..end]);
            start = end;
        }
        parts
    }

    proptest! {
        #[test]
        fn messages_come_out_however_the_bytes_are_split(
            messages in proptest::collection::vec(any_message(), 0..8),
            at in proptest::collection::vec(any::<usize>(), 0..20),
        ) {
            let bytes = messages.iter().flat_map(|(frames, _)| frames.concat()).collect::<Vec<_>>();
            let expected = messages.into_iter().flat_map(|(_, messages)| messages).collect::<Vec<_>>();
            let (whole, error, decoder) = decode(&[&bytes], MAX);
            prop_assert_eq!((&whole, error, decoder.is_empty()), (&expected, None, true));
            let (parts, error, decoder) = decode(&split(&bytes, &at), MAX);
            prop_assert_eq!((&parts, error, decoder.is_empty()), (&expected, None, true));
            prop_assert!(decoder.0.is_none());
        }

        #[test]
        fn any_bytes_end_the_same_however_they_are_split(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..300),
            likely in proptest::collection::vec((0..300_usize, 0..8_usize), 0..12),
            at in proptest::collection::vec(any::<usize>(), 0..20),
        ) {
            // Bytes that headers are likely to have, so that some of the noise is well formed for a while.
            const LIKELY: [u8; 8] = [0x81, 0x01, 0x80, 0x89, 0x82, 0x83, 0x88, 0xfe];
            for (place, pick) in likely {
                if let Some(byte) = bytes.get_mut(place) {
                    *byte = LIKELY[pick];
                }
            }
            let (whole, error, _) = decode(&[&bytes], 64);
            let (parts, parts_error, _) = decode(&split(&bytes, &at), 64);
            prop_assert_eq!((whole, error), (parts, parts_error));
        }

        #[test]
        fn unmasking_is_what_the_rfc_says(payload in proptest::collection::vec(any::<u8>(), 0..100), mask: [u8; 4]) {
            let mut words = payload.clone();
            unmask(&mut words, mask);
            let bytes: Vec<_> = payload.iter().enumerate().map(|(i, byte)| byte ^ mask[i % 4]).collect();
            prop_assert_eq!(words, bytes);
        }
    }
}
