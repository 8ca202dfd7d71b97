//! The thread that carries events between the cores of this process and other processes. It starts with the first link; a
//! server that is alone has none.
//!
//! Owns the links and the relay's end of the mesh, and decides nothing (`exchange` does, and the homes). It reads what other
//! processes send unless its homes are behind, and takes what its homes send unless another process is behind. A follower
//! that is behind does not count for the second rule, so no two processes wait for each other. What must never happen here:
//! a wait for one link alone. Started by `takeover`.

use std::fs::File;
use std::io::{self, Read};
use std::mem;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use protocol::app::Apps;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::address::{self, Name};
use super::counters::Counters;
use super::link::{Link, Lost};
use super::wire::{self, Hello, Refusal, Said};
use crate::driver::apps::AppsView;
use crate::driver::control::{Control, Phase};
use crate::driver::inbox::MeshEnd;
use crate::driver::violations::ViolationLog;
use crate::limits::{RELAY_ROOTS_BYTES_MAX, RELAY_SLEEP_MAX, WAITING_BYTES_SOFT_MAX};
use machines::cores::CoreId;
use machines::exchange::{Exchange, Homes, Message, Shared, Step};
use machines::invariant::{self, violations};
use machines::limits::Limits;
use machines::machine::Mesh;
use machines::mesh::Event;
use machines::mesh::{Leaf, Root};
use machines::outgoing::Outgoing;

/// Reads of one link, and batches of the homes, before others have their turn.
const QUANTUM: usize = 16;

/// How often to look at what no event announces.
const TICK: Duration = Duration::from_millis(250);

/// How often to ask predecessors without a link again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How long to wait where even sleeping fails.
const RESPITE: Duration = Duration::from_millis(10);

/// What the server asks of the relay.
#[derive(Debug)]
pub(super) enum Command {
    /// Lead the processes that have these sockets, and report the outcome for each.
    Meet(Vec<Name>, Sender<Met>),
    /// A process of our user has connected: its socket and its process id.
    Adopt(UnixStream, i32),
    /// The server ends: report when everything that its homes have sent is on its way.
    Finish(Sender<()>),
}

/// What became of a predecessor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Met {
    /// It follows: its events come here, and ours go there.
    Linked,
    /// It does not follow.
    Refused(i32, Refusal),
    /// It had ended, or belongs to another user.
    Gone,
}

/// Another process.
#[derive(Debug)]
struct Peer {
    id: u32,
    process: i32,
    /// None: it has connected to us.
    name: Option<Name>,
    greeted: bool,
    /// One of the two has refused the other.
    dismissed: bool,
    link: Link,
}

/// What the thread works with.
pub(super) struct Relay {
    mesh: MeshEnd,
    bell: File,
    control: Arc<Control>,
    apps: Arc<Apps>,
    apps_view: AppsView,
    homes: Homes,
    hello: Hello,
    commands: Receiver<Command>,
    counters: Arc<Counters>,
    exchange: Exchange,
    peers: Vec<Peer>,
    links: u32,
    roots: Outgoing<Root>,
    steps: Vec<Step<Event>>,
    predecessors: Vec<Name>,
    asks_next: Instant,
    met: Option<Sender<Met>>,
    finish: Option<Sender<()>>,
    fenced: bool,
    violations: ViolationLog,
    started: Instant,
}

/// What a relay is made of.
pub(super) struct Setup {
    pub(super) mesh: MeshEnd,
    pub(super) control: Arc<Control>,
    pub(super) apps: Arc<Apps>,
    pub(super) apps_view: AppsView,
    pub(super) homes: Homes,
    pub(super) hello: Hello,
    pub(super) counters: Arc<Counters>,
}

