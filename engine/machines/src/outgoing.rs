//! The open batches of one lane: what this core has for each other core and has not sent yet.
//!
//! Bounded by fullness, which every producer must ask about before it takes the input that would add to it
//! (ARCHITECTURE.md, «gates»). One root may overshoot by its own leaves, a close by nothing: it waits outside.

use std::collections::VecDeque;

use crate::cores::{CoreId, Cores, PerCore};
use crate::invariant::Expected;
use crate::limits::Limits;
use crate::mesh::Weigh;

/// One open batch per receiving core.
#[derive(Debug)]
pub struct Outgoing<M> {
    open: PerCore<Open<M>>,
    messages_max: usize,
    bytes_max: usize,
}

#[derive(Debug)]
struct Open<M> {
    messages: VecDeque<M>,
    bytes: usize,
    promised: Promised,
    /// The sequence number of the first message in `messages`.
    first: u64,
}

/// What will be added at the end of the phase, and counts already.
#[derive(Clone, Copy, Debug, Default)]
struct Promised {
    messages: usize,
    bytes: usize,
}

impl<M> Open<M> {
    fn new() -> Self {
        Self { messages: VecDeque::new(), bytes: 0, promised: Promised::default(), first: 0 }
    }

    fn is_full(&self, messages_max: usize, bytes_max: usize) -> bool {
        self.messages.len() + self.promised.messages >= messages_max
            || self.bytes + self.promised.bytes >= bytes_max
    }
}

impl<M: Weigh> Outgoing<M> {
    /// For messages to shards alone.
    pub fn to_shards(cores: Cores, limits: &Limits) -> Self {
        Self::new(PerCore::of_shards(cores, |_| Open::new()), limits)
    }

    /// For messages to all that take part in the mesh.
    pub fn to_all(cores: Cores, limits: &Limits) -> Self {
        Self::new(PerCore::of_all(cores, |_| Open::new()), limits)
    }

    fn new(open: PerCore<Open<M>>, limits: &Limits) -> Self {
        Self { open, messages_max: limits.batch_messages_max, bytes_max: limits.batch_bytes_max }
    }

    /// The receivers.
    pub fn receivers(&self) -> impl Iterator<Item = CoreId> + use<M> {
        self.open.cores()
    }

    /// Appends a message and returns its sequence number within this receiver's messages.
    pub fn push(&mut self, to: CoreId, message: M) -> u64 {
        let Some(open) = self.open.get_mut(to).expected("each receiver has a batch") else { return 0 };
        open.bytes += message.weight();
        open.messages.push_back(message);
        open.first + open.messages.len() as u64 - 1
    }

    /// So much will be added before the batch is sent.
    pub fn promise(&mut self, to: CoreId, messages: usize, bytes: usize) {
        if let Some(open) = self.open.get_mut(to) {
            open.promised.messages += messages;
            open.promised.bytes += bytes;
        }
    }

    /// What was promised is added now.
    pub fn keep_promises(&mut self) {
        self.open.entries_mut().for_each(|open| open.promised = Promised::default());
    }

    /// All messages that wait for this receiver.
    #[cfg(test)]
    pub fn waiting(&mut self, to: CoreId) -> impl Iterator<Item = &mut M> {
        self.open.get_mut(to).into_iter().flat_map(|open| open.messages.iter_mut())
    }

    /// The message with this sequence number, if it has not been sent.
    pub fn unsent(&mut self, to: CoreId, sequence: u64) -> Option<&mut M> {
        let open = self.open.get_mut(to)?;
        let index = sequence.checked_sub(open.first)?;
        open.messages.get_mut(usize::try_from(index).ok()?)
    }

    /// The last sequence number of this receiver's that ends like that. A message of that number may be of long ago.
    pub fn sequence(&self, to: CoreId, end: u32) -> u64 {
        let first = self.open.get(to).map_or(0, |open| open.first);
        first.wrapping_add(u64::from(end.wrapping_sub(first as u32)))
    }

    /// Puts another message in the place of one that has not been sent.
    pub fn replace(&mut self, to: CoreId, sequence: u64, message: M) {
        let weight = message.weight();
        let unsent = self.unsent(to, sequence);
        let Some(old) = unsent.expected("only what is not sent is replaced") else { return };
        let old = std::mem::replace(old, message).weight();
        if let Some(open) = self.open.get_mut(to) {
            open.bytes = (open.bytes + weight).saturating_sub(old);
        }
    }

    /// True when nothing may be added for this receiver by input that can wait.
    pub fn is_full(&self, to: CoreId) -> bool {
        self.open.get(to).is_some_and(|open| open.is_full(self.messages_max, self.bytes_max))
    }

    /// True while this receiver's batch is less than half full: what nobody waits for may be added then, so that it never
    /// keeps input waiting.
    pub fn has_spare_room(&self, to: CoreId) -> bool {
        self.open.get(to).is_some_and(|open| !open.is_full(self.messages_max / 2, self.bytes_max / 2))
    }

    /// True when any receiver's batch is full.
    pub fn any_full(&self) -> bool {
        self.open.entries().any(|open| open.is_full(self.messages_max, self.bytes_max))
    }

    /// True when nothing waits for this receiver.
    pub fn is_empty(&self, to: CoreId) -> bool {
        self.open.get(to).is_none_or(|open| open.messages.is_empty())
    }

    /// How many messages wait in the fullest batch.
    pub fn fullest(&self) -> usize {
        self.open.entries().map(|open| open.messages.len()).max().unwrap_or(0)
    }

    /// True when nothing waits for anybody.
    pub fn all_empty(&self) -> bool {
        self.open.entries().all(|open| open.messages.is_empty())
    }

    /// What waits for all receivers, in bytes.
    pub fn bytes(&self) -> usize {
        self.open.entries().map(|open| open.bytes).sum()
    }

    /// The whole open batch.
    pub fn take(&mut self, to: CoreId) -> Vec<M> {
        let Some(open) = self.open.get_mut(to).expected("each receiver has a batch") else {
            return Vec::new();
        };
        open.first += open.messages.len() as u64;
        open.bytes = 0;
        Vec::from(std::mem::take(&mut open.messages))
    }

    /// The first message alone: for what a shard sends to itself.
    pub fn pop(&mut self, to: CoreId) -> Option<M> {
        let open = self.open.get_mut(to)?;
        let message = open.messages.pop_front()?;
        open.first += 1;
        open.bytes = open.bytes.saturating_sub(message.weight());
        Some(message)
    }
}
