//! A WebSocket server that sends back what it hears, made of the decoder and encoders of this crate and a thread per
//! connection. Suites of others' tests talk to it: `cargo run -p corecast-protocol --example echo -- 127.0.0.1:9001`.
//!
//! Like the protocol, it knows no binary messages.
#![forbid(unsafe_code)]

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use protocol::http::{HeadParse, parse_head};
use protocol::ws::{
    Decoder, Message, encode_close_frame, encode_pong_frame, encode_text_frame, encode_upgrade_response,
    parse_upgrade,
};

/// Larger than any message of a suite.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

#[expect(clippy::disallowed_methods, reason = "only the library must not know sockets and threads")]
fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    let listener = TcpListener::bind(address)?;
    println!("{}", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::spawn(move || echo(stream));
    }
    Ok(())
}

/// One connection. That it breaks is its own affair.
fn echo(mut stream: TcpStream) -> io::Result<()> {
    let Some(mut input) = upgrade(&mut stream)? else { return Ok(()) };
    let (mut decoder, mut out) = (Decoder::default(), Vec::new());
    loop {
        let end = answer(&mut decoder, &mut input, &mut out);
        stream.write_all(&out)?;
        out.clear();
        if end {
            stream.shutdown(Shutdown::Write)?;
            // The peer has the answer when it closes as well.
            return io::copy(&mut stream, &mut io::sink()).map(drop);
        }
        input.resize(64 << 10, 0);
        let count = stream.read(&mut input)?;
        if count == 0 {
            return Ok(());
        }
        input.truncate(count);
    }
}

/// Answers all messages in the input. Returns whether the connection is at its end.
fn answer(decoder: &mut Decoder, input: &mut [u8], out: &mut Vec<u8>) -> bool {
    let mut rest = input;
    loop {
        let used = match decoder.decode(rest, MESSAGE_BYTES_MAX) {
            Ok((_, None)) => return false,
            Ok((used, Some(Message::Text(text)))) => {
                // The decoder hands out text alone.
                encode_text_frame(out, std::str::from_utf8(text).unwrap_or_default());
                used
            }
            Ok((used, Some(Message::Ping(payload)))) => {
                encode_pong_frame(out, payload);
                used
            }
            Ok((used, Some(Message::Pong))) => used,
            Ok((_, Some(Message::Close(code)))) => {
                encode_close_frame(out, code.unwrap_or(1000), "");
                return true;
            }
            Err(close) => {
                encode_close_frame(out, close.code, close.reason);
                return true;
            }
        };
        rest = rest.get_mut(used..).unwrap_or_default();
    }
}

/// Answers the upgrade. Returns what came behind its head, or nothing if it was refused.
fn upgrade(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut input = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk)?;
        input.extend_from_slice(&chunk[..count]);
        match parse_head(&input) {
            HeadParse::Complete { head, bytes } => {
                let Ok(upgrade) = parse_upgrade(&head) else { return Ok(None) };
                let mut out = Vec::new();
                encode_upgrade_response(&mut out, upgrade.sec_key);
                stream.write_all(&out)?;
                return Ok(Some(input.split_off(bytes)));
            }
            HeadParse::Partial if count > 0 => {}
            _ => return Ok(None),
        }
    }
}