impl Relay {
    pub(super) fn new(setup: Setup, commands: Receiver<Command>) -> io::Result<Self> {
        let Setup { mesh, control, apps, apps_view, homes, hello, counters } = setup;
        Ok(Self {
            bell: File::from(mesh.doorbell().as_fd().try_clone_to_owned()?),
            mesh,
            control,
            apps,
            apps_view,
            hello,
            commands,
            counters,
            exchange: Exchange::new(homes.clone()),
            peers: Vec::new(),
            links: 0,
            roots: Outgoing::to_shards(homes.cores(), &Limits::default()),
            homes,
            steps: Vec::new(),
            predecessors: Vec::new(),
            asks_next: Instant::now(),
            met: None,
            finish: None,
            fenced: false,
            violations: ViolationLog::default(),
            started: Instant::now(),
        })
    }

    /// Until the server ends.
    pub(super) fn run(mut self) {
        while self.control.phase() < Phase::Stopping {
            self.mesh.doorbell().clear();
            let now = Instant::now();
            if let Some(apps) = self.apps_view.poll() {
                self.apps = apps;
            }
            let mut any = self.take_commands(now);
            any |= self.read(now);
            any |= self.take_leaves();
            any |= self.send_roots();
            any |= self.write(now);
            self.judge(now);
            self.ask_again(now);
            self.finish_if_done();
            self.count();
            if !any && self.sleep().is_err() {
                // The homes rely on this thread, so it goes on as it can.
                thread::sleep(RESPITE);
            }
        }
    }

    fn take_commands(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Ok(command) = self.commands.try_recv() {
            any = true;
            match command {
                Command::Meet(names, met) => {
                    self.met = Some(met);
                    names.into_iter().for_each(|name| self.ask(name, now));
                    self.asks_next = now + ASK_AGAIN;
                }
                Command::Adopt(stream, process) => self.adopt(stream, process, None, now),
                Command::Finish(done) => {
                    self.finish = Some(done);
                    let mut steps = mem::take(&mut self.steps);
                    self.exchange.fence(&mut steps);
                    self.perform(steps);
                }
            }
        }
        any
    }

    fn ask(&mut self, name: Name, now: Instant) {
        match address::connect(&name) {
            Ok(Some((process, stream))) => self.adopt(stream, process, Some(name), now),
            Ok(None) | Err(_) => self.tell(Met::Gone),
        }
    }

    fn adopt(&mut self, stream: UnixStream, process: i32, name: Option<Name>, now: Instant) {
        let Ok(mut link) = Link::new(stream, now) else { return };
        if name.is_some() {
            wire::encode_hello(link.going(), self.hello);
        }
        self.links += 1;
        self.peers.push(Peer { id: self.links, process, name, greeted: false, dismissed: false, link });
    }

    fn tell(&self, met: Met) {
        // The asker may have given up waiting.
        if let Some(asker) = &self.met {
            let _ = asker.try_send(met);
        }
    }

    fn may_read(&self) -> bool {
        self.roots.bytes() < RELAY_ROOTS_BYTES_MAX
    }

    fn read(&mut self, now: Instant) -> bool {
        let mut any = false;
        for at in (0..self.peers.len()).rev() {
            for _ in 0..QUANTUM {
                if !self.may_read() {
                    self.peers[at].link.excuse(now);
                    break;
                }
                if !self.peers[at].link.read(now) {
                    break;
                }
                any = true;
                if self.handle_come(at).is_err() {
                    self.lose(at, &Lost::Garbled);
                    break;
                }
                if self.peers[at].link.is_lost(now).is_some() {
                    break;
                }
            }
        }
        any
    }

    fn handle_come(&mut self, at: usize) -> Result<(), wire::Garbled> {
        while let Some((said, bytes)) =
            wire::decode(self.peers[at].link.unhandled(), &self.apps, &self.homes)?
        {
            self.peers[at].link.note_handled(bytes);
            self.handle_said(at, said)?;
        }
        Ok(())
    }

