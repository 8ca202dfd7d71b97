//! The writer's thread: takes events from the queue, and commits them in batches with what was released.
//!
//! Owns the next id and the state of the disk: while nothing can be written it takes nothing from the queue, so that the
//! shards keep their edges and count what they drop. What must never happen here: an event that was taken and is let go,
//! or a busy loop.

use std::fmt::Display;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, Sender, bounded, select};

use super::batch::Batch;
use super::checkpoint::Checkpointer;
use super::file::{JournalFile, Size};
use super::lock::DirectoryLock;
use super::log::{Log, Turn};
use super::release::Release;
use super::shared::JournalShared;
use super::successor;
use crate::counters::JournalCounters;
use crate::disk_fault::is_damaged;
use crate::limits::{FREE_BYTES_MAX, JOURNAL_BATCH_BYTES_MAX, JOURNAL_BATCH_ROWS_MAX, WRITER_SLEEP_MAX};
use crate::notice::say;
use crate::outage::Outage;
use crate::queue::{Drain, Offered};

/// How long events are gathered after the first of a batch.
const GATHER: Duration = Duration::from_millis(4);

/// How many rows one transaction deletes, so that new ones need not wait for it. One with more new rows deletes up to twice
/// as many as it writes.
const RELEASE_ROWS_USUAL: u64 = 4_096;

/// How much smaller in one step.
const SHRINK_BYTES: u64 = 1 << 20;

/// How often a full journal is looked at that nobody releases anything of.
const FULL_PAUSE: Duration = Duration::from_secs(1);

/// How long nothing must happen before the file is tidied.
const QUIET: Duration = Duration::from_millis(200);

/// The log may have so much without counting towards the journal's bound.
const LOG_BYTES_USUAL: u64 = 32 << 20;

/// What the thread has.
#[derive(Debug)]
pub(super) struct Writer {
    file: JournalFile,
    checkpointer: Option<Checkpointer>,
    drain: Drain,
    shared: Arc<JournalShared>,
    counters: Arc<JournalCounters>,
    bytes_max: u64,
    batch: Batch,
    /// They stand behind the batch.
    marks: Vec<Sender<()>>,
    first_id: u64,
    next_id: u64,
    size: Size,
    failing: Outage,
    full: Outage,
    untidy: bool,
    producers_gone: bool,
    drained: Option<Sender<()>>,
    // Given back last, when the file is closed: fields are dropped in order.
    _lock: DirectoryLock,
}

enum Next {
    Offered(Offered),
    Release,
    Tidying,
}

impl Writer {
    /// A writer, and what hangs up when all producers are gone and everything is committed.
    pub(super) fn new(
        file: JournalFile,
        checkpointer: Checkpointer,
        lock: DirectoryLock,
        drain: Drain,
        shared: Arc<JournalShared>,
        counters: Arc<JournalCounters>,
        bytes_max: u64,
    ) -> rusqlite::Result<(Self, Receiver<()>)> {
        let extent = file.extent()?;
        let (drained, told) = bounded(1);
        let mut writer = Self {
            file,
            checkpointer: Some(checkpointer),
            drain,
            shared,
            counters,
            bytes_max,
            batch: Batch::default(),
            marks: Vec::new(),
            first_id: extent.first_id,
            next_id: extent.last_id + 1,
            size: Size::default(),
            failing: Outage::default(),
            full: Outage::default(),
            untidy: true,
            producers_gone: false,
            drained: Some(drained),
            _lock: lock,
        };
        writer.measure()?;
        writer.counters.blocked.set(0);
        Ok((writer, told))
    }

    /// Works until it is told to stop.
    pub(super) fn run(mut self) {
        while !self.shared.is_stopping() {
            match self.wait() {
                Next::Offered(offered) => self.gather(offered),
                Next::Release => self.commit(),
                Next::Tidying => self.tidy(),
            }
            self.tell_if_drained();
        }
        self.finish();
    }

