//! Connections that have not sent a complete HTTP head, and which connection a descriptor belongs to after that.
//! Bounded by `half_open_max`, in time by `head_ms_max`. What a complete head leads to is decided in `admission`.

use std::collections::VecDeque;

use hashbrown::HashMap;

use crate::chunks::Chunks;
use crate::limits::HEAD_MS_MIN;
use crate::machine::{Effect, Now, Token};
use crate::shard::Shard;
use crate::shard::fanout::connection::ConnectionId;

/// How often a shard with a full lobby looks, in milliseconds: a core that sleeps hears nobody, and the time of those who
/// say nothing would not begin.
const HEAR_EVERY_MS: u64 = 50;

/// So many times `half_open_max` may be half-open because they have just come. A flood that is faster than that costs
/// others their place; it costs nobody any time.
const CROWD_FACTOR: usize = 4;

/// What the shard knows of the driver's descriptors.
#[derive(Debug, Default)]
pub(super) struct Lobby {
    places: Chunks<Place>,
    /// In order of arrival; entries of those that went on are skipped.
    half_open: VecDeque<(Token, u64)>,
    pub(super) partial: HashMap<u32, Vec<u8>>,
    waiting: usize,
    /// How many wait for a source of apps.
    looking: usize,
    /// When a decide phase last began that read all there was: what came before then has been read.
    heard_ms: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    generation: u32,
    at: At,
}

/// How far a descriptor has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum At {
    /// Unknown, or gone.
    #[default]
    Nowhere,
    /// Its HTTP head is not complete.
    Head,
    /// Its head is complete, and its app is being looked up.
    Looking,
    /// It is a connection.
    Connection(ConnectionId),
}

impl Lobby {
    /// How far this descriptor has come.
    #[inline]
    pub(super) fn at(&self, token: Token) -> At {
        self.places
            .get(token.slot as usize)
            .filter(|place| place.generation == token.generation)
            .map_or(At::Nowhere, |place| place.at)
    }

    pub(super) fn set(&mut self, token: Token, at: At) {
        let slot = token.slot as usize;
        self.places.grow_to(slot + 1, &Place::default());
        if let Some(place) = self.places.get_mut(slot) {
            *place = Place { generation: token.generation, at };
        }
    }

    /// The descriptor is of no concern any more.
    pub(super) fn forget(&mut self, token: Token) {
        self.leave(token);
        self.set(token, At::Nowhere);
    }

    /// How many heads are incomplete.
    pub(super) fn half_open(&self) -> usize {
        self.waiting
    }

    /// How many wait for a source of apps.
    pub(super) fn looking(&self) -> usize {
        self.looking
    }

    /// The head is complete, and the app that it names is being looked up.
    pub(super) fn look(&mut self, token: Token) {
        self.leave(token);
        self.set(token, At::Looking);
        self.looking += 1;
    }

    /// Gives back what nothing needs now.
    pub(super) fn give_back_room(&mut self) {
        self.half_open.shrink_to_fit();
        self.partial.shrink_to_fit();
    }

    /// All that had come by then has been read.
    pub(super) fn note_heard(&mut self, now: Now) {
        self.heard_ms = now.mono_ms;
    }

    fn enter(&mut self, token: Token, now: Now) {
        self.set(token, At::Head);
        self.waiting += 1;
        self.half_open.push_back((token, now.mono_ms));
    }

    pub(super) fn leave(&mut self, token: Token) {
        match self.at(token) {
            At::Head => {
                self.waiting -= 1;
                self.partial.remove(&token.slot);
                self.set(token, At::Nowhere);
                self.skip_gone();
            }
            At::Looking => {
                self.looking -= 1;
                self.set(token, At::Nowhere);
            }
            At::Connection(_) | At::Nowhere => {}
        }
    }

    /// Those that went on do not stand in the queue's way, nor make it long.
    fn skip_gone(&mut self) {
        while self.half_open.front().is_some_and(|(token, _)| self.at(*token) != At::Head) {
            self.half_open.pop_front();
        }
        if self.half_open.len() > 64 + 4 * self.waiting {
            let mut queue = std::mem::take(&mut self.half_open);
            queue.retain(|(token, _)| self.at(*token) == At::Head);
            self.half_open = queue;
        }
    }

    fn oldest(&self) -> Option<(Token, u64)> {
        self.half_open.front().copied()
    }

    fn oldest_had_its_time(&self) -> bool {
        self.oldest().is_some_and(|(_, since)| since + HEAD_MS_MIN <= self.heard_ms)
    }
}

impl Shard {
    pub(in crate::shard) fn enter_lobby(&mut self, token: Token, now: Now) {
        self.inbound.lobby.enter(token, now);
        self.note_activity();
        if self.is_too_full() {
            let text = format!(
                "Over capacity: {} connections without a head (half_open_max)",
                self.limits.half_open_max
            );
            self.give_up_oldest_head(503, &text, now);
        }
    }

    /// Whether somebody must go because of a newcomer. Not one who has just come: when everybody comes back at once,
    /// heads are on their way. Time in which a busy core did not listen is no time for a head.
    fn is_too_full(&self) -> bool {
        let (many, max) = (self.inbound.lobby.half_open(), self.limits.half_open_max);
        many > max && (many > CROWD_FACTOR * max || self.inbound.lobby.oldest_had_its_time())
    }

    /// Gives up the half-open connection that has waited longest, because descriptors have run out. Not one who has just
    /// come: it may have got the last of them, and the next newcomer would take it away in vain.
    pub(in crate::shard) fn give_up_head_for_descriptors(&mut self, now: Now) {
        if self.inbound.lobby.oldest_had_its_time() {
            self.give_up_oldest_head(503, "Over capacity: the server has no descriptors left", now);
        }
    }

    /// Closes the half-open connection that has waited longest. Who has begun to speak HTTP is told why; who has said
    /// nothing asked for nothing, and many HTTP clients take an answer without a question for a fault.
    fn give_up_oldest_head(&mut self, status: u16, text: &str, now: Now) {
        let Some((token, _)) = self.inbound.lobby.oldest() else { return };
        let spoke = self.inbound.lobby.partial.contains_key(&token.slot);
        let last = if spoke { self.encode_refusal(status, text, &[], now) } else { Vec::new() };
        self.inbound.stats.heads_refused += 1;
        self.inbound.lobby.forget(token);
        self.give_away(token, Effect::Drop { token, last });
    }

    /// When the oldest head is due, on the monotonic clock.
    pub(in crate::shard) fn head_deadline(&self) -> Option<u64> {
        let draining = self.ending.is_draining();
        let patience = if draining { self.limits.drain_head_ms_max } else { self.limits.head_ms_max };
        self.inbound.lobby.oldest().map(|(_, since)| since + patience)
    }

    /// When a shard whose lobby is full must have looked again, on the monotonic clock.
    pub(in crate::shard) fn hearing_deadline(&self) -> Option<u64> {
        let full = self.inbound.lobby.half_open() >= self.limits.half_open_max;
        full.then_some(self.inbound.lobby.heard_ms + HEAR_EVERY_MS)
    }

    pub(in crate::shard) fn give_up_late_heads(&mut self, now: Now) {
        while self.head_deadline().is_some_and(|due| due <= now.mono_ms) {
            let (ms, setting) = if self.ending.is_draining() {
                (self.limits.drain_head_ms_max, "the server is restarting")
            } else {
                (self.limits.head_ms_max, "head_ms_max")
            };
            self.give_up_oldest_head(408, &format!("No complete HTTP head came in {ms} ms ({setting})"), now);
        }
    }
}
