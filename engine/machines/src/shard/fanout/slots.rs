//! The records of a shard's connections, each in the slot that the driver has for its connection.
//!
//! The driver gives a slot to another connection when the shard has freed it: when the end of its tenant has been told,
//! its subscriptions have been given up and its Exits are in a batch. So no two tenants are ever mixed up here or at a
//! home shard. A connection whose head is not complete has no record; what its slot holds is of an earlier one.

use crate::chunks::Chunks;
use crate::invariant::{self, Expected};
use crate::machine::Token;
use crate::shard::fanout::connection::Connection;

/// All connections of a shard.
#[derive(Debug, Default)]
pub(super) struct Connections {
    slots: Chunks<Slot>,
    len: usize,
}

#[derive(Debug, Default)]
struct Slot {
    tenant: Option<Connection>,
    /// Of this tenant, or the last one.
    generation: u32,
    /// What is still to be done before the slot is free: telling the driver of its tenant's end, giving up its
    /// subscriptions, and Exits that are not in a batch yet.
    kept: u32,
}

impl Connections {
    /// A connection has come. Returns whether its slot had a record before.
    pub(super) fn attach(&mut self, id: Token, connection: Connection) -> bool {
        while self.slots.len() <= id.slot as usize {
            self.slots.push(Slot::default());
        }
        let Some(place) = self.slots.get_mut(id.slot as usize) else {
            unreachable!("there are so many slots")
        };
        invariant::check(place.kept == 0, "a slot has one tenant, until it is freed");
        let is_reused = place.generation > 0;
        *place = Slot { tenant: Some(connection), generation: id.generation, kept: 1 };
        self.len += 1;
        is_reused
    }

    /// Takes a connection out. Its slot is kept until the driver has been told of that, and its subscriptions, if there are
    /// any, have been given up.
    pub(super) fn detach(&mut self, id: Token) -> Option<Connection> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        if slot.generation != id.generation {
            return None;
        }
        let connection = slot.tenant.take()?;
        self.len -= 1;
        slot.kept += u32::from(!connection.subscriptions.is_empty());
        Some(connection)
    }

    /// Something of this slot's tenant is still to be done when it has gone.
    pub(super) fn keep(&mut self, slot: u32) {
        if let Some(slot) = self.slots.get_mut(slot as usize).expected("a slot stays in the slab") {
            slot.kept += 1;
        }
    }

    /// That is done. Returns who had the slot if it is free now.
    pub(super) fn let_go(&mut self, slot: u32) -> Option<Token> {
        let place = self.slots.get_mut(slot as usize).expected("a slot stays in the slab")?;
        place.kept -= 1;
        (place.kept == 0).then_some(Token { slot, generation: place.generation })
    }

    /// The connection, if it is still there.
    #[inline]
    pub(super) fn by_id(&mut self, id: Token) -> Option<&mut Connection> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        if slot.generation == id.generation { slot.tenant.as_mut() } else { None }
    }

    /// The connection, read only.
    #[inline]
    pub(super) fn view(&self, id: Token) -> Option<&Connection> {
        let slot = self.slots.get(id.slot as usize)?;
        if slot.generation == id.generation { slot.tenant.as_ref() } else { None }
    }

    /// The tenant of this slot, and its name.
    #[inline]
    pub(super) fn at(&mut self, slot: u32) -> Option<(Token, &mut Connection)> {
        let place = self.slots.get_mut(slot as usize)?;
        let id = Token { slot, generation: place.generation };
        place.tenant.as_mut().map(|connection| (id, connection))
    }

    /// Who has this slot now.
    pub(super) fn id_at(&self, slot: u32) -> Option<Token> {
        let place = self.slots.get(slot as usize)?;
        place.tenant.as_ref().map(|_| Token { slot, generation: place.generation })
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
    pub(super) fn next_from(&self, slot: u32) -> Option<Token> {
        (slot..self.slots.len() as u32).find_map(|slot| self.id_at(slot))
    }
}
