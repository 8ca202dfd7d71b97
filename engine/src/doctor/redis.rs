//! The Redis servers that are configured: whether they answer, and whether what is put there stays.

use ::hooks::redis::fault::RedisFault;
use ::hooks::redis::vitals;
use ::hooks::settings::StreamSettings;
use ::vitals::Vitals;

use super::clock::Other;
use super::finding::Finding;

/// The oldest version that has all commands which the stream needs.
const OLDEST: (u32, u32) = (6, 2);

/// A Redis server that carries hook events, and what came of asking it.
#[derive(Debug)]
pub(super) struct Redis {
    /// Its URL, without a password.
    name: String,
    /// Whether a consumer group acknowledges the events, so that the journal keeps them until then.
    is_acknowledged: bool,
    asked: Result<Vitals, RedisFault>,
}

impl Redis {
    /// Asks it, with limits of time.
    pub(super) fn ask(stream: &StreamSettings) -> Self {
        Self {
            name: stream.redis.shown(),
            is_acknowledged: stream.deliver,
            asked: vitals::take(&stream.redis),
        }
    }

    /// Its clock, if it has told the time.
    pub(super) fn clock(&self) -> Option<Other> {
        let ahead_ms = self.asked.as_ref().ok()?.clock_ahead_ms?;
        Some(Other { name: self.name.clone(), ahead_ms })
    }

    /// What there is to say of it.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let vitals = match &self.asked {
            Ok(vitals) => vitals,
            Err(fault) => {
                let what = format!("{}: {}", self.name, fault.cause());
                return vec![Finding::fail("redis", what, fault.advice())];
            }
        };
        let reached = match vitals.is_replica {
            true => Finding::fail(
                "redis",
                format!("{} is a replica, which takes no events", self.name),
                "let redis_url name the primary",
            ),
            false => Finding::ok("redis", format!("{} answers", self.name)),
        };
        let rest = [
            judge_version(vitals),
            self.judge_persistence(vitals),
            judge_eviction(vitals),
            judge_memory(vitals),
        ];
        [reached].into_iter().chain(rest).collect()
    }

    fn judge_persistence(&self, vitals: &Vitals) -> Finding {
        const NAME: &str = "redis_persistence";
        const APPEND: &str = "`CONFIG SET appendonly yes` and `appendonly yes` in redis.conf";
        if let Some(fault) = &vitals.write_fault {
            return Finding::fail(
                NAME,
                format!("{fault}: what Redis keeps does not get to its disk"),
                "look at the disk and the log of Redis; it refuses writes meanwhile (stop-writes-on-bgsave-error)",
            );
        }
        match (vitals.appends, vitals.saves) {
            (Some(true), _) => Finding::ok(NAME, "an append-only file"),
            (_, Some(true)) if self.is_acknowledged => {
                Finding::ok(NAME, "snapshots; what a crash loses is added again from the journal")
            }
            (_, Some(true)) => {
                Finding::warn(NAME, "snapshots alone: a crash loses the events since the last one", APPEND)
            }
            (Some(false), Some(false)) => {
                Finding::warn(NAME, "nothing is kept: a restart loses the stream", APPEND)
            }
            _ => Finding::ok(NAME, "it does not tell"),
        }
    }
}

fn judge_version(vitals: &Vitals) -> Finding {
    const NAME: &str = "redis_version";
    let Some(version) = vitals.shown_version() else { return Finding::ok(NAME, "it does not tell") };
    match vitals.version_numbers() {
        Some(numbers) if numbers < OLDEST => {
            Finding::fail(NAME, format!("{version} is too old"), "Redis 6.2 or newer, or Valkey")
        }
        _ => Finding::ok(NAME, version),
    }
}

fn judge_eviction(vitals: &Vitals) -> Finding {
    const NAME: &str = "redis_eviction_policy";
    const NEVER: &str =
        "`CONFIG SET maxmemory-policy noeviction` and `maxmemory-policy noeviction` in redis.conf";
    let Some(policy) = vitals.eviction.as_deref() else { return Finding::ok(NAME, "it does not tell") };
    let when = match vitals.memory_bytes_max {
        0 => "once a maxmemory is set".to_owned(),
        most => format!("at {} MiB", most >> 20),
    };
    match policy {
        "noeviction" => Finding::ok(NAME, "noeviction"),
        all if all.starts_with("allkeys-") => Finding::fail(
            NAME,
            format!("{all}: Redis may throw away events that nobody has had, {when}"),
            NEVER,
        ),
        other => Finding::warn(
            NAME,
            format!("{other}: Redis may throw away the lease of the active consumer, {when}"),
            NEVER,
        ),
    }
}

