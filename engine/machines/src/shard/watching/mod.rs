//! What an operator sees of the connections of this shard: one of them, those with most waiting (`slow`), and the messages
//! of some for a while (`trace`).
//!
//! While nobody looks, a message and a write each pay a question whether somebody does, and a delivery nothing.

use protocol::close::Close;
use protocol::socket_id::SocketId;

use crate::cores::CoreId;
use crate::limits::CHANNELS_SHOWN_MAX;
use crate::machine::{Effect, Token};
use crate::mesh::Found;
use crate::shard::Shard;
use crate::shard::watching::slow::SlowWalk;
use crate::shard::watching::trace::Traces;
use crate::watching::{ConnectionView, Introduction, Met};

mod server_frames;
mod slow;
#[cfg(test)]
mod tests;
mod trace;

/// What is watched of this shard's connections.
#[derive(Debug, Default)]
pub(super) struct Watching {
    traces: Traces,
    slow: SlowWalk,
}

impl Watching {
    /// When something of it is due, in `mono_ms`.
    pub(super) fn deadline(&self) -> Option<u64> {
        self.traces.deadline()
    }

    /// Traces and walks that are not over, for tests.
    pub(super) fn open(&self) -> usize {
        self.traces.len() + self.slow.len()
    }
}

impl Shard {
    /// Tells what there is to know of one connection.
    pub(in crate::shard) fn show_connection(&mut self, asker: CoreId, query: u64, socket_id: SocketId) {
        let found = self.fanout.by_socket_id(socket_id);
        let view = found.and_then(|id| Some((id, self.view_of(id)?)));
        match view {
            Some(view) => self.introduce(Introduction { views: vec![view], asker, query, is_one: true }),
            None => self.home.answer(asker, query, Found::Connection(None)),
        }
    }

    /// Closes a connection at the word of an operator. Returns whether it was there.
    pub(in crate::shard) fn disconnect(&mut self, socket_id: SocketId, close: Close) -> bool {
        let Some(id) = self.fanout.by_socket_id(socket_id) else { return false };
        self.close(id, close);
        true
    }

    /// The driver has added what it knows.
    pub(in crate::shard) fn answer_introduced(&mut self, introduction: Introduction) {
        let Introduction { views, asker, query, is_one } = introduction;
        let mut views = views.into_iter().map(|(_, view)| view);
        let found = if is_one {
            Found::Connection(views.next().map(Box::new))
        } else {
            Found::Slowest(views.collect())
        };
        self.home.answer(asker, query, found);
    }

    fn introduce(&mut self, introduction: Introduction) {
        self.effects.push_back(Effect::Introduce(Box::new(introduction)));
    }

    /// How a connection looks from here.
    fn view_of(&self, id: Token) -> Option<ConnectionView> {
        let app = self.fanout.app_of(id)?.clone();
        let (waiting_bytes, waiting_ms) = self.fanout.waiting_of(id);
        Some(ConnectionView {
            socket_id: self.fanout.socket_id(id)?,
            app,
            user_id: self.users.user_id_of(id).map(Box::from),
            subscriptions: self.fanout.subscriptions_of(id),
            channels: self.fanout.channels_of(id).take(CHANNELS_SHOWN_MAX).collect(),
            waiting_bytes,
            waiting_ms,
            met: Met::default(),
        })
    }
}
