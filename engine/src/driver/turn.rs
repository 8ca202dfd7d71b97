//! A core at work: the steps of its turn, and its sleep when a turn did nothing.
//!
//! Owns the core's machine and everything that it works with; the order of the steps is that of `machines::turn`. What
//! must never happen here: a decision about what bytes mean, or a wait anywhere but in `sleep`. Called by the start of a
//! core.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Sender;

use super::CoreSetup;
use super::accept::Acceptor;
use super::app_line::AppLine;
use super::apps::AppsView;
use super::busy::Busy;
use super::control::{Clock, Control, CoreError, CoreLoad, Health, Leave, Phase, Report};
use super::flush::Flusher;
use super::hooks_end::HooksEnd;
use super::inbox::MeshEnd;
use super::introductions;
use super::limits::{CROWD_MIN, GIVE_BACK_EVERY_MS, HANDOVERS_PER_TURN_MAX, SLEEP_MAX};
use super::notices;
use super::park;
use super::ring::{Completion, Kind, Ring, SendRing, give_back_memory};
use super::sockets::{Leaving, News, Sockets};
use super::violations::ViolationLog;
use machines::cluster::bus::{FromBus, Server};
use machines::cores::CoreId;
use machines::machine::{Door, Effect, Inputs, Machine, Now, Socket, Token};
use machines::mesh::{Leaf, Root};
use machines::turn::{self, turn};
use protocol::app::{AppQuestion, AppVerdict};

/// One core at work.
pub(super) struct Core<M> {
    machine: M,
    io: Io,
    flusher: Flusher,
    acceptor: Acceptor,
    completions: Vec<Completion>,
    hooks: HooksEnd,
    apps: AppsView,
    app_line: Option<AppLine>,
    clock: Clock,
    busy: Busy,
    control: Arc<Control>,
    health: Arc<Health>,
    violations: ViolationLog,
    reports: Sender<Report>,
    leave: Leave,
    left: Left,
    /// The machine knows that memory is short; free memory is given back next then, in `mono_ms`.
    gives_back_at: Option<u64>,
    /// Nothing has come since the last nap.
    rested: bool,
    /// The most connections since room was last given back.
    crowd: usize,
}

/// How far the core has come with its end.
#[derive(Clone, Copy, Debug, Default)]
struct Left {
    draining: bool,
    emptied: bool,
    closing: bool,
    closed: bool,
}

/// What a machine draws from.
pub(super) struct Io {
    mesh: MeshEnd,
    sockets: Sockets,
}

impl<M: Machine> Core<M> {
    /// Makes the core's ring and polls its listeners. Must be called on the executor.
    pub(super) fn start(setup: CoreSetup, machine: M) -> Result<Self, CoreError> {
        let mut ring = Ring::new(setup.ring_sizes).map_err(CoreError::during("setting up a ring"))?;
        // Without it, on an older kernel or for want of memory, outboxes are written one at a time.
        let sends = Some(setup.ring_sizes.sends).filter(|sends| *sends > 0);
        let sends = sends.and_then(|sends| SendRing::new(sends).ok());
        ring.read_doorbell(setup.mesh.doorbell().as_fd());
        let acceptor = Acceptor::new(setup.entrances, &mut ring);
        ring.submit().map_err(CoreError::during("polling the listeners"))?;
        Ok(Self {
            machine,
            io: Io { mesh: setup.mesh, sockets: Sockets::new(ring) },
            flusher: Flusher::new(sends),
            acceptor,
            completions: Vec::new(),
            hooks: setup.hooks,
            apps: AppsView::new(setup.apps),
            app_line: setup.app_line,
            clock: setup.clock,
            busy: Busy::default(),
            control: setup.control,
            health: setup.health,
            violations: ViolationLog::default(),
            reports: setup.reports,
            leave: setup.leave,
            left: Left::default(),
            gives_back_at: None,
            rested: true,
            crowd: 0,
        })
    }

    /// Turns until the server stops.
    pub(super) fn run(mut self) -> Result<(), CoreError> {
        while self.control.phase() < Phase::Stopping {
            let now = self.clock.now();
            if turn(&mut self, now)? {
                self.rested = false;
            } else {
                self.sleep(now)?;
            }
        }
        // A connection that another core handed over in its last turn gets its refusal.
        let now = self.clock.now();
        turn(&mut self, now).map(drop)
    }

