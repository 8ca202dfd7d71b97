//! Connections that have not sent a complete HTTP head, or whose app is looked for. They have no record. Incomplete heads
//! are bounded by `half_open_max`, in time by `head_ms_max`. What a complete head leads to is decided in `admission`.

use std::collections::VecDeque;

use hashbrown::{HashMap, HashSet};
use protocol::address::Address;

use crate::address_caps::AddressPlace;
use crate::invariant::Expected;
use crate::limits::HEAD_MS_MIN;
use crate::machine::{Effect, Now, Token};
use crate::shard::Shard;

/// How often a shard with a full lobby looks, in milliseconds: a core that sleeps hears nobody, and the time of those who
/// say nothing would not begin.
const HEAR_EVERY_MS: u64 = 50;

/// So many times `half_open_max` may be half-open because they have just come. A flood that is faster than that costs
/// others their place; it costs nobody any time.
const CROWD_FACTOR: usize = 4;

/// Those whose head is not complete, or does not lead to anything yet.
#[derive(Debug)]
pub(super) struct Lobby {
    /// What has come of each head.
    heads: HashMap<Token, Vec<u8>>,
    /// In order of arrival; entries of those that went on are skipped.
    queue: VecDeque<(Token, u64)>,
    /// Those whose head is complete, and who wait for a source of apps.
    looking: HashSet<Token>,
    /// Where those are from whose address matters: because it is a trusted proxy's, or because it is counted.
    peers: HashMap<Token, Peer>,
    /// Those who have come since all there was was read, where addresses are counted.
    uncounted: Vec<Token>,
    /// When a decide phase last began that read all there was: what came before then has been read.
    heard_ms: u64,
    half_open_max: usize,
}

/// The other end of a connection.
#[derive(Debug)]
pub(super) struct Peer {
    /// Where it is, if that is known.
    pub(super) address: Option<Address>,
    /// It is a trusted proxy.
    pub(super) is_proxy: bool,
    /// It is counted as half-open.
    place: Option<AddressPlace>,
}

impl Lobby {
    /// Nobody is there. There may be so many, and more for a moment.
    pub(super) fn new(half_open_max: usize) -> Self {
        Self {
            heads: HashMap::new(),
            queue: VecDeque::new(),
            looking: HashSet::new(),
            peers: HashMap::new(),
            uncounted: Vec::new(),
            heard_ms: 0,
            half_open_max,
        }
    }

    /// How many heads are incomplete.
    pub(super) fn half_open(&self) -> usize {
        self.heads.len()
    }

    /// How many wait for a source of apps.
    pub(super) fn looking(&self) -> usize {
        self.looking.len()
    }

    /// Whether it waits for a source of apps.
    pub(super) fn is_looking(&self, token: Token) -> bool {
        self.looking.contains(&token)
    }

    /// Whether it is here.
    pub(super) fn has(&self, token: Token) -> bool {
        self.heads.contains_key(&token) || self.is_looking(token)
    }

    /// The head is complete, and the app that it names is being looked up.
    pub(super) fn look(&mut self, token: Token) {
        self.heads.remove(&token);
        self.skip_gone();
        if let Some(peer) = self.peers.get_mut(&token) {
            peer.place = None;
        }
        self.looking.insert(token);
    }

    /// Gives back what nothing needs now.
    pub(super) fn give_back_room(&mut self) {
        self.heads.shrink_to_fit();
        self.queue.shrink_to_fit();
        self.looking.shrink_to_fit();
        self.peers.shrink_to_fit();
        self.uncounted.shrink_to_fit();
    }

    /// All that had come by then has been read.
    pub(super) fn note_heard(&mut self, now: Now) {
        self.heard_ms = now.mono_ms;
    }

    fn enter(&mut self, token: Token, now: Now) {
        self.heads.insert(token, Vec::new());
        self.queue.push_back((token, now.mono_ms));
    }

    /// It goes on, or goes. Returns whether it was here.
    pub(super) fn leave(&mut self, token: Token) -> bool {
        self.peers.remove(&token);
        let had_begun = self.heads.remove(&token).is_some();
        if had_begun {
            self.skip_gone();
        }
        had_begun || self.looking.remove(&token)
    }

    /// The one that has waited longest goes. Returns whether anything of its head has come.
    fn pop_oldest(&mut self) -> Option<(Token, bool)> {
        let (token, _) = self.oldest()?;
        let begun = self.heads.remove(&token);
        self.peers.remove(&token);
        self.skip_gone();
        Some((token, begun.is_some_and(|begun| !begun.is_empty())))
    }

    /// Its peer, if that matters.
    pub(super) fn peer(&self, token: Token) -> Option<&Peer> {
        self.peers.get(&token)
    }

