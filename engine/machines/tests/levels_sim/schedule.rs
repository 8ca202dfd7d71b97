//! One schedule: levels change on a server, which tells edges, and one node after another passes them on to hooks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use corecast_machines::cluster::levels::{Edge, LevelName, Levels};

use crate::rng::Rng;

type Name = Box<[u8]>;

/// What has happened, so that a schedule that reaches nothing is noticed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Coverage {
    pub told: u64,
    pub filtered: u64,
    pub opened_or_closed: u64,
    pub takeovers: u64,
    pub forgotten: u64,
    pub compared: u64,
}

impl Coverage {
    pub fn add(&mut self, other: &Self) {
        self.told += other.told;
        self.filtered += other.filtered;
        self.opened_or_closed += other.opened_or_closed;
        self.takeovers += other.takeovers;
        self.forgotten += other.forgotten;
        self.compared += other.compared;
    }

    pub fn is_whole(&self) -> bool {
        let Self { told, filtered, opened_or_closed, takeovers, forgotten, compared } = *self;
        [told, filtered, opened_or_closed, takeovers, forgotten, compared].iter().all(|count| *count > 0)
    }
}

const CHANNELS: usize = 3;
const USERS: usize = 3;
const STEPS: usize = 60;

/// A level at random: a channel, a member of one, or a user who is online.
fn any_level(rng: &mut Rng) -> Name {
    let (channel, user) = (rng.below(CHANNELS), rng.below(USERS));
    match rng.below(5) {
        0 | 1 => format!("C1/c{channel}"),
        2 | 3 => format!("M1/c{channel}\0u{user}"),
        _ => format!("M1/uu{user}\0"),
    }
    .into_bytes()
    .into()
}

fn parse(name: &[u8]) -> LevelName<'_> {
    LevelName::parse(name).expect("the simulation writes names as scripts do")
}

/// The channel of a member.
fn channel_of(name: &[u8]) -> Option<Name> {
    let LevelName { topic, user } = parse(name);
    user.filter(|user| !user.is_empty()).map(|_| LevelName { topic, user: None }.write())
}

struct World {
    rng: Rng,
    /// What is so.
    there: BTreeSet<Name>,
    /// What the server believes to have told.
    told: BTreeSet<Name>,
    /// What it has told, and the node has not taken yet.
    edges: VecDeque<(Name, bool)>,
    /// What the server was told that was passed on.
    passed: BTreeSet<Name>,
    /// The node that passes edges on.
    levels: Levels,
    /// What hooks believe.
    hooks: BTreeMap<Name, bool>,
    coverage: Coverage,
}

/// Runs a schedule. An error is what went wrong.
pub fn run(seed: u64) -> Result<Coverage, String> {
    let mut world = World {
        rng: Rng(seed),
        there: BTreeSet::new(),
        told: BTreeSet::new(),
        edges: VecDeque::new(),
        passed: BTreeSet::new(),
        levels: Levels::default(),
        hooks: BTreeMap::new(),
        coverage: Coverage::default(),
    };
    for _ in 0..STEPS {
        world.step()?;
    }
    world.settle()?;
    // And when nobody is there any more.
    for name in world.there.clone().into_iter().rev() {
        world.fall(&name);
    }
    world.settle()?;
    match world.levels.is_empty() {
        true => Ok(world.coverage),
        false => Err(format!("{:?} are up when nobody is there", world.levels.names())),
    }
}

impl World {
    fn step(&mut self) -> Result<(), String> {
        let name = any_level(&mut self.rng);
        match self.rng.below(100) {
            0..35 => self.rise(&name),
            35..60 => self.fall(&name),
            60..90 => return self.take(),
            90..94 => self.take_over(),
            94..96 => self.tell_again(),
            _ => self.forget(),
        }
        Ok(())
    }

    /// A member rises behind its channel.
    fn rise(&mut self, name: &[u8]) {
        for name in channel_of(name).into_iter().chain([name.into()]) {
            self.there.insert(name.clone());
            self.tell(name, true);
        }
    }