    fn handle_said(&mut self, at: usize, said: Said) -> Result<(), wire::Garbled> {
        let mut steps = mem::take(&mut self.steps);
        let process = self.peers[at].process;
        let asks = self.peers.iter().any(|peer| peer.process == process && peer.name.is_some());
        let peer = &mut self.peers[at];
        let outcome = match said {
            Said::Hello(hello) if !peer.greeted && peer.name.is_none() => {
                let answer = match hello {
                    None => Err(Refusal::Version),
                    Some(hello) if hello.started_ticks < self.hello.started_ticks => Err(Refusal::Younger),
                    // A tick is 10 ms long: of two that began in the same one, the first to ask leads.
                    Some(hello) if hello.started_ticks == self.hello.started_ticks && asks => {
                        Err(Refusal::Younger)
                    }
                    Some(_) if self.exchange.has_leader() => Err(Refusal::Led),
                    Some(_) => Ok(()),
                };
                peer.greeted = answer.is_ok();
                wire::encode_answer(peer.link.going(), answer);
                Ok(())
            }
            Said::Welcome if !peer.greeted && peer.name.is_some() => {
                peer.greeted = true;
                self.exchange.lead(peer.id, &mut steps);
                Ok(())
            }
            Said::Refused(refusal) if !peer.greeted && peer.name.is_some() => {
                let process = peer.process;
                peer.dismissed = true;
                let name = peer.name.take();
                // Its leader may be lost later; the other reasons stay.
                self.predecessors.extend(name.filter(|_| refusal == Refusal::Led));
                self.tell(Met::Refused(process, refusal));
                Ok(())
            }
            Said::Unknown { home, seq, bytes } if peer.greeted => {
                peer.link.say(&Message::Decided { home, seq, bytes });
                Ok(())
            }
            Said::Nothing if peer.greeted => Ok(()),
            Said::Message(message) if peer.greeted => {
                if let Message::Decided { bytes, .. } = message {
                    peer.link.undecided = peer.link.undecided.saturating_sub(bytes as usize);
                }
                if matches!(message, Message::Lead) {
                    logging::say!("takeover: process {} takes over; all events are shared", peer.process);
                }
                self.counters.note_heard(&message);
                self.exchange.handle_link(peer.id, message, &mut steps).map_err(|_| wire::Garbled)
            }
            // A refused one may still say that it lives.
            Said::Message(Message::Beat) => Ok(()),
            _ => Err(wire::Garbled),
        };
        self.perform(steps);
        outcome
    }

    fn perform(&mut self, mut steps: Vec<Step<Event>>) {
        for step in steps.drain(..) {
            match step {
                Step::Home(home, input) => {
                    self.roots.push(home, Root::Relay(Box::new(input)));
                }
                Step::Link(id, message) => {
                    let Some(peer) = self.peers.iter_mut().find(|peer| peer.id == id) else { continue };
                    if let Message::Offered { event, .. } = &message {
                        peer.link.undecided += event.bytes();
                    }
                    self.counters.note_said(&message);
                    peer.link.say(&message);
                }
                Step::Terminate(terminate) => {
                    for home in self.homes.cores().each_shard() {
                        self.roots.push(home, Root::Terminate(Box::new(terminate.clone())));
                    }
                }
                Step::Ready(id) => {
                    if let Some(Peer { process, .. }) = self.peers.iter().find(|peer| peer.id == id) {
                        logging::say!("takeover: shares all events with process {process} until that ends");
                        self.tell(Met::Linked);
                    }
                }
                Step::Fenced => self.fenced = true,
            }
        }
        self.steps = steps;
    }

    fn may_take(&self) -> bool {
        let is_behind = |peer: &Peer| {
            peer.link.waiting() > WAITING_BYTES_SOFT_MAX || peer.link.undecided > WAITING_BYTES_SOFT_MAX
        };
        let lets_out = self.exchange.has_leader() && !self.may_read();
        lets_out || !self.peers.iter().any(is_behind)
    }

    fn take_leaves(&mut self) -> bool {
        let mut any = false;
        for _ in 0..QUANTUM * self.homes.shards() {
            if !self.may_take() {
                break;
            }
            let Some((home, batch)) = self.mesh.next_leaves() else { break };
            any = true;
            let mut steps = mem::take(&mut self.steps);
            for leaf in batch {
                match leaf {
                    Leaf::Relay(told) => self.exchange.handle_home(home, *told, &mut steps),
                    _ => invariant::violated("the relay has no subscribers"),
                }
            }
            self.perform(steps);
            self.mesh.release_leaves(home);
        }
        any
    }

