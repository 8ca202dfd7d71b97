//! Traces: the messages of a connection, both ways, for as long as an operator watches.
//!
//! What the client says is told when it is first looked at; what it is told, when the kernel has taken it, so a trace shows
//! what has gone and not what waits. A trace ends with its connection, whoever has its slot next.

use crate::cores::CoreId;
use crate::limits::{TRACED_PER_SECOND_MAX, WATCHES_MAX};
use crate::machine::Token;
use crate::mesh::Found;
use crate::shard::Shard;
use crate::shard::watching::server_frames::ServerFrames;
use crate::watching::{Excerpt, MessageKind, Side, Sight, Watch};
use protocol::socket_id::SocketId;
use protocol::ws::Message;

/// The connections that are traced.
#[derive(Debug, Default)]
pub(super) struct Traces {
    of: Vec<Trace>,
    /// Of this phase, in `mono_ms`.
    now_ms: u64,
}

#[derive(Debug)]
struct Trace {
    id: Token,
    watch: Watch,
    frames: ServerFrames,
}

impl Traces {
    /// When something of them is due, in `mono_ms`.
    pub(super) fn deadline(&self) -> Option<u64> {
        self.of.iter().map(|trace| trace.watch.deadline_ms()).min()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.of.len()
    }
}

impl Shard {
    /// Whether any connection is traced.
    #[inline]
    pub(in crate::shard) fn traces_any(&self) -> bool {
        !self.watching.traces.of.is_empty()
    }

    /// A decide phase begins: forgets traces that are over, and tells what was left out.
    pub(in crate::shard) fn look_at_traces(&mut self, now_ms: u64) {
        self.watching.traces.now_ms = now_ms;
        if !self.traces_any() {
            return;
        }
        self.watching.traces.of.retain(|trace| trace.watch.is_kept(now_ms));
        for trace in &mut self.watching.traces.of {
            let watcher = trace.watch.watcher;
            if let Some(seen) = trace.watch.count_left_out(now_ms, self.home.has_room_for(watcher)) {
                self.home.tell_seen(watcher, seen);
            }
        }
    }

    /// Begins a trace, lets it go on, or ends it where it is wanted for no time. Returns whether the connection is there.
    pub(in crate::shard) fn trace(
        &mut self,
        watcher: CoreId,
        socket_id: SocketId,
        name: u64,
        for_ms: u64,
    ) -> Found {
        let now_ms = self.watching.traces.now_ms;
        if let Some(trace) = self.watching.traces.of.iter_mut().find(|trace| trace.watch.name == name) {
            trace.watch.renew(now_ms + for_ms);
            self.watching.traces.of.retain(|trace| trace.watch.is_kept(now_ms));
            return Found::Done(true);
        }
        let Some(id) = self.fanout.by_socket_id(socket_id).filter(|_| for_ms > 0) else {
            return Found::Done(false);
        };
        if self.watching.traces.len() >= WATCHES_MAX {
            self.home.note_watch_refused();
            return Found::Busy;
        }
        let watch = Watch::new(name, watcher, now_ms + for_ms, TRACED_PER_SECOND_MAX);
        let frames = ServerFrames::behind(self.fanout.begun_bytes(id));
        self.watching.traces.of.push(Trace { id, watch, frames });
        Found::Done(true)
    }

    /// A connection says something.
    #[cold]
    pub(in crate::shard) fn trace_message(&mut self, id: Token, message: &Message<'_>) {
        let (kind, payload): (_, &[u8]) = match message {
            Message::Text(text) => (MessageKind::Text, text),
            Message::Ping(payload) => (MessageKind::Ping, payload),
            Message::Pong => (MessageKind::Pong, b""),
            Message::Close(_) => (MessageKind::Close, b""),
        };
        let now_ms = self.watching.traces.now_ms;
        for trace in self.watching.traces.of.iter_mut().filter(|trace| trace.id == id) {
            let watcher = trace.watch.watcher;
            let seen = trace.watch.see(now_ms, self.home.has_room_for(watcher), || Sight::Message {
                from: Side::Client,
                kind,
                excerpt: Excerpt::of(payload),
            });
            match seen {
                Some(seen) => self.home.tell_seen(watcher, seen),
                None => self.home.note_watched_left_out(),
            }
        }
    }

    /// The kernel has taken so many bytes of a connection's outbox, which still has them.
    #[cold]
    pub(in crate::shard) fn trace_written(&mut self, id: Token, bytes: usize) {
        let now_ms = self.watching.traces.now_ms;
        for trace in self.watching.traces.of.iter_mut().filter(|trace| trace.id == id) {
            let Trace { watch, frames, .. } = trace;
            let home = &mut self.home;
            self.fanout.first_waiting(id, bytes, |piece| {
                frames.read(piece, |kind, excerpt| {
                    let message = || Sight::Message { from: Side::Server, kind, excerpt };
                    match watch.see(now_ms, home.has_room_for(watch.watcher), message) {
                        Some(seen) => home.tell_seen(watch.watcher, seen),
                        None => home.note_watched_left_out(),
                    }
                });
            });
        }
    }

    /// A connection goes, with this code.
    #[cold]
    pub(in crate::shard) fn end_traces_of(&mut self, id: Token, code: u16) {
        for Trace { mut watch, .. } in self.watching.traces.of.extract_if(.., |trace| trace.id == id) {
            let seen = watch.end(Sight::Gone(code));
            self.home.tell_seen(watch.watcher, seen);
        }
    }
}
