//! Health, for load balancers and supervisors. Not signed, and says nothing but yes or no.
//!
//! `/live` is about the process (restart it if not), `/ready` about traffic (send none if not). `/up` and `/accept-traffic` are
//! the same questions under the names that other servers give them.

use crate::answer::Answer;

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Probe {
    /// `GET /live`
    Live,
    /// `GET /ready`
    Ready,
    /// `GET /up`, which Reverb has.
    Up,
    /// `GET /accept-traffic`, which soketi has.
    AcceptTraffic,
    /// `GET /`
    Index,
    /// `GET /index`, by which webman-push-server shows that it is there.
    Hello,
}

/// What a probe is asked with. HAProxy asks with OPTIONS unless it is told otherwise.
pub(crate) const PROBE_METHODS: &str = "GET, HEAD, OPTIONS";

/// The probe of this path.
pub(crate) fn parse_probe(path: &str) -> Option<Probe> {
    match path {
        "/" => Some(Probe::Index),
        "/index" => Some(Probe::Hello),
        "/live" => Some(Probe::Live),
        "/ready" => Some(Probe::Ready),
        "/up" => Some(Probe::Up),
        "/accept-traffic" => Some(Probe::AcceptTraffic),
        _ => None,
    }
}

/// Whether what the probe asks for is well, and what is degraded meanwhile, as JSON. That is no reason to send no traffic.
pub fn answer_probe(probe: Probe, well: bool, degraded: Option<&str>) -> Answer<'static> {
    let name = match probe {
        Probe::Index => return Answer::text("text/plain", b"OK"),
        Probe::Hello => return Answer::text("text/plain", b"Hello Workbunny!"),
        Probe::Up => {
            let health = if well { "OK" } else { "ERROR" };
            return Answer::json(format!("{{\"health\":\"{health}\"}}").into_bytes()).well(well);
        }
        Probe::Live => "live",
        Probe::Ready => "ready",
        Probe::AcceptTraffic => "accept_traffic",
    };
    let degraded = degraded.map_or_else(String::new, |what| format!(",\"degraded\":{what}"));
    Answer::json(format!("{{\"{name}\":{well}{degraded}}}").into_bytes()).well(well)
}
