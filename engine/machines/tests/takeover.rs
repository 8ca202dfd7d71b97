//! Whole takeovers with a seed: processes that come, publish and are killed, and messages that stay on their way as long
//! as the schedule likes. What is pure of a takeover is real here, the rest is queues.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use corecast_machines::cores::{CoreId, PerCore};
use corecast_machines::exchange::{Exchange, Homes, Message, Shared, Step};
use corecast_machines::mesh::{FromHome, ToHome};
use corecast_machines::shard::home::relay::{Outcome, Relay};

const CHANNELS: u8 = 3;

/// The event with this number of a publisher on a channel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Ev {
    channel: u8,
    publisher: usize,
    number: u32,
}

impl Shared for Ev {
    fn home(&self, homes: &Homes) -> CoreId {
        homes.home(u64::from(self.channel) << 16)
    }

    fn bytes(&self) -> usize {
        1
    }
}

struct Home {
    relay: Relay<Ev>,
    /// What was published and has not come here yet.
    published: VecDeque<Ev>,
    from_relay: VecDeque<ToHome<Ev>>,
    to_relay: VecDeque<FromHome<Ev>>,
    own: usize,
}

struct Process {
    homes: PerCore<Home>,
    hash: Homes,
    exchange: Exchange,
    alive: bool,
    /// Links to predecessors that are not ready; while there are any, nobody is served.
    meeting: BTreeSet<u32>,
    /// By link, the other process and its link.
    links: BTreeMap<u32, (usize, u32)>,
    going: BTreeMap<u32, VecDeque<Message<Ev>>>,
    heard: Vec<Ev>,
    published: Vec<Ev>,
    /// What was published elsewhere before this one served.
    since: usize,
}

