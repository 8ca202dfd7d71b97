//! The hooks of a server: started before the first core, stopped after the last.
//!
//! A server that takes over finds the journal locked until its predecessor has ended, and any server may find a disk that
//! is full or read-only. It serves anyway and tries again; its shards keep their edges until the journal is open.
//! What must never happen here: a core that waits for a disk.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use hooks::counters::Counters;
use hooks::journal;
use hooks::outage::Outage;
use hooks::pipeline::{Hooks, StartError};
use hooks::settings::Settings;
use protocol::app::Apps;
use protocol::hook_event::OpenEdges;

use crate::driver::hooks_end::{HooksEnd, HooksOpen, SharedCounters};
use crate::limits::HOOKS_FLUSH_MAX;

/// How long to wait for a journal that a stopping server still holds, as with ports.
const PREDECESSOR_PATIENCE: Duration = Duration::from_secs(2);

/// How often to try a journal that the predecessor still holds.
const PREDECESSOR_LOOK: Duration = Duration::from_millis(100);

/// How often to try it while the start waits for it.
const IN_USE_LOOK: Duration = Duration::from_millis(10);

/// How often to log dropped events.
const DROPS_LOOK: Duration = Duration::from_secs(1);

/// The hooks of a server.
#[derive(Debug)]
pub struct HooksLink {
    open: Arc<OnceLock<HooksOpen>>,
    hooks: Arc<Mutex<Late>>,
    dropped: Arc<AtomicU64>,
    counters: SharedCounters,
    /// Dropping it ends the threads of this file.
    _alive: Sender<()>,
}

/// The hooks, which may start after the server has ended.
#[derive(Debug)]
enum Late {
    Awaited,
    Here(Hooks),
    Ended,
}

impl HooksLink {
    /// Starts the hooks. If the directory cannot be written now, or with `takeover` if another server has the journal, a thread
    /// waits for it. All threads inherit the signal mask of this one.
    pub fn start(settings: Settings, apps: Arc<Apps>, takeover: bool) -> Result<Self, StartError> {
        let (alive, ended) = bounded(0);
        let this = Self {
            open: Arc::default(),
            hooks: Arc::new(Mutex::new(Late::Awaited)),
            dropped: Arc::default(),
            counters: Arc::new(RwLock::new(Counters::new(&settings.endpoints))),
            _alive: alive,
        };
        let begin = this.beginning();
        let counters = this.counters();
        let opening = Opening { settings, apps, counters: counters.clone(), outage: Outage::default() };
        let patience = if takeover { Duration::ZERO } else { PREDECESSOR_PATIENCE };
        match opening.start_within(patience) {
            Ok(started) => begin(started),
            Err(error) if error.may_pass() || takeover && is_in_use(&error) => {
                let ended = ended.clone();
                spawn("hooks-start", move || opening.start_later(error, &ended, begin))?;
            }
            Err(error) => return Err(error),
        }
        let dropped = Arc::clone(&this.dropped);
        spawn("hooks-drops", move || tell_drops(&dropped, &counters, &ended))?;
        Ok(this)
    }

    /// What a core reports its events with.
    pub fn end(&self) -> HooksEnd {
        HooksEnd::closed(Arc::clone(&self.open), Arc::clone(&self.dropped), Arc::clone(&self.counters))
    }

    /// What changes the endpoints of the hooks while the server runs.
    pub fn endpoints(&self) -> Endpoints {
        Endpoints { hooks: Arc::clone(&self.hooks), counters: Arc::clone(&self.counters) }
    }

    fn counters(&self) -> Counters {
        self.counters.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stores what is left in the queue, and gives deliveries under way a few seconds. The cores have dropped their ends.
    pub fn stop(self) {
        let late = std::mem::replace(&mut *lock(&self.hooks), Late::Ended);
        drop(self.open);
        if let Late::Here(hooks) = late {
            hooks.stop(HOOKS_FLUSH_MAX);
        }
    }

    /// Makes started hooks known to the cores, and to the end of the server.
    fn beginning(&self) -> impl FnOnce(Started) + Send + 'static {
        let (open, hooks) = (Arc::clone(&self.open), Arc::clone(&self.hooks));
        move |(core, queue, edges)| {
            let mut late = lock(&hooks);
            if matches!(*late, Late::Ended) {
                return core.stop(Duration::ZERO);
            }
            *late = Late::Here(core);
            let first = open.set(HooksOpen { queue, edges: edges.into() }).is_ok();
            assert!(first, "hooks start once");
        }
    }
}

