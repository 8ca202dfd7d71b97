//! The server that runs with these settings, if one does: what it says of its health, and what its metrics tell.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ::hooks::http_get::{HttpAnswer, HttpFault, HttpGet};

use super::finding::Finding;
use super::ports::Port;
use crate::config::Config;
use crate::driver::listen::reachable;
use crate::limits::{DOCTOR_ANSWER_BYTES_MAX, DOCTOR_ANSWER_MAX};
use crate::tls::{SelfCheckError, check_oneself};

const NAME: &str = "server";

/// A server that runs.
#[derive(Debug)]
pub(super) struct Server {
    process: u32,
    /// What it was asked at, and what it answered to `/ready`; none where it has no plain address.
    ready: Option<(SocketAddr, Result<HttpAnswer, HttpFault>)>,
    /// Its metrics, if it shows them.
    metrics: Option<String>,
    /// What came of handshakes at its addresses with TLS.
    secure: Vec<Result<SocketAddr, SelfCheckError>>,
    prefix: String,
}

/// A figure beyond which something is wrong.
struct Symptom {
    /// Without the prefix.
    metric: &'static str,
    above: f64,
    is_failure: bool,
    what: &'static str,
    cure: &'static str,
}

const SYMPTOMS: [Symptom; 7] = [
    Symptom {
        metric: "invariant_violations_total",
        above: 0.0,
        is_failure: false,
        what: "something happened that only a bug of the server can cause",
        cure: "report it with the lines of the log that say «this is a bug», and restart the server when it suits you",
    },
    Symptom {
        metric: "hooks_journal_blocked",
        above: 0.0,
        is_failure: true,
        what: "the journal of hooks takes nothing",
        cure: "look at the data directory above, and at the log",
    },
    Symptom {
        metric: "hooks_stream_in_trouble",
        above: 0.0,
        is_failure: true,
        what: "no event can be added to the stream",
        cure: "look at Redis above, and at the log",
    },
    Symptom {
        metric: "hooks_source_failing",
        above: 0.0,
        is_failure: true,
        what: "the journal or the stream of hooks cannot be read",
        cure: "look at the data directory and Redis above, and at the log",
    },
    Symptom {
        metric: "app_store_failing",
        above: 0.0,
        is_failure: true,
        what: "the app store cannot be read, so its changes have no effect",
        cure: "`corecast app list` tells what is wrong with it",
    },
    Symptom {
        metric: "apps_url_failing",
        above: 0.0,
        is_failure: true,
        what: "the back end of apps_url does not answer, so unknown apps are refused",
        cure: "look at that back end; the log has its last fault",
    },
    Symptom {
        metric: "log_lines_dropped_total",
        above: 0.0,
        is_failure: false,
        what: "lines of the log were dropped, because standard error took them too slowly",
        cure: "see what reads standard error, or lower the log_level",
    },
];

impl Server {
    /// Asks the one that has these ports; none if nobody of ours has them. Blocks while it asks, with limits of time.
    pub(super) fn ask(config: &Config, ports: &[Port]) -> Option<Self> {
        let process = ports.iter().find_map(Port::server)?;
        let admin = config.admin.address.address().filter(|address| address.port() != 0).map(reachable);
        // Elsewhere only proxies may ask.
        let answers_all = |address: &&SocketAddr| !config.proxies.introduced.contains(&(**address).into());
        let public = config.listen.public.iter().find(answers_all).copied().map(reachable);
        let ready_at = |address: SocketAddr| (address, get(address, "/ready"));
        let of_admin = admin.map(ready_at);
        let metrics = match &of_admin {
            Some((address, Ok(_))) => get(*address, "/metrics").ok().filter(|answer| answer.status == 200),
            _ => None,
        };
        // Who is too slow to answer here is so there.
        let is_told = |answer: &Result<_, _>| !matches!(answer, Err(HttpFault::Other(_)));
        let ready = of_admin.filter(|(_, answer)| is_told(answer)).or_else(|| public.map(ready_at));
        let secure = config.tls.listen.iter().filter(answers_all);
        let secure = secure.map(|address| check_oneself(*address, None).map(|()| *address));
        Some(Self {
            process,
            ready,
            metrics: metrics.map(|answer| String::from_utf8_lossy(&answer.body).into_owned()),
            secure: secure.collect(),
            prefix: config.admin.metrics_prefix.to_string(),
        })
    }

