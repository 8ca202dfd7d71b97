//! Connections that have not sent a complete HTTP head, or whose app is looked for. They have no record. Incomplete heads
//! are bounded by `half_open_max`, in time by `head_ms_max`, and by `tls_handshake_ms_max` before that where there is a
//! handshake. What a complete head leads to is decided in `admission`.

use std::collections::VecDeque;

use hashbrown::{HashMap, HashSet};
use protocol::address::Address;

use crate::address_caps::AddressPlace;
use crate::invariant::Expected;
use crate::limits::{HANDSHAKE_MS_MIN, HEAD_MS_MIN};
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
    /// The same for those whose handshake is not over.
    handshakes: VecDeque<(Token, u64)>,
    /// Those whose head is complete, and who wait for a source of apps.
    looking: HashSet<Token>,
    /// Where those are from whose address matters: because it is a trusted proxy's, or because it is counted.
    peers: HashMap<Token, Peer>,
    /// Those who have come since all there was was read, where addresses are counted.
    uncounted: Vec<Token>,
    /// Those that nobody between their peer and us can read, and whether their handshake is over.
    secure: HashMap<Token, bool>,
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
            handshakes: VecDeque::new(),
            looking: HashSet::new(),
            peers: HashMap::new(),
            uncounted: Vec::new(),
            secure: HashMap::new(),
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
        self.handshakes.shrink_to_fit();
        self.looking.shrink_to_fit();
        self.peers.shrink_to_fit();
        self.uncounted.shrink_to_fit();
        self.secure.shrink_to_fit();
    }

    /// All that had come by then has been read.
    pub(super) fn note_heard(&mut self, now: Now) {
        self.heard_ms = now.mono_ms;
    }

    fn enter(&mut self, token: Token, secure: bool, now: Now) {
        self.heads.insert(token, Vec::new());
        if secure {
            self.secure.insert(token, false);
            self.handshakes.push_back((token, now.mono_ms));
        } else {
            self.queue.push_back((token, now.mono_ms));
        }
    }

    /// Its handshake is over: the time for its head begins.
    pub(super) fn note_secured(&mut self, token: Token, now: Now) {
        if let Some(is_over) = self.secure.get_mut(&token).filter(|is_over| !**is_over) {
            *is_over = true;
            self.queue.push_back((token, now.mono_ms));
            self.skip_gone();
        }
    }

    /// It goes on, or goes. Returns whether it was here.
    pub(super) fn leave(&mut self, token: Token) -> bool {
        self.forget_peer(token);
        let had_begun = self.heads.remove(&token).is_some();
        if had_begun {
            self.skip_gone();
        }
        had_begun || self.looking.remove(&token)
    }

    /// One of them goes. Returns whether anything of its head has come.
    fn remove(&mut self, token: Token) -> bool {
        let begun = self.heads.remove(&token);
        self.forget_peer(token);
        self.skip_gone();
        begun.is_some_and(|begun| !begun.is_empty())
    }

    fn forget_peer(&mut self, token: Token) {
        self.peers.remove(&token);
        self.secure.remove(&token);
    }

    /// Whether nobody between its peer and us can read it.
    pub(super) fn is_secure(&self, token: Token) -> bool {
        self.secure.contains_key(&token)
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

    /// Those that went on do not stand in the way of a queue, nor make it long.
    fn skip_gone(&mut self) {
        let (heads, secure) = (&self.heads, &self.secure);
        skip(&mut self.queue, heads.len(), |token| heads.contains_key(token));
        skip(&mut self.handshakes, heads.len(), |token| secure.get(token) == Some(&false));
    }

    /// The one that has waited longest for its head to come, and since when.
    fn oldest(&self) -> Option<(Token, u64)> {
        self.queue.front().copied()
    }

    /// The one that has waited longest for its handshake to end.
    fn oldest_handshake(&self) -> Option<(Token, u64)> {
        self.handshakes.front().copied()
    }

    /// The one that has waited longest of those that had their time.
    fn oldest_that_had_its_time(&self) -> Option<Token> {
        let had = |(_, since): &(Token, u64), least| since + least <= self.heard_ms;
        let head = self.oldest().filter(|oldest| had(oldest, HEAD_MS_MIN));
        head.or_else(|| self.oldest_handshake().filter(|oldest| had(oldest, HANDSHAKE_MS_MIN)))
            .map(|(token, _)| token)
    }

    /// Who must go because of a newcomer, if somebody must. Not one who has just come: when everybody comes back at once,
    /// heads are on their way. Time in which a busy core did not listen is no time for a head.
    fn too_many(&self) -> Option<Token> {
        let (many, max) = (self.half_open(), self.half_open_max);
        if many <= max {
            return None;
        }
        self.oldest_that_had_its_time().or_else(|| {
            let oldest = self.oldest().into_iter().chain(self.oldest_handshake());
            oldest
                .filter(|_| many > CROWD_FACTOR * max)
                .min_by_key(|(_, since)| *since)
                .map(|(token, _)| token)
        })
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

    pub(in crate::shard) fn enter_lobby(&mut self, token: Token, secure: bool, now: Now) {
        self.inbound.lobby.enter(token, secure, now);
        self.note_activity();
        if let Some(oldest) = self.inbound.lobby.too_many() {
            let text = format!(
                "Over capacity: {} connections without a head (half_open_max)",
                self.limits.half_open_max
            );
            self.give_up_waiting(oldest, 503, &text, now);
        }
    }

    /// Gives up the half-open connection that has waited longest, because descriptors have run out. Not one who has just
    /// come: it may have got the last of them, and the next newcomer would take it away in vain.
    pub(in crate::shard) fn give_up_head_for_descriptors(&mut self, now: Now) {
        if let Some(oldest) = self.inbound.lobby.oldest_that_had_its_time() {
            self.give_up_waiting(oldest, 503, "Over capacity: the server has no descriptors left", now);
        }
    }

    /// Closes a half-open connection that has waited. Who has begun to speak HTTP is told why; who has said nothing asked for nothing, and
    /// many HTTP clients take an answer without a question for a fault.
    fn give_up_waiting(&mut self, token: Token, status: u16, text: &str, now: Now) {
        let spoke = self.inbound.lobby.remove(token);
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

    /// The handshake of a connection is over.
    pub(super) fn handle_secured(&mut self, token: Token, now: Now) {
        self.inbound.lobby.note_secured(token, now);
    }

    /// For how long a handshake and a head may be waited for, in milliseconds.
    fn patience(&self) -> (u64, u64) {
        match self.ending.is_draining() {
            true => (self.limits.drain_head_ms_max, self.limits.drain_head_ms_max),
            false => (self.limits.tls_handshake_ms_max, self.limits.head_ms_max),
        }
    }

    /// The one whose time is up first, and when, on the monotonic clock.
    fn next_late(&self) -> Option<(Token, u64)> {
        let ((handshake_ms, head_ms), lobby) = (self.patience(), &self.inbound.lobby);
        let head = lobby.oldest().map(|(token, since)| (token, since + head_ms));
        let handshake = lobby.oldest_handshake().map(|(token, since)| (token, since + handshake_ms));
        head.into_iter().chain(handshake).min_by_key(|(_, due)| *due)
    }

    /// When the first of them is due, on the monotonic clock.
    pub(in crate::shard) fn head_deadline(&self) -> Option<u64> {
        self.next_late().map(|(_, due)| due)
    }

    pub(in crate::shard) fn give_up_late_heads(&mut self, now: Now) {
        while let Some((token, _)) = self.next_late().filter(|(_, due)| *due <= now.mono_ms) {
            let setting = if self.ending.is_draining() { "the server is restarting" } else { "head_ms_max" };
            let (_, ms) = self.patience();
            self.give_up_waiting(
                token,
                408,
                &format!("No complete HTTP head came in {ms} ms ({setting})"),
                now,
            );
        }
    }

    /// The end of a connection that never had a record: nothing of it is kept here.
    pub(in crate::shard) fn give_away(&mut self, token: Token, end: Effect) {
        self.effects.extend([end, Effect::Free(token)]);
    }
}

/// Drops the first of a queue that are not there any more, and all of them where it has become long.
fn skip(queue: &mut VecDeque<(Token, u64)>, there: usize, is_there: impl Fn(&Token) -> bool) {
    while queue.front().is_some_and(|(token, _)| !is_there(token)) {
        queue.pop_front();
    }
    if queue.len() > 64 + 4 * there {
        queue.retain(|(token, _)| is_there(token));
    }
}
