//! How it stands with each server: what `/ready` and metrics tell, and a line of the log for each change.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::console::object::{Object, list};
use logging::event;
use protocol::json::encode_string;

use super::edge_counters::EdgeCounters;
use super::round_trips::RecentRoundTrips;
use bus::fault::Fault;
use machines::cluster::bus::Server;
use machines::cluster::epoch::Epoch;
use machines::cluster::session::reading::{Reading, Why};
use machines::machine::Now;

/// How it stands with all servers.
#[derive(Debug)]
pub struct Standings {
    lease: Duration,
    servers: Vec<(Box<str>, Mutex<Option<Standing>>)>,
    edges: Vec<Arc<EdgeCounters>>,
    /// Another node is alive and stays, so that clients may go there.
    others: Arc<AtomicBool>,
    /// The same as each server shows it. None: it shows nothing.
    others_by_server: Mutex<Vec<Option<bool>>>,
}

/// How it stands with a server.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) reading: Reading,
    fault: Option<String>,
    /// Since when there is no session, or there is one, by both clocks.
    since: Now,
    /// The fault that the log has.
    told: Option<String>,
    round_trips: RecentRoundTrips,
    /// When this was noted.
    noted: Now,
}

impl Standings {
    /// Those of the servers with these names, none of which is known yet.
    pub(super) fn new(names: Vec<Box<str>>, lease: Duration) -> Self {
        let edges: Vec<_> = names.iter().map(|_| Arc::default()).collect();
        Self {
            lease,
            servers: names.into_iter().map(|name| (name, Mutex::new(None))).collect(),
            others: Arc::default(),
            others_by_server: Mutex::new(vec![None; edges.len()]),
            edges,
        }
    }

    /// So it stands now.
    pub(super) fn note(&self, reading: Reading, fault: Option<&Fault>, now: Now) {
        let Some((name, standing)) = self.servers.get(usize::from(reading.server.0)) else { return };
        let mut standing = standing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = standing.take();
        let mut next = Standing {
            fault: fault.map(ToString::to_string),
            since: match &before {
                Some(before) if before.reading.has_session == reading.has_session => before.since,
                _ => now,
            },
            told: before.as_ref().and_then(|before| before.told.clone()),
            round_trips: before.as_ref().map(|before| before.round_trips).unwrap_or_default(),
            noted: now,
            reading,
        };
        next.round_trips.note(&next.reading.round_trips, now);
        next.tell(name, before.as_ref().map(|before| &before.reading));
        *standing = Some(next);
    }

    /// Whether a server shows another node that is alive and stays. None: there is no session with it.
    pub(super) fn note_others(&self, server: Server, others: Option<bool>) {
        let mut all = self.others_by_server.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_server) = all.get_mut(usize::from(server.0)) {
            *of_server = others;
        }
        let mut shown = all.iter().flatten().peekable();
        let any = shown.peek().is_some() && shown.all(|others| *others);
        self.others.store(any, Ordering::Relaxed);
    }

    /// Whether another node is alive and stays, so that clients may go there.
    pub fn others(&self) -> &Arc<AtomicBool> {
        &self.others
    }

    /// What is counted of the edges of a server.
    pub(super) fn edges(&self, server: Server) -> Arc<EdgeCounters> {
        self.edges.get(usize::from(server.0)).cloned().unwrap_or_default()
    }

    /// The same of all servers.
    pub(super) fn all_edges(&self) -> impl Iterator<Item = (&str, &EdgeCounters)> {
        self.servers.iter().zip(&self.edges).map(|((name, _), edges)| (&**name, &**edges))
    }

    /// The session with a server, if there is one.
    pub(super) fn epoch(&self, server: Server) -> Option<Epoch> {
        let (_, standing) = self.servers.get(usize::from(server.0))?;
        let standing = standing.lock().unwrap_or_else(PoisonError::into_inner);
        standing.as_ref().and_then(|standing| standing.reading.epoch)
    }

    /// Each server that was heard of, with how it stands.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, Standing)> {
        self.servers.iter().filter_map(|(name, standing)| {
            let standing = standing.lock().unwrap_or_else(PoisonError::into_inner);
            Some((&**name, standing.clone()?))
        })
    }

    /// All of them for operators, as a JSON array.
    pub fn shown(&self) -> String {
        let shown = |(name, standing): (&str, Standing)| {
            let reading = standing.reading;
            let silent_ms = standing.noted.mono_ms.saturating_sub(reading.alive_ms);
            let left_ms = (self.lease.as_millis() as u64).saturating_sub(silent_ms);
            let state = match (reading.is_up, reading.has_session) {
                (true, _) => "up",
                (false, true) => "holding",
                (false, false) => "none",
            };
            Object::default()
                .text("name", name)
                .text("state", state)
                .plain("since", standing.since.unix_ms)
                .maybe("lease_left_ms", reading.has_session.then_some(left_ms))
                .maybe("roundtrip_p50_us", standing.round_trips.quantile_us(0.5))
                .maybe("roundtrip_p99_us", standing.round_trips.quantile_us(0.99))
                .plain("inbox_lag_bytes", reading.inbox_bytes)
                .plain("topics", reading.topics)
                .plain("unacknowledged", reading.commands)
                .plain("unacknowledged_bytes", reading.command_bytes)
                .plain("gaps", reading.stats.lost.iter().sum::<u64>())
                .plain("nodes_lost", reading.stats.killed)
                .maybe_text("why", standing.fault.as_deref().filter(|_| !reading.has_session))
                .end()
        };
        list(self.all().map(shown))
    }

    /// What is degraded, as a JSON array. None: nothing is.
    pub fn degraded(&self, now: Now) -> Option<String> {
        let is_degraded = |standing: &Standing| {
            // A node that has only just started has lost nothing.
            let is_starting = standing.reading.stats.begun == 0
                && standing.fault.is_none()
                && now.mono_ms < standing.since.mono_ms + self.lease.as_millis() as u64;
            !standing.reading.has_session && !is_starting
        };
        let all = self.all().filter(|(_, standing)| is_degraded(standing));
        let all: Vec<String> = all.map(|(name, standing)| standing.json(name)).collect();
        (!all.is_empty()).then(|| format!("[{}]", all.join(",")))
    }
}

