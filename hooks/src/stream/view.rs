//! A stream as the command line sees it from outside: where it stands, its consumers, and its entries.

use std::collections::BTreeMap;

use redis::{Value, cmd};

use super::entry::{Entry, parse_entries};
use super::lease::Lease;
use super::mark::{Standing, places_key, read_standing};
use crate::redis::connection::RedisConnection;
use crate::redis::fault::RedisFault;
use crate::row::Position;
use crate::settings::StreamSettings;

/// A stream that is looked at.
pub struct StreamView {
    connection: RedisConnection,
    key: String,
    group: String,
}

/// How a stream is.
#[derive(Clone, Debug)]
pub struct StreamStatus {
    /// Where it and its group stand; none when there is no such stream.
    pub standing: Option<Standing>,
    /// What the group's endpoints have done with.
    pub places: BTreeMap<String, Position>,
    /// The active consumer.
    pub active: Option<String>,
}

/// An entry with its fields, where they are text.
#[derive(Clone, Debug)]
pub struct StreamEvent {
    /// Its place in the stream.
    pub at: Position,
    /// The id of the event; none in an entry that is not ours.
    pub id: Option<u64>,
    /// The app it happened in.
    pub app_id: String,
    /// The kind of event.
    pub name: String,
    /// When it happened, in seconds of Unix time.
    pub time: String,
    /// A JSON object.
    pub data: String,
}

impl StreamView {
    /// Looks at the stream of these settings.
    pub fn open(settings: &StreamSettings) -> Result<Self, RedisFault> {
        let connection = RedisConnection::open(&settings.redis)?;
        Ok(Self { connection, key: settings.key.clone(), group: settings.group.clone() })
    }

    /// How it is now.
    pub fn status(&mut self) -> Result<StreamStatus, RedisFault> {
        let standing = read_standing(&mut self.connection, &self.key, &self.group)?;
        let places: BTreeMap<String, String> = self.connection.ask(cmd("HGETALL").arg(self.places_key()))?;
        let active = self.connection.ask(cmd("GET").arg(Lease::key(&self.key)))?;
        let places = places.into_iter().filter_map(|(name, place)| Some((name, Position::parse(&place)?)));
        Ok(StreamStatus { standing, places: places.collect(), active })
    }

    /// Entries behind this place, oldest first, at most so many.
    pub fn entries_after(
        &mut self,
        after: Position,
        entries_max: usize,
    ) -> Result<Vec<StreamEvent>, RedisFault> {
        let mut question = cmd("XRANGE");
        question.arg(&self.key).arg(format!("({after}")).arg("+").arg("COUNT").arg(entries_max);
        let entries = parse_entries(self.connection.ask::<Value>(&question)?);
        Ok(entries.iter().map(StreamEvent::of).collect())
    }

    /// How many entries lie behind this place, counted up to `entries_max`.
    pub fn count_after(&mut self, place: Position, entries_max: usize) -> Result<u64, RedisFault> {
        let count = "return #redis.call('XRANGE', KEYS[1], ARGV[1], '+', 'COUNT', ARGV[2])";
        let mut question = cmd("EVAL");
        question.arg(count).arg(1).arg(&self.key).arg(format!("({place}")).arg(entries_max);
        self.connection.ask(&question)
    }

    /// Deletes the stream with all its groups, and the places of our group's endpoints. False when there was none.
    pub fn delete(&mut self) -> Result<bool, RedisFault> {
        let deleted: u64 = self.connection.ask(cmd("DEL").arg(&self.key))?;
        let _: u64 = self.connection.ask(cmd("DEL").arg(self.places_key()))?;
        Ok(deleted > 0)
    }

    fn places_key(&self) -> String {
        places_key(&self.key, &self.group)
    }
}

impl StreamEvent {
    fn of(entry: &Entry) -> Self {
        let text = |name| entry.text(name).unwrap_or_default().to_owned();
        Self {
            at: entry.at,
            id: entry.id(),
            app_id: text("app_id"),
            name: text("name"),
            time: text("time"),
            data: text("data"),
        }
    }
}
