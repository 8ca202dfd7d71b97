//! Hooks' edges, once for the cluster: a thread for each server, on nodes with hooks. One node at a time has the edges of a
//! server; it hands them to its own journal, as its shards would, and tells the server when they are committed or, with a
//! stream, in that.
//!
//! A node that dies with edges between the two is followed by another, which takes them again. A stream leaves out what it has;
//! without one such an edge, of a few milliseconds, may come twice. What must never happen here: an edge that the server forgets
//! before a journal has it, or one that is handed over by a node that was away for so long that another may have it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::RecvTimeoutError;
use hooks::queue::Queue;
use logging::event;
use protocol::app::{App, Apps};
use protocol::channel::channel_of_user;
use protocol::hook_event::{Happened, HookEvent};

use super::edge_counters::EdgeCounters;
use super::standing::Standings;
use crate::driver::apps::AppsControl;
use crate::driver::control::{Control, Phase};
use crate::driver::hooks_end::HookRoad;
use crate::limits::EDGES_PASSED_MAX;
use bus::fault::Fault;
use bus::keys::Keys;
use bus::server::Server;
use bus::taker::{Slice, StreamEdge, Taken, Taker, Wish};
use machines::cluster::bus::Server as Place;
use machines::cluster::levels::{Edge, LevelName, Levels};
use machines::cluster::topic_name::{Named, read_name};

/// How long to wait for the next edge, and between two looks at levels that are due.
const LOOK: Duration = Duration::from_millis(250);

/// How often a node that has no edges asks for them.
const ASK: Duration = Duration::from_millis(500);

/// How long to wait for room in the queue, or for the journal to open.
const ROOM: Duration = Duration::from_millis(10);

/// How long what was handed over may take to be safe when the server drains.
const LAST_SAFETY: Duration = Duration::from_secs(2);

/// How long edges of a server that has forgotten everything wait for the nodes that told it of them, in leases.
const SETTLING_LEASES: u32 = 3;

/// What passes on the edges of a server.
pub(super) struct Setup {
    pub(super) place: Place,
    pub(super) server: Server,
    pub(super) keys: Keys,
    pub(super) lease: Duration,
    pub(super) patience: Duration,
    pub(super) standings: Arc<Standings>,
    pub(super) control: Arc<Control>,
    pub(super) apps: Arc<AppsControl>,
    pub(super) road: HookRoad,
    pub(super) counters: Arc<EdgeCounters>,
}

/// Until the server drains: then another node is to pass them on.
pub(super) fn run(setup: Setup) {
    Passer {
        levels: None,
        journaled: "".into(),
        passed: Vec::new(),
        held_as: "".into(),
        identity: "".into(),
        compare_at: None,
        others: false,
        nobody_since: None,
        looked: Instant::now(),
        has_begun: false,
        setup,
    }
    .run();
}

struct Passer {
    setup: Setup,
    /// What was passed on; known while this node has the edges.
    levels: Option<Levels>,
    /// The last edge that is safe.
    journaled: Box<str>,
    /// What was passed on since the server was told.
    passed: Vec<(Box<[u8]>, bool)>,
    /// The session in which this node had the edges last.
    held_as: Box<str>,
    /// Whose memory all this is about.
    identity: Box<str>,
    /// When levels are compared.
    compare_at: Option<Instant>,
    /// Another node was seen to have the edges.
    others: bool,
    /// Since when nobody has them.
    nobody_since: Option<Instant>,
    /// Levels that were up before this node had the edges are told.
    has_begun: bool,
    /// When levels that are due were last looked at.
    looked: Instant,
}

impl Passer {
    fn run(mut self) {
        let mut taker: Option<Taker> = None;
        while !self.is_over() {
            let Some(epoch) = self.setup.standings.epoch(self.setup.place) else {
                taker = None;
                thread::sleep(LOOK / 5);
                continue;
            };
            // Whoever has no journal yet takes nothing.
            if self.setup.road.queue().is_none() {
                thread::sleep(LOOK / 5);
                continue;
            }
            let connected = match taker.take() {
                Some(taker) => Ok(taker),
                None => Taker::open(&self.setup.server, &self.setup.keys, self.setup.patience),
            };
            let turned = connected.and_then(|mut connected| {
                self.turn(&mut connected, &epoch.to_string())?;
                Ok(connected)
            });
            match turned {
                Ok(connected) => taker = Some(connected),
                // The session with the same server says what is wrong.
                Err(_) => thread::sleep(LOOK),
            }
        }
        self.leave(taker);
    }

