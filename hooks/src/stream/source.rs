//! A stream as the source of a dispatcher: entries are taken for a consumer group, and acknowledged when all endpoints
//! have done with them.
//!
//! One consumer of a group is active at a time, which keeps the order: it holds a lease, and Redis gives out entries in a
//! transaction that fails when that lease was touched. A consumer that becomes active claims what others left and begins at
//! the group's low-water mark. An impossible answer of Redis is a fault: the source begins anew. What must never happen here:
//! an entry that is acknowledged before its place is released, or one that stays pending with a consumer that is gone.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::app::Apps;
use redis::{Cmd, Value, cmd};

use super::entry::{Entry, parse_entries};
use super::lease::Lease;
use super::mark::{Standing, make_group, places_key, read_standing};
use super::recent::Recent;
use super::runs::Runs;
use super::taker::Taker;
use crate::counters::StreamCounters;
use crate::limits::{RUNS_MAX, TAKING_MAX};
use crate::notice::say;
use crate::redis::connection::{RedisConnection, into};
use crate::redis::fault::{RedisFault, RedisFaultKind};
use crate::row::{Position, Row};
use crate::settings::StreamSettings;
use crate::source::{Source, SourceError, Wake};

/// Entries of one XACK.
const ACKNOWLEDGED_AT_ONCE: usize = 1_000;
/// Entries claimed at once.
const CLAIMED_AT_ONCE: usize = 1_000;
/// How often acknowledged entries are cut off.
const TRIM_EVERY: Duration = Duration::from_secs(1);
/// What the names of our consumers begin with.
const CONSUMER: &str = "corecast-";

/// Claims what is pending with others, if the lease is ours. The lease is touched: a taking that Redis has from us over a
/// connection that is lost must not be carried out after this.
const CLAIM: &str = "\
    if redis.call('GET', KEYS[2]) ~= ARGV[1] then return redis.error_reply('LEASE another consumer is active') end \
    redis.call('SET', KEYS[2], ARGV[1], 'KEEPTTL') \
    return redis.pcall('XAUTOCLAIM', KEYS[1], ARGV[2], ARGV[1], 0, ARGV[4], 'COUNT', ARGV[3], 'JUSTID')";

/// Forgets consumers of ours that are gone and have nothing pending, if the lease is ours.
const FORGET: &str = "\
    if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end \
    for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[2])) do \
      local name, pending = consumer[2], consumer[4] \
      if name ~= ARGV[1] and pending == 0 and string.sub(name, 1, #ARGV[3]) == ARGV[3] then \
        redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[2], name) \
      end \
    end \
    return 1";

/// One consumer of a stream.
pub struct StreamSource {
    settings: StreamSettings,
    apps: Arc<Apps>,
    counters: Arc<StreamCounters>,
    consumer: String,
    lease: Lease,
    connection: Option<RedisConnection>,
    /// None while the source has yet to begin.
    taker: Option<Taker>,
    /// The term of the lease in which this source began; none while it has yet to begin.
    term: Option<u64>,
    /// All entries up to this one were acknowledged when it began.
    base: Position,
    /// The last entry that was taken.
    front: Position,
    /// The last one that the group had given out then. Those that are pending and lie behind it, since somebody has set the
    /// group back, are given out again.
    delivered: Position,
    /// The last entry that was taken in this epoch.
    highest: Position,
    /// Changes when the stream has lost what was taken, so that places in it begin again.
    epoch: u64,
    /// Entries behind `front` are pending with us.
    pending_first: bool,
    recent: Recent,
    unacknowledged: Runs,
    /// Entries whose acknowledgement failed, for the next release.
    releasing: Vec<Position>,
    places: HashMap<String, Position>,
    next_trim: Instant,
    said_skipped: bool,
}