/// What is lost without a session.
const LOST: &str = "events of other nodes are lost, and theirs of this node's; members of other nodes stay listed; \
                    subscriptions and this node's own events go on";

impl Standing {
    fn json(&self, name: &str) -> String {
        let mut out = Vec::from(&b"{\"server\":"[..]);
        encode_string(&mut out, name);
        out.extend_from_slice(format!(",\"since_ms\":{},\"lost\":", self.since.unix_ms).as_bytes());
        encode_string(&mut out, LOST);
        if let Some(fault) = &self.fault {
            out.extend_from_slice(b",\"why\":");
            encode_string(&mut out, fault);
        }
        out.push(b'}');
        String::from_utf8_lossy(&out).into_owned()
    }

    /// A line for each session that begins, is resumed or is over, and for each new fault meanwhile.
    fn tell(&mut self, name: &str, before: Option<&Reading>) {
        let (stats, old) = (self.reading.stats, before.map(|before| before.stats).unwrap_or_default());
        if stats.begun > old.begun {
            self.told = None;
            let node = self.reading.epoch.map_or_else(String::new, |epoch| epoch.to_string());
            event!(
                INFO,
                "cluster_joined",
                { server = name, node = node.as_str(), },
                "cluster: this node is joined with others by {name}, as node {node}"
            );
        }
        if stats.resumed > old.resumed {
            event!(
                INFO,
                "cluster_resumed",
                { server = name, },
                "cluster: a connection to {name} broke and is back, nothing was lost"
            );
        }
        let lost = Why::ALL.into_iter().zip(stats.lost).zip(old.lost).find(|((_, now), before)| now > before);
        if let Some(((why, _), _)) = lost {
            let why = name_of(why);
            event!(
                WARN,
                "cluster_lost",
                { server = name, why = why, },
                "cluster: the session with {name} is over ({why}): until the next one, events on its channels reach this node's \
                 own clients only"
            );
        }
        if stats.killed > old.killed {
            event!(
                WARN,
                "cluster_node_lost",
                { server = name, },
                "cluster: a node has given {name} no sign of life for its lease and is taken for dead: its members leave"
            );
        }
        if self.fault.is_some() && !self.reading.has_session && self.fault != self.told {
            self.told.clone_from(&self.fault);
            let fault = self.fault.as_deref().unwrap_or_default();
            event!(WARN, "cluster_fault", { server = name, }, "cluster: {name}: {fault}");
        }
    }
}

/// Why a session was lost, in a word.
pub(super) fn name_of(why: Why) -> &'static str {
    match why {
        Why::Held => "held",
        Why::Fenced => "fenced",
        Why::Gone => "gone",
        Why::Cut => "cut",
        Why::Gap => "gap",
        Why::Full => "full",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_may_go_elsewhere_if_each_server_with_a_session_shows_a_node_that_stays() {
        let standings = Standings::new(vec!["a".into(), "b".into()], Duration::from_secs(10));
        let cases = [
            (None, None, false),
            (Some(true), None, true),
            (Some(true), Some(true), true),
            (Some(true), Some(false), false),
            (None, Some(false), false),
        ];
        for (one, other, expected) in cases {
            standings.note_others(Server(0), one);
            standings.note_others(Server(1), other);
            assert_eq!(standings.others().load(Ordering::Relaxed), expected, "{one:?} {other:?}");
        }
    }
}
