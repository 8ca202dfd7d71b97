//! Connections that have gone and whose subscriptions are still to be given up.
//!
//! One may have ten thousand of them, and many may go at once; a shard may not stop for that. So a turn gives up
//! `given_up_per_turn_max` subscriptions at most, whatever the reason. Nearly always that is all there
//! are, at the instant a close begins. The rest waits in a line and goes in steps, one connection's after another's, so
//! that few do not wait behind many. Until a subscription is given up its channel counts it, but nothing reaches it:
//! its connection is no longer there. The slot has no other tenant meanwhile. Each new subscription lets a step give up
//! one more: so peers that come and go, however fast, cannot make the line longer than all subscriptions ever were at once.

use std::collections::VecDeque;

use hashbrown::HashMap;

use crate::invariant::Expected;
use crate::machine::Token;
use crate::shard::Shard;
use crate::shard::fanout::connection::Subscription;

/// What those who have gone have left behind.
#[derive(Debug, Default)]
pub(super) struct Departed {
    /// By slot.
    left_behind: HashMap<u32, Vec<Subscription>>,
    /// Those that wait for a step.
    line: VecDeque<Token>,
    /// How many subscriptions may still be given up in this turn.
    left: usize,
    /// How many have come since the last step, while there is a line.
    come: usize,
}

impl Departed {
    /// Nobody has gone, and so many subscriptions may be given up in the first turn.
    pub(super) fn new(left: usize) -> Self {
        Self { left, ..Self::default() }
    }

    /// How many have something left behind.
    pub(super) fn len(&self) -> usize {
        self.left_behind.len()
    }

    /// True when nobody has.
    pub(super) fn is_empty(&self) -> bool {
        self.left_behind.is_empty()
    }

    fn has_left_behind(&self, slot: u32) -> bool {
        self.left_behind.contains_key(&slot)
    }

    /// What the former tenant of this slot has left behind.
    pub(super) fn left_behind(&mut self, slot: u32) -> Option<&mut Vec<Subscription>> {
        self.left_behind.get_mut(&slot)
    }

    /// A connection has left this slot, and its subscriptions.
    pub(super) fn leave_behind(&mut self, slot: u32, subscriptions: Vec<Subscription>) {
        if !subscriptions.is_empty() {
            self.left_behind.insert(slot, subscriptions);
        }
    }

    /// Somebody has subscribed.
    pub(super) fn note_subscription(&mut self) {
        self.come += usize::from(!self.line.is_empty());
    }

    /// How many may be given up in a step that begins.
    fn begin_step(&mut self, most: usize) -> usize {
        let step = most.min(self.left) + self.come;
        self.left += std::mem::take(&mut self.come);
        step
    }

    fn pop(&mut self, slot: u32) -> Option<Subscription> {
        let left = self.left.checked_sub(1)?;
        let left_behind =
            self.left_behind.get_mut(&slot).expected("a departed connection left subscriptions")?;
        let gone = left_behind.pop()?;
        self.left = left;
        Some(gone)
    }

    /// Forgets this slot if nothing is left in it. Returns whether that is so.
    fn forget_empty(&mut self, slot: u32) -> bool {
        let empty = self.left_behind.get(&slot).is_none_or(Vec::is_empty);
        if empty {
            self.left_behind.remove(&slot);
        }
        empty
    }

    /// Gives back what nothing needs now.
    pub(super) fn give_back_room(&mut self) {
        self.left_behind.shrink_to_fit();
        self.line.shrink_to_fit();
    }
}

impl Shard {
    /// A turn begins.
    pub(in crate::shard) fn begin_giving_up(&mut self) {
        self.fanout.departed.left = self.limits.given_up_per_turn_max;
    }

    /// A connection has gone: gives up what it was subscribed to, as far as that may be done now.
    pub(in crate::shard) fn depart(&mut self, id: Token) {
        if !self.fanout.departed.has_left_behind(id.slot) {
            return;
        }
        self.give_up(id, self.limits.walk_looks_max);
        if !self.has_left(id) {
            self.fanout.stats.departed_in_steps += 1;
            self.fanout.departed.line.push_back(id);
        }
    }

