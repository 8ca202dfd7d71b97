//! What goes where between the homes of this process and other processes: pure, so that whole takeovers can be simulated.
//!
//! Owns which link leads to the leader, if there is one, and which to followers. The homes keep the events that wait
//! (`shard::relay`); nothing is kept here. What must never happen here: an event that comes back to its sender, or
//! one that a home has offered to a leader that is lost and that reaches its successor.

use crate::cores::{CoreId, PerCore};
use crate::invariant;
use crate::mesh::{Event, FromHome, OfferId, Terminate, ToHome};

/// What processes say to each other once they have greeted.
#[derive(Clone, Debug)]
pub enum Message<E> {
    /// The newcomer decides from now on.
    Lead,
    /// All homes of its predecessor know that.
    Ready,
    /// An event for the leader to decide.
    Offered {
        /// The follower's home.
        home: u16,
        /// That home's number for it.
        seq: u64,
        /// The event.
        event: E,
    },
    /// An event that the follower has offered has been decided.
    Decided {
        /// The follower's home.
        home: u16,
        /// That home's number for it.
        seq: u64,
        /// How long the event was.
        bytes: u32,
    },
    /// The leader has decided an event of another process.
    Heard(E),
    /// Connections of a user must go.
    Terminate(Terminate),
    /// Nothing but a sign of life.
    Beat,
}

/// What must be done.
#[derive(Debug)]
pub enum Step<E> {
    /// Tell a home.
    Home(CoreId, ToHome<E>),
    /// Tell another process.
    Link(u32, Message<E>),
    /// Close connections of a user in this process.
    Terminate(Terminate),
    /// The predecessor behind this link is ready.
    Ready(u32),
    /// All homes have answered the fence.
    Fenced,
}

/// What an event must say for itself.
pub trait Shared: Clone {
    /// Its home here.
    fn home(&self, homes: &Homes) -> CoreId;
    /// Its length in bytes.
    fn bytes(&self) -> usize;
}

impl Shared for Event {
    fn home(&self, homes: &Homes) -> CoreId {
        homes.home(self.topic.hash)
    }

    fn bytes(&self) -> usize {
        self.frame.len()
    }
}

/// Which home an event has: by the hash of its topic.
pub type Homes = crate::topic::TopicHash;

/// The other process has said what it may not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutOfTurn;

/// Who the other processes are.
#[derive(Debug)]
pub struct Exchange {
    homes: Homes,
    leader: Option<Leader>,
    followers: Vec<Follower>,
    fenced: usize,
}

#[derive(Debug)]
struct Follower {
    link: u32,
    /// How many homes tell what they decide. It follows when all do.
    leading: usize,
}

#[derive(Debug)]
struct Leader {
    link: u32,
    /// The homes that offer it their events.
    following: PerCore<bool>,
}

impl Exchange {
    /// Alone so far.
    pub fn new(homes: Homes) -> Self {
        Self { homes, leader: None, followers: Vec::new(), fenced: 0 }
    }

    /// True when another process decides.
    pub fn has_leader(&self) -> bool {
        self.leader.is_some()
    }

    /// True when another process decides and is behind this link.
    pub fn is_leader(&self, link: u32) -> bool {
        self.leader.as_ref().is_some_and(|leader| leader.link == link)
    }

    fn is_follower(&self, link: u32) -> bool {
        self.followers.iter().any(|follower| follower.link == link)
    }

    fn all_homes<E>(&self, steps: &mut Vec<Step<E>>, input: impl Fn() -> ToHome<E>) {
        steps.extend(self.homes.cores().each_shard().map(|home| Step::Home(home, input())));
    }

    /// The process behind this link has agreed to follow.
    pub fn lead<E>(&mut self, link: u32, steps: &mut Vec<Step<E>>) {
        self.followers.push(Follower { link, leading: 0 });
        self.all_homes(steps, || ToHome::FollowerJoined(link));
    }

    /// The link is lost. All that was read from it has been handled.
    pub fn lose<E>(&mut self, link: u32, steps: &mut Vec<Step<E>>) {
        if self.is_leader(link) {
            self.leader = None;
            self.all_homes(steps, || ToHome::LeaderLost);
        } else if self.is_follower(link) {
            self.followers.retain(|follower| follower.link != link);
            self.all_homes(steps, || ToHome::FollowerLost);
        }
    }

    /// Asks all homes to answer behind what was said to them before.
    pub fn fence<E>(&mut self, steps: &mut Vec<Step<E>>) {
        self.fenced = 0;
        self.all_homes(steps, || ToHome::Fence);
    }