    /// Nobody is taken in before the server has met those that it takes over from.
    fn accept(&mut self, now: Now) -> bool {
        let (me, health) = (self.io.mesh.me(), &self.health);
        let is_ahead = || health.is_ahead(me);
        let accepted = self.control.phase() > Phase::Joining
            && self.acceptor.accept_some(&mut self.io.sockets, &mut self.machine, is_ahead, now);
        for successor in self.acceptor.take_successors() {
            // A server with so much to hear turns it away; it asks again.
            let _ = self.reports.try_send(Report::Successor(successor));
        }
        accepted
    }

    fn reap(&mut self, now: Now) -> bool {
        self.io.sockets.ring().reap(&mut self.completions);
        let mut completions = std::mem::take(&mut self.completions);
        let any = !completions.is_empty();
        for completion in completions.drain(..) {
            self.handle_completion(completion, now);
        }
        self.completions = completions;
        any
    }

    fn handle_completion(&mut self, completion: Completion, now: Now) {
        match completion.operation.kind {
            Kind::Listener => self.acceptor.handle_completion(completion, self.io.sockets.ring()),
            Kind::Doorbell => self.io.sockets.ring().read_doorbell(self.io.mesh.doorbell().as_fd()),
            Kind::Readable | Kind::Writable | Kind::Cancel => {
                match self.io.sockets.handle_completion(completion, now.mono_ms) {
                    News::None => {}
                    News::Writable(token) => self.machine.handle_writable(token),
                    News::Introduced(token, client) => self.machine.handle_peer(token, client),
                    News::Unmet(token, why) => {
                        notices::log_unmet(self.io.sockets.client(token), why, now);
                    }
                }
            }
        }
    }

    fn take_over(&mut self, now: Now) -> bool {
        let mut taken = 0;
        while taken < HANDOVERS_PER_TURN_MAX {
            let Some(handover) = self.io.mesh.next_handover() else { break };
            taken += 1;
            let secure = handover.transport.is_secure();
            if let Some(token) = self.io.sockets.attach(handover.transport, handover.bytes) {
                self.machine.handle_open(token, Door::Public, secure, now);
                self.io.sockets.set_client(token, handover.client);
                self.machine.handle_peer(token, handover.client);
            }
        }
        taken > 0
    }

    /// A core without a descriptor for a newcomer asks the API core to give one up.
    fn share_descriptors(&mut self, now: Now) {
        let me = self.io.mesh.me();
        if self.acceptor.ran_out() {
            self.control.ask_for_descriptor(me);
        }
        if self.control.take_descriptor_wish(me) {
            self.machine.handle_no_descriptors(now);
        }
    }

    fn meet_deadline(&mut self, now: Now) -> bool {
        let due = self.machine.poll_deadline().is_some_and(|deadline| deadline <= now.mono_ms);
        if due {
            self.machine.handle_deadline(now);
        }
        due
    }

    fn change_apps(&mut self, now: Now) -> bool {
        // An app that was found is in the registry before the verdict is told, so the verdicts are taken first.
        let verdicts = self.app_line.as_ref().map_or_else(Vec::new, AppLine::verdicts);
        let changed = self.apps.poll();
        let any = changed.is_some() || !verdicts.is_empty();
        if let Some(apps) = changed {
            self.machine.handle_apps(apps, now);
        }
        for (question, verdict) in &verdicts {
            self.machine.handle_app_verdict(question, *verdict, now);
        }
        any
    }

    /// Tells the server how much there is to do, and the machine whether memory is short. While it is, the system gets back
    /// what is free here: an allocator does that when it is asked for more, and newcomers are kept away.
    fn share_load(&mut self, now: Now) {
        let connections = self.machine.connections() as u64;
        let (gated_ms, busy_us) = (self.machine.gated_ms(), self.busy.note_awake(now.mono_us));
        let load = CoreLoad { connections, gated_ms, busy_us };
        self.health.note_load(self.io.mesh.me(), load);
        let is_short = self.health.memory_is_short();
        if is_short != self.gives_back_at.is_some() {
            self.gives_back_at = is_short.then_some(now.mono_ms);
            self.machine.handle_memory_shortage(is_short);
        }
        if let Some(at) = &mut self.gives_back_at
            && *at <= now.mono_ms
        {
            *at = now.mono_ms + GIVE_BACK_EVERY_MS;
            give_back_memory();
        }
    }

