//! Takes entries for a consumer of the group, in transactions that Redis carries out only while nobody has touched the
//! lease.
//!
//! The next entries are asked for while those before them are worked on. What must never happen here: an entry taken while
//! another consumer is active.

use redis::{Value, cmd};

use super::entry::{Entry, parse_read};
use super::lease::Lease;
use crate::limits::TAKING_TRIES_MAX;
use crate::redis::connection::{RedisConnection, into};
use crate::redis::fault::RedisFault;
use crate::row::Position;
use crate::settings::StreamSettings;

/// A consumer's connection for taking entries.
pub(super) struct Taker {
    connection: RedisConnection,
    key: String,
    group: String,
    consumer: String,
    prefetch: usize,
    /// Redis watches the lease for us since it was last seen to be ours.
    watched: bool,
}

impl Taker {
    /// Connects.
    pub(super) fn open(settings: &StreamSettings, consumer: &str) -> Result<Self, RedisFault> {
        Ok(Self {
            connection: RedisConnection::open(&settings.redis)?,
            key: settings.key.clone(),
            group: settings.group.clone(),
            consumer: consumer.to_owned(),
            prefetch: settings.prefetch,
            watched: false,
        })
    }

    /// The next entries: new ones, or with `pending_after` those behind this place that are pending with the consumer. None
    /// at all when another consumer is active.
    pub(super) fn take(&mut self, pending_after: Option<Position>) -> Result<Option<Vec<Entry>>, RedisFault> {
        for _ in 0..TAKING_TRIES_MAX {
            if !self.watched {
                self.put_watch();
                let answers = self.connection.flush()?;
                self.watched = self.is_ours(answers)?;
            }
            if !self.watched {
                return Ok(None);
            }
            if !self.connection.is_awaiting() {
                self.send_taking(pending_after)?;
            }
            let answers = self.connection.receive()?;
            if let Some(entries) = self.taken(answers)? {
                if pending_after.is_none() && self.watched && entries.len() >= self.prefetch {
                    self.send_taking(None)?;
                }
                return Ok(Some(entries));
            }
        }
        Ok(Some(Vec::new()))
    }

    /// Asks for entries in a transaction that is carried out only if nobody has touched the lease, and has it watched again
    /// for the next one. Not by a script: that would have each entry copied into Lua and back, which costs Redis more than
    /// all else.
    fn send_taking(&mut self, pending_after: Option<Position>) -> Result<(), RedisFault> {
        let mut take = cmd("XREADGROUP");
        take.arg("GROUP").arg(&self.group).arg(&self.consumer);
        take.arg("COUNT").arg(self.prefetch.max(1)).arg("STREAMS").arg(&self.key);
        take.arg(pending_after.map_or_else(|| ">".to_owned(), |after| after.to_string()));
        self.connection.put(&cmd("MULTI"));
        self.connection.put(&take);
        self.connection.put(&cmd("EXEC"));
        self.put_watch();
        self.connection.send()
    }

    /// What `send_taking` has come to. None when the lease was touched, be it by ourselves.
    fn taken(&mut self, mut answers: Vec<Value>) -> Result<Option<Vec<Entry>>, RedisFault> {
        let watch = answers.split_off(answers.len().min(3));
        self.watched = self.is_ours(watch)?;
        let done = answers.pop().unwrap_or(Value::Nil);
        // What was refused on the way says more than that the whole was refused.
        for answer in answers {
            into::<Value>(answer)?;
        }
        match into(done)? {
            Value::Array(mut answers) => Ok(Some(parse_read(into(answers.pop().unwrap_or(Value::Nil))?))),
            _ => Ok(None),
        }
    }

    fn put_watch(&mut self) {
        let lease = Lease::key(&self.key);
        self.connection.put(cmd("WATCH").arg(&lease));
        self.connection.put(cmd("GET").arg(&lease));
    }

    /// What `put_watch` has come to: whether we have the lease that is watched.
    fn is_ours(&self, mut answers: Vec<Value>) -> Result<bool, RedisFault> {
        let holder: Option<String> = into(answers.pop().unwrap_or(Value::Nil))?;
        for answer in answers {
            into::<Value>(answer)?;
        }
        Ok(holder.is_some_and(|holder| holder == self.consumer))
    }
}
