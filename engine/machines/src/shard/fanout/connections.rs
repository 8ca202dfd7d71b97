//! What the other parts of a shard ask of a connection, and tell it. Its record itself they do not see.

use std::io::IoSlice;
use std::sync::Arc;

use protocol::app::{Admission, App};
use protocol::dialect::DataForm;
use protocol::presence::Member;
use protocol::socket_id::SocketId;
use protocol::ws::Decoder;

use crate::invariant::Expected;
use crate::machine::Token;
use crate::outbox::Outbox;
use crate::shard::fanout::Fanout;
use crate::shard::fanout::connection::{Connection, Heard};

/// What is left of a connection that was taken out.
#[derive(Debug)]
pub(in crate::shard) struct Detached {
    /// What waited to be written.
    pub outbox: Outbox,
    /// The kernel has refused what waits in it.
    pub blocked: bool,
    /// How the data of its events looked.
    pub form: DataForm,
}

impl Fanout {
    /// True while there may be one more connection.
    pub(in crate::shard) fn has_room(&self) -> bool {
        self.connections.len() < self.limits.connections_max
    }

    /// A connection comes. Returns whether its slot had another one before.
    pub(in crate::shard) fn attach(
        &mut self,
        id: Token,
        admission: Admission,
        second: u64,
        heard: Heard,
        form: DataForm,
    ) -> bool {
        self.connections.attach(id, Connection::new(admission, second, heard, form))
    }

    /// Whether this connection is there.
    #[inline]
    pub(in crate::shard) fn has(&self, id: Token) -> bool {
        self.connections.view(id).is_some()
    }

    /// A connection goes. Its subscriptions are left behind, to be given up.
    pub(in crate::shard) fn detach(&mut self, id: Token) -> Option<Detached> {
        let Connection { outbox, blocked, late, subscriptions, form, .. } = self.connections.detach(id)?;
        self.flush.backlogs.remove(id.slot);
        if late {
            self.flush.backlogs.end_wait(id.slot);
        }
        self.departed.leave_behind(id.slot, subscriptions);
        Some(Detached { outbox, blocked, form })
    }

    /// Something of this slot's tenant is still to be done when it has gone.
    pub(in crate::shard) fn keep_slot(&mut self, slot: u32) {
        self.connections.keep(slot);
    }

    /// That is done. Returns who had the slot if it is free now.
    pub(in crate::shard) fn let_go_slot(&mut self, slot: u32) -> Option<Token> {
        self.connections.let_go(slot)
    }

    /// All slots are below this one.
    pub(in crate::shard) fn slots(&self) -> u32 {
        self.connections.slots()
    }

    /// Which connection has this slot now.
    pub(in crate::shard) fn connection_in(&self, slot: u32) -> Option<Token> {
        self.connections.id_at(slot)
    }

    /// The first connection in this slot or behind it.
    pub(in crate::shard) fn next_from(&self, slot: u32) -> Option<Token> {
        self.connections.next_from(slot)
    }

    /// The connection with this socket_id, if it is one of ours: its second number ends with its slot.
    pub(in crate::shard) fn by_socket_id(&self, socket_id: SocketId) -> Option<Token> {
        if socket_id.place() != Some(self.place) {
            return None;
        }
        let id = self.connections.id_at(socket_id.slot())?;
        let connection = self.connections.view(id)?;
        (connection.second == socket_id.second).then_some(id)
    }

    /// Its socket_id.
    pub(in crate::shard) fn socket_id(&self, id: Token) -> Option<SocketId> {
        let connection = self.connections.view(id)?;
        Some(self.place.socket_id(connection.second))
    }

    /// The app that it belongs to.
    #[inline]
    pub(in crate::shard) fn app_of(&self, id: Token) -> Option<&Arc<App>> {
        self.connections.view(id).map(Connection::app)
    }

    /// How the data of its events looks.
    #[inline]
    pub(in crate::shard) fn form_of(&self, id: Token) -> DataForm {
        self.connections.view(id).map_or(DataForm::String, |connection| connection.form)
    }

    /// From now on it is held to what its app says now.
    pub(in crate::shard) fn renew_app(&mut self, id: Token, app: &Arc<App>) {
        if let Some(connection) = self.connections.by_id(id) {
            connection.admission.renew(app);
        }
    }

    /// Who it is, on each of its presence channels.
    pub(in crate::shard) fn members_of(&self, id: Token) -> impl Iterator<Item = &Arc<Member>> {
        let subscriptions = self.connections.view(id).map_or(&[][..], |it| &it.subscriptions);
        subscriptions.iter().filter_map(|it| it.member())
    }

