//! What a Redis server says of itself: its version, what it keeps and what it may throw away, and its clock.
//!
//! `corecast doctor` asks. Some servers forbid some of the questions; what they do not tell is none. What must never happen
//! here: a change to the server.

use std::time::{SystemTime, UNIX_EPOCH};

use redis::{Value, cmd};

use super::connection::{RedisConnection, into};
use super::fault::RedisFault;
use crate::settings::RedisServer;

/// A Redis server at one moment.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct RedisVitals {
    /// Its version, such as 7.2.4.
    pub version: Option<String>,
    /// Whether it is a replica of another one.
    pub is_replica: bool,
    /// Whether it keeps an append-only file.
    pub appends: Option<bool>,
    /// Whether it takes snapshots by itself.
    pub saves: Option<bool>,
    /// Why what it keeps did not get to its disk lately, in its words.
    pub write_fault: Option<String>,
    /// What it may throw away at `memory_bytes_max`.
    pub eviction: Option<String>,
    /// The bytes that its data take.
    pub memory_bytes: u64,
    /// Its `maxmemory`; 0: none.
    pub memory_bytes_max: u64,
    /// How far its clock is ahead of ours, in milliseconds.
    pub clock_ahead_ms: Option<i64>,
}

impl RedisVitals {
    /// Asks this server. Blocks while it does, with limits of time.
    pub fn take(server: &RedisServer) -> Result<Self, RedisFault> {
        let mut connection = RedisConnection::open(server)?;
        let _: Value = connection.ask(&cmd("PING"))?;
        let info: String = told(&mut connection, &cmd("INFO"))?.unwrap_or_default();
        let save: Vec<String> =
            told(&mut connection, cmd("CONFIG").arg("GET").arg("save"))?.unwrap_or_default();
        let asked_ms = unix_ms();
        let time: Vec<String> = told(&mut connection, &cmd("TIME"))?.unwrap_or_default();
        let here_ms = asked_ms.midpoint(unix_ms());
        Ok(Self {
            saves: save.get(1).map(|rules| !rules.is_empty()),
            clock_ahead_ms: parse_time(&time).map(|there_ms| there_ms - here_ms),
            ..Self::parse(&info)
        })
    }

    /// Reads the lines of INFO.
    fn parse(info: &str) -> Self {
        let text = |name: &str| {
            let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.map(str::trim)
        };
        let number = |name| text(name).and_then(|text| text.parse().ok()).unwrap_or(0);
        let states = ["rdb_last_bgsave_status", "aof_last_write_status", "aof_last_bgrewrite_status"];
        let fault =
            states.into_iter().find_map(|name| Some((name, text(name)?)).filter(|(_, it)| *it != "ok"));
        Self {
            version: text("redis_version").map(str::to_owned),
            is_replica: text("role") == Some("slave"),
            appends: text("aof_enabled").map(|on| on == "1"),
            saves: None,
            write_fault: fault.map(|(name, state)| format!("{name} is {state}")),
            eviction: text("maxmemory_policy").map(str::to_owned),
            memory_bytes: number("used_memory"),
            memory_bytes_max: number("maxmemory"),
            clock_ahead_ms: None,
        }
    }
}

/// The answer, unless the server does not give it; a connection that is lost is a fault.
fn told<T: redis::FromRedisValue>(
    connection: &mut RedisConnection,
    question: &redis::Cmd,
) -> Result<Option<T>, RedisFault> {
    connection.put(question);
    let answer = connection.flush()?.pop().unwrap_or(Value::Nil);
    Ok(into(answer).ok())
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
        let info = "# Server\r\nredis_version:7.0.15\r\nrole:master\r\naof_enabled:1\r\nused_memory:100\r\n\
            used_memory_rss:900\r\nmaxmemory:200\r\nmaxmemory_policy:allkeys-lru\r\nrdb_last_bgsave_status:ok\r\n\
            aof_last_write_status:err\r\n";
        let read = RedisVitals::parse(info);
        let wanted = RedisVitals {
            version: Some("7.0.15".to_owned()),
            appends: Some(true),
            write_fault: Some("aof_last_write_status is err".to_owned()),
            eviction: Some("allkeys-lru".to_owned()),
            memory_bytes: 100,
            memory_bytes_max: 200,
            ..RedisVitals::default()
        };
        assert_eq!(read, wanted);
        assert_eq!(RedisVitals::parse(""), RedisVitals::default());
        assert!(RedisVitals::parse("role:slave\r\n").is_replica);
    }

    #[test]
    fn a_time_is_seconds_and_microseconds() {
        let time =
            |parts: &[&str]| parse_time(&parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>());
        assert_eq!(time(&["1700000000", "123456"]), Some(1_700_000_000_123));
        for parts in [&["1"][..], &[], &["1", "x"], &["9223372036854775807", "1"]] {
            assert_eq!(time(parts), None);
        }
    }
}
