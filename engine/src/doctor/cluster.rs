//! The Redis servers that join nodes: whether each can be one of a cluster, how far away it is, and whether the nodes that it
//! joins have the same list.

use std::time::Duration;

use bus::fault::Fault;
use bus::keys::Keys;
use bus::vitals::ServerVitals;
use vitals::Vitals;

use super::clock::Other;
use super::finding::Finding;
use crate::cluster::map_entry;
use crate::settings::Cluster;

/// How long one of its answers may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The oldest major version whose scripts have flags.
const OLDEST_MAJOR: u32 = 7;

/// An event takes two trips to other nodes: with more than this each it is late for everybody, in microseconds.
const FAR_US: u64 = 20_000;

const POLICY: &str =
    "`CONFIG SET maxmemory-policy noeviction` and `maxmemory-policy noeviction` in redis.conf";

/// A server of the cluster, and what came of asking it.
#[derive(Debug)]
pub(super) struct Joining {
    name: String,
    /// What nodes with these settings take it for.
    expected: String,
    asked: Result<ServerVitals, Fault>,
}

impl Joining {
    /// Asks all of them, with limits of time.
    pub(super) fn ask_all(cluster: &Cluster) -> Vec<Self> {
        let keys = Keys::new(&cluster.prefix, 0, 0, 0);
        let ask = |(place, server): (usize, &bus::server::Server)| Self {
            name: server.name().to_owned(),
            expected: map_entry(place, cluster.servers.len()),
            asked: ServerVitals::take(server, &keys, PATIENCE),
        };
        cluster.servers.iter().enumerate().map(ask).collect()
    }

    /// Its clock, if it has told the time.
    pub(super) fn clock(&self) -> Option<Other> {
        let ahead_ms = self.asked.as_ref().ok()?.itself.clock_ahead_ms?;
        Some(Other { name: self.name.clone(), ahead_ms })
    }

    /// What there is to say of it.
    pub(super) fn findings(&self) -> Vec<Finding> {
        const NAME: &str = "cluster";
        let server = match &self.asked {
            Ok(server) => server,
            Err(fault) => {
                let what = format!("{}: {fault}", self.name);
                let cure = "see that [cluster] redis names it with its credentials, that it runs, and that this machine \
                            reaches it; a node serves alone meanwhile";
                return vec![Finding::fail(NAME, what, cure)];
            }
        };
        let vitals = &server.itself;
        let reached = match vitals.is_replica {
            true => Finding::fail(
                NAME,
                format!("{} is a replica, which takes nothing", self.name),
                "let [cluster] redis name the primary",
            ),
            false => Finding::ok(NAME, format!("{} answers", self.name)),
        };
        vec![
            reached,
            self.judge_version(vitals),
            self.judge_eviction(vitals),
            self.judge_persistence(vitals),
            self.judge_memory(vitals),
            self.judge_distance(server),
            self.judge_map(server),
        ]
    }

    fn judge_version(&self, vitals: &Vitals) -> Finding {
        const NAME: &str = "cluster_version";
        let Some(version) = vitals.shown_version() else { return self.untold(NAME) };
        match vitals.version_numbers() {
            Some((major, _)) if major < OLDEST_MAJOR => Finding::fail(
                NAME,
                format!("{}: {version} is too old", self.name),
                "Redis 7.0 or newer, or Valkey",
            ),
            _ => Finding::ok(NAME, format!("{}: {version}", self.name)),
        }
    }

    fn judge_eviction(&self, vitals: &Vitals) -> Finding {
        const NAME: &str = "cluster_eviction_policy";
        match vitals.eviction.as_deref() {
            None => self.untold(NAME),
            Some("noeviction") => Finding::ok(NAME, format!("{}: noeviction", self.name)),
            Some(other) => Finding::fail(
                NAME,
                format!("{}: {other}, with which it would forget members; nodes refuse it", self.name),
                POLICY,
            ),
        }
    }

    fn judge_persistence(&self, vitals: &Vitals) -> Finding {
        const NAME: &str = "cluster_persistence";
        match (vitals.appends, vitals.saves) {
            (None, None) => self.untold(NAME),
            (None | Some(false), None | Some(false)) => {
                Finding::ok(NAME, format!("{}: nothing is kept, as it should be", self.name))
            }
            _ => Finding::warn(
                NAME,
                format!("{}: it writes each event to its disk, once for each node that takes it", self.name),
                "`appendonly no` and `save \"\"` in redis.conf: nodes tell it everything anew when it comes back empty",
            ),
        }
    }

    fn judge_memory(&self, vitals: &Vitals) -> Finding {
        const NAME: &str = "cluster_memory";
        const MORE: &str = "raise maxmemory, or take it away";
        let (used, most) = (vitals.memory_bytes, vitals.memory_bytes_max);
        if most == 0 {
            return Finding::ok(NAME, format!("{}: {} MiB, without a maxmemory", self.name, used >> 20));
        }
        let what = format!("{}: {} MiB of {} MiB", self.name, used >> 20, most >> 20);
        if used >= most {
            Finding::fail(NAME, format!("{what}: it takes nothing more, and nodes serve alone"), MORE)
        } else if used >= most / 10 * 9 {
            Finding::warn(NAME, format!("{what}: it is nearly full"), MORE)
        } else {
            Finding::ok(NAME, what)
        }
    }