    /// How many subscriptions it has, those that wait included.
    pub(in crate::shard) fn subscriptions_of(&self, id: Token) -> usize {
        self.connections.view(id).map_or(0, |connection| connection.subscriptions.len())
    }

    /// How many bytes wait for it, and for how long some have that the kernel refused, in milliseconds. Walks its outbox.
    pub(in crate::shard) fn waiting_of(&self, id: Token) -> (usize, u64) {
        let Some(connection) = self.connections.view(id) else { return (0, 0) };
        let since_ms = self.flush.backlogs.waits_since(id.slot).filter(|_| connection.late);
        let ms = since_ms.map_or(0, |since_ms| self.flush.phase_ms.saturating_sub(since_ms));
        (connection.outbox.backlog().waiting, ms)
    }

    /// How many bytes wait for the connection in this slot that the kernel has refused.
    pub(in crate::shard) fn backlog_in(&self, slot: u32) -> Option<usize> {
        self.flush.backlogs.waiting_in(slot)
    }

    /// How many bytes of a frame that was begun still wait for it.
    pub(in crate::shard) fn begun_bytes(&self, id: Token) -> usize {
        self.connections.view(id).map_or(0, |connection| connection.outbox.begun_bytes())
    }

    /// The first so many bytes that wait for it, piece by piece.
    pub(in crate::shard) fn first_waiting(&self, id: Token, bytes: usize, each: impl FnMut(&[u8])) {
        if let Some(connection) = self.connections.view(id) {
            connection.outbox.first(bytes, each);
        }
    }

    /// The names of its channels, those included that it waits for.
    pub(in crate::shard) fn channels_of(&self, id: Token) -> impl Iterator<Item = Box<str>> {
        let subscriptions = self.connections.view(id).map_or(&[][..], |it| &it.subscriptions);
        let topics = subscriptions.iter().filter_map(|it| self.topics.get(it.topic_slot));
        topics.map(|local| local.topic.name().into())
    }

    /// Lends what has arrived of an unfinished message, to be given back with [`Fanout::give_back_decoder`]. None: the
    /// connection has gone.
    #[inline]
    pub(in crate::shard) fn lend_decoder(&mut self, id: Token) -> Option<Decoder> {
        self.connections.by_id(id).map(|connection| std::mem::take(&mut connection.decoder))
    }

    /// What was lent, with what has arrived meanwhile.
    #[inline]
    pub(in crate::shard) fn give_back_decoder(&mut self, id: Token, decoder: Decoder) {
        if let Some(connection) = self.connections.by_id(id) {
            connection.decoder = decoder;
        }
    }

    /// Its next message must wait, and nothing is read of it meanwhile. Returns whether it is still there.
    pub(in crate::shard) fn stall(&mut self, id: Token) -> bool {
        let connection = self.connections.by_id(id).expected("only a connection waits");
        connection.map(|connection| connection.stalled = true).is_some()
    }

    /// It may be read again. Returns whether it is still there.
    pub(in crate::shard) fn resume(&mut self, id: Token) -> bool {
        self.connections.by_id(id).map(|connection| connection.stalled = false).is_some()
    }

    /// Whether its next message waits.
    pub(in crate::shard) fn is_stalled(&self, id: Token) -> bool {
        self.connections.view(id).is_some_and(|connection| connection.stalled)
    }

    /// Bytes of it have come.
    #[inline]
    pub(in crate::shard) fn note_heard(&mut self, id: Token, now: Heard) {
        if let Some(connection) = self.connections.by_id(id) {
            connection.heard = now;
        }
    }

    /// When it was last heard. One whose next message waits is not listened to, and counts as heard now.
    pub(in crate::shard) fn last_heard(&mut self, id: Token, now: Heard) -> Option<Heard> {
        let connection = self.connections.by_id(id)?;
        if connection.stalled {
            connection.heard = now;
        }
        Some(connection.heard)
    }

    /// It was sent a ping.
    pub(in crate::shard) fn note_pinged(&mut self, id: Token, now: Heard) {
        if let Some(connection) = self.connections.by_id(id) {
            connection.heard = Heard { pinged: true, ..now };
        }
    }

    /// Whether it may send a client event now; if so, that counts.
    pub(in crate::shard) fn take_client_event(&mut self, id: Token, per_second: u32, now_ms: u64) -> bool {
        self.connections.by_id(id).is_some_and(|connection| connection.client_events.take(per_second, now_ms))
    }

    /// What waits for it to be written, from the first byte on.
    #[inline]
    pub(in crate::shard) fn slices_of<'a>(&'a self, id: Token, slices: &mut [IoSlice<'a>]) -> usize {
        self.connections.view(id).map_or(0, |connection| connection.outbox.slices(slices))
    }
}