    fn is_over(&self) -> bool {
        self.setup.control.phase() >= Phase::DrainingShards
    }

    fn go_on(
        &mut self,
        taker: &mut Taker,
        levels: &mut Levels,
        (edges, more): (Vec<StreamEdge>, bool),
        asked: Instant,
    ) -> Result<(), Fault> {
        let last = edges.last().map(|edge| edge.id.clone());
        let any = self.pass(levels, edges, asked);
        let all = !more && last.is_none_or(|last| last == self.journaled);
        if !self.has_begun {
            // What another node may have told already comes first, as that node had it, with its time.
            if all {
                self.find_risen(taker, levels)?;
                self.has_begun = true;
            }
        } else if !any {
            self.compare_if_due(taker, levels)?;
            self.look(taker)?;
        }
        Ok(())
    }

    /// Another node goes on where this one has stopped.
    fn leave(&self, taker: Option<Taker>) {
        let holds = self.setup.counters.is_holder.swap(false, Ordering::Relaxed);
        let epoch = self.setup.standings.epoch(self.setup.place);
        let Some(((mut taker, epoch), true)) = taker.zip(epoch).zip(Some(holds)) else { return };
        // If it is not heard, the next one takes the last edges again.
        let _ = taker.take(&epoch.to_string(), &self.journaled, Wish::Leave, &self.passed);
    }

    fn turn(&mut self, taker: &mut Taker, epoch: &str) -> Result<(), Fault> {
        self.note_identity(taker.identity());
        self.note_passed(taker, epoch)?;
        let asked = Instant::now();
        let wish = if self.may_begin() { Wish::Begin } else { Wish::Follow };
        let taken = taker.take(epoch, &self.journaled, wish, &self.passed)?;
        let holds = matches!(taken, Taken::Held { .. });
        if holds != self.setup.counters.is_holder.swap(holds, Ordering::Relaxed) {
            self.tell(holds);
        }
        match taken {
            Taken::Held { edges, more } => {
                self.passed.clear();
                let mut levels = match self.levels.take() {
                    Some(levels) => levels,
                    None => self.load(taker)?,
                };
                let done = self.go_on(taker, &mut levels, (edges, more), asked);
                self.levels = Some(levels);
                return done;
            }
            Taken::Taken { before } => {
                self.begin(epoch, before.as_deref());
                return Ok(());
            }
            Taken::Other => {
                self.levels = None;
                self.passed.clear();
                self.others = true;
                self.nobody_since = None;
            }
            Taken::Nobody => {
                self.nobody_since.get_or_insert_with(Instant::now);
            }
            Taken::Fenced => {}
        }
        thread::sleep(ASK);
        Ok(())
    }

    /// This node has the edges from now on, in this session.
    fn begin(&mut self, epoch: &str, before: Option<&str>) {
        let goes_on = before == Some(&*self.held_as);
        // What others have passed on is in the server's memory, and this node does not know of it.
        if before.is_some() && !goes_on {
            self.levels = None;
        }
        if !goes_on {
            self.journaled = "".into();
        }
        if before.is_none() && self.levels.is_some() {
            // It was emptied.
            self.compare_at = Some(Instant::now() + self.settling());
        }
        match &self.levels {
            // A server with another memory knows less of what was passed on, and who comes next must know it.
            Some(levels) if self.compare_at.is_some() => {
                self.passed.extend(levels.names().into_iter().map(|name| (name, true)));
            }
            Some(_) => {}
            None => self.passed.clear(),
        }
        self.held_as = epoch.into();
        self.nobody_since = None;
        self.has_begun = false;
    }

    /// So many levels in one call are too many.
    fn note_passed(&mut self, taker: &mut Taker, epoch: &str) -> Result<(), Fault> {
        while self.passed.len() > EDGES_PASSED_MAX && self.levels.is_some() {
            // The edges themselves go when all of them are noted.
            taker.take(epoch, "", Wish::Follow, self.passed.get(..EDGES_PASSED_MAX).unwrap_or_default())?;
            self.passed.drain(..EDGES_PASSED_MAX);
        }
        Ok(())
    }

    fn tell(&self, holds: bool) {
        let name = self.setup.server.name();
        if holds {
            event!(INFO, "cluster_hooks_taken", { server = name, }, "cluster: this node passes on the hooks' edges of {name}");
        } else {
            event!(
                INFO,
                "cluster_hooks_given_up",
                { server = name, },
                "cluster: this node does not pass on the hooks' edges of {name} any more"
            );
        }
    }

