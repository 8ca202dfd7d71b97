//! What the server says to its cores, and what they say back.
//!
//! Owns the phase of the server's life, which only moves forward, and the pulse of each core. What must never happen
//! here: a core that waits for the server, or a phase that goes back. Called by the server and the turn; the API core
//! reads the pulses.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::doorbell::Doorbells;
use super::limits::{AHEAD_MIN, AHEAD_PART};
use machines::cores::{CoreId, Cores, PerCore};
use machines::machine::Now;

/// The phases of a server's life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Phase {
    /// Nobody is accepted before the server has met those that it takes over from.
    Joining = 0,
    /// All cores serve.
    Serving = 1,
    /// Shards close their connections.
    DrainingShards = 2,
    /// The API core does the same.
    DrainingApi = 3,
    /// Nobody is left who was there before; no event comes any more for the hooks core.
    Drained = 4,
    /// Shards leave newcomers in the queues of their listeners.
    Holding = 5,
    /// Listeners are closed.
    Closing = 6,
    /// Cores end after one more turn.
    Stopping = 7,
}

/// What a core does in which phase of the end.
#[derive(Clone, Copy, Debug)]
pub struct Leave {
    /// When it closes its connections.
    pub drains_at: Phase,
    /// Its clients are told to come back.
    pub has_clients: bool,
    /// When it closes its listeners.
    pub closes_at: Phase,
    /// How long the queue of a closing listener must have been empty.
    pub quiet: Duration,
}

/// The phase, with the means to make all cores look at it, and what a core asks of the API core.
#[derive(Debug)]
pub struct Control {
    phase: AtomicU8,
    descriptor_wanted: AtomicBool,
    /// When the first and the last client was told to come back, in `mono_ms`; 0: none was.
    first_told_ms: AtomicU64,
    last_told_ms: AtomicU64,
    doorbells: Doorbells,
}

impl Control {
    /// In this phase.
    pub fn new(phase: Phase, doorbells: Doorbells) -> Self {
        Self {
            phase: AtomicU8::new(phase as u8),
            descriptor_wanted: AtomicBool::new(false),
            first_told_ms: AtomicU64::new(0),
            last_told_ms: AtomicU64::new(0),
            doorbells,
        }
    }

    /// Which phase it is.
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::SeqCst) {
            0 => Phase::Joining,
            1 => Phase::Serving,
            2 => Phase::DrainingShards,
            3 => Phase::DrainingApi,
            4 => Phase::Drained,
            5 => Phase::Holding,
            6 => Phase::Closing,
            _ => Phase::Stopping,
        }
    }

    /// Moves on to `phase`, unless it is passed already, and wakes all cores.
    pub fn advance(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Ordering::SeqCst);
        self.doorbells.ring_all();
    }

    /// A client was told to come back.
    pub fn note_told(&self, mono_ms: u64) {
        let _ = self.first_told_ms.compare_exchange(0, mono_ms, Ordering::SeqCst, Ordering::SeqCst);
        self.last_told_ms.fetch_max(mono_ms, Ordering::SeqCst);
    }

    /// When the first and the last client was told to come back, in `mono_ms`.
    pub fn told_ms(&self) -> Option<(u64, u64)> {
        let first = self.first_told_ms.load(Ordering::SeqCst);
        (first > 0).then(|| (first, self.last_told_ms.load(Ordering::SeqCst)))
    }

    /// Core `core` could not accept: the API core shall give up a descriptor as well, since idle connections of back
    /// ends may hold all there are for longer than newcomers wait.
    pub fn ask_for_descriptor(&self, core: CoreId) {
        if core != CoreId::Api {
            self.descriptor_wanted.store(true, Ordering::SeqCst);
            self.doorbells.ring(CoreId::Api);
        }
    }

    /// True once after another core has asked, for the API core only.
    pub fn take_descriptor_wish(&self, core: CoreId) -> bool {
        core == CoreId::Api && self.descriptor_wanted.swap(false, Ordering::SeqCst)
    }
}

/// What a core tells the server.
#[derive(Debug)]
pub enum Report {
    /// It has its ring and its listeners.
    Up,
    /// It drains; so many connections it had when it began.
    Draining(usize),
    /// It drains, and nobody is left who was there when it began.
    Empty,
    /// Its listeners are closed, and nobody is left.
    Closed,
    /// Its thread ends.
    Ended(Result<(), CoreError>),
    /// The server shall stop: a signal, or its owner.
    Stop,
    /// Another process wants to take over.
    Successor(OwnedFd),
}