struct World {
    processes: Vec<Process>,
    random: u64,
    all: Vec<Ev>,
    links: u32,
    numbers: BTreeMap<(usize, u8), u32>,
    fallbacks: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            processes: Vec::new(),
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            all: Vec::new(),
            links: 0,
            numbers: BTreeMap::new(),
            fallbacks: 0,
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as usize % bound
    }

    /// A process comes and meets those that are there.
    fn come(&mut self) {
        let shards = 1 + self.below(3);
        let hash = Homes::new(self.random, shards);
        let home = || Home {
            relay: Relay::new(),
            published: VecDeque::new(),
            from_relay: VecDeque::new(),
            to_relay: VecDeque::new(),
            own: 0,
        };
        self.processes.push(Process {
            homes: PerCore::of_shards(hash.cores(), |_| home()),
            exchange: Exchange::new(hash.clone()),
            hash,
            alive: true,
            meeting: BTreeSet::new(),
            links: BTreeMap::new(),
            going: BTreeMap::new(),
            heard: Vec::new(),
            published: Vec::new(),
            since: self.all.len(),
        });
        self.meet(self.processes.len() - 1);
    }

    fn all_serve(&self) -> bool {
        self.processes.iter().all(|it| !it.alive || it.meeting.is_empty())
    }

    /// Leads all elder processes that nobody leads.
    fn meet(&mut self, leader: usize) {
        for follower in 0..leader {
            let it = &self.processes[follower];
            let linked = it.links.values().any(|(other, _)| *other == leader);
            if !it.alive || it.exchange.has_leader() || linked || !it.meeting.is_empty() {
                continue;
            }
            self.links += 2;
            let (up, down) = (self.links, self.links - 1);
            self.processes[follower].links.insert(up, (leader, down));
            self.processes[follower].going.insert(up, VecDeque::new());
            let it = &mut self.processes[leader];
            it.links.insert(down, (follower, up));
            it.going.insert(down, VecDeque::new());
            it.meeting.insert(down);
            let mut steps = Vec::new();
            it.exchange.lead(down, &mut steps);
            self.perform(leader, steps);
        }
    }

    fn perform(&mut self, at: usize, steps: Vec<Step<Ev>>) {
        let it = &mut self.processes[at];
        for step in steps {
            match step {
                Step::Home(home, input) => {
                    self.fallbacks += usize::from(matches!(input, ToHome::LeaderLost));
                    it.homes[home].from_relay.push_back(input);
                }
                Step::Link(link, message) => {
                    it.going.entry(link).and_modify(|going| going.push_back(message));
                }
                Step::Ready(link) => {
                    it.meeting.remove(&link);
                    if it.meeting.is_empty() {
                        it.since = self.all.len();
                    }
                }
                Step::Terminate(_) | Step::Fenced => {}
            }
        }
    }

    fn settle(&mut self, at: usize, home: CoreId, outcome: Outcome<Ev>) {
        let it = &mut self.processes[at];
        let has_followers = it.homes[home].relay.has_followers();
        if let Some((event, offer)) = outcome.settled {
            it.heard.push(event);
            if has_followers {
                it.homes[home].to_relay.push_back(FromHome::Decided(event, offer));
            }
        }
        it.homes[home].to_relay.extend(outcome.told);
        it.homes[home].own += usize::from(outcome.goes_on);
    }

    fn publish(&mut self, at: usize) {
        let channel = self.below(usize::from(CHANNELS)) as u8;
        let number = self.numbers.entry((at, channel)).or_default();
        *number += 1;
        let event = Ev { channel, publisher: at, number: *number };
        self.all.push(event);
        let it = &mut self.processes[at];
        it.published.push(event);
        let home = event.home(&it.hash);
        it.homes[home].published.push_back(event);
    }

    /// One message moves, somewhere. Returns whether there was any in the place that was looked at.
    fn step(&mut self, at: usize) -> bool {
        let homes = self.processes[at].hash.cores();
        let home = homes.at(self.below(homes.shards()));
        let what = self.below(6);
        if what < 4 && !self.processes[at].alive {
            return false;
        }
        let it = &mut self.processes[at];
        match what {
            0 => {
                let Some(event) = it.homes[home].published.pop_front() else { return false };
                let outcome = it.homes[home].relay.take_event(event, None);
                self.settle(at, home, outcome);
            }
            1 => {
                let Some(input) = it.homes[home].from_relay.pop_front() else { return false };
                let outcome = it.homes[home].relay.handle(input);
                self.settle(at, home, outcome);
            }
            2 => {
                let Some(told) = it.homes[home].to_relay.pop_front() else { return false };
                let mut steps = Vec::new();
                it.exchange.handle_home(home, told, &mut steps);
                self.perform(at, steps);
            }
            3 => {
                if it.homes[home].own == 0 {
                    return false;
                }
                it.homes[home].own -= 1;
                let outcome = it.homes[home].relay.handle(ToHome::Next);
                self.settle(at, home, outcome);
            }
            // What a dead process has said still arrives.
            _ => return self.deliver(at),
        }
        true
    }

    fn deliver(&mut self, at: usize) -> bool {
        let links: Vec<u32> = self.processes[at].links.keys().copied().collect();
        if links.is_empty() {
            return false;
        }
        let link = links[self.below(links.len())];
        let (to, theirs) = self.processes[at].links[&link];
        if !self.processes[to].alive {
            return false;
        }
        let it = &mut self.processes[at];
        let message = it.going.get_mut(&link).and_then(VecDeque::pop_front);
        let mut steps = Vec::new();
        match message {
            Some(message) => {
                let receiver = &mut self.processes[to];
                if receiver.exchange.handle_link(theirs, message, &mut steps).is_err() {
                    // Another process was faster.
                    receiver.links.remove(&theirs);
                    receiver.exchange.lose(theirs, &mut steps);
                    let mut of_sender = Vec::new();
                    let sender = &mut self.processes[at];
                    sender.links.remove(&link);
                    sender.meeting.remove(&link);
                    sender.exchange.lose(link, &mut of_sender);
                    self.perform(at, of_sender);
                }
            }
            None if !it.alive => {
                it.links.remove(&link);
                let receiver = &mut self.processes[to];
                receiver.links.remove(&theirs);
                receiver.meeting.remove(&theirs);
                receiver.exchange.lose(theirs, &mut steps);
            }
            None => return false,
        }
        self.perform(to, steps);
        true
    }

    fn come_to_rest(&mut self) {
        let mut idle = 0;
        while idle < 3_000 {
            let at = self.below(self.processes.len());
            idle = if self.step(at) { 0 } else { idle + 1 };
        }
    }

    fn check(&self, killed: bool) {
        for (at, it) in self.processes.iter().enumerate().filter(|(_, it)| it.alive) {
            let mut once = it.heard.clone();
            once.sort_unstable();
            once.dedup();
            assert_eq!(once.len(), it.heard.len(), "process {at} has heard something twice");
            for event in &it.published {
                assert!(once.binary_search(event).is_ok(), "process {at} has lost its own {event:?}");
            }
            let lost = self.all.iter().skip(it.since).find(|event| once.binary_search(event).is_err());
            assert!(killed || lost.is_none(), "process {at} has not heard {lost:?}");
            let mut last = BTreeMap::new();
            for event in &it.heard {
                let before = last.insert((event.publisher, event.channel), event.number);
                assert!(
                    before.is_none_or(|before| before < event.number),
                    "process {at}: {event:?} came late"
                );
            }
            assert!(it.homes.entries().all(|home| home.own == 0), "something still waits");
        }
        for one in &self.processes {
            for other in &self.processes {
                for channel in 0..CHANNELS {
                    let of = |it: &Process, others: &Process| -> Vec<Ev> {
                        let both = |event: &&Ev| event.channel == channel && others.heard.contains(event);
                        it.heard.iter().filter(both).copied().collect()
                    };
                    assert_eq!(of(one, other), of(other, one), "two orders on channel {channel}");
                }
            }
        }
    }
}

fn run(seed: u64, kills: bool) -> World {
    let mut world = World::new(seed);
    world.come();
    for _ in 0..600 {
        let count = world.processes.len();
        let at = world.below(count);
        let is_served = world.processes[at].alive && world.processes[at].meeting.is_empty();
        match world.below(40) {
            0 if count < 4 && world.all_serve() => world.come(),
            1 if kills && world.processes.iter().filter(|it| it.alive).count() > 1 => {
                world.processes[at].alive = false;
            }
            2 if world.processes[at].alive => world.meet(at),
            3..=9 if is_served => world.publish(at),
            _ => {
                world.step(at);
            }
        }
    }
    world.come_to_rest();
    world
}

#[test]
fn every_process_hears_everything_once_and_in_one_order() {
    for seed in 0..300 {
        run(seed, false).check(false);
    }
}

#[test]
fn a_killed_process_takes_only_its_own_events_with_it() {
    let mut fallbacks = 0;
    for seed in 0..600 {
        let world = run(seed, true);
        world.check(true);
        fallbacks += world.fallbacks;
    }
    assert!(fallbacks > 100, "no leader was lost");
}
