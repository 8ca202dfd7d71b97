//! The link to a server: two threads for each attempt to connect, one that calls scripts and one that reads the inbox.
//!
//! An attempt that is given up is forgotten at once; its threads find out by themselves, at the latest when an answer has not
//! come within the patience. So nothing ever waits for a server that hangs. Where so many have not found out yet that more
//! would be a leak, an attempt fails instead. Owned by the bus thread, which decides nothing (`machines::cluster::session`
//! does).

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use machines::cluster::answer::Value;
use machines::cluster::call::Call;
use machines::cluster::epoch::Epoch;
use machines::cluster::item::Entry;

use crate::caller::Caller;
use crate::fault::Fault;
use crate::keys::Keys;
use crate::limits::{ASKED_MAX, ATTEMPTS_MAX, NEWS_MAX};
use crate::reader::Reader;
use crate::server::Server;

/// What a link says, with the number of its attempt.
#[derive(Debug)]
pub enum News {
    /// Both connections are open.
    Connected(u64),
    /// One of them has broken, or could not be opened.
    Broken(u64, Fault),
    /// The answer to the oldest call without one.
    Answer(u64, Value),
    /// What was read.
    Entries(u64, Vec<Entry>),
}

/// Called when there is news.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// A link to one server.
pub struct Link {
    plan: Arc<Plan>,
    news: Receiver<News>,
    attempt: Option<Attempt>,
}

/// What all attempts share.
struct Plan {
    server: Server,
    keys: Keys,
    patience: Duration,
    news: Sender<News>,
    wake: Wake,
}

struct Attempt {
    number: u64,
    calls: Sender<Vec<Call>>,
    reads: Sender<Read>,
}

struct Read {
    epoch: Epoch,
    after: u64,
    block_ms: u64,
}

impl Link {
    /// None yet. An answer that takes longer than `patience` breaks the connection.
    pub fn new(server: Server, keys: Keys, patience: Duration, wake: Wake) -> Self {
        let (sender, news) = bounded(NEWS_MAX);
        Self { plan: Arc::new(Plan { server, keys, patience, news: sender, wake }), news, attempt: None }
    }

    /// The server.
    pub fn server(&self) -> &Server {
        &self.plan.server
    }

    /// The next of the news.
    pub fn next_news(&self) -> Option<News> {
        self.news.try_recv().ok()
    }

    /// Opens two connections, which have this number.
    pub fn connect(&mut self, number: u64) {
        let (calls, asked) = bounded(ASKED_MAX);
        let (reads, wanted) = bounded(1);
        self.attempt = Some(Attempt { number, calls, reads });
        // Each thread of an attempt holds the plan, and so does this.
        if Arc::strong_count(&self.plan) > 2 * ATTEMPTS_MAX {
            return self.fail(number, "earlier attempts still wait for it");
        }
        let plan = Arc::clone(&self.plan);
        let spawned = thread::Builder::new()
            .name("bus-call".into())
            .spawn(move || plan.run_calls(number, &asked, wanted));
        if let Err(error) = spawned {
            self.fail(number, &format!("no thread for it: {error}"));
        }
    }

    fn fail(&self, number: u64, why: &str) {
        // The channel has room: nothing else of this attempt is in it.
        let _ = self.plan.news.try_send(News::Broken(number, Fault::new(why)));
        (self.plan.wake)();
    }

    /// Forgets both.
    pub fn close(&mut self, number: u64) {
        self.attempt = self.attempt.take().filter(|attempt| attempt.number != number);
    }

    /// Makes these calls, behind those that were made before.
    pub fn call(&mut self, calls: Vec<Call>) {
        let Some(attempt) = &self.attempt else { return };
        // One that has so many calls without an answer is broken, and so is one whose thread has ended.
        if !calls.is_empty() && attempt.calls.try_send(calls).is_err() {
            self.fail(attempt.number, "it takes no more calls");
        }
    }

    /// Reads the inbox behind an entry, or waits for more so long.
    pub fn read(&mut self, epoch: Epoch, after: u64, block_ms: u64) {
        let Some(attempt) = &self.attempt else { return };
        if attempt.reads.try_send(Read { epoch, after, block_ms }).is_err() {
            self.fail(attempt.number, "it reads no more");
        }
    }
}

impl Plan {
    fn tell(&self, news: News) -> bool {
        let is_heard = self.news.send(news).is_ok();
        (self.wake)();
        is_heard
    }

    fn run_calls(self: Arc<Self>, number: u64, asked: &Receiver<Vec<Call>>, wanted: Receiver<Read>) {
        if let Err(fault) = self.try_calls(number, asked, wanted) {
            self.tell(News::Broken(number, fault));
        }
    }

    fn try_calls(
        self: &Arc<Self>,
        number: u64,
        asked: &Receiver<Vec<Call>>,
        wanted: Receiver<Read>,
    ) -> Result<(), Fault> {
        let mut caller = Caller::open(&self.server, &self.keys, self.patience)?;
        let reader = Reader::open(&self.server, &self.keys, self.patience)?;
        let plan = Arc::clone(self);
        thread::Builder::new()
            .name("bus-read".into())
            .spawn(move || plan.run_reads(number, reader, &wanted))
            .map_err(|error| Fault::new(format!("no thread for it: {error}")))?;
        self.tell(News::Connected(number));
        while let Ok(mut calls) = asked.recv() {
            // What has come meanwhile goes out with it.
            calls.extend(asked.try_iter().flatten());
            caller.call(&calls, |answer| {
                self.tell(News::Answer(number, answer));
            })?;
        }
        Ok(())
    }

    fn run_reads(&self, number: u64, mut reader: Reader, wanted: &Receiver<Read>) {
        while let Ok(Read { epoch, after, block_ms }) = wanted.recv() {
            let news = match reader.read(&epoch.to_string(), after, block_ms) {
                Ok(entries) => News::Entries(number, entries),
                Err(fault) => News::Broken(number, fault),
            };
            let is_over = matches!(news, News::Broken(..));
            if !self.tell(news) || is_over {
                return;
            }
        }
    }
}
