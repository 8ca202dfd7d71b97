//! The hooks core beside a server: started before the first core, stopped after the last.
//!
//! A server that takes over finds the journal locked until its predecessor has ended. It serves all the same; its
//! shards keep their edges until the journal is open. What must never happen here: a core that waits for a disk.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use hooks::house::{Hooks, StartError};
use hooks::journal;
use hooks::settings::Settings;
use protocol::app::Apps;

use crate::driver::hook_line::{HookLine, HooksOpen};

/// How long what is on its way to endpoints may take when the server has ended.
const FLUSH_MAX: Duration = Duration::from_secs(5);

/// How often a journal that its predecessor still has is looked at.
const PREDECESSOR_LOOK: Duration = Duration::from_millis(100);

/// How often the operator is told of dropped events.
const DROPS_LOOK: Duration = Duration::from_secs(1);

/// The hooks core of a server.
#[derive(Debug)]
pub struct HooksRun {
    open: Arc<OnceLock<HooksOpen>>,
    hooks: Arc<Mutex<Late>>,
    dropped: Arc<AtomicU64>,
    /// Its end ends the threads here.
    _alive: Sender<()>,
}

/// A hooks core that may begin when nobody waits for it any more.
#[derive(Debug)]
enum Late {
    Awaited,
    Here(Hooks),
    Ended,
}

impl HooksRun {
    /// Starts it. With `takeover` a journal that another server has is waited for, in a thread of its own. Threads have
    /// the signal mask of this one.
    pub fn start(settings: Settings, apps: Arc<Apps>, takeover: bool) -> Result<Self, StartError> {
        let (alive, ended) = bounded(0);
        let this = Self {
            open: Arc::default(),
            hooks: Arc::new(Mutex::new(Late::Awaited)),
            dropped: Arc::default(),
            _alive: alive,
        };
        let begin = this.beginning();
        match Hooks::start(&settings, Arc::clone(&apps)) {
            Ok(started) => begin(started),
            Err(error) if takeover && is_in_use(&error) => {
                eprintln!("corecast: hook events wait: {error}");
                let ended = ended.clone();
                spawn("hooks-start", move || start_later(&settings, &apps, &ended, begin))?;
            }
            Err(error) => return Err(error),
        }
        let dropped = Arc::clone(&this.dropped);
        spawn("hooks-drops", move || tell_drops(&dropped, &ended))?;
        Ok(this)
    }

    /// What cores tell it by.
    pub fn line(&self) -> HookLine {
        HookLine::closed(Arc::clone(&self.open), Arc::clone(&self.dropped))
    }

    /// Takes what is left in the queue, and gives what is on its way a few seconds. The cores have dropped their lines.
    pub fn stop(self) {
        let late = std::mem::replace(&mut *lock(&self.hooks), Late::Ended);
        drop(self.open);
        if let Late::Here(hooks) = late {
            hooks.stop(FLUSH_MAX);
        }
    }

    /// Lets cores and the end of the server find what has started.
    fn beginning(&self) -> impl FnOnce(Started) + Send + 'static {
        let (open, hooks) = (Arc::clone(&self.open), Arc::clone(&self.hooks));
        move |(core, queue, edges)| {
            let mut late = lock(&hooks);
            if matches!(*late, Late::Ended) {
                return core.stop(Duration::ZERO);
            }
            let counters = core.counters().clone();
            *late = Late::Here(core);
            let first = open.set(HooksOpen { queue, edges: edges.into(), counters }).is_ok();
            assert!(first, "hooks start once");
        }
    }
}

type Started = (Hooks, hooks::queue::Queue, Vec<journal::OpenEdges>);

fn start_later(settings: &Settings, apps: &Arc<Apps>, ended: &Receiver<()>, begin: impl FnOnce(Started)) {
    while ended.recv_timeout(PREDECESSOR_LOOK) == Err(RecvTimeoutError::Timeout) {
        match Hooks::start(settings, Arc::clone(apps)) {
            Ok(started) => return begin(started),
            Err(error) if is_in_use(&error) => {}
            Err(error) => return eprintln!("corecast: hook events are not kept: {error}"),
        }
    }
}

fn tell_drops(dropped: &AtomicU64, ended: &Receiver<()>) {
    let mut told = 0;
    while ended.recv_timeout(DROPS_LOOK) == Err(RecvTimeoutError::Timeout) {
        let now = dropped.load(Ordering::Relaxed);
        if now > told {
            eprintln!(
                "corecast: hooks: {} client_event and server_event dropped, the queue is full",
                now - told
            );
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
