//! What a server says of itself, for an operator who asks before a node joins or beside one.
//!
//! Some servers forbid some of the questions; what they do not tell is none. What must never happen here: a change to the
//! server.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use redis::{Cmd, Connection, FromRedisValue, Value, cmd, from_redis_value};

use crate::caller::{connect, receive};
use crate::fault::Fault;
use crate::fitness::field;
use crate::keys::Keys;
use crate::server::Server;

/// The shortest of so many round trips counts: the others have waited for something else.
const ROUND_TRIPS: usize = 5;

/// A server at one moment.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Vitals {
    /// Its version, such as 7.2.4.
    pub version: Option<String>,
    /// Whether it is a replica of another one.
    pub is_replica: bool,
    /// Whether it keeps an append-only file or takes snapshots.
    pub keeps: Option<bool>,
    /// What it may throw away when it is full.
    pub eviction: Option<String>,
    /// The bytes that its data take.
    pub memory_bytes: u64,
    /// Its `maxmemory`; 0: none.
    pub memory_bytes_max: u64,
    /// How far its clock is ahead of ours, in milliseconds.
    pub clock_ahead_ms: Option<i64>,
    /// How long an answer takes, in microseconds.
    pub round_trip_us: u64,
    /// Which server of how many its nodes take it for, as they say it. None: no node has joined by it.
    pub map: Option<String>,
}

impl Vitals {
    /// Asks this server. No answer may take longer than `patience`.
    pub fn take(server: &Server, keys: &Keys, patience: Duration) -> Result<Self, Fault> {
        let mut connection = connect(server, patience)?;
        let mut round_trips = Vec::with_capacity(ROUND_TRIPS);
        for _ in 0..ROUND_TRIPS {
            let began = Instant::now();
            // Not even a greeting may be refused.
            let _: Value = told(&mut connection, &cmd("PING"))?.unwrap_or(Value::Nil);
            round_trips.push(began.elapsed().as_micros());
        }
        let info: String = asked(&mut connection, &cmd("INFO"))?;
        let save: Vec<String> =
            told(&mut connection, cmd("CONFIG").arg("GET").arg("save"))?.unwrap_or_default();
        let asked_ms = unix_ms();
        let time: Vec<String> = told(&mut connection, &cmd("TIME"))?.unwrap_or_default();
        let here_ms = asked_ms.midpoint(unix_ms());
        let map: Option<String> = told(&mut connection, cmd("GET").arg(keys.map()))?.flatten();
        let read = Self::parse(&info, save.get(1).map(|rules| !rules.is_empty()));
        Ok(Self {
            clock_ahead_ms: parse_time(&time).map(|there_ms| there_ms - here_ms),
            round_trip_us: round_trips.into_iter().min().unwrap_or_default() as u64,
            map,
            ..read
        })
    }

    /// Reads the lines of INFO. `saves`: whether it takes snapshots.
    fn parse(info: &str, saves: Option<bool>) -> Self {
        let number = |name| field(info, name).and_then(|text| text.parse().ok()).unwrap_or(0);
        let appends = field(info, "aof_enabled").map(|on| on == "1");
        let keeps = match (appends, saves) {
            (None, None) => None,
            (appends, saves) => Some(appends.unwrap_or_default() || saves.unwrap_or_default()),
        };
        Self {
            version: field(info, "redis_version").map(str::to_owned),
            is_replica: field(info, "role") == Some("slave"),
            keeps,
            eviction: field(info, "maxmemory_policy").map(str::to_owned),
            memory_bytes: number("used_memory"),
            memory_bytes_max: number("maxmemory"),
            ..Self::default()
        }
    }
}

/// What the server answers; that it does not is a fault.
fn asked<T: FromRedisValue>(connection: &mut Connection, question: &Cmd) -> Result<T, Fault> {
    connection.send_packed_command(&question.get_packed_command())?;
    match receive(connection)? {
        Value::ServerError(error) => Err(Fault::answered(&error)),
        answer => from_redis_value(answer).map_err(|_| Fault::new("it answers what no Redis answers")),
    }
}

/// The same, unless the server does not give it; a connection that is lost is a fault.
fn told<T: FromRedisValue>(connection: &mut Connection, question: &Cmd) -> Result<Option<T>, Fault> {
    connection.send_packed_command(&question.get_packed_command())?;
    Ok(from_redis_value(receive(connection)?).ok())
}

/// Seconds and microseconds, in milliseconds.
fn parse_time(time: &[String]) -> Option<i64> {
    let [seconds, microseconds] = time else { return None };
    let (seconds, microseconds): (i64, i64) = (seconds.parse().ok()?, microseconds.parse().ok()?);
    seconds.checked_mul(1_000)?.checked_add(microseconds / 1_000)
}

fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_is_read_as_far_as_it_is_told() {
        let info = "# Server\r\nredis_version:7.0.15\r\nrole:slave\r\naof_enabled:0\r\nused_memory:100\r\n\
                    used_memory_rss:900\r\nmaxmemory:200\r\nmaxmemory_policy:allkeys-lru\r\n";
        let read = Vitals::parse(info, Some(true));
        let expected = Vitals {
            version: Some("7.0.15".to_owned()),
            is_replica: true,
            keeps: Some(true),
            eviction: Some("allkeys-lru".to_owned()),
            memory_bytes: 100,
            memory_bytes_max: 200,
            ..Vitals::default()
        };
        assert_eq!(read, expected);
        assert_eq!(Vitals::parse("aof_enabled:0\r\n", Some(false)).keeps, Some(false));
        assert_eq!(Vitals::parse("", None), Vitals::default());
    }
}