    // While a batch cannot be written or the journal is full, events stay in the queue.
    fn wait(&mut self) -> Next {
        let work = self.shared.work_here();
        if let Some(pause) = self.failing.pause() {
            let _ = work.recv_timeout(pause);
            return Next::Release;
        }
        if self.full.is_there() {
            let _ = work.recv_timeout(FULL_PAUSE);
            return Next::Release;
        }
        if self.has_more_to_release() {
            return self.drain.next_now().map_or(Next::Release, Next::Offered);
        }
        let quiet = if self.untidy { QUIET } else { WRITER_SLEEP_MAX };
        if self.producers_gone {
            return work.recv_timeout(quiet).map_or(Next::Tidying, |()| Next::Release);
        }
        select! {
            recv(self.drain.receiver()) -> next => match next {
                Ok(offered) => Next::Offered(offered),
                Err(_) => { self.producers_gone = true; Next::Release }
            },
            recv(work) -> _ => Next::Release,
            default(quiet) => Next::Tidying,
        }
    }

    // Events that come one after the other share a transaction.
    fn gather(&mut self, first: Offered) {
        self.take(first);
        if self.drain.len() < JOURNAL_BATCH_ROWS_MAX {
            thread::sleep(GATHER);
        }
        self.fill();
        self.commit();
    }

    fn fill(&mut self) {
        while self.batch.len() < JOURNAL_BATCH_ROWS_MAX && self.batch.bytes() < JOURNAL_BATCH_BYTES_MAX {
            let Some(offered) = self.drain.next_now() else { return };
            self.take(offered);
        }
    }

    fn take(&mut self, offered: Offered) {
        match offered {
            Offered::Event(happened) => self.batch.take(happened, &mut self.next_id),
            Offered::Mark(reached) => self.marks.push(reached),
        }
    }

    fn commit(&mut self) {
        if self.shared.take_damaged() {
            self.succeed(&"a page cannot be read");
        }
        let release = self.next_release();
        match self.write(&release).and_then(|()| self.measure()) {
            Ok(()) => {
                self.failing.is_over(|| "the journal is written again".to_owned());
                self.shared.note_committed(self.next_id - 1, &mut self.marks);
                self.weigh();
                self.move_log();
            }
            Err(error) => {
                self.counters.failures.add(1);
                if is_damaged(&error) {
                    self.succeed(&error);
                }
                self.failing
                    .goes_on(|| format!("the journal cannot be written: {error}; events wait until it can"));
            }
        }
        let blocked = self.failing.is_there() || self.full.is_there();
        self.counters.blocked.set(blocked.into());
    }

    // A damaged journal ends nothing: a new one takes its place, with the rows that are in memory. Ids go on.
    fn succeed(&mut self, why: &dyn Display) {
        let committed = self.next_id - 1 - self.batch.rows_len() as u64;
        let rows = self.shared.tail().rows();
        let ((path, durability), kept) = (self.file.at(), format!(" with {} of its events", rows.len()));
        let path = path.to_owned();
        self.checkpointer = None;
        match successor::succeed_open(&mut self.file, committed, &rows) {
            Ok(aside) => {
                self.counters.set_aside.add(1);
                self.shared.is_succeeded();
                successor::say_set_aside(&path, why, &aside, &kept);
                // Without it the log is moved by the writer alone.
                self.checkpointer = Checkpointer::start(&path, durability).ok();
            }
            Err(error) => {
                self.failing.goes_on(|| format!("{} is damaged ({why}), and {error}", path.display()));
            }
        }
    }

    fn write(&mut self, release: &Release) -> rusqlite::Result<()> {
        if self.failing.is_there() {
            // What goes makes room for what comes.
            self.write_both(&mut Batch::default(), release)?;
            let _ = self.file.checkpoint();
        }
        let mut batch = std::mem::take(&mut self.batch);
        let written = self.write_both(&mut batch, release);
        self.batch = batch;
        written
    }

