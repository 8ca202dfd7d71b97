//! An event as it stands on a server, in inboxes and as the last event of a cache channel.
//!
//! One byte of flags (1: its data holds JSON, 2: it came from a client, 4: a connection is left out), the epoch of its
//! publisher in 8 bytes, the number of the home that published it in 2, the number of its echo there in 8 (0: none is
//! kept), the two numbers of the socket id that is left out in 8 each if there is one, and the whole frame. Numbers have
//! their highest byte first.

use protocol::socket_id::SocketId;
use protocol::ws::Frame;

use crate::cluster::epoch::Epoch;
use crate::mesh::{Event, Origin};

const HOLDS_JSON: u8 = 1;
const OF_CLIENT: u8 = 2;
const HAS_EXCEPT: u8 = 4;

/// An event as it was read. What it was published on is said beside it.
#[derive(Clone, Debug)]
pub struct EventData {
    /// The session of its publisher.
    pub epoch: Epoch,
    /// The shard whose home published it.
    pub home: u16,
    /// The number of its echo at that home. 0: none is kept.
    pub echo: u64,
    /// The connection that must not get it.
    pub except: Option<SocketId>,
    /// Where it came from.
    pub origin: Origin,
    /// Its bytes.
    pub frame: Frame,
}

/// Encodes an event that the home of shard `home` publishes.
pub fn encode_event(event: &Event, epoch: Epoch, home: u16, echo: u64) -> Vec<u8> {
    let Event { frame, except, origin, .. } = event;
    let mut out = Vec::with_capacity(35 + frame.len());
    let mut flags = if frame.holds_json() { HOLDS_JSON } else { 0 };
    flags |= if *origin == Origin::Client { OF_CLIENT } else { 0 };
    flags |= if except.is_some() { HAS_EXCEPT } else { 0 };
    out.push(flags);
    out.extend_from_slice(&epoch.0.to_be_bytes());
    out.extend_from_slice(&home.to_be_bytes());
    out.extend_from_slice(&echo.to_be_bytes());
    if let Some(SocketId { first, second }) = except {
        out.extend_from_slice(&first.to_be_bytes());
        out.extend_from_slice(&second.to_be_bytes());
    }
    out.extend_from_slice(frame.as_bytes());
    out
}

/// Reads an event. None: those are not the bytes of one.
pub fn decode_event(bytes: &[u8]) -> Option<EventData> {
    let ([flags], rest) = bytes.split_first_chunk::<1>()?;
    let (epoch, rest) = rest.split_first_chunk::<8>()?;
    let (home, rest) = rest.split_first_chunk::<2>()?;
    let (echo, mut rest) = rest.split_first_chunk::<8>()?;
    if flags & !(HOLDS_JSON | OF_CLIENT | HAS_EXCEPT) != 0 {
        return None;
    }
    let mut except = None;
    if flags & HAS_EXCEPT != 0 {
        let (first, after) = rest.split_first_chunk::<8>()?;
        let (second, after) = after.split_first_chunk::<8>()?;
        except = Some(SocketId { first: u64::from_be_bytes(*first), second: u64::from_be_bytes(*second) });
        rest = after;
    }
    Some(EventData {
        epoch: Epoch(u64::from_be_bytes(*epoch)),
        home: u16::from_be_bytes(*home),
        echo: u64::from_be_bytes(*echo),
        except,
        origin: if flags & OF_CLIENT == 0 { Origin::BackEnd } else { Origin::Client },
        frame: Frame::from(rest).holding_json(flags & HOLDS_JSON != 0),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use protocol::app::App;

    use super::*;
    use crate::topic::{TopicHash, TopicKey};

    #[test]
    fn an_event_comes_back_as_it_was_and_nothing_cut_off_is_one() {
        let topic = TopicHash::new(1, 1).topic(&Arc::new(App::new("1", "k", "s")), TopicKey::of("c"));
        for (except, origin, holds_json) in [
            (None, Origin::BackEnd, false),
            (Some(SocketId { first: 1 << 40, second: 7 }), Origin::Client, true),
        ] {
            let frame = Frame::from(&b"frame"[..]).holding_json(holds_json);
            let event = Event { topic: Arc::clone(&topic), frame, except, origin, received: None };
            let bytes = encode_event(&event, Epoch(9), 3, 1 << 33);
            let read = decode_event(&bytes).unwrap();
            assert_eq!((read.epoch, read.home, read.echo), (Epoch(9), 3, 1 << 33));
            assert_eq!((read.except, read.origin), (except, origin));
            assert_eq!((read.frame.as_bytes(), read.frame.holds_json()), (&b"frame"[..], holds_json));
            for length in 0..bytes.len() - 5 {
                assert!(decode_event(bytes.get(..length).unwrap()).is_none());
            }
        }
        assert!(decode_event(&[8; 40]).is_none());
    }
}