impl StreamSource {
    /// A consumer that begins to ask for the stream. `wake` wakes its dispatcher. Entries of apps that are not among
    /// `apps` are skipped.
    pub fn open(
        settings: StreamSettings,
        apps: Arc<Apps>,
        wake: Wake,
        counters: Arc<StreamCounters>,
    ) -> io::Result<Self> {
        let consumer = consumer_name();
        let lease = Lease::ask_for(&settings, consumer.clone(), wake)?;
        Ok(Self {
            settings,
            apps,
            counters,
            consumer,
            lease,
            connection: None,
            taker: None,
            term: None,
            base: Position::default(),
            front: Position::default(),
            delivered: Position::default(),
            highest: Position::default(),
            epoch: 0,
            pending_first: false,
            recent: Recent::default(),
            unacknowledged: Runs::default(),
            releasing: Vec::new(),
            places: HashMap::new(),
            next_trim: Instant::now(),
            said_skipped: false,
        })
    }

    /// Asks over a connection that is lost with the first thing that goes wrong. Then nobody knows what Redis has done, so
    /// the source begins anew.
    fn with_connection<T>(
        &mut self,
        ask: impl FnOnce(&mut Self, &mut RedisConnection) -> Result<T, RedisFault>,
    ) -> Result<T, RedisFault> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => RedisConnection::open(&self.settings.redis)?,
        };
        let answer = ask(self, &mut connection);
        match &answer {
            Ok(_) => self.connection = Some(connection),
            Err(_) => self.term = None,
        }
        answer
    }

    /// True when this is the active consumer.
    fn is_active(&mut self) -> Result<bool, RedisFault> {
        let term = self.lease.term();
        self.counters.active.set(u64::from(matches!(term, Ok(Some(_)))));
        match term? {
            None => Ok(false),
            Some(term) if self.term == Some(term) => Ok(true),
            Some(term) => {
                let begun = self.with_connection(Self::begin)?;
                self.term = begun.then_some(term);
                Ok(begun)
            }
        }
    }

    /// Takes over what is pending, and begins at the group's mark. False when another consumer is active after all.
    fn begin(&mut self, connection: &mut RedisConnection) -> Result<bool, RedisFault> {
        self.taker = None;
        self.taker = Some(Taker::open(&self.settings, &self.consumer)?);
        self.standing(connection)?;
        if !self.claim(connection)? {
            return Ok(false);
        }
        // Now nothing is taken but by this consumer, over this taker.
        let standing = self.standing(connection)?;
        let group = standing.group.unwrap_or_default();
        if standing.last < self.highest {
            let (key, last, highest) = (&self.settings.key, standing.last, self.highest);
            say(format_args!(
                "the stream {key} ends at {last}, but {highest} was taken: it has lost entries, and begins anew"
            ));
            self.epoch += 1;
            self.highest = Position::default();
        }
        if group.pending > 0 {
            let (key, count) = (&self.settings.key, group.pending);
            say(format_args!(
                "this consumer is active for the stream {key}; {count} entries were taken before and not acknowledged"
            ));
        }
        self.counters.takeovers.add(1);
        self.base = group.mark;
        self.front = group.mark;
        self.delivered = group.delivered;
        self.lease.set_front(self.front);
        self.pending_first = true;
        self.recent.begin(group.mark);
        self.unacknowledged.clear();
        self.releasing.clear();
        self.places.clear();
        Ok(true)
    }

    /// Where the stream and its group stand. Both are made if need be.
    fn standing(&self, connection: &mut RedisConnection) -> Result<Standing, RedisFault> {
        let (key, group) = (&self.settings.key, &self.settings.group);
        match read_standing(connection, key, group)? {
            Some(standing) if standing.group.is_some() => Ok(standing),
            found => {
                make_group(connection, key, group)?;
                Ok(found.unwrap_or_default())
            }
        }
    }

    fn claim(&self, connection: &mut RedisConnection) -> Result<bool, RedisFault> {
        let mut cursor = Position::default();
        loop {
            let mut claim = self.script(CLAIM);
            claim.arg(CLAIMED_AT_ONCE).arg(cursor.to_string());
            connection.put(&claim);
            let answer = connection.flush()?.pop().unwrap_or(Value::Nil);
            if is_lease_lost(&answer) {
                self.lease.is_lost();
                return Ok(false);
            }
            let parts: Vec<Value> = into(answer)?;
            let next: String = into(parts.into_iter().next().unwrap_or(Value::Nil))?;
            match Position::parse(&next) {
                Some(Position(0, 0)) => break,
                Some(next) if next > cursor => cursor = next,
                _ => return Err(nonsense(format!("the claim goes on at {next:?} behind {cursor}"))),
            }
        }
        let mut forget = self.script(FORGET);
        connection.ask::<Value>(forget.arg(CONSUMER))?;
        Ok(true)
    }

    /// Takes the next entries: first those that are pending with us, then new ones. False when there are none.
    fn take(&mut self) -> Result<bool, RedisFault> {
        if self.unacknowledged.len() >= RUNS_MAX {
            return Ok(false);
        }
        let mut taken = self.ask_taker();
        if self.pending_first && matches!(&taken, Ok(Some(entries)) if entries.is_empty()) {
            self.pending_first = false;
            taken = self.ask_taker();
        }
        if taken.is_err() {
            self.term = None;
        }
        match taken {
            Ok(Some(entries)) => {
                let any = !entries.is_empty();
                let kept = self.keep(entries).map(|()| any);
                if kept.is_err() {
                    self.term = None;
                }
                kept
            }
            Ok(None) => {
                self.lease.is_lost();
                Ok(false)
            }
            // The group is made again when the source begins anew.
            Err(fault) if fault.kind() == RedisFaultKind::NoGroup => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// Entries from the taker; none at all when another consumer is active.
    fn ask_taker(&mut self) -> Result<Option<Vec<Entry>>, RedisFault> {
        let Some(mut taker) = self.taker.take() else {
            // The source begins anew.
            self.term = None;
            return Ok(Some(Vec::new()));
        };
        let Some(mut entries) = taker.take(self.pending_first.then_some(self.front))? else {
            return Ok(None);
        };
        if self.pending_first {
            entries.retain(|entry| entry.at <= self.delivered);
            self.with_connection(|this, connection| this.note_deliveries(connection, &entries))?;
        }
        self.taker = Some(taker);
        Ok(Some(entries))
    }

    /// Counts how often they were given out: a growing number tells the operator of events that crash their consumer.
    fn note_deliveries(&self, connection: &mut RedisConnection, entries: &[Entry]) -> Result<(), RedisFault> {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return Ok(()) };
        let mut question = cmd("XPENDING");
        question
            .arg(&self.settings.key)
            .arg(&self.settings.group)
            .arg(first.at.to_string())
            .arg(last.at.to_string());
        question.arg(self.settings.prefetch.max(1));
        let pending: Vec<(String, String, u64, u64)> = connection.ask(&question)?;
        let deliveries = pending.iter().map(|(.., deliveries)| *deliveries);
        self.counters.redelivered.add(pending.len() as u64);
        self.counters.deliveries_max.set(deliveries.max().unwrap_or(0));
        Ok(())
    }

    fn keep(&mut self, entries: Vec<Entry>) -> Result<(), RedisFault> {
        check_order(self.front, &entries)?;
        self.counters.taken.add(entries.len() as u64);
        let mut skipped = Vec::new();
        for entry in entries {
            self.front = self.front.max(entry.at);
            self.unacknowledged.push(entry.at);
            match entry.row(&self.apps) {
                Ok(row) => self.recent.push(entry.at, Arc::new(row), entry.bytes()),
                Err(why) => {
                    self.say_skipped(entry.at, &why);
                    skipped.push(entry.at);
                }
            }
        }
        self.highest = self.highest.max(self.front);
        self.lease.set_front(self.front);
        if skipped.is_empty() {
            return Ok(());
        }
        self.counters.skipped.add(skipped.len() as u64);
        // Nobody here will ever do anything with them.
        self.with_connection(|this, connection| this.acknowledge(connection, &skipped))
    }

    fn say_skipped(&mut self, at: Position, why: &dyn std::fmt::Display) {
        if !std::mem::replace(&mut self.said_skipped, true) {
            let key = &self.settings.key;
            say(format_args!("entry {at} of the stream {key} is skipped, and others like it will be: {why}"));
        }
    }

    /// Appends rows behind `after` that were taken already.
    fn give(
        &mut self,
        after: Position,
        rows_max: usize,
        rows: &mut Vec<(Position, Arc<Row>)>,
    ) -> Result<(), RedisFault> {
        let full = rows.len() + rows_max;
        let mut after = after.max(self.base);
        while after < self.recent.complete_after() && rows.len() < full {
            let left = full - rows.len();
            let entries =
                self.with_connection(|this, connection| this.read_again(connection, after, left))?;
            let Some(last) = entries.last() else { break };
            after = last.at;
            rows.extend(
                entries.iter().filter_map(|entry| Some((entry.at, Arc::new(entry.row(&self.apps).ok()?)))),
            );
        }
        self.recent.read(after, full.saturating_sub(rows.len()), rows);
        Ok(())
    }

    /// Entries that were taken and are no longer in memory, for an endpoint that is behind.
    fn read_again(
        &self,
        connection: &mut RedisConnection,
        after: Position,
        entries_max: usize,
    ) -> Result<Vec<Entry>, RedisFault> {
        let mut question = cmd("XRANGE");
        question
            .arg(&self.settings.key)
            .arg(format!("({after}"))
            .arg(self.recent.complete_after().to_string());
        question.arg("COUNT").arg(entries_max);
        let entries = parse_entries(connection.ask(&question)?);
        check_order(after, &entries)?;
        match entries.last() {
            Some(last) if last.at > self.recent.complete_after() => {
                Err(nonsense(format!("{} was not asked for", last.at)))
            }
            _ => Ok(entries),
        }
    }

    fn acknowledge(&self, connection: &mut RedisConnection, entries: &[Position]) -> Result<(), RedisFault> {
        for part in entries.chunks(ACKNOWLEDGED_AT_ONCE) {
            let mut acknowledge = cmd("XACK");
            acknowledge.arg(&self.settings.key).arg(&self.settings.group);
            part.iter().for_each(|at| {
                acknowledge.arg(at.to_string());
            });
            connection.put(&acknowledge);
        }
        for answer in connection.flush()? {
            let count: u64 = into(answer)?;
            self.counters.acknowledged.add(count);
        }
        Ok(())
    }

    fn release_up_to(
        &mut self,
        connection: &mut RedisConnection,
        all: Position,
        places: &[(&str, Position)],
    ) -> Result<(), RedisFault> {
        let mut done = std::mem::take(&mut self.releasing);
        self.unacknowledged.take(all, &mut done);
        if let Err(fault) = self.acknowledge(connection, &done) {
            self.releasing = done;
            return Err(fault);
        }
        self.keep_places(connection, places)?;
        self.recent.forget(all);
        if Instant::now() >= self.next_trim {
            self.next_trim = Instant::now() + TRIM_EVERY;
            self.trim(connection, all)?;
        }
        Ok(())
    }

    fn keep_places(
        &mut self,
        connection: &mut RedisConnection,
        places: &[(&str, Position)],
    ) -> Result<(), RedisFault> {
        let mut keep = cmd("HSET");
        keep.arg(places_key(&self.settings.key, &self.settings.group));
        let mut changed = false;
        for (name, place) in places {
            if self.places.insert((*name).to_owned(), *place) != Some(*place) {
                keep.arg(*name).arg(place.to_string());
                changed = true;
            }
        }
        if !changed {
            return Ok(());
        }
        let kept = connection.ask::<Value>(&keep).map(drop);
        if kept.is_err() {
            self.places.clear();
        }
        kept
    }

    /// Cuts off what our group has done with, if nobody else reads the stream. The last one stays: the mover finds by it
    /// how far it was.
    fn trim(&self, connection: &mut RedisConnection, all: Position) -> Result<(), RedisFault> {
        let standing =
            read_standing(connection, &self.settings.key, &self.settings.group)?.unwrap_or_default();
        let Some(group) = standing.group.filter(|_| standing.groups == 1) else { return Ok(()) };
        let mark = group.mark.min(all);
        let mut trim = cmd("XTRIM");
        trim.arg(&self.settings.key).arg("MINID").arg(mark.to_string());
        connection.ask::<Value>(&trim).map(drop)
    }

    fn script(&self, text: &str) -> Cmd {
        let mut script = cmd("EVAL");
        script.arg(text).arg(2).arg(&self.settings.key).arg(Lease::key(&self.settings.key));
        script.arg(&self.consumer).arg(&self.settings.group);
        script
    }
}