    fn judge_distance(&self, server: &ServerVitals) -> Finding {
        const NAME: &str = "cluster_round_trip";
        let us = server.round_trip_us;
        let what = format!("{}: {}.{:02} ms", self.name, us / 1_000, us % 1_000 / 10);
        if us < FAR_US {
            return Finding::ok(NAME, what);
        }
        let cure = "put Redis and nodes into one data centre: each event waits for it";
        Finding::warn(NAME, format!("{what}, which each event waits"), cure)
    }

    fn judge_map(&self, server: &ServerVitals) -> Finding {
        const NAME: &str = "cluster_map";
        match &server.map {
            None => Finding::ok(NAME, format!("{}: no node has joined by it yet", self.name)),
            Some(map) if *map == self.expected => {
                Finding::ok(NAME, format!("{}: other nodes have the same list ({map})", self.name))
            }
            Some(map) => Finding::fail(
                NAME,
                format!("{}: other nodes say «{map}», and these settings «{}»", self.name, self.expected),
                "give all nodes the same servers in the same order, and the same version; to change them, stop all nodes first",
            ),
        }
    }

    fn untold(&self, name: &'static str) -> Finding {
        Finding::ok(name, format!("{}: it does not tell", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;

    fn server(itself: Vitals) -> ServerVitals {
        ServerVitals { itself, round_trip_us: 250, map: Some(map_entry(0, 1)) }
    }

    fn vitals() -> Vitals {
        Vitals {
            version: Some("7.0.15".to_owned()),
            appends: Some(false),
            saves: Some(false),
            eviction: Some("noeviction".to_owned()),
            clock_ahead_ms: Some(3),
            ..Vitals::default()
        }
    }

    fn joining(asked: Result<ServerVitals, Fault>) -> Joining {
        Joining { name: "h:6379".to_owned(), expected: map_entry(0, 1), asked }
    }

    #[test]
    fn a_server_that_a_cluster_can_have_is_well() {
        for server in
            [server(vitals()), ServerVitals { map: None, ..server(vitals()) }, ServerVitals::default()]
        {
            let joining = joining(Ok(server));
            assert!(joining.findings().iter().all(|it| it.state == State::Ok), "{:?}", joining.findings());
        }
        let clock = joining(Ok(server(vitals()))).clock();
        assert_eq!(clock, Some(Other { name: "h:6379".to_owned(), ahead_ms: 3 }));
    }

    #[test]
    fn what_keeps_a_node_alone_fails_and_what_costs_is_warned_of() {
        let of_version = |version: &str| server(Vitals { version: Some(version.to_owned()), ..vitals() });
        let full = |memory_bytes| server(Vitals { memory_bytes, memory_bytes_max: 100, ..vitals() });
        let far = |round_trip_us| ServerVitals { round_trip_us, ..server(vitals()) };
        let valkey = Vitals {
            version: Some("7.2.4".to_owned()),
            valkey_version: Some("9.1.2".to_owned()),
            ..vitals()
        };
        let evicting = Vitals { eviction: Some("volatile-ttl".to_owned()), ..vitals() };
        let other_map = ServerVitals { map: Some(map_entry(1, 2)), ..server(vitals()) };
        let table = [
            ("cluster", server(Vitals { is_replica: true, ..vitals() }), State::Fail, "replica"),
            ("cluster_version", of_version("6.2.14"), State::Fail, "6.2.14"),
            ("cluster_version", of_version("?"), State::Ok, "?"),
            ("cluster_version", server(valkey), State::Ok, "Valkey 9.1.2"),
            ("cluster_eviction_policy", server(evicting), State::Fail, "volatile-ttl"),
            (
                "cluster_persistence",
                server(Vitals { appends: Some(true), ..vitals() }),
                State::Warn,
                "once for each node",
            ),
            (
                "cluster_persistence",
                server(Vitals { saves: Some(true), ..vitals() }),
                State::Warn,
                "once for each node",
            ),
            ("cluster_persistence", server(Vitals { saves: None, ..vitals() }), State::Ok, "as it should be"),
            ("cluster_memory", full(95), State::Warn, "nearly full"),
            ("cluster_memory", full(100), State::Fail, "nothing more"),
            ("cluster_memory", full(5), State::Ok, "of"),
            ("cluster_round_trip", far(25_340), State::Warn, "25.34 ms"),
            ("cluster_round_trip", far(340), State::Ok, "0.34 ms"),
            ("cluster_map", other_map, State::Fail, "server 2 of 2"),
        ];
        for (name, server, state, words) in table {
            let findings = joining(Ok(server)).findings();
            let finding = findings.into_iter().find(|it| it.name == name).unwrap();
            assert_eq!(finding.state, state, "{finding:?}");
            assert!(finding.what.contains(words), "{finding:?}");
        }
    }
}
