//! The mover takes rows from the journal, in order, and adds them to a Redis stream. A journal has one.
//!
//! A row leaves the journal when the stream's consumer group has acknowledged it, so what Redis loses is added again.
//! Rows are added in transactions: all of a batch or none, so that a full or failing server leaves no gap in the middle.
//! What must never happen here: a row added before one with a smaller id that the stream does not have, or a release of rows
//! that are not acknowledged.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, select};
use redis::{Cmd, Value, cmd};

use super::checkpoints::Checkpoints;
use super::entry::write_add;
use super::fault::{MoveFault, MoveFaultKind};
use super::loss::Loss;
use super::mark::{Standing, make_group, read_standing};
use super::once;
use super::tail;
use crate::counters::StreamCounters;
use crate::journal::STREAM_PLACE;
use crate::limits::{STREAM_BATCH_BYTES_MAX, STREAM_BATCH_ROWS_MAX};
use crate::notice::say;
use crate::redis::connection::{RedisConnection, into};
use crate::redis::fault::{RedisFault, RedisFaultKind};
use crate::redis::outage::RedisOutage;
use crate::row::{Position, Row};
use crate::settings::StreamSettings;
use crate::source::Source;

/// How often the mover asks where the group stands.
const MARK_EVERY: Duration = Duration::from_secs(1);
/// How long the mover sleeps when nobody wakes it, and while the stream is as long as it may be.
const IDLE: Duration = Duration::from_millis(100);
/// How much longer than its patience a mover may take to end.
const LAST_QUESTION: Duration = Duration::from_millis(200);

/// A running mover.
#[derive(Debug)]
pub struct Mover {
    stop: Sender<Instant>,
    thread: JoinHandle<()>,
}

impl Mover {
    /// Starts one. `wake` tells of new rows. With `deliver` in the settings a group consumes the stream, and rows wait for
    /// it.
    pub fn start(
        journal: impl Source + 'static,
        wake: Receiver<()>,
        settings: StreamSettings,
        counters: Arc<StreamCounters>,
    ) -> io::Result<Self> {
        let (stop, stopped) = bounded(1);
        let work = Work::new(Box::new(journal), settings, counters);
        let thread =
            thread::Builder::new().name("hooks-mover".into()).spawn(move || work.run(&wake, &stopped))?;
        Ok(Self { stop, thread })
    }