    /// A server with another memory may know less than this node.
    fn note_identity(&mut self, identity: &str) {
        if *self.identity == *identity {
            return;
        }
        let is_first = self.identity.is_empty();
        self.identity = identity.into();
        if !is_first {
            self.journaled = "".into();
            self.compare_at = Some(Instant::now() + self.settling());
        }
    }

    fn settling(&self) -> Duration {
        self.setup.lease * SETTLING_LEASES
    }

    /// Where a server has forgotten who had the edges, that node comes first: it knows what it has passed on.
    fn may_begin(&self) -> bool {
        let waited = self.nobody_since.is_some_and(|since| since.elapsed() >= self.settling());
        self.levels.is_some() || !self.others || waited
    }

    /// What was passed on, as the server knows it.
    fn load(&self, taker: &mut Taker) -> Result<Levels, Fault> {
        let mut levels = Levels::default();
        let mut cursor: Box<str> = "0".into();
        loop {
            let Slice { next, names } = taker.passed(&cursor)?;
            names.iter().filter_map(|name| LevelName::parse(name)).for_each(|name| levels.note_up(name));
            match next {
                Some((_, next)) => cursor = next,
                None => return Ok(levels),
            }
        }
    }

    /// Hands these edges over and waits until they are safe. Returns whether there were any. What comes too late to be
    /// handed over is asked for again.
    fn pass(&mut self, levels: &mut Levels, edges: Vec<StreamEdge>, asked: Instant) -> bool {
        if edges.is_empty() {
            return false;
        }
        let Some(queue) = self.setup.road.queue() else { return false };
        let apps = self.setup.apps.current();
        let before = (self.journaled.clone(), self.passed.len());
        for edge in edges {
            if asked.elapsed() >= self.setup.lease / 4 {
                break;
            }
            let told = LevelName::parse(&edge.name).map_or_else(Vec::new, |name| levels.pass(name, edge.up));
            if told.is_empty() {
                self.setup.counters.filtered.fetch_add(1, Ordering::Relaxed);
            }
            self.offer(&queue, &apps, told, edge.time_ms(), &edge.info);
            self.journaled = edge.id;
        }
        self.await_safety(&queue, before);
        true
    }

    /// Waits for room, and never longer than the server lives.
    fn offer(&mut self, queue: &Queue, apps: &Apps, told: Vec<Edge>, time_ms: u64, info: &[u8]) {
        for edge in told {
            let mut happened = event_of(&edge, apps, info).map(|event| Happened { event, time_ms });
            while let Some(refused) = happened.take().and_then(|happened| queue.offer(happened).err())
                && !self.is_over()
            {
                happened = Some(refused);
                thread::sleep(ROOM);
            }
            self.setup.counters.passed.fetch_add(1, Ordering::Relaxed);
            self.passed.push((edge.name, edge.up));
        }
    }

    /// Waits until all is safe that was offered. If the server ends first, it was not passed on: another node takes it again.
    fn await_safety(&mut self, queue: &Queue, (journaled, passed_len): (Box<str>, usize)) {
        if !self.is_safe(queue) {
            self.journaled = journaled;
            self.passed.truncate(passed_len);
        }
    }