/// Why a core could not start or go on.
#[derive(Debug)]
pub struct CoreError {
    /// What it was doing.
    pub what: &'static str,
    /// What the kernel or the executor said.
    pub error: io::Error,
}

impl CoreError {
    /// Gives an error its context.
    pub fn during(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self { what, error }
    }
}

impl std::fmt::Display for CoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, error } = self;
        match error.raw_os_error() {
            Some(libc::EBADR) => write!(
                f,
                "{what}: the kernel had no memory for completions of io_uring and has dropped some (EBADR); give the \
                 process more memory (systemd: MemoryMax=; container: --memory), or more shards, so that each has fewer \
                 connections"
            ),
            _ => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for CoreError {}

/// The pulses of all cores, how much each has to do, and whether they serve.
#[derive(Debug)]
pub struct Health {
    ready: AtomicBool,
    draining: AtomicBool,
    shedding: AtomicBool,
    memory_is_short: AtomicBool,
    stuck_batches: AtomicU64,
    beats: PerCore<AtomicU64>,
    loads: PerCore<Load>,
}

/// What a core tells of itself, for all to read.
#[derive(Debug, Default)]
struct Load {
    connections: AtomicU64,
    gated_ms: AtomicU64,
    busy_us: AtomicU64,
}

/// What a core has told of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CoreLoad {
    /// Its connections.
    pub connections: u64,
    /// For how long a gate of it has been closed so far.
    pub gated_ms: u64,
    /// For how long it has not slept so far.
    pub busy_us: u64,
}

impl Health {
    /// Of these cores, none of which has beaten.
    pub fn new(cores: Cores) -> Self {
        Self {
            ready: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            shedding: AtomicBool::new(false),
            memory_is_short: AtomicBool::new(false),
            stuck_batches: AtomicU64::new(0),
            beats: PerCore::of_turning(cores, |_| AtomicU64::new(0)),
            loads: PerCore::of_turning(cores, |_| Load::default()),
        }
    }

