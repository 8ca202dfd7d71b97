//! The record of one connection and the slab of all of them on this shard.
//!
//! A record is at most 96 bytes and owns no buffer while nothing is pending. A slot is free again only when the
//! subscriptions of its last tenant have been given up and its Exits are in a batch, so that no two tenants are ever
//! mixed up here or at a home shard.

use std::sync::Arc;

use protocol::app::{Admission, App};
use protocol::presence::Member;
use protocol::ws::Decoder;

use crate::chunks::Chunks;
use crate::machine::Token;
use crate::outbox::Outbox;

/// Names a connection of this shard.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ConnectionId {
    /// Its slot.
    pub slot: u32,
    /// The slot's tenant.
    pub generation: u32,
}

/// When a connection was last heard. Part of its record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heard {
    /// In seconds of the wheel; wraps after 18 hours. After a ping: when that was sent. Two bytes that ask for no alignment:
    /// the record has no room for a gap.
    pub(in crate::shard) second: [u8; 2],
    /// A ping was sent, and nothing has come since.
    pub(in crate::shard) pinged: bool,
}

/// What the shard keeps of a connection.
#[derive(Debug)]
pub struct Connection {
    /// Its place among its app's connections; given back when the record goes.
    pub admission: Admission,
    /// The second number of its socket_id.
    pub second: u64,
    /// Its descriptor.
    pub token: Token,
    /// Its channels.
    pub subscriptions: Vec<Subscription>,
    /// What waits to be written.
    pub outbox: Outbox,
    /// What has arrived of an unfinished message.
    pub decoder: Decoder,
    /// Private bytes that came into the outbox since the last attempt to write it.
    pub private_gain: u32,
    /// When, in milliseconds of the monotonic clock (low 32 bits), its allowance of client events is full again.
    pub client_events_full_ms: u32,
    /// When bytes of it last came.
    pub heard: Heard,
    /// It stands in a dirty FIFO.
    pub dirty: bool,
    /// It stands among those who wait for a tick of their app's flush interval.
    pub held: bool,
    /// The kernel has refused its bytes; it waits to be writable.
    pub blocked: bool,
    /// Its next message waits for a gate or for its next turn; nothing is read meanwhile.
    pub stalled: bool,
}

/// A connection on a channel.
#[derive(Debug)]
pub struct Subscription {
    /// The channel's slot among the shard's local topics.
    pub topic_slot: u32,
    /// Its place in that topic's fan-out list, or [`WAITING`].
    pub fanout_index: u32,
    /// Tells it from earlier subscriptions of the same connection to the same channel.
    pub ticket: u32,
    /// The end of the sequence number that its Enter had among the roots to its home.
    pub entered: u32,
    /// What its home does for it.
    pub needs: Needs,
}

/// What a subscription needs of its topic's home, besides the events.
#[derive(Clone, Debug)]
pub enum Needs {
    /// Nothing: on a live link it is acknowledged at once.
    Nothing,
    /// A place in the roster, for this member. Home answers, and must hear when the subscription goes.
    Presence(Arc<Member>),
}

/// In place of a place in the fan-out list: not acknowledged yet.
pub const WAITING: u32 = u32::MAX;

/// All connections of a shard.
#[derive(Debug, Default)]
pub struct Connections {
    slots: Chunks<Slot>,
    free: Vec<u32>,
    len: usize,
}

#[derive(Debug, Default)]
struct Slot {
    tenant: Option<Connection>,
    generation: u32,
    /// What of the last tenant is still to be done: giving up its subscriptions, and Exits that are not in a batch yet.
    kept: u32,
}

/// The protocol gives a slot 20 bits of a socket_id.
const SLOTS_MAX: usize = 1 << 20;

impl Connections {
    /// The slot that the next connection will get; None when there is no more room.
    pub fn next_slot(&self) -> Option<u32> {
        self.free
            .last()
            .copied()
            .or_else(|| u32::try_from(self.slots.len()).ok().filter(|_| self.slots.len() < SLOTS_MAX))
    }

    /// Attaches a connection at [`Connections::next_slot`].
    pub fn attach(&mut self, connection: Connection) -> ConnectionId {
        let slot = self.free.pop().unwrap_or_else(|| self.slots.push(Slot::default()) as u32);
        self.len += 1;
        let Some(place) = self.slots.get_mut(slot as usize) else {
            unreachable!("free slots are in the slab");
        };
        debug_assert!(place.tenant.is_none(), "a free slot has no tenant");
        place.tenant = Some(connection);
        ConnectionId { slot, generation: place.generation }
    }

    /// Takes a connection out. Its slot becomes free when nothing is kept for it; its subscriptions, if there are any,
    /// keep it until [`Connections::let_go`].
    pub fn detach(&mut self, id: ConnectionId) -> Option<Connection> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        if slot.generation != id.generation {
            return None;
        }
        let connection = slot.tenant.take()?;
        self.len -= 1;
        slot.generation = slot.generation.wrapping_add(1);
        slot.kept += u32::from(!connection.subscriptions.is_empty());
        if slot.kept == 0 {
            self.free.push(id.slot);
        }
        Some(connection)
    }

    /// Something of this slot's tenant is still to be done when it has gone.
    pub fn keep(&mut self, slot: u32) {
        if let Some(slot) = self.slots.get_mut(slot as usize) {
            slot.kept += 1;
        }
    }

    /// That is done.
    pub fn let_go(&mut self, slot: u32) {
        let Some(place) = self.slots.get_mut(slot as usize) else { return };
        place.kept -= 1;
        if place.kept == 0 && place.tenant.is_none() {
            self.free.push(slot);
        }
    }

    /// The connection, if it is still this tenant.
    #[inline]
    pub fn by_id(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        if slot.generation == id.generation { slot.tenant.as_mut() } else { None }
    }

    /// The connection, read only.
    #[inline]
    pub fn view(&self, id: ConnectionId) -> Option<&Connection> {
        let slot = self.slots.get(id.slot as usize)?;
        if slot.generation == id.generation { slot.tenant.as_ref() } else { None }
    }

    /// Whoever has this slot now, and its name.
    #[inline]
    pub fn at(&mut self, slot: u32) -> Option<(ConnectionId, &mut Connection)> {
        let place = self.slots.get_mut(slot as usize)?;
        let id = ConnectionId { slot, generation: place.generation };
        place.tenant.as_mut().map(|connection| (id, connection))
    }

    /// Who has this slot now.
    pub fn id_at(&self, slot: u32) -> Option<ConnectionId> {
        let place = self.slots.get(slot as usize)?;
        place.tenant.as_ref().map(|_| ConnectionId { slot, generation: place.generation })
    }

    /// All slots are below this one.
    pub fn slots(&self) -> u32 {
        self.slots.len() as u32
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first connection in this slot or behind it.
    pub fn next_from(&self, slot: u32) -> Option<ConnectionId> {
        (slot..self.slots.len() as u32).find_map(|slot| self.id_at(slot))
    }
}

impl Subscription {
    /// As whom it is on a presence channel.
    pub fn member(&self) -> Option<&Arc<Member>> {
        match &self.needs {
            Needs::Nothing => None,
            Needs::Presence(member) => Some(member),
        }
    }
}

impl Connection {
    /// The app it belongs to.
    pub fn app(&self) -> &Arc<App> {
        self.admission.app()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_and_a_subscription_stay_small() {
        assert!(size_of::<Connection>() <= 96, "{}", size_of::<Connection>());
        assert!(size_of::<Subscription>() <= 24, "{}", size_of::<Subscription>());
    }
}