    /// A step of giving up. Returns whether there was one.
    pub(in crate::shard) fn continue_departures(&mut self) -> bool {
        let mut looks_left = self.fanout.departed.begin_step(self.limits.walk_looks_max);
        let any = looks_left > 0 && !self.fanout.departed.line.is_empty();
        self.fanout.stats.departure_steps += u64::from(any);
        while looks_left > 0
            && let Some(id) = self.fanout.departed.line.pop_front()
        {
            looks_left -= self.give_up(id, looks_left);
            if !self.has_left(id) {
                self.fanout.departed.line.push_back(id);
            }
        }
        any
    }

    /// When the next step is due: at once.
    pub(in crate::shard) fn departure_deadline(&self) -> Option<u64> {
        (!self.fanout.departed.line.is_empty()).then_some(0)
    }

    /// Whether nothing of it is left; then its slot is kept for its Exits alone.
    fn has_left(&mut self, id: Token) -> bool {
        let all = self.fanout.departed.forget_empty(id.slot);
        if all {
            self.let_go(id.slot);
        }
        all
    }

    /// Gives up so many subscriptions of one who has gone. Returns how many there were.
    fn give_up(&mut self, id: Token, most: usize) -> usize {
        for given_up in 0..most {
            let Some(left) = self.fanout.departed.pop(id.slot) else { return given_up };
            if let Some(gone) = self.fanout.leave_topic(id, left) {
                self.tell_gone(gone, true);
            }
        }
        most
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;

    use protocol::app::{App, Apps};
    use protocol::ws::Frame;

    use super::*;
    use crate::cores::CoreId;
    use crate::limits::Limits;
    use crate::machine::{Door, Effect, Inputs, Machine, Now, Socket, Token};
    use crate::mesh::{Event, Leaf, Origin, Publish, Root};
    use crate::shard::ShardConfig;
    use crate::shard::ending::drain::DrainPlan;
    use crate::shard::fanout::connection::Connection;
    use crate::topic::{TopicHash, TopicKey};

    const STEP: usize = 4;
    const PER_TURN: usize = 10;

    /// What sockets have for the shard; nothing comes from other cores.
    #[derive(Default)]
    struct Sockets {
        ready: VecDeque<(Token, Vec<u8>)>,
        read: Vec<u8>,
    }

    impl Inputs for Sockets {
        fn next_leaves(&mut self) -> Option<(CoreId, Vec<Leaf>)> {
            None
        }

        fn next_roots(&mut self) -> Option<(CoreId, Vec<Root>)> {
            None
        }

        fn release_leaves(&mut self, _: CoreId) {}

        fn release_roots(&mut self, _: CoreId) {}

        fn next_socket(&mut self) -> Option<Socket<'_>> {
            let (token, bytes) = self.ready.pop_front()?;
            self.read = bytes;
            Some(if self.read.is_empty() {
                Socket::Hangup(token)
            } else {
                Socket::Bytes(token, &mut self.read)
            })
        }

        fn pause(&mut self, _: Token) {}
    }

    struct Rig {
        shard: Shard,
        app: Arc<App>,
        topics: TopicHash,
        sockets: Sockets,
        /// The driver's slots: generation, and whether it is in use.
        slots: Vec<(u32, bool)>,
    }