impl Source for StreamSource {
    fn place_of(&mut self, endpoint: &str) -> Result<Position, SourceError> {
        let place = self.with_connection(|this, connection| {
            let mut question = cmd("HGET");
            question.arg(places_key(&this.settings.key, &this.settings.group)).arg(endpoint);
            let place: Option<String> = connection.ask(&question)?;
            let standing = this.standing(connection)?;
            let (last, mark) = (standing.last, standing.group.unwrap_or_default().mark);
            match place.as_deref().and_then(Position::parse) {
                Some(place) if place > last => {
                    say(format_args!(
                        "the place {place} of the endpoint {endpoint:?} is behind the end of the stream, {last}: it goes on \
                         at {mark}, with what is not acknowledged"
                    ));
                    Ok(mark)
                }
                Some(place) => Ok(place),
                None => Ok(mark),
            }
        });
        Ok(place?)
    }

    fn read(
        &mut self,
        after: Position,
        rows_max: usize,
        rows: &mut Vec<(Position, Arc<Row>)>,
    ) -> Result<(), SourceError> {
        if !self.is_active()? {
            return Ok(());
        }
        let (before, end) = (rows.len(), Instant::now() + TAKING_MAX);
        self.give(after, rows_max, rows)?;
        // Skipped entries are not the end: a reader that gets nothing counts as caught up.
        while rows.len() == before && Instant::now() < end && self.take()? {
            self.give(after, rows_max, rows)?;
        }
        Ok(())
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }

    fn release(&mut self, all: Position, places: &[(&str, Position)]) -> Result<(), SourceError> {
        Ok(self.with_connection(|this, connection| this.release_up_to(connection, all, places))?)
    }
}

/// The name of this consumer: machine, process, and a number that no other has.
fn consumer_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let mut number = [0; 8];
    // Without randomness process and time still tell consumers apart.
    if ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut number).is_err() {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        number = (now.as_nanos() as u64).to_le_bytes();
    }
    format!("{CONSUMER}{}-{}-{:016x}", host.trim(), std::process::id(), u64::from_le_bytes(number))
}

fn is_lease_lost(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error) if error.code() == "LEASE")
}

/// Entries behind `after` come one behind the other, or it is no Redis that speaks.
fn check_order(after: Position, entries: &[Entry]) -> Result<(), RedisFault> {
    let mut last = after;
    for entry in entries {
        if entry.at <= last {
            return Err(nonsense(format!("the entry {} comes behind {last}", entry.at)));
        }
        last = entry.at;
    }
    Ok(())
}

fn nonsense(text: String) -> RedisFault {
    RedisFault::new(RedisFaultKind::Else, format!("Redis gives an answer that cannot be: {text}"))
}