    // Nothing of the batch is seen by anybody before it is committed.
    fn write_both(&mut self, batch: &mut Batch, release: &Release) -> rusqlite::Result<()> {
        let releases = release.all >= self.first_id || !release.places.is_empty();
        if batch.is_empty() && !releases {
            return Ok(());
        }
        self.file.write(batch, release)?;
        self.untidy = true;
        self.counters.commits.add(1);
        self.first_id = self.first_id.max(release.all + 1);
        self.shared.released(release);
        if let Some(last_id) = batch.last_id() {
            self.counters.written.add(batch.rows_len() as u64);
            self.counters.last_id.set(last_id);
            self.counters.delay_ms.set(now_ms().saturating_sub(batch.oldest_ms()));
        }
        self.shared.publish(batch);
        Ok(())
    }

    // What may go with the next transaction. Rows that are not yet committed are kept, whatever somebody says.
    fn next_release(&self) -> Release {
        let mut release = self.shared.to_release();
        let new = self.batch.rows_len() as u64;
        let committed = self.next_id - 1 - new;
        let some = RELEASE_ROWS_USUAL.max(2 * new);
        release.all = release.all.min(committed).min(self.first_id - 1 + some);
        release
    }

    fn has_more_to_release(&self) -> bool {
        self.next_release().all >= self.first_id
    }

    fn measure(&mut self) -> rusqlite::Result<()> {
        self.size = self.file.size()?;
        let (size, journal) = (self.size, &self.counters);
        journal.bytes.set(size.used_bytes + size.free_bytes + size.log_bytes);
        journal.rows.set(self.next_id - self.batch.rows_len() as u64 - self.first_id);
        journal.oldest_ms.set(self.file.oldest_ms()?.unwrap_or(0));
        Ok(())
    }

    // Full is full until a sixteenth is free again.
    fn weigh(&mut self) {
        let Size { used_bytes, free_bytes, log_bytes } = self.size;
        let bytes = used_bytes + log_bytes.saturating_sub(LOG_BYTES_USUAL);
        let max = self.bytes_max;
        if bytes > max || self.full.is_there() && bytes > max - max / 16 {
            self.full.goes_on(|| {
                format!("the journal has {bytes} bytes, allowed are {max}; events wait until endpoints have taken some")
            });
        } else {
            self.full.is_over(|| "the journal has room again".to_owned());
        }
        if free_bytes > 8 * FREE_BYTES_MAX && free_bytes > 4 * used_bytes {
            // Under load there may be no quiet.
            let _ = self.file.shrink(SHRINK_BYTES / 4);
        }
    }

    // A failure shows again when there is something to write.
    fn move_log(&self) {
        match self.file.log().map(Log::turn) {
            Ok(Turn::Writer) => drop(self.file.pass()),
            Ok(Turn::Checkpointer) => self.checkpointer.as_ref().map_or((), Checkpointer::ask),
            Ok(Turn::Nobody) | Err(_) => {}
        }
    }

    fn tidy(&mut self) {
        let Size { used_bytes, free_bytes, .. } = self.size;
        let too_large = free_bytes > FREE_BYTES_MAX.max(used_bytes);
        let again = if too_large {
            self.file.shrink(SHRINK_BYTES).is_ok()
        } else {
            self.file.checkpoint().is_ok_and(|emptied| !emptied)
        };
        self.untidy = again;
        // A failure shows again when there is something to write.
        let _ = self.measure();
    }

    fn tell_if_drained(&mut self) {
        if self.producers_gone && self.batch.is_empty() {
            self.drained = None;
        }
    }

    // Whatever the bound: what shards have given away is not lost. One more try where the disk fails.
    fn finish(mut self) {
        loop {
            self.fill();
            self.commit();
            if self.failing.is_there() {
                let lost = self.batch.len() + self.drain.len();
                if lost > 0 {
                    say(format_args!("{lost} events could not be written and are lost"));
                }
                return;
            }
            if self.drain.is_empty() && !self.has_more_to_release() {
                break;
            }
        }
        drop(self.checkpointer);
        let _ = self.file.checkpoint();
    }
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