/// The endpoints of hooks that run, to be changed.
#[derive(Clone, Debug)]
pub struct Endpoints {
    hooks: Arc<Mutex<Late>>,
    counters: SharedCounters,
}

impl Endpoints {
    /// Pauses deliveries, has the apps changed, and goes on with their endpoints: what happens on new apps in between waits in
    /// the journal. Gives `change` back where the hooks cannot do that: they have not begun, or have a stream.
    pub fn change<F: FnOnce() -> (Settings, Arc<Apps>)>(&self, change: F) -> Result<(), F> {
        let mut late = lock(&self.hooks);
        let Late::Here(hooks) = &mut *late else { return Err(change) };
        if !hooks.delivers_directly() {
            return Err(change);
        }
        hooks.pause(HOOKS_FLUSH_MAX);
        let (settings, apps) = change();
        if let Err(error) = hooks.resume(&settings, apps) {
            logging::warn!("hooks: {error}; events wait in the journal until the server is started again");
        }
        *self.counters.write().unwrap_or_else(PoisonError::into_inner) = hooks.counters().clone();
        Ok(())
    }
}

type Started = (Hooks, hooks::queue::Queue, Vec<OpenEdges>);

/// Hooks that have not started yet.
struct Opening {
    settings: Settings,
    apps: Arc<Apps>,
    counters: Counters,
    outage: Outage,
}

impl Opening {
    fn start(&self) -> Result<Started, StartError> {
        Hooks::start_with(&self.settings, Arc::clone(&self.apps), self.counters.clone())
    }

    /// Waits at most this long for a predecessor to release the journal.
    fn start_within(&self, patience: Duration) -> Result<Started, StartError> {
        let give_up = Instant::now() + patience;
        loop {
            match self.start() {
                Err(error) if is_in_use(&error) && Instant::now() < give_up => thread::sleep(IN_USE_LOOK),
                result => return result,
            }
        }
    }

    /// Tries until it works or the server ends. No error is final: the server has clients by now.
    fn start_later(mut self, mut error: StartError, ended: &Receiver<()>, begin: impl FnOnce(Started)) {
        loop {
            let pause = self.wait_for(&error);
            if ended.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                return;
            }
            match self.start() {
                Ok(started) => {
                    self.outage.is_over(|| "the journal is open: events are kept again".to_owned());
                    return begin(started);
                }
                Err(still) => error = still,
            }
        }
    }

    /// Logs and counts what is wrong. Returns how long to wait.
    fn wait_for(&mut self, error: &StartError) -> Duration {
        self.counters.journal.blocked.set(1);
        if is_in_use(error) {
            self.outage.goes_on(|| format!("events wait: {error}"));
            return PREDECESSOR_LOOK;
        }
        self.counters.journal.failures.add(1);
        self.outage.goes_on(|| {
            format!(
                "{error}: free some space or make it writable, or start with another --data-dir; it is tried again. Until \
                 then events wait, but client_event, server_event and subscription_count are dropped"
            )
        });
        self.outage.pause().unwrap_or(PREDECESSOR_LOOK)
    }
}

fn tell_drops(dropped: &AtomicU64, counters: &Counters, ended: &Receiver<()>) {
    let mut told = 0;
    while ended.recv_timeout(DROPS_LOOK) == Err(RecvTimeoutError::Timeout) {
        let now = dropped.load(Ordering::Relaxed);
        if now > told {
            let blocked = counters.journal.blocked.now() == 1;
            let why = if blocked { "the journal accepts nothing" } else { "the queue is full" };
            let count = now - told;
            logging::warn!("hooks: {count} client_event, server_event and subscription_count dropped, {why}");
            told = now;
        }
    }
}

fn is_in_use(error: &StartError) -> bool {
    matches!(error, StartError::Journal(journal::StartError::InUse { .. }))
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(body).map(drop)
}

fn lock(late: &Mutex<Late>) -> std::sync::MutexGuard<'_, Late> {
    late.lock().unwrap_or_else(PoisonError::into_inner)
}
