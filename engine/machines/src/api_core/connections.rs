//! HTTP connections: what was read and not yet taken, and what waits to be written.
//!
//! A connection that is idle keeps no bytes. Kept bytes are bounded by the limits on a request's head and body plus one
//! read, and those of all connections together by `http_bodies_bytes_max`; nothing is read from a paused connection. At most one request of a connection is undecided at a time, which is
//! what keeps its answers in order.

use std::collections::VecDeque;
use std::sync::Arc;

use protocol::address::Address;
use protocol::app::{App, AppVerdict};
use protocol::http::RequestProgress;

use super::ApiCore;
use super::open_call::CallId;
use crate::invariant::{self, Expected};
use crate::limits::{
    ANSWERS_BYTES_MAX, BODY_MS_MAX, IDLE_MS_MIN, Limits, READ_BYTES_PER_S_MIN, SILENT_MS_MAX, UNREAD_MS_MAX,
};
use crate::machine::{Door, Effect, Now, Token};
use crate::notices::Asked;

/// An outbox that has been written keeps this much room for the next answer, in bytes.
const OUTBOX_SPARE_BYTES: usize = 1 << 10;

/// A trusted proxy, whose requests may be of one client after another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Proxy {
    pub(super) address: Option<Address>,
    /// For whom it spoke last.
    pub(super) client: Option<Address>,
}

/// What is kept of a connection.
#[derive(Debug, Default)]
pub(super) struct Connection {
    /// Bytes that were read and belong to no request taken so far.
    pub(super) kept: Vec<u8>,
    /// The kept bytes are no request before there are so many.
    pub(super) kept_min: usize,
    /// How far the kept bytes have been read, where they begin a request that has not come whole.
    pub(super) progress: RequestProgress,
    /// What the kept bytes count for among those of all connections.
    charged: usize,
    outbox: Vec<u8>,
    written: usize,
    /// When the outbox was last empty before what is in it came, on the monotonic clock.
    unread_ms: u64,
    /// How much its peer has taken since.
    read_bytes: u64,
    /// When it last changed between idle, unfinished request, and unread answers, on the monotonic clock.
    pub(super) since_ms: u64,
    /// The call whose answer must be given before the next request is taken.
    pub(super) pending: Option<CallId>,
    /// What came of the question for the app that its next request names.
    pub(super) app_verdict: Option<AppVerdict>,
    /// Its peer, if that is a trusted proxy.
    pub(super) proxy: Option<Proxy>,
    /// The app whose back end waits for an answer.
    pub(super) caller: Option<Arc<App>>,
    /// What it asked last, if that is told.
    pub(super) call: Asked,
    /// The kept bytes begin a request that has not come whole.
    pub(super) unfinished: bool,
    /// It has asked something.
    pub(super) asked: bool,
    /// The driver reads nothing from it.
    pub(super) paused: bool,
    /// It stands in the ready queue.
    pub(super) queued: bool,
    /// Its peer sends nothing more.
    pub(super) ended: bool,
    /// It is a stream of the console: nothing more is taken from it.
    pub(super) is_stream: bool,
    /// It came through the operator's door.
    pub(super) admin: bool,
    /// Nobody between its peer and us can read it.
    pub(super) secure: bool,
    dirty: bool,
}

impl Connection {
    /// One that has sent nothing yet.
    pub(super) fn new(door: Door, secure: bool, now_ms: u64) -> Self {
        Self { since_ms: now_ms, admin: door == Door::Admin, secure, ..Self::default() }
    }

    /// What waits to be written.
    pub(super) fn unwritten(&self) -> &[u8] {
        self.outbox.get(self.written..).unwrap_or_default()
    }

    /// True while its next request may be taken.
    pub(super) fn may_take(&self) -> bool {
        !self.is_stream && self.pending.is_none() && self.unwritten().len() <= ANSWERS_BYTES_MAX
    }

    fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
        self.read_bytes += bytes as u64;
        if self.unwritten().is_empty() {
            self.outbox.clear();
            self.outbox.shrink_to(OUTBOX_SPARE_BYTES);
            self.written = 0;
        }
    }

    /// When it is late with reading its answers: after a while in which it takes nothing, and at some time though it takes
    /// a little now and then.
    fn unread_due_ms(&self) -> u64 {
        let bought_ms = self.read_bytes * 1_000 / READ_BYTES_PER_S_MIN;
        self.since_ms.min(self.unread_ms + bought_ms) + UNREAD_MS_MAX
    }

    /// When it will have used up its time, on the monotonic clock; None while the time is ours.
    fn due_ms(&self, limits: &Limits) -> Option<u64> {
        if self.pending.is_some() || self.queued {
            return None;
        }
        if !self.unwritten().is_empty() {
            return Some(self.unread_due_ms());
        }
        if self.is_stream {
            return None;
        }
        let idle_ms_max = u64::from(limits.http_idle_s) * 1_000;
        let allowed = match (self.unfinished, self.asked) {
            (true, _) if self.progress.has_head() => BODY_MS_MAX,
            (true, _) => limits.head_ms_max,
            (false, true) => idle_ms_max,
            (false, false) => idle_ms_max.min(SILENT_MS_MAX),
        };
        Some(self.since_ms + allowed)
    }
}

/// All connections, by the driver's tokens.
#[derive(Debug, Default)]
pub(super) struct Connections {
    places: Vec<Option<(u32, Connection)>>,
    len: usize,
    /// What they keep together, in bytes of memory.
    kept_bytes: usize,
}

impl Connections {
    pub(super) fn insert(&mut self, token: Token, connection: Connection) {
        let slot = token.slot as usize;
        if slot >= self.places.len() {
            self.places.resize_with(slot + 1, || None);
        }
        if let Some(place) = self.places.get_mut(slot) {
            invariant::check(place.is_none(), "the driver gives a slot to one connection at a time");
            self.len += usize::from(place.is_none());
            *place = Some((token.generation, connection));
        }
    }

    pub(super) fn remove(&mut self, token: Token) -> Option<Connection> {
        let place = self.places.get_mut(token.slot as usize)?;
        let (_, connection) = place.take_if(|(generation, _)| *generation == token.generation)?;
        self.len -= 1;
        self.kept_bytes -= connection.charged;
        Some(connection)
    }

    /// Counts what a connection keeps, after that has changed.
    pub(super) fn recount(&mut self, token: Token) {
        let Some(connection) = self.by_token(token).expected("what is counted is there") else { return };
        let now = connection.kept.capacity();
        let before = std::mem::replace(&mut connection.charged, now);
        self.kept_bytes = self.kept_bytes - before + now;
    }

    /// What all connections keep together.
    pub(super) fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }

    pub(super) fn by_token(&mut self, token: Token) -> Option<&mut Connection> {
        match self.places.get_mut(token.slot as usize)? {
            Some((generation, connection)) if *generation == token.generation => Some(connection),
            _ => None,
        }
    }

    pub(super) fn view(&self, token: Token) -> Option<&Connection> {
        match self.places.get(token.slot as usize)? {
            Some((generation, connection)) if *generation == token.generation => Some(connection),
            _ => None,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Token, &Connection)> {
        self.places.iter().enumerate().filter_map(|(slot, place)| {
            let (generation, connection) = place.as_ref()?;
            Some((Token { slot: slot as u32, generation: *generation }, connection))
        })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }
}

impl ApiCore {
    /// Appends to a connection's outbox.
    pub(super) fn write(&mut self, token: Token, now: Now, encode: impl FnOnce(&mut Vec<u8>, &str)) {
        let connection = self.connections.by_token(token);
        let Some(connection) = connection.expected("only a connection is answered") else { return };
        if connection.unwritten().is_empty() {
            (connection.unread_ms, connection.read_bytes) = (now.mono_ms, 0);
        }
        let before = connection.outbox.len();
        encode(&mut connection.outbox, self.date.at(now.unix_ms));
        if let Some(app) = connection.caller.take() {
            self.traffic.of(&app).answers_bytes += (connection.outbox.len() - before) as u64;
        }
        connection.since_ms = now.mono_ms;
        mark_dirty(&mut self.dirty, token, connection);
        self.sweep_by(now.mono_ms + UNREAD_MS_MAX);
    }