    /// Moves what can be moved until all is in the stream or the time is over; the rest stays in the journal. A mover that
    /// waits for an answer of Redis at that moment is left to the end of the process.
    pub fn stop(self, patience: Duration) {
        let end = Instant::now() + patience;
        let _ = self.stop.send(end);
        while !self.thread.is_finished() && Instant::now() < end + LAST_QUESTION {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

struct Work {
    journal: Box<dyn Source>,
    settings: StreamSettings,
    counters: Arc<StreamCounters>,
    connection: Option<RedisConnection>,
    /// The key that the transactions of this mover watch. It is touched on each new connection: what Redis has from us over
    /// the last one, and has not read yet, must not be carried out behind our back.
    watched: String,
    has_connected: bool,
    /// Whether rows cannot be moved, and since when.
    outage: RedisOutage<MoveFaultKind>,
    checkpoints: Checkpoints,
    standing: Standing,
    /// The last row that is in the stream.
    added: u64,
    /// The last row that has left the journal; `None` until the journal was asked.
    released: Option<u64>,
    /// The place of the last entry that we added, for as long as this process lives.
    newest: Option<Position>,
    next_mark: Instant,
    warned_of_eviction: bool,
    rows: Vec<(Position, Arc<Row>)>,
    add: Cmd,
    text: Vec<u8>,
}

/// What a turn has come to.
#[derive(PartialEq, Eq)]
enum Turn {
    /// Rows were added, and there may be more.
    Moved,
    /// There is nothing to add.
    Empty,
    /// The stream is as long as it may be.
    AtLimit,
}

impl Work {
    fn new(journal: Box<dyn Source>, settings: StreamSettings, counters: Arc<StreamCounters>) -> Self {
        let outage = RedisOutage::new(settings.requeue_interval);
        let watched = format!("{}:mover:{:016x}", settings.key, fastrand::u64(..));
        Self {
            journal,
            settings,
            counters,
            connection: None,
            watched,
            has_connected: false,
            outage,
            checkpoints: Checkpoints::default(),
            standing: Standing::default(),
            added: 0,
            released: None,
            newest: None,
            next_mark: Instant::now(),
            warned_of_eviction: false,
            rows: Vec::new(),
            add: Cmd::new(),
            text: Vec::new(),
        }
    }

    fn run(mut self, wake: &Receiver<()>, stopped: &Receiver<Instant>) {
        let mut deadline = None;
        loop {
            let pause = match self.turn() {
                Ok(Turn::Moved) => Duration::ZERO,
                Ok(Turn::Empty) if deadline.is_some() => break,
                Ok(Turn::Empty | Turn::AtLimit) => IDLE,
                Err(fault) => self.note(&fault),
            };
            match deadline {
                None => deadline = self.wait(pause, wake, stopped),
                Some(deadline) if Instant::now() + pause < deadline => thread::sleep(pause),
                Some(_) => break,
            }
        }
        // What was acknowledged in the last second need not be added again after the next start.
        if let Some(mut connection) = self.connection.take() {
            let _ = self.read_mark(&mut connection);
        }
    }

    /// Sleeps; a wake ends it, but for a mover that fails. Gives the time until which work may go on once it is stopped.
    fn wait(&self, pause: Duration, wake: &Receiver<()>, stopped: &Receiver<Instant>) -> Option<Instant> {
        let never = crossbeam_channel::never();
        let wake = if self.outage.is_there() { &never } else { wake };
        select! {
            recv(stopped) -> deadline => Some(deadline.unwrap_or_else(|_| Instant::now())),
            recv(wake) -> woken => {
                // A journal that is gone wakes nobody; it has yet to be emptied.
                if woken.is_err() {
                    thread::sleep(pause);
                }
                None
            }
            default(pause) => None,
        }
    }

    /// One turn. Whatever goes wrong in it ends the connection: the next one looks at what has become of the rows.
    fn turn(&mut self) -> Result<Turn, MoveFault> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        if Instant::now() >= self.next_mark {
            self.read_mark(&mut connection)?;
        }
        let turn = self.move_rows(&mut connection)?;
        self.journal.note_moved(self.added);
        self.connection = Some(connection);
        self.recovered();
        Ok(turn)
    }

    fn move_rows(&mut self, connection: &mut RedisConnection) -> Result<Turn, MoveFault> {
        let room = self.room();
        self.counters.at_limit.set(u64::from(room == 0));
        if room == 0 {
            self.next_mark = self.next_mark.min(Instant::now() + IDLE);
            return Ok(Turn::AtLimit);
        }
        let mut rows = std::mem::take(&mut self.rows);
        rows.clear();
        let read = self.journal.read(Position(self.added, 0), room, &mut rows);
        let moved = read.map_err(MoveFault::Journal).and_then(|()| Ok(self.add_all(connection, &rows)?));
        let turn = if rows.is_empty() { Turn::Empty } else { Turn::Moved };
        rows.clear();
        self.rows = rows;
        moved.map(|()| turn)
    }

    /// How many rows may be added now.
    fn room(&self) -> usize {
        match self.settings.queue_limit {
            0 => STREAM_BATCH_ROWS_MAX,
            limit => {
                let free = limit.saturating_sub(self.standing.length);
                usize::try_from(free).unwrap_or(usize::MAX).min(STREAM_BATCH_ROWS_MAX)
            }
        }
    }

    fn add_all(
        &mut self,
        connection: &mut RedisConnection,
        mut rows: &[(Position, Arc<Row>)],
    ) -> Result<(), RedisFault> {
        while !rows.is_empty() {
            let count = self.put_batch(connection, rows);
            let (batch, rest) = rows.split_at(count);
            let mut answers = connection.flush()?;
            // The watching for the next one.
            answers.pop();
            let at = last_added(answers, count)?;
            // Where nothing was new, that is the end which the stream had.
            if self
                .checkpoints
                .last()
                .is_some_and(|(last, _)| at < last || at == last && !self.settings.edges_once)
            {
                return Err(RedisFault::new(
                    RedisFaultKind::Else,
                    "Redis has added entries before the end of the stream",
                ));
            }
            let row = batch.last().map_or(self.added, |(_, row)| row.id);
            self.checkpoints.push(at, row);
            self.newest = Some(at);
            self.added = row;
            self.standing.length += count as u64;
            self.counters.added.add(count as u64);
            self.counters.last_added.set(row);
            rows = rest;
        }
        Ok(())
    }

    /// Puts together a transaction of the first rows, and says of how many.
    fn put_batch(&mut self, connection: &mut RedisConnection, rows: &[(Position, Arc<Row>)]) -> usize {
        connection.put(&cmd("MULTI"));
        let mut count = 0;
        for (_, row) in rows {
            write_add(&mut self.add, &mut self.text, &self.settings.key, row);
            let guarded = self.settings.edges_once.then(|| once::guarded(row, &self.add, &self.settings.key));
            connection.put(guarded.flatten().as_ref().unwrap_or(&self.add));
            count += 1;
            if connection.waiting_bytes() >= STREAM_BATCH_BYTES_MAX {
                break;
            }
        }
        connection.put(&cmd("EXEC"));
        connection.put(cmd("WATCH").arg(&self.watched));
        count
    }

    fn connect(&mut self) -> Result<RedisConnection, MoveFault> {
        if self.released.is_none() {
            let place = self.journal.place_of(STREAM_PLACE).map_err(MoveFault::Journal)?;
            self.released = Some(place.0);
            self.added = place.0;
        }
        let mut connection = RedisConnection::open(&self.settings.redis)?;
        self.succeed(&mut connection)?;
        self.warn_of_eviction(&mut connection)?;
        let standing = self.read_standing(&mut connection)?;
        self.resume(&mut connection, standing)?;
        Ok(connection)
    }

    /// Whatever Redis has yet to read over a connection before this one fails there: its watched key was touched.
    fn succeed(&mut self, connection: &mut RedisConnection) -> Result<(), RedisFault> {
        if std::mem::replace(&mut self.has_connected, true) {
            connection.put(cmd("SET").arg(&self.watched).arg(1));
            connection.put(cmd("DEL").arg(&self.watched));
        }
        connection.put(cmd("WATCH").arg(&self.watched));
        // A user who may not do that has duplicates instead.
        connection.flush().map(drop)
    }

    fn warn_of_eviction(&mut self, connection: &mut RedisConnection) -> Result<(), RedisFault> {
        connection.put(cmd("INFO").arg("memory"));
        let info: String = connection.flush()?.pop().and_then(|info| into(info).ok()).unwrap_or_default();
        let policy =
            info.lines().find_map(|line| line.strip_prefix("maxmemory_policy:")).unwrap_or("noeviction");
        if policy != "noeviction" && !self.warned_of_eviction {
            say(format_args!(
                "Redis has maxmemory-policy {policy}: it may throw away events that nobody has had; set it to noeviction"
            ));
        }
        self.warned_of_eviction = policy != "noeviction";
        Ok(())
    }

    fn read_standing(&self, connection: &mut RedisConnection) -> Result<Standing, RedisFault> {
        Ok(read_standing(connection, &self.settings.key, &self.settings.group)?.unwrap_or_default())
    }

    /// Finds out which rows the stream has, and what it has lost.
    fn resume(&mut self, connection: &mut RedisConnection, standing: Standing) -> Result<(), MoveFault> {
        let loss = Loss::between(&self.standing, &standing, self.newest);
        if self.settings.deliver && standing.group.is_none() {
            make_group(connection, &self.settings.key, &self.settings.group)?;
        }
        if loss.is_some() && self.settings.edges_once {
            connection.put(cmd("DEL").arg(once::key(&self.settings.key)));
            connection.flush()?;
        }
        if let (Some(Loss::End), Some(newest)) = (loss, self.newest) {
            // Entries stay in order for consumers that have read the lost ones, even if this server's clock is behind. A
            // user who may not do that relies on the clock.
            connection.put(cmd("XSETID").arg(&self.settings.key).arg(newest.to_string()));
            connection.flush()?;
        }
        let released = self.released.unwrap_or(0);
        let found = match loss {
            Some(Loss::Middle) => None,
            _ => tail::find_last(connection, &self.settings.key, &mut *self.journal, released)?,
        };
        let before = self.added;
        if loss.is_some() {
            self.checkpoints.clear();
        }
        if let Some((at, row)) =
            found.filter(|(at, _)| self.checkpoints.last().is_none_or(|(last, _)| *at > last))
        {
            self.checkpoints.push(at, row);
        }
        self.added = self.checkpoints.last().map_or(released, |(_, row)| row);
        self.standing = standing;
        self.next_mark = Instant::now();
        if loss.is_some() {
            self.counters.losses.add(1);
            if before > self.added {
                let (key, first) = (&self.settings.key, self.added + 1);
                say(format_args!(
                    "the stream {key} has lost entries: events {first} to {before} are added again"
                ));
            }
        }
        Ok(())
    }

    /// Once a second: where the group stands, and so what may leave the journal.
    fn read_mark(&mut self, connection: &mut RedisConnection) -> Result<(), MoveFault> {
        let standing = self.read_standing(connection)?;
        let group_is_gone = self.settings.deliver && standing.group.is_none();
        if group_is_gone || Loss::between(&self.standing, &standing, self.newest).is_some() {
            self.resume(connection, standing)?;
        } else {
            self.standing = standing;
        }
        self.next_mark = Instant::now() + MARK_EVERY;
        self.counters.length.set(self.standing.length);
        self.counters.pending.set(self.standing.group.map_or(0, |group| group.pending));
        self.release(connection)
    }

    fn release(&mut self, connection: &mut RedisConnection) -> Result<(), MoveFault> {
        let released = self.released.unwrap_or(0);
        if released >= self.added {
            return Ok(());
        }
        let Some(row) = self.acknowledged(connection)?.filter(|row| *row > released) else { return Ok(()) };
        let place = Position(row, 0);
        self.journal.release(place, &[(STREAM_PLACE, place)]).map_err(MoveFault::Journal)?;
        self.released = Some(row);
        self.counters.last_released.set(row);
        Ok(())
    }

    /// The last row that the group has done with, if that can be told.
    fn acknowledged(&mut self, connection: &mut RedisConnection) -> Result<Option<u64>, MoveFault> {
        if !self.settings.deliver {
            return Ok(Some(self.added));
        }
        let Some(group) = self.standing.group else { return Ok(None) };
        if group.mark == Position::default() {
            return Ok(None);
        }
        let known = self.checkpoints.row_at(group.mark);
        let row = match known {
            Some(row) => Some(row),
            None => tail::row_at(connection, &self.settings.key, &mut *self.journal, group.mark)?,
        };
        Ok(row.map(|row| row.min(self.added)))
    }

    /// Notes that something is wrong, says so once, and gives the pause before the next try.
    fn note(&mut self, fault: &MoveFault) -> Duration {
        self.counters.failures.add(1);
        self.counters.in_trouble.set(1);
        let key = &self.settings.key;
        let text = format_args!("no events go to the stream {key}, they wait in the journal: {fault}");
        self.outage.goes_on(fault.kind(), text)
    }

    fn recovered(&mut self) {
        let Some(lasted) = self.outage.is_over() else { return };
        let (key, seconds) = (&self.settings.key, lasted.as_secs_f32());
        say(format_args!("events go to the stream {key} again, after {seconds:.1} s"));
        self.counters.in_trouble.set(0);
    }
}

/// The place of the last entry of a transaction, if all of it was carried out.
fn last_added(mut answers: Vec<Value>, count: usize) -> Result<Position, RedisFault> {
    let done = answers.pop().unwrap_or(Value::Nil);
    // What was refused on the way says more than that the whole was refused.
    for answer in answers {
        into::<Value>(answer)?;
    }
    let places: Vec<Value> = into(done)?;
    let carried_out = places.len();
    let mut last = None;
    for place in places {
        last = Position::parse(&into::<String>(place)?);
    }
    last.filter(|_| carried_out == count)
        .ok_or_else(|| RedisFault::new(RedisFaultKind::Else, "Redis did not carry out a transaction"))
}
