//! The end of a connection. When it begins, all subscriptions and the place among the app's connections are given up;
//! at the end of the phase, when no Run grows any more, what must still go out is copied, the record is forgotten, and
//! only the descriptor lingers with the driver.
//!
//! A peer that breaks the protocol or reads too slowly gets the rest of the frame that was begun; anybody else what
//! waits for it, up to a bound. Both then get a close frame, whose code says when to come back.

use protocol::close::Close;
use protocol::server_event;
use protocol::ws;

use super::Shard;
use super::connection::ConnectionId;
use super::machine::Effect;

/// A connection that goes at the end of this phase.
#[derive(Debug)]
pub struct Closing {
    id: ConnectionId,
    last_words: LastWords,
    /// How much of its outbox still goes out; 0: the frame that was begun.
    outbox_bytes_max: usize,
}

#[derive(Debug)]
enum LastWords {
    /// An error frame where the code is Pusher's, then a close frame.
    Close(Close),
    /// A close frame in answer to the peer's.
    Answer(u16),
    /// The peer has gone.
    Nothing,
    /// Not even the frame that was begun.
    Reset,
}

/// What still goes out of an outbox before a close that is nobody's fault.
const PARTING_BYTES_MAX: usize = 256 << 10;

impl Shard {
    /// The peer's fault: cuts the outbox.
    pub(super) fn close(&mut self, id: ConnectionId, close: Close) {
        self.begin_close(id, LastWords::Close(close), 0);
    }

    /// Nobody's fault: what waits goes out first.
    pub(super) fn close_after_outbox(&mut self, id: ConnectionId, close: Close) {
        self.begin_close(id, LastWords::Close(close), PARTING_BYTES_MAX);
    }

    /// The peer has sent a close frame.
    pub(super) fn close_in_answer(&mut self, id: ConnectionId, code: Option<u16>) {
        self.begin_close(id, LastWords::Answer(code.unwrap_or(Close::NORMAL.code)), PARTING_BYTES_MAX);
    }

    /// The peer has gone without a word.
    pub(super) fn vanish(&mut self, id: ConnectionId) {
        self.begin_close(id, LastWords::Nothing, 0);
    }

    /// Too many such peers go at once: cuts it off within a frame.
    pub(super) fn reset(&mut self, id: ConnectionId) {
        self.begin_close(id, LastWords::Reset, 0);
    }

    fn begin_close(&mut self, id: ConnectionId, last_words: LastWords, outbox_bytes_max: usize) {
        let Some(connection) = self.local.connections.by_id(id).filter(|it| !it.closing) else { return };
        connection.closing = true;
        self.local.stats.closed += 1;
        match last_words {
            LastWords::Close(close) => self.closes.by_server(close),
            LastWords::Answer(code) => self.closes.by_peer(Some(code)),
            LastWords::Nothing => self.closes.by_peer(None),
            LastWords::Reset => self.closes.by_server(Close::OUTBOXES_FULL),
        }
        self.forget_stalled(id);
        self.churn.forget(id);
        self.closing.push(Closing { id, last_words, outbox_bytes_max });
        while let Some(last) = self.last_subscription(id) {
            let Some(gone) = self.local.remove_subscription(id, last) else { break };
            self.tell_gone(id, gone, true);
        }
    }

    fn last_subscription(&mut self, id: ConnectionId) -> Option<usize> {
        self.local.connections.by_id(id)?.subscriptions.len().checked_sub(1)
    }

    /// Forgets the connections that go. All Runs are sealed.
    pub(super) fn finish_closes(&mut self) {
        for closing in std::mem::take(&mut self.closing) {
            let Some(mut connection) = self.local.connections.detach(closing.id) else { continue };
            self.local.flush.backlogs.remove(closing.id.slot);
            if matches!(closing.last_words, LastWords::Reset) {
                self.lobby.forget(connection.token);
                self.effects.push_back(Effect::Reset(connection.token));
                continue;
            }
            let mut last = Vec::new();
            if !matches!(closing.last_words, LastWords::Nothing) {
                connection.outbox.drain_into(&mut last, closing.outbox_bytes_max);
            }
            closing.last_words.encode(&mut last);
            self.lobby.forget(connection.token);
            self.effects.push_back(Effect::Close { token: connection.token, last });
        }
    }
}

impl LastWords {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Close(close) => encode_error_and_close(out, *close),
            Self::Answer(code) => ws::encode_close_frame(out, *code, ""),
            Self::Nothing | Self::Reset => {}
        }
    }
}

/// An error frame where the code is Pusher's (some clients show only that), then the close frame.
pub(super) fn encode_error_and_close(out: &mut Vec<u8>, close: Close) {
    if close.code >= 4000 {
        server_event::encode_error(out, Some(close.code), close.reason);
    }
    ws::encode_close_frame(out, close.code, close.reason);
}