    fn is_safe(&self, queue: &Queue) -> bool {
        let mut told = None;
        let mut over_since = None;
        loop {
            if self.is_over() && over_since.get_or_insert_with(Instant::now).elapsed() >= LAST_SAFETY {
                return false;
            }
            match &told {
                None => {
                    told = queue.mark();
                    if told.is_none() {
                        thread::sleep(ROOM);
                    }
                }
                Some(mark) => match mark.recv_timeout(LOOK) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) => return true,
                    // The journal has ended before.
                    Err(RecvTimeoutError::Disconnected) => return false,
                },
            }
        }
    }

    /// Nothing came: levels may be due, and the next edge is waited for.
    fn look(&mut self, taker: &mut Taker) -> Result<(), Fault> {
        if self.looked.elapsed() >= LOOK {
            self.looked = Instant::now();
            let mut due = taker.tell_due()?;
            self.setup.counters.due.store(due, Ordering::Relaxed);
            while due > 0 {
                let left = taker.tell_due()?;
                if left >= due {
                    break;
                }
                due = left;
            }
        }
        taker.wait(&self.journaled, LOOK)
    }

    /// Levels that are up on the server, and were never told of, or that it has forgotten to have told.
    fn find_risen(&mut self, taker: &mut Taker, levels: &mut Levels) -> Result<(), Fault> {
        let mut at: (Box<str>, Box<str>) = ("".into(), "0".into());
        loop {
            let Slice { next, names } = taker.there((&at.0, &at.1))?;
            let names = names.iter().filter_map(|name| LevelName::parse(name));
            let edges: Vec<Edge> = names.flat_map(|name| levels.pass(name, true)).collect();
            self.pass_found(edges);
            match next {
                Some(next) => at = next,
                None => return Ok(()),
            }
        }
    }

    /// After a change of memory, and time for all nodes to tell what they hold.
    fn compare_if_due(&mut self, taker: &mut Taker, levels: &mut Levels) -> Result<(), Fault> {
        if self.compare_at.is_none_or(|at| Instant::now() < at) {
            return Ok(());
        }
        for name in self.load(taker)?.names() {
            if LevelName::parse(&name).is_some_and(|level| !levels.is_up(level)) {
                self.passed.push((name, false));
            }
        }
        for names in levels.names().chunks(256) {
            let fallen = taker.compare(names)?;
            let fallen = fallen.iter().filter_map(|name| LevelName::parse(name));
            let edges: Vec<Edge> = fallen.flat_map(|name| levels.pass(name, false)).collect();
            self.pass_found(edges);
        }
        self.find_risen(taker, levels)?;
        self.compare_at = None;
        Ok(())
    }

    fn pass_found(&mut self, edges: Vec<Edge>) {
        let Some(queue) = self.setup.road.queue().filter(|_| !edges.is_empty()) else { return };
        let apps = self.setup.apps.current();
        self.setup.counters.compared.fetch_add(edges.len() as u64, Ordering::Relaxed);
        let before = (self.journaled.clone(), self.passed.len());
        self.offer(&queue, &apps, edges, now_ms(), b"");
        self.await_safety(&queue, before);
    }
}

fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// What hooks are told of an edge; nothing of an app that is not there any more.
fn event_of(edge: &Edge, apps: &Apps, info: &[u8]) -> Option<HookEvent> {
    let LevelName { topic, user } = LevelName::parse(&edge.name)?;
    let (app_id, named) = read_name(topic)?;
    let app: Arc<App> = Arc::clone(apps.by_id(&app_id)?);
    Some(match (named, user, edge.up) {
        (Named::Channel(channel), None, true) => HookEvent::ChannelOccupied { app, channel: channel.into() },
        (Named::Channel(channel), None, false) => HookEvent::ChannelVacated { app, channel: channel.into() },
        (Named::Channel(channel), Some(user), up) => {
            let (channel, user_id) = (channel.into(), std::str::from_utf8(user).ok()?.into());
            let info = std::str::from_utf8(info).ok().filter(|info| !info.is_empty());
            match up {
                true => HookEvent::MemberAdded { app, channel, user_id, user_info: info.map(Into::into) },
                false => HookEvent::MemberRemoved { app, channel, user_id },
            }
        }
        (Named::User(user), Some(_), true) => {
            HookEvent::UserOnline { app, channel: channel_of_user(&user).into() }
        }
        (Named::User(user), Some(_), false) => {
            HookEvent::UserOffline { app, channel: channel_of_user(&user).into() }
        }
        (Named::User(_), None, _) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_become_what_hooks_are_told() {
        let apps = Apps::new(vec![App::new("1", "k", "s")]).unwrap();
        let event = |name: &str, up: bool| {
            let edge = Edge { name: name.replace('|', "\0").into_bytes().into(), up };
            let event = event_of(&edge, &apps, b"{}")?;
            Some(format!("{} {}", event.name(), event.channel()))
        };
        for (name, up, expected) in [
            ("C1/ca", true, "channel_occupied a"),
            ("C1/ca", false, "channel_vacated a"),
            ("M1/ca|ann", true, "member_added a"),
            ("M1/ca|ann", false, "member_removed a"),
            ("M1/uann|", true, "user_online #server-to-user-ann"),
            ("M1/uann|", false, "user_offline #server-to-user-ann"),
        ] {
            assert_eq!(event(name, up).as_deref(), Some(expected));
        }
        for other in ["C2/ca", "C1/uann", "C1", ""] {
            assert_eq!(event(other, true), None, "{other}");
        }
    }
}