    fn text(text: &str) -> Vec<u8> {
        let mut frame = vec![0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
        assert!(text.len() < 126, "short messages only");
        frame.extend_from_slice(text.as_bytes());
        frame
    }

    const NOW: Now = Now::at(1000, 1000);

    impl Rig {
        fn new() -> Self {
            let apps = Arc::new(Apps::new(vec![App::new("1", "a", "s")]).unwrap());
            let app = Arc::clone(apps.by_id("1").unwrap());
            let topics = TopicHash::new(7, 1);
            let limits = Limits {
                walk_looks_max: STEP,
                given_up_per_turn_max: PER_TURN,
                commands_per_turn_max: usize::MAX,
                ..Limits::default()
            };
            let shard = Shard::new(ShardConfig {
                number: 0,
                node: 0,
                apps,
                path_prefix: Default::default(),
                trusted_proxies: Default::default(),
                address_caps: Default::default(),
                topics: topics.clone(),
                limits,
                hook_grace_ms: 0,
                witness: None,
                drain: DrainPlan::default(),
                random: Box::new(|| 0),
            });
            Self { shard, app, topics, sockets: Sockets::default(), slots: Vec::new() }
        }

        fn say(&mut self, token: Token, bytes: Vec<u8>) {
            self.sockets.ready.push_back((token, bytes));
        }

        fn hang_up(&mut self, token: Token) {
            self.say(token, Vec::new());
        }

        /// One turn. Returns who was written to, and who was closed with what.
        fn turn(&mut self) -> (Vec<Token>, Vec<(Token, String)>) {
            self.shard.decide(&mut self.sockets, NOW);
            self.shard.seal();
            let mut closed = Vec::new();
            while let Some(effect) = self.shard.poll_effect() {
                match effect {
                    Effect::Close { token, last } => {
                        closed.push((token, String::from_utf8_lossy(&last.to_vec()).into_owned()));
                    }
                    Effect::Resume(_) => {}
                    Effect::Free(token) => self.slots[token.slot as usize].1 = false,
                    other => panic!("{other:?}"),
                }
            }
            let mut written = Vec::new();
            while let Some(token) = self.shard.poll_dirty() {
                written.push(token);
                let bytes = self.connection(token).outbox.bytes_up_to(usize::MAX);
                assert!(!self.shard.handle_written(token, bytes, NOW));
            }
            (written, closed)
        }

        /// A connection that is subscribed to so many channels, which begin with `name`.
        fn connect(&mut self, name: &str, channels: usize) -> Token {
            let slot = self.slots.iter().position(|(_, used)| !used).unwrap_or_else(|| {
                self.slots.push((0, false));
                self.slots.len() - 1
            });
            self.slots[slot] = (self.slots[slot].0 + 1, true);
            let token = Token { slot: slot as u32, generation: self.slots[slot].0 };
            self.shard.handle_open(token, Door::Public, false, NOW);
            let head = "GET /app/a?protocol=7 HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
            self.say(token, head.as_bytes().to_vec());
            self.turn();
            let subscribe = |number| {
                text(&format!(r#"{{"event":"pusher:subscribe","data":{{"channel":"{name}{number}"}}}}"#))
            };
            if channels > 0 {
                self.say(token, (0..channels).flat_map(subscribe).collect());
                self.turn();
            }
            token
        }

        fn publish(&mut self, name: &str, text: &str) {
            let topic = self.topics.topic(&self.app, TopicKey::of(name));
            let frame = Frame::from(text.as_bytes().to_vec());
            let event = Event { topic, frame, except: None, origin: Origin::BackEnd, received: None };
            self.shard.handle_root(CoreId::Shard(0), Root::Publish(Box::new(Publish { event, hook: None })));
        }

        fn given_up(&self) -> usize {
            self.shard.stats().unsubscribed as usize
        }

        fn connection(&self, token: Token) -> &Connection {
            self.shard.fanout.connections.view(token).unwrap()
        }
    }

    #[test]
    fn a_turn_gives_up_so_many_subscriptions_and_no_more_whoever_goes_and_serves_others_meanwhile() {
        let mut rig = Rig::new();
        let stranger = rig.connect("s", 1);
        let crowd: Vec<Token> = (0..3).map(|number| rig.connect(&format!("c{number}-"), 20)).collect();
        crowd.iter().for_each(|token| rig.hang_up(*token));
        let (mut turns, mut before) = (0, rig.given_up());
        while rig.shard.fanout.topics() > 1 {
            rig.say(stranger, text(r#"{"event":"pusher:ping"}"#));
            let (written, closed) = rig.turn();
            assert!(written == [stranger], "{written:?} in turn {turns}");
            assert_eq!(closed.len(), if turns == 0 { 3 } else { 0 }, "descriptors are closed at once");
            assert_eq!(rig.app.connections(), 1, "places in the app are free at once");
            let step = rig.given_up() - before;
            assert!(step <= PER_TURN, "{step} in turn {turns}");
            (turns, before) = (turns + 1, rig.given_up());
        }
        assert_eq!((turns, before), (6, 60));
        rig.turn();
        assert_eq!((rig.shard.home.len(), rig.shard.connections()), (1, 1));
    }

    #[test]
    fn a_shard_that_has_something_to_give_up_does_not_sleep_and_is_not_empty() {
        let mut rig = Rig::new();
        let token = rig.connect("c", 3 * PER_TURN);
        rig.hang_up(token);
        rig.turn();
        assert_eq!((rig.shard.connections(), rig.shard.poll_deadline()), (1, Some(0)));
        (0..3).for_each(|_| drop(rig.turn()));
        assert_eq!(rig.shard.connections(), 0);
        assert!(rig.shard.departure_deadline().is_none());
    }

    #[test]
    fn nothing_reaches_who_has_gone_nor_the_next_in_its_slot() {
        let mut rig = Rig::new();
        let gone = rig.connect("c", 3 * PER_TURN);
        rig.hang_up(gone);
        rig.turn();
        rig.publish("c0", "late");
        rig.turn();
        assert!(rig.shard.fanout.departed.len() == 1, "this is about the time in between");
        let meanwhile = rig.connect("m", 0);
        assert_ne!(meanwhile.slot, gone.slot);
        while !rig.shard.fanout.departed.is_empty() {
            rig.publish("c0", "late");
            let (written, _) = rig.turn();
            assert!(written.is_empty(), "{written:?}");
        }
        let next = rig.connect("n", 0);
        assert_eq!(next, Token { generation: gone.generation + 1, ..gone }, "a slot is used again");
    }

    #[test]
    fn a_few_subscriptions_do_not_wait_behind_many() {
        let mut rig = Rig::new();
        let many = rig.connect("m", 20 * PER_TURN);
        let few = rig.connect("f", 2);
        rig.hang_up(many);
        rig.turn();
        rig.hang_up(few);
        rig.turn();
        rig.turn();
        let few_left = (0..2).any(|number| {
            let name = format!("f{number}");
            rig.shard.fanout.find_topic(&rig.topics.topic(&rig.app, TopicKey::of(&name))).is_some()
        });
        assert!(!few_left && rig.shard.fanout.departed.len() == 1);
    }

    #[test]
    fn whoever_comes_and_goes_leaves_no_more_behind_than_there_ever_was_at_once() {
        let mut rig = Rig::new();
        let channels = 5 * PER_TURN;
        let mut most = 0;
        for round in 0..20 {
            // All of them come in one turn.
            let token = rig.connect(&format!("r{round}-"), channels);
            rig.hang_up(token);
            rig.turn();
            let departed = &rig.shard.fanout.departed;
            most = most.max(departed.left_behind.values().map(Vec::len).sum());
        }
        assert!(most <= channels, "{most} were left behind");
    }

    #[test]
    fn an_event_before_a_close_goes_out_with_it_and_one_behind_it_does_not() {
        let mut rig = Rig::new();
        let (leaver, stays) = (rig.connect("c", 1), rig.connect("c", 1));
        rig.shard.fanout.flush.begin_phase(NOW.mono_ms);
        rig.publish("c0", "before");
        rig.shard.close_in_answer(leaver, None);
        rig.publish("c0", "behind");
        let (written, closed) = rig.turn();
        assert_eq!(written, [stays]);
        let [(token, last)] = &closed[..] else { panic!("{closed:?}") };
        assert!(*token == leaver && last.starts_with("before") && !last.contains("behind"), "{last:?}");
    }
}