    fn send_roots(&mut self) -> bool {
        let mut any = false;
        for home in self.homes.cores().each_shard() {
            if !self.roots.is_empty(home) && self.mesh.may_send_roots(home) {
                let batch = self.roots.take(home);
                self.mesh.send_roots(home, batch);
                any = true;
            }
        }
        any | self.mesh.retry_stuck()
    }

    fn write(&mut self, now: Instant) -> bool {
        let mut any = false;
        for peer in &mut self.peers {
            peer.link.beat(now);
            any |= peer.link.write(now);
        }
        any
    }

    fn judge(&mut self, now: Instant) {
        self.peers.retain(|peer| !peer.dismissed);
        for at in (0..self.peers.len()).rev() {
            if let Some(lost) = self.peers[at].link.is_lost(now) {
                self.lose(at, &lost);
            }
        }
    }

    fn lose(&mut self, at: usize, lost: &Lost) {
        let peer = self.peers.swap_remove(at);
        let was_leader = self.exchange.is_leader(peer.id);
        let mut steps = mem::take(&mut self.steps);
        self.exchange.lose(peer.id, &mut steps);
        self.perform(steps);
        let (process, why) = (peer.process, lost.reason());
        let was_predecessor = peer.name.is_some() && peer.greeted;
        if peer.name.is_some() {
            self.tell(Met::Gone);
        }
        self.predecessors.extend(peer.name);
        if was_predecessor && matches!(lost, Lost::Ended) {
            logging::say!("takeover: the predecessor, process {process}, has ended");
        } else if was_leader || was_predecessor {
            self.counters.note_lost();
            logging::say!(
                "takeover: the link to process {process} is lost: {why}. While both serve, an event reaches the \
                 clients of the one that it is sent to"
            );
        }
    }

    /// A predecessor may have lost its leader, or been silent for a while.
    fn ask_again(&mut self, now: Instant) {
        if self.predecessors.is_empty() || now < self.asks_next {
            return;
        }
        self.asks_next = now + ASK_AGAIN;
        mem::take(&mut self.predecessors).into_iter().for_each(|name| self.ask(name, now));
    }

    fn finish_if_done(&mut self) {
        let written = self.peers.iter().all(|peer| peer.link.waiting() == 0);
        if self.fenced
            && written
            && let Some(done) = self.finish.take()
        {
            let _ = done.try_send(());
        }
    }

    fn count(&mut self) {
        let linked = self.peers.iter().filter(|peer| peer.greeted).count();
        let waiting = self.peers.iter().map(|peer| peer.link.waiting() + peer.link.undecided).sum();
        self.counters.set(linked, waiting, violations().count);
        self.violations.update(CoreId::Relay, self.started.elapsed().as_millis() as u64);
    }

    fn sleep(&mut self) -> io::Result<()> {
        let may_read = self.may_read();
        let events = |peer: &Peer| {
            let mut events = PollFlags::empty();
            events.set(PollFlags::IN, may_read);
            events.set(PollFlags::OUT, peer.link.waiting() > 0);
            events
        };
        let bell = PollFd::new(&self.bell, PollFlags::IN);
        let links = self.peers.iter().map(|peer| PollFd::from_borrowed_fd(peer.link.fd(), events(peer)));
        let mut polled: Vec<PollFd<'_>> = std::iter::once(bell).chain(links).collect();
        let patience =
            if self.peers.is_empty() && self.predecessors.is_empty() { RELAY_SLEEP_MAX } else { TICK };
        let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
        match poll(&mut polled, Some(&patience)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let rung = polled.first().is_some_and(|bell| !bell.revents().is_empty());
        if rung {
            self.bell.read_exact(&mut [0; 8])?;
        }
        Ok(())
    }
}