    /// True between the start of the last core and the beginning of a drain.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// Says whether new connections are welcome.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// True from the beginning of a drain on.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// New connections are not welcome any more: the server ends.
    pub fn begin_drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.set_ready(false);
    }

    /// True while there is so much to do that new connections had better go elsewhere.
    pub fn is_shedding(&self) -> bool {
        self.shedding.load(Ordering::Relaxed)
    }

    /// True while newcomers are told to come back later, for want of memory.
    pub fn memory_is_short(&self) -> bool {
        self.memory_is_short.load(Ordering::Relaxed)
    }

    /// Says whether there is too much to do, and whether memory is short.
    pub fn set_shedding(&self, shedding: bool, memory_is_short: bool) {
        self.shedding.store(shedding, Ordering::Relaxed);
        self.memory_is_short.store(memory_is_short, Ordering::Relaxed);
    }

    /// Core `core` tells how much it has to do.
    pub fn note_load(&self, core: CoreId, load: CoreLoad) {
        let Load { connections, gated_ms, busy_us } = &self.loads[core];
        connections.store(load.connections, Ordering::Relaxed);
        gated_ms.store(load.gated_ms, Ordering::Relaxed);
        busy_us.store(load.busy_us, Ordering::Relaxed);
    }

    /// True when this shard has so many more connections than another that a newcomer had better go there.
    pub fn is_ahead(&self, core: CoreId) -> bool {
        let mine = self.load(core).connections;
        let mut others = self.loads.cores().filter(|other| *other != CoreId::Api);
        let least = mine.saturating_sub(AHEAD_MIN + mine / AHEAD_PART);
        core != CoreId::Api && others.any(|other| self.load(other).connections < least)
    }

    /// What this core has told last.
    pub fn load(&self, core: CoreId) -> CoreLoad {
        let Load { connections, gated_ms, busy_us } = &self.loads[core];
        CoreLoad {
            connections: connections.load(Ordering::Relaxed),
            gated_ms: gated_ms.load(Ordering::Relaxed),
            busy_us: busy_us.load(Ordering::Relaxed),
        }
    }

    /// The cores that tell of themselves.
    pub fn cores(&self) -> impl Iterator<Item = CoreId> {
        self.loads.cores()
    }

    /// So many batches have found a full inbox, which never is: a mistake of ours that must not go unseen.
    pub fn note_stuck_batches(&self, count: u64) {
        if count > 0 {
            self.stuck_batches.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Batches that have found a full inbox so far.
    pub fn stuck_batches(&self) -> u64 {
        self.stuck_batches.load(Ordering::Relaxed)
    }

    /// Core `core` has begun a turn.
    pub fn beat(&self, core: CoreId, mono_ms: u64) {
        self.beats[core].store(mono_ms, Ordering::Relaxed);
    }

    /// The age of the oldest pulse, in milliseconds. An idle core still beats every second.
    pub fn oldest_beat_age_ms(&self, mono_ms: u64) -> u64 {
        self.beats
            .entries()
            .map(|beat| mono_ms.saturating_sub(beat.load(Ordering::Relaxed)))
            .max()
            .unwrap_or(0)
    }
}

/// Both clocks. All cores share one origin, so that their times can be compared.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// Begins at 1 ms: 0 stands for «never».
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// Reads the monotonic one, in microseconds.
    pub fn mono_us(&self) -> u64 {
        self.origin.elapsed().as_micros() as u64 + 1_000
    }

    /// Reads both.
    pub fn now(&self) -> Now {
        let unix_ms =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let mono_us = self.mono_us();
        Now { mono_ms: mono_us / 1_000, mono_us, unix_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(phase: Phase) -> Control {
        Control::new(phase, Doorbells::new(Cores::new(1)).unwrap())
    }

    #[test]
    fn a_phase_never_goes_back() {
        let control = control(Phase::Joining);
        assert_eq!(control.phase(), Phase::Joining);
        let later = [
            Phase::Serving,
            Phase::DrainingShards,
            Phase::DrainingApi,
            Phase::Drained,
            Phase::Holding,
            Phase::Closing,
            Phase::Stopping,
        ];
        for phase in later {
            control.advance(phase);
            assert_eq!(control.phase(), phase);
        }
        control.advance(Phase::DrainingShards);
        assert_eq!(control.phase(), Phase::Stopping);
    }

    #[test]
    fn lost_completions_are_named_with_their_cause_and_a_way_out() {
        let ended = CoreError::during("sleeping on the ring")(io::Error::from_raw_os_error(libc::EBADR));
        let line = ended.to_string();
        assert!(["EBADR", "no memory", "MemoryMax"].iter().all(|word| line.contains(word)), "{line}");
    }

    #[test]
    fn a_shard_asks_the_api_core_for_a_descriptor_and_it_hears_that_once() {
        let (control, shard) = (control(Phase::Serving), CoreId::Shard(0));
        control.ask_for_descriptor(CoreId::Api);
        assert!(!control.take_descriptor_wish(CoreId::Api), "it has asked itself");
        control.ask_for_descriptor(shard);
        control.ask_for_descriptor(shard);
        assert!(!control.take_descriptor_wish(shard));
        assert!(control.take_descriptor_wish(CoreId::Api) && !control.take_descriptor_wish(CoreId::Api));
    }

    #[test]
    fn it_is_known_when_the_first_and_the_last_client_was_told() {
        let control = control(Phase::Serving);
        assert_eq!(control.told_ms(), None);
        [30, 50, 40].into_iter().for_each(|ms| control.note_told(ms));
        assert_eq!(control.told_ms(), Some((30, 50)));
    }

    #[test]
    fn a_shard_is_ahead_when_another_has_far_fewer_connections() {
        let health = Health::new(Cores::new(2));
        let note =
            |core, connections| health.note_load(core, CoreLoad { connections, ..CoreLoad::default() });
        let [one, other] = [CoreId::Shard(0), CoreId::Shard(1)];
        for (mine, theirs, ahead) in
            [(0, 0, false), (32, 0, false), (40, 0, true), (1000, 900, false), (1000, 800, true)]
        {
            note(one, mine);
            note(other, theirs);
            assert_eq!((health.is_ahead(one), health.is_ahead(other)), (ahead, false), "{mine} {theirs}");
            assert!(!health.is_ahead(CoreId::Api));
        }
    }

    #[test]
    fn the_oldest_beat_decides() {
        let health = Health::new(Cores::new(1));
        health.beat(CoreId::Shard(0), 90);
        health.beat(CoreId::Api, 40);
        assert_eq!(health.oldest_beat_age_ms(100), 60);
    }
}