    /// A home has told something.
    pub fn handle_home<E: Shared>(&mut self, home: CoreId, told: FromHome<E>, steps: &mut Vec<Step<E>>) {
        match told {
            FromHome::Offered(seq, event) => self.offer(home, seq, event, steps),
            FromHome::Decided(event, offer) => self.spread(&event, offer, steps),
            FromHome::Leading(link) => self.note_leading(link, steps),
            FromHome::Following(link) => self.note_following(home, link, steps),
            FromHome::Terminate(terminate) => self.pass_on(&terminate, None, steps),
            FromHome::Fenced => {
                self.fenced += 1;
                if self.fenced == self.homes.shards() {
                    steps.push(Step::Fenced);
                }
            }
        }
    }

    /// Another process has said something.
    pub fn handle_link<E: Shared>(
        &mut self,
        link: u32,
        message: Message<E>,
        steps: &mut Vec<Step<E>>,
    ) -> Result<(), OutOfTurn> {
        let (is_leader, is_follower) = (self.is_leader(link), self.is_follower(link));
        match message {
            Message::Beat => {}
            Message::Lead if self.leader.is_none() && !is_follower => {
                self.leader =
                    Some(Leader { link, following: PerCore::of_shards(self.homes.cores(), |_| false) });
                self.all_homes(steps, || ToHome::Follow(link));
            }
            Message::Ready if is_follower => steps.push(Step::Ready(link)),
            Message::Offered { home, seq, event } if is_follower => {
                let offer = OfferId { link, home, seq };
                steps.push(Step::Home(event.home(&self.homes), ToHome::Offered(event, offer)));
            }
            Message::Decided { home, seq, .. } if is_leader => {
                let home = self.homes.cores().shard(home).ok_or(OutOfTurn)?;
                steps.push(Step::Home(home, ToHome::Decided(seq)));
            }
            Message::Heard(event) if is_leader => {
                steps.push(Step::Home(event.home(&self.homes), ToHome::Heard(event)));
            }
            Message::Terminate(terminate) if is_leader || is_follower => {
                self.pass_on(&terminate, Some(link), steps);
                steps.push(Step::Terminate(terminate));
            }
            _ => return Err(OutOfTurn),
        }
        Ok(())
    }

    /// What was offered to a lost leader is decided by its home, which hears of the loss.
    fn offer<E>(&self, home: CoreId, seq: u64, event: E, steps: &mut Vec<Step<E>>) {
        let Some(leader) = &self.leader else { return };
        let CoreId::Shard(number) = home else { return invariant::violated("only a shard is a home") };
        if leader.following.get(home) == Some(&true) {
            steps.push(Step::Link(leader.link, Message::Offered { home: number, seq, event }));
        }
    }

    fn spread<E: Shared>(&self, event: &E, offer: Option<OfferId>, steps: &mut Vec<Step<E>>) {
        let homes = self.homes.shards();
        for Follower { link, .. } in self.followers.iter().filter(|follower| follower.leading == homes) {
            let message = match offer.filter(|offer| offer.link == *link) {
                Some(OfferId { home, seq, .. }) => {
                    Message::Decided { home, seq, bytes: event.bytes() as u32 }
                }
                None => Message::Heard(event.clone()),
            };
            steps.push(Step::Link(*link, message));
        }
    }

    fn note_leading<E>(&mut self, link: u32, steps: &mut Vec<Step<E>>) {
        let homes = self.homes.shards();
        let Some(follower) = self.followers.iter_mut().find(|follower| follower.link == link) else { return };
        follower.leading += 1;
        if follower.leading == homes {
            steps.push(Step::Link(link, Message::Lead));
        }
    }

    fn note_following<E>(&mut self, home: CoreId, link: u32, steps: &mut Vec<Step<E>>) {
        let Some(leader) = self.leader.as_mut().filter(|leader| leader.link == link) else { return };
        if let Some(following) = leader.following.get_mut(home) {
            *following = true;
        }
        if leader.following.entries().all(|following| *following) {
            steps.push(Step::Link(link, Message::Ready));
        }
    }

    fn pass_on<E>(&self, terminate: &Terminate, from: Option<u32>, steps: &mut Vec<Step<E>>) {
        let links =
            self.leader.iter().map(|leader| leader.link).chain(self.followers.iter().map(|it| it.link));
        let others = links.filter(|link| Some(*link) != from);
        steps.extend(others.map(|link| Step::Link(link, Message::Terminate(terminate.clone()))));
    }
}
