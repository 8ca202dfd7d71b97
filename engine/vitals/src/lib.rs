//! What a Redis server, or a Valkey, says of itself: its version, what it keeps and what it may throw away, and its clock.
//!
//! `corecast doctor` asks, by the connections of hooks and of the bus. Some servers forbid some of the questions; what they
//! do not tell is none. What must never happen here: a change to the server.
#![forbid(unsafe_code)]

use std::time::{SystemTime, UNIX_EPOCH};

use redis::{Cmd, FromRedisValue, Value, cmd, from_redis_value};

/// A server at one moment.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Vitals {
    /// Its version, such as 7.2.4; of a Valkey, the Redis that it is like.
    pub version: Option<String>,
    /// The version of a Valkey.
    pub valkey_version: Option<String>,
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

impl Vitals {
    /// Asks by `answered`, whose error is that of a connection. A server that refuses a question answers with an error.
    pub fn take<E>(mut answered: impl FnMut(&Cmd) -> Result<Value, E>) -> Result<Self, E> {
        let info: String = told(answered(&cmd("INFO"))?).unwrap_or_default();
        let save: Vec<String> = told(answered(cmd("CONFIG").arg("GET").arg("save"))?).unwrap_or_default();
        let asked_ms = unix_ms();
        let time: Vec<String> = told(answered(&cmd("TIME"))?).unwrap_or_default();
        let here_ms = asked_ms.midpoint(unix_ms());
        Ok(Self {
            saves: save.get(1).map(|rules| !rules.is_empty()),
            clock_ahead_ms: parse_time(&time).map(|there_ms| there_ms - here_ms),
            ..Self::parse(&info)
        })
    }

    /// Reads the lines of INFO.
    fn parse(info: &str) -> Self {
        let text = |name| field(info, name).map(str::to_owned);
        let number = |name| field(info, name).and_then(|text| text.parse().ok()).unwrap_or(0);
        let states = ["rdb_last_bgsave_status", "aof_last_write_status", "aof_last_bgrewrite_status"];
        let fault = states
            .into_iter()
            .find_map(|name| Some((name, field(info, name)?)).filter(|(_, state)| *state != "ok"));
        Self {
            version: text("redis_version"),
            valkey_version: text("valkey_version"),
            is_replica: field(info, "role") == Some("slave"),
            appends: field(info, "aof_enabled").map(|on| on == "1"),
            saves: None,
            write_fault: fault.map(|(name, state)| format!("{name} is {state}")),
            eviction: text("maxmemory_policy"),
            memory_bytes: number("used_memory"),
            memory_bytes_max: number("maxmemory"),
            clock_ahead_ms: None,
        }
    }

    /// What it is, such as «7.2.4» or «Valkey 9.1.2», unless it does not tell.
    pub fn shown_version(&self) -> Option<String> {
        match &self.valkey_version {
            Some(version) => Some(format!("Valkey {version}")),
            None => self.version.clone(),
        }
    }

    /// Major and minor number of its version.
    pub fn version_numbers(&self) -> Option<(u32, u32)> {
        let mut numbers = self.version.as_ref()?.split('.').map(str::parse::<u32>);
        numbers.next()?.ok().zip(numbers.next()?.ok())
    }
}

/// A line of INFO.
pub fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim())
}

/// An answer, unless it is an error or of another kind.
fn told<T: FromRedisValue>(answer: Value) -> Option<T> {
    from_redis_value(answer).ok()
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
    use redis::parse_redis_value;

    use super::*;

    #[test]
    fn info_is_read_as_far_as_it_is_told() {
        let info = "# Server\r\nredis_version:7.0.15\r\nrole:master\r\naof_enabled:1\r\nused_memory:100\r\n\
            used_memory_rss:900\r\nmaxmemory:200\r\nmaxmemory_policy:allkeys-lru\r\nrdb_last_bgsave_status:ok\r\n\
            aof_last_write_status:err\r\n";
        let read = Vitals::parse(info);
        let wanted = Vitals {
            version: Some("7.0.15".to_owned()),
            appends: Some(true),
            write_fault: Some("aof_last_write_status is err".to_owned()),
            eviction: Some("allkeys-lru".to_owned()),
            memory_bytes: 100,
            memory_bytes_max: 200,
            ..Vitals::default()
        };
        assert_eq!(read, wanted);
        assert_eq!(Vitals::parse(""), Vitals::default());
        assert!(Vitals::parse("role:slave\r\n").is_replica);
    }

    #[test]
    fn a_valkey_is_shown_by_its_own_version_and_judged_by_that_of_redis() {
        let valkey = Vitals::parse("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\n");
        assert_eq!(valkey.shown_version().as_deref(), Some("Valkey 9.1.2"));
        assert_eq!(valkey.version_numbers(), Some((7, 2)));
        let redis = |version: &str| Vitals { version: Some(version.to_owned()), ..Vitals::default() };
        assert_eq!(redis("7.0.15").shown_version().as_deref(), Some("7.0.15"));
        assert_eq!((redis("7").version_numbers(), redis("?.1").version_numbers()), (None, None));
        assert_eq!(Vitals::default().shown_version(), None);
    }

    #[test]
    fn a_server_that_refuses_a_question_is_asked_the_others() {
        let answered = |question: &Cmd| {
            let is_info = question.get_packed_command().windows(4).any(|four| four == b"INFO");
            Ok::<_, ()>(match is_info {
                true => Value::BulkString(b"redis_version:7.0.15\r\n".to_vec()),
                false => parse_redis_value(b"-NOPERM no permission\r\n").unwrap(),
            })
        };
        let told = Vitals::take(answered).unwrap();
        assert_eq!((told.version.as_deref(), told.saves, told.clock_ahead_ms), (Some("7.0.15"), None, None));
        assert_eq!(Vitals::take(|_| Err("lost")), Err("lost"));
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
