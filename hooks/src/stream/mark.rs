//! Where a stream and its consumer group stand, and up to where the group has done with it: its low-water mark.
//!
//! What must never happen here: a mark behind an entry that is still pending. Therefore the group's last delivered entry
//! is asked for before its pending ones are.

use std::collections::HashMap;

use redis::{Value, cmd};

use crate::redis::connection::{RedisConnection, into};
use crate::redis::fault::{RedisFault, RedisFaultKind};
use crate::row::Position;

/// A stream at one moment.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Standing {
    /// How many entries it has.
    pub length: u64,
    /// Its last entry, one that was deleted included.
    pub last: Position,
    /// How many entries were ever added, if the server counts (Redis 7).
    pub added: Option<u64>,
    /// How many consumer groups it has.
    pub groups: usize,
    /// Our group, if there is one.
    pub group: Option<GroupStanding>,
}

/// A consumer group at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct GroupStanding {
    /// All entries up to this one are acknowledged.
    pub mark: Position,
    /// The last one that was given to a consumer.
    pub delivered: Position,
    /// How many were given out and are not acknowledged.
    pub pending: u64,
    /// How many were not given out yet, if the server knows (Redis 7).
    pub lag: Option<u64>,
    /// How many consumers it knows.
    pub consumers: u64,
}

/// Reads where the stream `key` and the group stand; `None` when there is no such stream.
pub(super) fn read_standing(
    connection: &mut RedisConnection,
    key: &str,
    group: &str,
) -> Result<Option<Standing>, RedisFault> {
    connection.put(cmd("XINFO").arg("STREAM").arg(key));
    connection.put(cmd("XINFO").arg("GROUPS").arg(key));
    connection.put(cmd("XPENDING").arg(key).arg(group));
    let answers: [Value; 3] = connection.flush()?.try_into().unwrap_or_default();
    let [stream, groups, pending] = answers;
    if is_no_such_key(&stream) {
        return Ok(None);
    }
    let stream: Figures = into(stream)?;
    let groups: Vec<Figures> = into(groups)?;
    let group = groups.iter().find(|figures| figures.text("name") == group);
    Ok(Some(Standing {
        length: stream.number("length").unwrap_or(0),
        last: stream.place("last-generated-id"),
        added: stream.number("entries-added"),
        groups: groups.len(),
        group: match group {
            Some(group) => read_group(group, pending)?,
            None => None,
        },
    }))
}

fn read_group(group: &Figures, pending: Value) -> Result<Option<GroupStanding>, RedisFault> {
    let pending: (u64, Option<String>) = match into::<(u64, Option<String>, Value, Value)>(pending) {
        Ok((count, first, ..)) => (count, first),
        Err(fault) if fault.kind() == RedisFaultKind::NoGroup => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let delivered = group.place("last-delivered-id");
    let first = pending.1.as_deref().and_then(Position::parse);
    Ok(Some(GroupStanding {
        mark: first.map_or(delivered, |first| first.before().min(delivered)),
        delivered,
        pending: pending.0,
        lag: group.number("lag"),
        consumers: group.number("consumers").unwrap_or(0),
    }))
}

/// The key under which the places of a group's endpoints are kept.
pub(super) fn places_key(stream: &str, group: &str) -> String {
    format!("{stream}:places:{group}")
}

/// Makes the group, from the stream's beginning, and the stream if need be. One that is there already is fine. Places of
/// one that was there before mean nothing in it.
pub(super) fn make_group(connection: &mut RedisConnection, key: &str, group: &str) -> Result<(), RedisFault> {
    let mut create = cmd("XGROUP");
    create.arg("CREATE").arg(key).arg(group).arg("0").arg("MKSTREAM");
    connection.put(&create);
    match connection.flush()?.pop() {
        Some(Value::ServerError(error)) if error.code() == "BUSYGROUP" => Ok(()),
        answer => {
            into::<Value>(answer.unwrap_or(Value::Nil))?;
            connection.ask::<Value>(cmd("DEL").arg(places_key(key, group))).map(drop)
        }
    }
}

fn is_no_such_key(answer: &Value) -> bool {
    matches!(answer, Value::ServerError(error)
        if error.code() == "ERR" && error.details().is_some_and(|details| details.contains("no such key")))
}

/// Names and values, as XINFO gives them.
struct Figures(HashMap<String, Value>);

impl redis::FromRedisValue for Figures {
    fn from_redis_value(value: Value) -> Result<Self, redis::ParsingError> {
        HashMap::from_redis_value(value).map(Self)
    }
}

impl Figures {
    fn number(&self, name: &str) -> Option<u64> {
        match self.0.get(name)? {
            Value::Int(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    fn text(&self, name: &str) -> &str {
        match self.0.get(name) {
            Some(Value::BulkString(text)) => std::str::from_utf8(text).unwrap_or_default(),
            Some(Value::SimpleString(text)) => text,
            _ => "",
        }
    }

    fn place(&self, name: &str) -> Position {
        Position::parse(self.text(name)).unwrap_or_default()
    }
}
