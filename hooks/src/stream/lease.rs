//! The lease in Redis that makes one of several consumers the active one. A thread renews it and tells of new entries; the
//! other consumers look again and again, and take it when it has run out.
//!
//! What must never happen here: a consumer that thinks it is active when its lease has run out by its own clock. By
//! Redis' clock that can be so for a moment; therefore the lease is looked at again in each taking of entries.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use redis::{Cmd, Value, cmd};

use super::entry::parse_read;
use crate::limits::{LEASE_LOOK_MAX, LEASE_MAX, LEASE_PAUSE_MAX};
use crate::redis::backoff::Backoff;
use crate::redis::connection::RedisConnection;
use crate::redis::fault::RedisFault;
use crate::row::Position;
use crate::settings::StreamSettings;
use crate::source::Wake;

/// How long Redis holds back an answer while there are no new entries; so long a stop may take.
const BLOCK: Duration = Duration::from_millis(500);
/// The least time between two wakes.
const BREATH: Duration = Duration::from_millis(2);

/// Takes the lease if nobody has it, and renews it if it is ours: 0, 1, or 2 when it is new.
const HOLD: &str = "\
    local holder = redis.call('GET', KEYS[1]) \
    if holder == ARGV[1] then redis.call('PEXPIRE', KEYS[1], ARGV[2]) return 1 end \
    if holder then return 0 end \
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 2";

/// Gives the lease up if it is ours.
const LEAVE: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/// A consumer's claim to be the active one.
pub(super) struct Lease {
    shared: Arc<Shared>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// Our name, which no other consumer has.
    holder: String,
    since: Instant,
    /// Until when the lease is ours, in milliseconds from `since`.
    held_until_ms: AtomicU64,
    /// How often it has become ours.
    term: AtomicU64,
    /// The last entry that was taken.
    front: Mutex<Position>,
    /// Why it is unknown whose the lease is.
    fault: Mutex<Option<RedisFault>>,
}

impl Lease {
    /// Begins to ask for the lease of the settings' stream.
    pub(super) fn ask_for(settings: &StreamSettings, holder: String, wake: Wake) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            holder,
            since: Instant::now(),
            held_until_ms: AtomicU64::new(0),
            term: AtomicU64::new(0),
            front: Mutex::default(),
            fault: Mutex::default(),
        });
        let (stop, stopped) = bounded(0);
        let keeper = Keeper {
            shared: Arc::clone(&shared),
            time: settings.pending_timeout.min(LEASE_MAX),
            look: settings.claim_interval.min(LEASE_LOOK_MAX),
            settings: settings.clone(),
            wake,
            stopped,
        };
        let thread = thread::Builder::new().name("hooks-lease".into()).spawn(move || keeper.run())?;
        Ok(Self { shared, stop: Some(stop), thread: Some(thread) })
    }

    /// The key of the lease of a stream.
    pub(super) fn key(stream: &str) -> String {
        format!("{stream}:active")
    }

    /// The number of the term for which the lease is ours, while it is; or why nobody can say.
    pub(super) fn term(&self) -> Result<Option<u64>, RedisFault> {
        if self.shared.holds() {
            return Ok(Some(self.shared.term.load(Ordering::Acquire)));
        }
        let fault = self.shared.fault.lock().unwrap_or_else(PoisonError::into_inner);
        fault.clone().map_or(Ok(None), Err)
    }

    /// Somebody else has it, as Redis says.
    pub(super) fn is_lost(&self) {
        self.shared.held_until_ms.store(0, Ordering::Release);
    }

    /// Entries up to this one were taken.
    pub(super) fn set_front(&self, front: Position) {
        *self.shared.front.lock().unwrap_or_else(PoisonError::into_inner) = front;
    }
}