    /// The next of those who are not counted yet and whose head is not complete, and where its peer is.
    pub(super) fn next_uncounted(&mut self) -> Option<(Token, Option<Address>)> {
        while let Some(token) = self.uncounted.pop() {
            if let Some(peer) = self.peers.get(&token).filter(|_| self.heads.contains_key(&token)) {
                return Some((token, peer.address));
            }
        }
        None
    }

    /// It is half-open, and counted.
    pub(super) fn count(&mut self, token: Token, place: Option<AddressPlace>) {
        if let Some(peer) = self.peers.get_mut(&token).expected("it was here when it was counted") {
            peer.place = place;
        }
    }

    /// What has come of its head, to be joined by more; None: no more of a head is expected of it.
    pub(super) fn take_begun(&mut self, token: Token) -> Option<Vec<u8>> {
        self.heads.get_mut(&token).map(std::mem::take)
    }

    /// So much of its head has come, and that is not all.
    pub(super) fn keep_begun(&mut self, token: Token, begun: Vec<u8>) {
        if let Some(head) = self.heads.get_mut(&token).expected("it was here when it was read") {
            *head = begun;
        }
    }

    /// Those that went on do not stand in the queue's way, nor make it long.
    fn skip_gone(&mut self) {
        while self.queue.front().is_some_and(|(token, _)| !self.heads.contains_key(token)) {
            self.queue.pop_front();
        }
        if self.queue.len() > 64 + 4 * self.heads.len() {
            self.queue.retain(|(token, _)| self.heads.contains_key(token));
        }
    }

    /// The one that has waited longest, and since when.
    fn oldest(&self) -> Option<(Token, u64)> {
        self.queue.front().copied()
    }

    fn oldest_had_its_time(&self) -> bool {
        self.oldest().is_some_and(|(_, since)| since + HEAD_MS_MIN <= self.heard_ms)
    }

    /// Whether somebody must go because of a newcomer. Not one who has just come: when everybody comes back at once,
    /// heads are on their way. Time in which a busy core did not listen is no time for a head.
    fn is_too_full(&self) -> bool {
        let (many, max) = (self.half_open(), self.half_open_max);
        many > max && (many > CROWD_FACTOR * max || self.oldest_had_its_time())
    }

    /// When a shard whose lobby is full must have looked again, on the monotonic clock.
    pub(super) fn hearing_deadline(&self) -> Option<u64> {
        (self.half_open() >= self.half_open_max).then_some(self.heard_ms + HEAR_EVERY_MS)
    }
}

impl Shard {
    /// What a trusted proxy says of its clients will be heard. Any other peer may be one too many.
    pub(in crate::shard) fn note_peer(&mut self, token: Token, address: Option<Address>) {
        let is_proxy = self.inbound.trusted_proxies.trust(address);
        let is_counted = self.inbound.addresses.are_counted();
        if (is_proxy || is_counted) && self.inbound.lobby.has(token) {
            self.inbound.lobby.peers.insert(token, Peer { address, is_proxy, place: None });
            if is_counted && !is_proxy {
                self.inbound.lobby.uncounted.push(token);
            }
        }
    }

    pub(in crate::shard) fn enter_lobby(&mut self, token: Token, now: Now) {
        self.inbound.lobby.enter(token, now);
        self.note_activity();
        if self.inbound.lobby.is_too_full() {
            let text = format!(
                "Over capacity: {} connections without a head (half_open_max)",
                self.limits.half_open_max
            );
            self.give_up_oldest_head(503, &text, now);
        }
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
        let Some((token, spoke)) = self.inbound.lobby.pop_oldest() else { return };
        if spoke {
            self.tell_refused_head(token, None, text);
        }
        self.drop_head(token, spoke.then_some(status), text, now);
    }

    /// Closes a half-open connection that is one too many. The log has it even if nothing was said.
    pub(super) fn give_up_head(&mut self, token: Token, text: &str, now: Now) {
        let spoke = self.inbound.lobby.take_begun(token).is_some_and(|begun| !begun.is_empty());
        self.inbound.lobby.leave(token);
        self.tell_refused_head(token, None, text);
        self.drop_head(token, spoke.then_some(503), text, now);
    }

    fn drop_head(&mut self, token: Token, status: Option<u16>, text: &str, now: Now) {
        let last = status.map_or_else(Vec::new, |status| self.encode_refusal(status, text, &[], now));
        self.inbound.stats.heads_refused += 1;
        self.give_away(token, Effect::Drop { token, last });
    }

    /// When the oldest head is due, on the monotonic clock.
    pub(in crate::shard) fn head_deadline(&self) -> Option<u64> {
        let draining = self.ending.is_draining();
        let patience = if draining { self.limits.drain_head_ms_max } else { self.limits.head_ms_max };
        self.inbound.lobby.oldest().map(|(_, since)| since + patience)
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

    /// The end of a connection that never had a record: nothing of it is kept here.
    pub(in crate::shard) fn give_away(&mut self, token: Token, end: Effect) {
        self.effects.extend([end, Effect::Free(token)]);
    }
}