    /// A channel falls behind its members.
    fn fall(&mut self, name: &[u8]) {
        let members: Vec<_> =
            self.there.iter().filter(|it| channel_of(it).as_deref() == Some(name)).cloned().collect();
        for name in members.into_iter().chain([name.into()]) {
            if self.there.remove(&name) {
                self.tell(name, false);
            }
        }
    }

    /// The server tells what changes a level that it believes to have told.
    fn tell(&mut self, name: Name, up: bool) {
        let changes = if up { self.told.insert(name.clone()) } else { self.told.remove(&name) };
        if changes {
            self.edges.push_back((name, up));
        }
    }

    /// What was taken and not noted comes again.
    fn tell_again(&mut self) {
        let again = self.rng.below(self.edges.len() + 1);
        let edges: Vec<_> = self.edges.iter().take(again).cloned().collect();
        edges.into_iter().rev().for_each(|edge| self.edges.push_front(edge));
    }

    /// The server restarts without what it has told, and the nodes tell it what is there, members in any order.
    fn forget(&mut self) {
        self.coverage.forgotten += 1;
        self.told.clear();
        if self.rng.chance(50) {
            self.edges.clear();
        }
        let mut there: Vec<_> = self.there.iter().cloned().collect();
        while !there.is_empty() {
            let name = there.swap_remove(self.rng.below(there.len()));
            self.tell(name, true);
        }
    }

    /// Another node goes on with what was passed on.
    fn take_over(&mut self) {
        self.coverage.takeovers += 1;
        self.levels = Levels::default();
        self.passed.iter().for_each(|name| self.levels.note_up(parse(name)));
    }

    /// The node takes the next edges.
    fn take(&mut self) -> Result<(), String> {
        for _ in 0..self.rng.between(1, 5) {
            let Some((name, up)) = self.edges.pop_front() else { return Ok(()) };
            let told = self.levels.pass(parse(&name), up);
            self.coverage.filtered += u64::from(told.is_empty());
            self.coverage.opened_or_closed += (told.len() as u64).saturating_sub(1);
            self.pass_on(told)?;
        }
        Ok(())
    }

    fn pass_on(&mut self, edges: Vec<Edge>) -> Result<(), String> {
        for Edge { name, up } in edges {
            self.coverage.told += 1;
            let text = String::from_utf8_lossy(&name).replace('\0', "|");
            if self.hooks.insert(name.clone(), up).unwrap_or(false) == up {
                return Err(format!("hooks are told twice that {text} is up: {up}"));
            }
            let is_up = |name: &Name| self.hooks.get(name).copied().unwrap_or(false);
            if channel_of(&name).is_some_and(|channel| !is_up(&channel)) {
                return Err(format!("hooks are told of {text} while its channel is not occupied"));
            }
            let stays = |(it, up): (&Name, &bool)| *up && channel_of(it).as_ref() == Some(&name);
            if !up && self.hooks.iter().any(stays) {
                return Err(format!("hooks are told that {text} is vacated while a member is there"));
            }
            match up {
                true => self.passed.insert(name),
                false => self.passed.remove(&name),
            };
        }
        Ok(())
    }

    /// Everything is taken, and levels are compared with what is there.
    fn settle(&mut self) -> Result<(), String> {
        while !self.edges.is_empty() {
            self.take()?;
        }
        for name in self.levels.names() {
            if !self.there.contains(&name) {
                let fallen = self.levels.pass(parse(&name), false);
                self.coverage.compared += fallen.len() as u64;
                self.pass_on(fallen)?;
            }
        }
        for name in self.there.clone() {
            let risen = self.levels.pass(parse(&name), true);
            self.coverage.compared += risen.len() as u64;
            self.pass_on(risen)?;
        }
        let believed: BTreeSet<_> =
            self.hooks.iter().filter(|(_, up)| **up).map(|(name, _)| name.clone()).collect();
        if believed != self.there {
            return Err(format!("hooks believe {believed:?}, and there is {:?}", self.there));
        }
        let known: BTreeSet<_> = self.levels.names().into_iter().collect();
        if known != believed {
            return Err(format!("the node knows {known:?}, and hooks believe {believed:?}"));
        }
        Ok(())
    }
}