impl Drop for Lease {
    /// Waits for the lease to be given up, unless Redis does not answer.
    fn drop(&mut self) {
        drop(self.stop.take());
        let end = Instant::now() + BLOCK * 2;
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) && Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Shared {
    fn holds(&self) -> bool {
        let now_ms = self.since.elapsed().as_millis();
        now_ms < u128::from(self.held_until_ms.load(Ordering::Acquire))
    }

    fn hold_until(&self, end: Instant) {
        let ms = end.saturating_duration_since(self.since).as_millis();
        self.held_until_ms.store(u64::try_from(ms).unwrap_or(u64::MAX), Ordering::Release);
    }

    fn front(&self) -> Position {
        *self.front.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread's side.
struct Keeper {
    shared: Arc<Shared>,
    settings: StreamSettings,
    time: Duration,
    look: Duration,
    wake: Wake,
    stopped: Receiver<()>,
}

impl Keeper {
    fn run(self) {
        let mut connection = None;
        let mut backoff = Backoff::new(LEASE_PAUSE_MAX.min(self.settings.requeue_interval));
        loop {
            let turn = self.turn(&mut connection);
            *self.shared.fault.lock().unwrap_or_else(PoisonError::into_inner) = turn.as_ref().err().cloned();
            let pause = match turn {
                Ok(pause) => {
                    backoff.reset();
                    pause
                }
                // The reader says so.
                Err(_) => {
                    connection = None;
                    backoff.pause()
                }
            };
            if self.is_stopped(pause) {
                break;
            }
        }
        self.leave(connection);
    }

    fn is_stopped(&self, pause: Duration) -> bool {
        let waited = self.stopped.recv_timeout(pause);
        waited != Err(crossbeam_channel::RecvTimeoutError::Timeout)
    }

    /// Asks for the lease. While it is ours, watches the stream until it must be renewed. Returns the pause after that.
    fn turn(&self, connection: &mut Option<RedisConnection>) -> Result<Duration, RedisFault> {
        let connection = match connection {
            Some(connection) => connection,
            None => {
                let opened = RedisConnection::open(&self.settings.redis)?;
                opened.be_patient(BLOCK)?;
                connection.insert(opened)
            }
        };
        let start = Instant::now();
        let time_ms = u64::try_from(self.time.as_millis()).unwrap_or(u64::MAX).max(1);
        let mut hold = self.script(HOLD);
        let answer: u64 = connection.ask(hold.arg(time_ms))?;
        if answer == 0 {
            self.shared.hold_until(self.shared.since);
            return Ok(self.look);
        }
        // Before it ends for Redis it has ended for us.
        let end = start + self.time * 9 / 10;
        let is_new = answer == 2 || !self.shared.holds();
        if is_new {
            self.shared.term.fetch_add(1, Ordering::AcqRel);
        }
        self.shared.hold_until(end);
        if is_new {
            self.wake.wake();
        }
        self.watch(connection, start + self.time / 3)?;
        Ok(Duration::ZERO)
    }

    /// Wakes the reader when there are entries behind those that were taken.
    fn watch(&self, connection: &mut RedisConnection, end: Instant) -> Result<(), RedisFault> {
        loop {
            let left = end.saturating_duration_since(Instant::now()).min(BLOCK);
            if left < BREATH || self.is_stopped(Duration::ZERO) {
                return Ok(());
            }
            let front = self.shared.front();
            let mut question = cmd("XREAD");
            question.arg("COUNT").arg(1).arg("BLOCK").arg(u64::try_from(left.as_millis()).unwrap_or(1));
            question.arg("STREAMS").arg(&self.settings.key).arg(front.to_string());
            let asked = Instant::now();
            if !parse_read(connection.ask::<Value>(&question)?).is_empty() {
                self.wake.wake();
                self.wait_for_taking(front, end);
            } else if asked.elapsed() < left / 2 && self.is_stopped(BREATH * 25) {
                // A server that answers at once that there is nothing must not be asked all the time.
                return Ok(());
            }
        }
    }

    /// A reader that has no room yet is woken again and again, but not all the time.
    fn wait_for_taking(&self, front: Position, end: Instant) {
        let patience = (Instant::now() + BREATH * 50).min(end);
        thread::sleep(BREATH);
        while self.shared.front() == front && Instant::now() < patience {
            thread::sleep(BREATH);
        }
    }

    /// Gives the lease up, so that other consumers need not wait until it runs out.
    fn leave(&self, connection: Option<RedisConnection>) {
        self.shared.hold_until(self.shared.since);
        if let Some(mut connection) = connection {
            let _ = connection.ask::<Value>(&self.script(LEAVE));
        }
    }

    fn script(&self, text: &str) -> Cmd {
        let mut script = cmd("EVAL");
        script.arg(text).arg(1).arg(Lease::key(&self.settings.key)).arg(&self.shared.holder);
        script
    }
}
