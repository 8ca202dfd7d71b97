//! Streams of the console: connections that are told what happens until they end. What one does not read in time it does not
//! get, and it is told what comes afterwards.

use api::answer::Manner;
use api::console::access::refuse_stream;
use api::console::events::{encode_event, encode_stream_head};
use api::refused::Refused;

use crate::api_core::ApiCore;
use crate::limits::{CONSOLE_STREAMS_MAX, CONSOLE_UNREAD_BYTES_MAX};
use crate::machine::{Now, Token};

/// What a stream is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::api_core) enum Stream {
    /// How the server is, once a second.
    Overview,
    /// What is sent to a channel.
    Tail,
    /// The messages of a connection.
    Trace,
}

/// All streams.
#[derive(Debug, Default)]
pub(in crate::api_core) struct Streams {
    open: Vec<Open>,
    /// Events that were not told because too much waited already.
    pub(in crate::api_core) lost: u64,
}

#[derive(Debug)]
struct Open {
    token: Token,
    stream: Stream,
    /// The session that has opened it, if it was no token.
    session: Option<u64>,
}

impl Streams {
    /// How many there are.
    pub(in crate::api_core) fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether there may be one more.
    pub(super) fn has_room(&self) -> bool {
        self.open.len() < CONSOLE_STREAMS_MAX
    }

    /// Those that are about this.
    pub(super) fn about(&self, stream: &Stream) -> Vec<Token> {
        self.open.iter().filter(|open| open.stream == *stream).map(|open| open.token).collect()
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Token> {
        self.open.iter().map(|open| open.token).collect()
    }

    /// Those that a session has opened.
    pub(super) fn of_session(&self, session: u64) -> Vec<Token> {
        self.open.iter().filter(|open| open.session == Some(session)).map(|open| open.token).collect()
    }

    /// The connection has gone, if it was a stream.
    pub(in crate::api_core) fn forget(&mut self, token: Token) {
        self.open.retain(|open| open.token != token);
    }
}

impl ApiCore {
    /// Makes a stream of a connection. Nothing that it sends is looked at from now on.
    pub(super) fn open_stream(
        &mut self,
        token: Token,
        manner: Manner,
        stream: Stream,
        session: Option<u64>,
        now: Now,
    ) -> Result<(), Refused> {
        let Some(console) = &mut self.console else { return Err(refuse_stream()) };
        if console.streams.len() >= CONSOLE_STREAMS_MAX {
            return Err(refuse_stream());
        }
        let head_only = manner.head_only || self.draining;
        if let (Some(connection), false) = (self.connections.by_token(token), head_only) {
            connection.is_stream = true;
            console.streams.open.push(Open { token, stream, session });
        }
        self.tell_answered(token, 200, now);
        self.write(token, now, encode_stream_head);
        if head_only {
            self.close(token);
        }
        Ok(())
    }

    /// Tells a stream of something. Returns whether there was room.
    pub(in crate::api_core) fn tell_stream(
        &mut self,
        token: Token,
        event: &str,
        json: &str,
        now: Now,
    ) -> bool {
        let Some(connection) = self.connections.view(token) else { return false };
        if connection.unwritten().len() > CONSOLE_UNREAD_BYTES_MAX {
            if let Some(console) = &mut self.console {
                console.streams.lost += 1;
            }
            return false;
        }
        self.write(token, now, |out, _| encode_event(out, event, json));
        true
    }
}