    /// Forgets a connection; what waits to be written still goes out.
    pub(super) fn close(&mut self, token: Token) {
        let Some(mut connection) = self.connections.remove(token) else { return };
        if let Some(call) = connection.pending {
            self.calls.forget_connection(call);
        }
        let mut last = std::mem::take(&mut connection.outbox);
        last.drain(..connection.written.min(last.len()));
        self.give_away(token, Effect::Close { token, last: last.into() });
    }

    /// Forgets a connection that reads too slowly, and all that it has not read.
    pub(super) fn reset(&mut self, token: Token) {
        let Some(connection) = self.connections.remove(token) else { return };
        if let Some(call) = connection.pending {
            self.calls.forget_connection(call);
        }
        self.stats.slow_readers += 1;
        self.give_away(token, Effect::Reset(token));
    }

    /// Forgets a connection that asks nothing; its descriptor is wanted, so its peer is not waited for.
    pub(super) fn let_go(&mut self, token: Token) {
        if self.connections.remove(token).is_some() {
            self.give_away(token, Effect::Drop { token, last: Vec::new() });
        }
    }

    /// The end of a connection: nothing of it is kept here.
    pub(super) fn give_away(&mut self, token: Token, end: Effect) {
        if let Some(console) = &mut self.console {
            console.streams.forget(token);
            self.end_watches_of(token);
        }
        self.effects.extend([end, Effect::Free(token)]);
    }

    /// The connection goes on with what was read from it, in its turn.
    pub(super) fn queue_ready(&mut self, token: Token) {
        if let Some(connection) = self.connections.by_token(token)
            && !connection.queued
        {
            connection.queued = true;
            self.ready.push_back(token);
        }
    }

    pub(super) fn poll_dirty_connection(&mut self) -> Option<Token> {
        loop {
            let token = self.dirty.pop_front()?;
            if let Some(connection) = self.connections.by_token(token) {
                connection.dirty = false;
                return Some(token);
            }
        }
    }

    /// Returns whether more waits.
    pub(super) fn connection_wrote(&mut self, token: Token, bytes: usize, now_ms: u64) -> bool {
        self.stats.bytes_sent += bytes as u64;
        let Some(connection) = self.connections.by_token(token) else { return false };
        connection.wrote(bytes);
        connection.since_ms = now_ms;
        let more = !connection.unwritten().is_empty();
        if !more && connection.paused && connection.pending.is_none() {
            self.queue_ready(token);
        }
        more
    }

    pub(super) fn connection_writable(&mut self, token: Token) {
        if let Some(connection) = self.connections.by_token(token) {
            mark_dirty(&mut self.dirty, token, connection);
        }
    }

    /// Connections must be looked through at this time at the latest.
    pub(super) fn sweep_by(&mut self, due_ms: u64) {
        self.sweep_ms = self.sweep_ms.min(due_ms);
    }

    /// Connections whose time is up. The next look is when the first of the others will be late, a second from now at
    /// the earliest.
    pub(super) fn late_connections(&mut self, now_ms: u64) -> Vec<Token> {
        let (mut late, mut next) = (Vec::new(), u64::MAX);
        for (token, connection) in self.connections.iter() {
            match connection.due_ms(&self.limits) {
                Some(due) if due <= now_ms => late.push(token),
                Some(due) => next = next.min(due),
                None => next = next.min(now_ms + UNREAD_MS_MAX),
            }
        }
        self.sweep_ms = next.max(now_ms + 1_000);
        late
    }

    /// The connection that has been without a request for longest; none that was used a moment ago, which is how back
    /// ends that publish look between two requests.
    pub(super) fn longest_idle(&self, now_ms: u64) -> Option<Token> {
        let idle = self.connections.iter().filter(|(_, connection)| {
            connection.pending.is_none()
                && !connection.is_stream
                && !connection.queued
                && connection.unwritten().is_empty()
                && connection.since_ms + IDLE_MS_MIN <= now_ms
        });
        // What has begun to ask comes after all that ask nothing.
        idle.min_by_key(|(_, connection)| (connection.unfinished, connection.since_ms))
            .map(|(token, _)| token)
    }
}

fn mark_dirty(dirty: &mut VecDeque<Token>, token: Token, connection: &mut Connection) {
    if !connection.dirty && !connection.unwritten().is_empty() {
        connection.dirty = true;
        dirty.push_back(token);
    }
}