    fn ask_for_app(&mut self, question: AppQuestion, now: Now) {
        let refused = match &self.app_line {
            Some(line) => line.ask(question).err(),
            None => Some(question),
        };
        if let Some(question) = refused {
            self.machine.handle_app_verdict(&question, AppVerdict::Unanswered, now);
        }
    }

    fn obey(&mut self, now: Now) -> bool {
        let phase = self.control.phase();
        if phase <= Phase::Serving {
            return false;
        }
        let drains = !self.left.draining && phase >= self.leave.drains_at;
        let closes = !self.left.closing && phase >= self.leave.closes_at;
        if drains {
            self.left.draining = true;
            self.report(Report::Draining(self.machine.connections()));
            self.io.sockets.begin_drain(now.mono_ms);
            self.machine.handle_drain(now);
        }
        if phase >= Phase::DrainingApi && self.acceptor.has_inherited() {
            self.acceptor.leave_inherited();
        }
        if phase >= Phase::Drained {
            // The hooks core waits until nobody can tell it anything.
            self.hooks = HooksEnd::Absent;
        }
        if phase == Phase::Holding && self.leave.has_clients {
            self.acceptor.hold();
        }
        if closes {
            self.left.closing = true;
            self.acceptor.begin_close(now.mono_ms, self.leave.quiet.as_millis() as u64);
        }
        drains | closes
    }

    fn note_told(&self, effect: &Effect, now: Now) {
        let closes = matches!(effect, Effect::Close { .. } | Effect::Drop { .. });
        if self.left.draining && self.leave.has_clients && closes {
            self.control.note_told(now.mono_ms);
        }
    }

    fn report_end(&mut self) {
        let nobody = self.io.sockets.residents() == 0 && self.machine.has_sent_all();
        if self.left.draining && !self.left.emptied && nobody {
            self.left.emptied = true;
            self.report(Report::Empty);
        }
        let nobody = self.machine.connections() == 0 && self.io.sockets.is_empty();
        if self.left.closing && !self.left.closed && nobody && self.acceptor.is_closed() {
            self.left.closed = true;
            self.report(Report::Closed);
        }
    }

    fn report(&self, report: Report) {
        // The channel holds all that cores ever report; without its far end the server is gone.
        let _ = self.reports.try_send(report);
    }

    /// Queues keep the room of their longest time, so that none allocates in the steady state. When a crowd has gone
    /// altogether, what it needed goes back.
    fn give_back_room(&mut self) {
        self.crowd = self.crowd.max(self.io.sockets.len());
        if self.crowd >= CROWD_MIN && self.io.sockets.is_empty() && self.machine.connections() == 0 {
            self.crowd = 0;
            self.machine.give_back_room();
            self.io.sockets.give_back_room();
            self.completions.shrink_to_fit();
        }
    }

    fn sleep(&mut self, now: Now) -> Result<(), CoreError> {
        let during = CoreError::during("sleeping on the ring");
        let deadlines =
            [self.machine.poll_deadline(), self.io.sockets.next_expiry(), self.acceptor.next_deadline()];
        let next = deadlines.into_iter().flatten().min();
        let patience = next.map_or(SLEEP_MAX, |next| Duration::from_millis(next.saturating_sub(now.mono_ms)));
        let nap = Duration::from_millis(self.machine.nap_ms_max(now));
        self.busy.note_asleep(self.clock.mono_us());
        if !self.rested
            && !nap.is_zero()
            && let Some(listeners) = self.acceptor.listeners()
        {
            self.rested = true;
            let bell = self.io.mesh.doorbell().as_fd();
            return park::nap(listeners.chain([bell]), patience.min(nap)).map_err(during);
        }
        park::sleep(self.io.sockets.ring(), patience).map_err(during)
    }
}

impl<M: Machine> turn::Core for Core<M> {
    type Machine = M;
    type Inputs<'a>
        = &'a mut Io
    where
        M: 'a;
    type Mesh<'a>
        = &'a mut MeshEnd
    where
        M: 'a;
    type Error = CoreError;

    fn inputs(&mut self) -> (&mut M, &mut Io) {
        (&mut self.machine, &mut self.io)
    }