    /// What there is to say of it.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut findings = vec![self.judge_health()];
        let broken = self.secure.iter().filter_map(|checked| checked.as_ref().err());
        findings.extend(broken.map(|error| {
            Finding::fail(
                NAME,
                error.to_string(),
                "look at the log of the server; if it does not turn, restart it",
            )
        }));
        findings.extend(self.metrics.iter().flat_map(|text| symptoms(text, &self.prefix)));
        findings
    }

    fn judge_health(&self) -> Finding {
        let process = self.process;
        let Some((address, answer)) = &self.ready else {
            return Finding::ok(
                NAME,
                format!("process {process} runs; it has no plain address to be asked at"),
            );
        };
        match answer {
            Ok(HttpAnswer { status: 200, .. }) => Finding::ok(NAME, format!("process {process} is ready")),
            Ok(HttpAnswer { status, body }) => {
                let said: String = String::from_utf8_lossy(body).chars().take(200).collect();
                Finding::warn(
                    NAME,
                    format!("process {process} is not ready: http://{address}/ready answers {status} {said}"),
                    "a server that drains or joins another is not; if it lasts, its log and /live tell more",
                )
            }
            Err(fault) => Finding::fail(
                NAME,
                format!("process {process} does not answer at http://{address}/ready: {fault}"),
                "look at its log; if no core turns, restart it, and report it with the log",
            ),
        }
    }
}

/// What to say where no server runs.
pub(super) fn no_server() -> Finding {
    Finding::ok(NAME, "none runs with these addresses")
}

fn get(address: SocketAddr, path: &str) -> Result<HttpAnswer, HttpFault> {
    let asked = HttpGet::new(&format!("http://{address}{path}"), 1).map_err(HttpFault::Other)?;
    asked.get(DOCTOR_ANSWER_MAX, DOCTOR_ANSWER_BYTES_MAX)
}

fn symptoms(metrics: &str, prefix: &str) -> Vec<Finding> {
    let sums = sums(metrics);
    let value = |name: &str| sums.get(name).copied().unwrap_or(0.0);
    let of_table = SYMPTOMS.iter().filter_map(|symptom| {
        let Symptom { metric, above, is_failure, what, cure } = symptom;
        let found = value(&format!("{prefix}{metric}"));
        let judge = if *is_failure { Finding::fail } else { Finding::warn };
        (found > *above)
            .then(|| judge(NAME, format!("{what} ({prefix}{metric} is {found})"), (*cure).to_owned()))
    });
    let mut findings: Vec<Finding> = of_table.collect();
    let (open, most) = (value("process_open_fds"), value("process_max_fds"));
    if most > 0.0 && open > most * 0.9 {
        findings.push(Finding::warn(
            NAME,
            format!("{open} of {most} open files are in use; clients beyond them get 4100"),
            "raise LimitNOFILE (`ulimit -n`), or start another server",
        ));
    }
    findings
}

/// Each metric of Prometheus' text format, summed over its labels.
fn sums(metrics: &str) -> BTreeMap<&str, f64> {
    let mut sums = BTreeMap::new();
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, value)) = line.rsplit_once(' ') else { continue };
        let name = name.split('{').next().unwrap_or(name);
        *sums.entry(name).or_insert(0.0) += value.parse::<f64>().unwrap_or(0.0);
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;

    fn server(status: u16) -> Server {
        let answer = HttpAnswer { status, body: b"{\"ready\":false}".to_vec() };
        Server {
            process: 7,
            ready: Some((([127, 0, 0, 1], 9601).into(), Ok(answer))),
            metrics: None,
            secure: Vec::new(),
            prefix: "c_".to_owned(),
        }
    }

    #[test]
    fn a_server_is_judged_by_what_it_answers() {
        let silent =
            Server { ready: Some((([127, 0, 0, 1], 1).into(), Err(HttpFault::Late))), ..server(200) };
        let unasked = Server { ready: None, ..server(200) };
        for (server, state, words) in [
            (server(200), State::Ok, "process 7 is ready"),
            (server(503), State::Warn, "answers 503 {\"ready\":false}"),
            (silent, State::Fail, "no answer in time"),
            (unasked, State::Ok, "no plain address"),
        ] {
            let findings = server.findings();
            assert_eq!(findings[0].state, state, "{findings:?}");
            assert!(findings[0].what.contains(words), "{findings:?}");
        }
    }

    #[test]
    fn metrics_that_tell_of_a_fault_become_findings() {
        let text = "# HELP c_invariant_violations_total x\nc_invariant_violations_total{shard=\"0\"} 0\n\
            c_invariant_violations_total{shard=\"1\"} 2\nc_hooks_journal_blocked 1\nc_apps_url_failing 0\n\
            process_open_fds 95\nprocess_max_fds 100\n";
        let found: Vec<(State, bool)> =
            symptoms(text, "c_").iter().map(|it| (it.state, it.cure.is_some())).collect();
        assert_eq!(found, [(State::Warn, true), (State::Fail, true), (State::Warn, true)]);
        assert_eq!(symptoms(text, "other_").len(), 1, "only what has no prefix");
        assert!(symptoms("", "c_").is_empty());
    }
}