fn judge_memory(vitals: &Vitals) -> Finding {
    const NAME: &str = "redis_memory";
    const MORE: &str = "raise maxmemory, or see why events are not consumed (`corecast hooks status`)";
    let (used, most) = (vitals.memory_bytes, vitals.memory_bytes_max);
    if most == 0 {
        return Finding::ok(NAME, format!("{} MiB, without a maxmemory", used >> 20));
    }
    let what = format!("{} MiB of {} MiB", used >> 20, most >> 20);
    if used >= most {
        Finding::fail(NAME, format!("{what}: it takes no more events"), MORE)
    } else if used >= most / 10 * 9 {
        Finding::warn(NAME, format!("{what}: it is nearly full"), MORE)
    } else {
        Finding::ok(NAME, what)
    }
}

#[cfg(test)]
mod tests {
    use ::hooks::redis::fault::RedisFaultKind;

    use super::*;
    use crate::doctor::finding::State;

    fn vitals() -> Vitals {
        Vitals {
            version: Some("7.0.15".to_owned()),
            appends: Some(true),
            saves: Some(true),
            eviction: Some("noeviction".to_owned()),
            clock_ahead_ms: Some(3),
            ..Vitals::default()
        }
    }

    fn redis(asked: Result<Vitals, RedisFault>) -> Redis {
        Redis { name: "redis://h".to_owned(), is_acknowledged: true, asked }
    }

    fn state_of(name: &str, vitals: Vitals) -> State {
        let findings = redis(Ok(vitals)).findings();
        findings.iter().find(|it| it.name == name).unwrap().state
    }

    #[test]
    fn a_server_that_keeps_what_it_is_given_is_well() {
        let redis = redis(Ok(vitals()));
        assert!(redis.findings().iter().all(|it| it.state == State::Ok), "{:?}", redis.findings());
        assert_eq!(redis.clock(), Some(Other { name: "redis://h".to_owned(), ahead_ms: 3 }));
    }

    #[test]
    fn one_that_does_not_answer_has_one_finding_with_what_to_do() {
        let fault = RedisFault::new(RedisFaultKind::Unreachable, "no connection to Redis: refused");
        let redis = redis(Err(fault));
        let [finding] = &redis.findings()[..] else { panic!("{redis:?}") };
        assert_eq!(finding.state, State::Fail);
        assert_eq!(finding.what, "redis://h: no connection to Redis: refused");
        assert!(finding.cure.as_ref().is_some_and(|cure| cure.contains("redis_url")));
        assert_eq!(redis.clock(), None);
    }

    #[test]
    fn policies_that_may_throw_events_away_fail() {
        for (policy, state) in [
            (Some("noeviction"), State::Ok),
            (Some("allkeys-lru"), State::Fail),
            (Some("allkeys-random"), State::Fail),
            (Some("volatile-ttl"), State::Warn),
            (None, State::Ok),
        ] {
            let vitals = Vitals { eviction: policy.map(str::to_owned), ..vitals() };
            assert_eq!(state_of("redis_eviction_policy", vitals), state, "{policy:?}");
        }
    }

    #[test]
    fn what_is_not_kept_is_told() {
        for (appends, saves, acknowledged, state) in [
            (Some(true), Some(false), true, State::Ok),
            (Some(false), Some(true), true, State::Ok),
            (Some(false), Some(true), false, State::Warn),
            (Some(false), Some(false), true, State::Warn),
            (None, None, true, State::Ok),
        ] {
            let vitals = Vitals { appends, saves, ..vitals() };
            let redis = Redis { is_acknowledged: acknowledged, ..redis(Ok(vitals.clone())) };
            assert_eq!(redis.judge_persistence(&vitals).state, state, "{vitals:?}");
        }
        let fault = Vitals { write_fault: Some("rdb_last_bgsave_status is err".to_owned()), ..vitals() };
        assert_eq!(state_of("redis_persistence", fault), State::Fail);
    }

    #[test]
    fn versions_roles_and_memory_are_judged() {
        for (version, state) in
            [("6.0.16", State::Fail), ("6.2.0", State::Ok), ("7.4", State::Ok), ("?", State::Ok)]
        {
            let vitals = Vitals { version: Some(version.to_owned()), ..vitals() };
            assert_eq!(state_of("redis_version", vitals), state, "{version}");
        }
        assert_eq!(state_of("redis", Vitals { is_replica: true, ..vitals() }), State::Fail);
        for (used, most, state) in
            [(9, 0, State::Ok), (50, 100, State::Ok), (95, 100, State::Warn), (100, 100, State::Fail)]
        {
            let vitals = Vitals { memory_bytes: used, memory_bytes_max: most, ..vitals() };
            assert_eq!(state_of("redis_memory", vitals), state, "{used} of {most}");
        }
    }
}
