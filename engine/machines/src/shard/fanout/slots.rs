//! The slots of a shard's connections. A slot is free again only when the subscriptions of its last tenant have been
//! given up and its Exits are in a batch, so that no two tenants are ever mixed up here or at a home shard.

use protocol::limits::SLOTS_MAX;

use crate::chunks::Chunks;
use crate::invariant::{self, Expected};
use crate::shard::fanout::connection::{Connection, ConnectionId};

/// All connections of a shard.
#[derive(Debug, Default)]
pub(super) struct Connections {
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

impl Connections {
    /// The slot that the next connection will get; None when there is no more room.
    pub(super) fn next_slot(&self) -> Option<u32> {
        self.free.last().copied().or_else(|| {
            u32::try_from(self.slots.len()).ok().filter(|_| self.slots.len() < SLOTS_MAX as usize)
        })
    }

    /// Attaches a connection at [`Connections::next_slot`].
    pub(super) fn attach(&mut self, connection: Connection) -> ConnectionId {
        let slot = self.free.pop().unwrap_or_else(|| self.slots.push(Slot::default()) as u32);
        self.len += 1;
        let Some(place) = self.slots.get_mut(slot as usize) else {
            unreachable!("free slots are in the slab");
        };
        invariant::check(place.tenant.is_none(), "a free slot has no tenant");
        place.tenant = Some(connection);
        ConnectionId { slot, generation: place.generation }
    }

    /// Takes a connection out. Its slot becomes free when nothing is kept for it; its subscriptions, if there are any,
    /// keep it until [`Connections::let_go`].
    pub(super) fn detach(&mut self, id: ConnectionId) -> Option<Connection> {
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
    pub(super) fn keep(&mut self, slot: u32) {
        if let Some(slot) = self.slots.get_mut(slot as usize).expected("a slot stays in the slab") {
            slot.kept += 1;
        }
    }

    /// That is done.
    pub(super) fn let_go(&mut self, slot: u32) {
        let place = self.slots.get_mut(slot as usize);
        let Some(place) = place.expected("a slot stays in the slab") else { return };
        place.kept -= 1;
        if place.kept == 0 && place.tenant.is_none() {
            self.free.push(slot);
        }
    }

    /// The connection, if it is still this tenant.
    #[inline]
    pub(super) fn by_id(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        if slot.generation == id.generation { slot.tenant.as_mut() } else { None }
    }

    /// The connection, read only.
    #[inline]
    pub(super) fn view(&self, id: ConnectionId) -> Option<&Connection> {
        let slot = self.slots.get(id.slot as usize)?;
        if slot.generation == id.generation { slot.tenant.as_ref() } else { None }
    }

    /// The tenant of this slot, and its name.
    #[inline]
    pub(super) fn at(&mut self, slot: u32) -> Option<(ConnectionId, &mut Connection)> {
        let place = self.slots.get_mut(slot as usize)?;
        let id = ConnectionId { slot, generation: place.generation };
        place.tenant.as_mut().map(|connection| (id, connection))
    }

    /// Who has this slot now.
    pub(super) fn id_at(&self, slot: u32) -> Option<ConnectionId> {
        let place = self.slots.get(slot as usize)?;
        place.tenant.as_ref().map(|_| ConnectionId { slot, generation: place.generation })
    }

    /// All slots are below this one.
    pub(super) fn slots(&self) -> u32 {
        self.slots.len() as u32
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The first connection in this slot or behind it.
    pub(super) fn next_from(&self, slot: u32) -> Option<ConnectionId> {
        (slot..self.slots.len() as u32).find_map(|slot| self.id_at(slot))
    }
}
