//! A home while another process serves the same ports: who decides the order of an event, and what becomes of those
//! that wait for it.
//!
//! One process decides: the *leader*, which came last. Its *followers* offer it each event before they deliver it, keep
//! it meanwhile, and deliver it when they hear that it was decided; the leader's own events are heard in between. So all
//! subscribers of a channel see one order, in whichever process they are. When the leader is lost, what waits is decided
//! here, in its order, one event per root, so that the gates hold; what comes meanwhile lines up behind it. A process
//! may follow and lead at once: it then passes on what its followers offer.
//!
//! Pure: what is kept here is an event of any kind. The exchange with other processes is `takeover`'s. A home without
//! another process has none of this.

use std::collections::VecDeque;

use crate::cores::CoreId;
use crate::mesh::{Event, FromHome, Leaf, OfferId, Terminate, ToHome};
use crate::shard::home::Home;

/// What comes of an input.
#[derive(Debug)]
pub struct Outcome<E> {
    /// To be delivered now, here and to all followers.
    pub settled: Option<(E, Option<OfferId>)>,
    /// To be told to the relay.
    pub told: Option<FromHome<E>>,
    /// [`ToHome::Next`] must come.
    pub goes_on: bool,
}

impl<E> Default for Outcome<E> {
    fn default() -> Self {
        Self { settled: None, told: None, goes_on: false }
    }
}

/// What a home keeps while there are other processes.
#[derive(Debug)]
pub struct Relay<E> {
    leader: Leader,
    followers: usize,
    /// What waits for its decision, by number; None was decided already.
    waiting: VecDeque<Option<(E, Option<OfferId>)>>,
    /// The number of the first of them.
    first: u64,
}

/// Who decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Leader {
    /// This process, once nothing waits any more.
    Here,
    /// Another one.
    There,
    /// The one behind this link, once nothing waits any more that its predecessor has left.
    Soon(u32),
}

impl<E: Clone> Relay<E> {
    /// Alone so far.
    pub fn new() -> Self {
        Self { leader: Leader::Here, followers: 0, waiting: VecDeque::new(), first: 0 }
    }

    /// True when nothing tells this home from one without other processes.
    pub fn is_over(&self) -> bool {
        self.leader == Leader::Here && self.followers == 0 && self.waiting.is_empty()
    }

    /// True when somebody wants to hear what is decided.
    pub fn has_followers(&self) -> bool {
        self.followers > 0
    }

    /// An event that was published here, or offered by a follower.
    pub fn take_event(&mut self, event: E, offer: Option<OfferId>) -> Outcome<E> {
        if self.leader == Leader::There {
            let seq = self.first + self.waiting.len() as u64;
            self.waiting.push_back(Some((event.clone(), offer)));
            return Outcome { told: Some(FromHome::Offered(seq, event)), ..Outcome::default() };
        }
        if self.waiting.is_empty() {
            return Outcome { settled: Some((event, offer)), ..Outcome::default() };
        }
        self.waiting.push_back(Some((event, offer)));
        Outcome::default()
    }

    /// What the relay says.
    pub fn handle(&mut self, input: ToHome<E>) -> Outcome<E> {
        match input {
            ToHome::Follow(link) => self.follow(link),
            ToHome::LeaderLost => self.fall_back(),
            ToHome::FollowerJoined(link) => {
                self.followers += 1;
                Outcome { told: Some(FromHome::Leading(link)), ..Outcome::default() }
            }
            ToHome::FollowerLost => {
                self.followers = self.followers.saturating_sub(1);
                Outcome::default()
            }
            ToHome::Offered(event, offer) => self.take_event(event, Some(offer)),
            ToHome::Decided(seq) => Outcome { settled: self.take(seq), ..Outcome::default() },
            ToHome::Heard(event) => Outcome { settled: Some((event, None)), ..Outcome::default() },
            ToHome::Next => self.go_on(),
            ToHome::Fence => Outcome { told: Some(FromHome::Fenced), ..Outcome::default() },
        }
    }

    fn follow(&mut self, link: u32) -> Outcome<E> {
        if self.waiting.is_empty() {
            self.leader = Leader::There;
            return Outcome { told: Some(FromHome::Following(link)), ..Outcome::default() };
        }
        // What a lost leader has left goes first; a new leader must not decide what comes behind it before that.
        self.leader = Leader::Soon(link);
        Outcome::default()
    }

    fn fall_back(&mut self) -> Outcome<E> {
        let begins = self.leader == Leader::There && !self.waiting.is_empty();
        self.leader = Leader::Here;
        Outcome { goes_on: begins, ..Outcome::default() }
    }

    fn go_on(&mut self) -> Outcome<E> {
        let next = self.waiting.pop_front();
        self.first += u64::from(next.is_some());
        self.forget_decided();
        let goes_on = !self.waiting.is_empty();
        let mut told = None;
        if let Leader::Soon(link) = self.leader
            && !goes_on
        {
            self.leader = Leader::There;
            told = Some(FromHome::Following(link));
        }
        Outcome { settled: next.flatten(), told, goes_on }
    }

    fn take(&mut self, seq: u64) -> Option<(E, Option<OfferId>)> {
        let at = usize::try_from(seq.checked_sub(self.first)?).ok()?;
        let taken = self.waiting.get_mut(at)?.take();
        self.forget_decided();
        taken
    }

    fn forget_decided(&mut self) {
        while let Some(None) = self.waiting.front() {
            self.waiting.pop_front();
            self.first += 1;
        }
    }
}

impl<E: Clone> Default for Relay<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl Home {
    /// An event of this process, if there are other processes, for the subscribers of all of them.
    pub(super) fn share_event(&mut self, event: &Event) -> Option<Outcome<Event>> {
        self.relay.as_mut().map(|relay| relay.take_event(event.clone(), None))
    }

    /// What the relay says to this home.
    pub(super) fn handle_relay(&mut self, input: ToHome<Event>) -> Outcome<Event> {
        self.relay.get_or_insert_default().handle(input)
    }

    /// Afterwards.
    pub(super) fn forget_relay_when_over(&mut self) {
        if self.relay.as_ref().is_some_and(|relay| relay.is_over()) {
            self.relay = None;
        }
    }

    /// An event was decided or heard here.
    pub(super) fn tell_followers(&mut self, event: Event, offer: Option<OfferId>) {
        if self.relay.as_ref().is_some_and(|relay| relay.has_followers()) {
            self.tell_relay(FromHome::Decided(event, offer));
        }
    }

    /// A user's connections go in all processes. All shards are told here, and one of them tells the relay.
    pub(super) fn share_terminate(&mut self, from: CoreId, terminate: &Terminate) {
        if self.relay.is_some() && self.me == CoreId::Shard(0) && from != CoreId::Relay {
            self.tell_relay(FromHome::Terminate(terminate.clone()));
        }
    }

    pub(super) fn tell_relay(&mut self, told: FromHome<Event>) {
        self.push(CoreId::Relay, Leaf::Relay(Box::new(told)));
    }
}