    fn mesh(&mut self) -> (&mut M, &mut MeshEnd) {
        (&mut self.machine, &mut self.io.mesh)
    }

    fn clear_doorbell(&mut self) {
        self.io.mesh.doorbell().clear();
    }

    fn gather(&mut self, now: Now) -> Result<bool, CoreError> {
        self.health.beat(self.io.mesh.me(), now.mono_ms);
        notices::note_untold(self.machine.want_notices(notices::wanted()));
        self.share_load(now);
        self.hooks.open(&mut self.machine, now);
        let changed = self.change_apps(now);
        let unstuck = self.io.mesh.retry_stuck();
        let completed = self.reap(now);
        let accepted = self.accept(now);
        self.share_descriptors(now);
        let taken_over = self.take_over(now);
        let expired = self.io.sockets.expire_closes(now.mono_ms);
        let due = self.meet_deadline(now);
        let obeyed = self.obey(now);
        self.io.sockets.begin_phase();
        Ok(changed | obeyed | unstuck | completed | accepted | taken_over | expired | due)
    }

    fn tell_hooks(&mut self, now: Now) -> Result<(), CoreError> {
        self.health.note_stuck_batches(self.io.mesh.take_stuck_count());
        self.hooks.tell(&mut self.machine, now);
        Ok(())
    }

    fn perform(&mut self, now: Now) -> Result<bool, CoreError> {
        let mut any = false;
        while let Some(effect) = self.machine.poll_effect() {
            any = true;
            self.note_told(&effect, now);
            match effect {
                Effect::Close { token, last } => self.io.sockets.begin_close(token, last, now.mono_ms),
                Effect::Drop { token, last } => self.io.sockets.let_go(token, &last),
                Effect::Reset(token) => self.io.sockets.reset(token),
                Effect::Resume(token) => self.io.sockets.resume(token),
                Effect::Free(token) => self.io.sockets.free(token),
                Effect::HandOver { token, to, bytes, refusal } => {
                    self.io.sockets.begin_leaving(token, Leaving::new(to, bytes, refusal));
                }
                Effect::Client { token, address } => self.io.sockets.set_client(token, address),
                Effect::AskForApp(question) => self.ask_for_app(question, now),
                Effect::Notice(notice) => notices::log(*notice, &mut self.io.sockets, now),
                Effect::Introduce(introduction) => {
                    let introduced = introductions::complete(*introduction, &self.io.sockets, now);
                    self.machine.handle_introduced(introduced);
                }
            }
        }
        Ok(any)
    }

    fn flush(&mut self, now: Now) -> Result<bool, CoreError> {
        Ok(self.flusher.flush_slice(&mut self.machine, &mut self.io.sockets, now))
    }

    fn finish(&mut self, now: Now) -> Result<bool, CoreError> {
        let departed = self.io.sockets.depart(&self.io.mesh, now.mono_ms);
        self.io.sockets.ring().submit().map_err(CoreError::during("submitting to the ring"))?;
        self.report_end();
        self.violations.update(self.io.mesh.me(), now.mono_ms);
        self.give_back_room();
        Ok(departed | (self.io.sockets.handshakes() > 0))
    }
}

impl Inputs for Io {
    fn next_leaves(&mut self) -> Option<(CoreId, Vec<Leaf>)> {
        self.mesh.next_leaves()
    }

    fn next_roots(&mut self) -> Option<(CoreId, Vec<Root>)> {
        self.mesh.next_roots()
    }

    fn release_leaves(&mut self, from: CoreId) {
        self.mesh.release_leaves(from);
    }

    fn release_roots(&mut self, from: CoreId) {
        self.mesh.release_roots(from);
    }

    fn next_news(&mut self) -> Option<(Server, Vec<FromBus>)> {
        self.mesh.buses()?.next_news()
    }

    fn release_news(&mut self, from: Server) {
        if let Some(buses) = self.mesh.buses() {
            buses.release_news(from);
        }
    }

    fn next_socket(&mut self) -> Option<Socket<'_>> {
        self.sockets.next_socket()
    }

    fn read_again(&mut self, token: Token) {
        self.sockets.read_again(token);
    }

    fn pause(&mut self, token: Token) {
        self.sockets.pause(token);
    }
}
