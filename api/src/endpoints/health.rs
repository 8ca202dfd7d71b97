//! Health, for load balancers and supervisors. Not signed, and says nothing but yes or no.
//!
//! `/live` is about the process (restart it if not), `/ready` about traffic (send none if not). `/up` and `/accept-traffic` are
//! the same questions under the names that other servers give them. `/health` says all of it in a word, and `/up/APP` does for
//! an app; the word is in the header `X-Health-Check` as well, where sockudo has it.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

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
    /// `GET /health`
    Health,
    /// `GET /accept-traffic`, which soketi has.
    AcceptTraffic,
    /// `GET /`
    Index,
    /// `GET /index`, by which webman-push-server shows that it is there.
    Hello,
}

/// How a server is, or an app of it, in a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// All is well.
    Ok,
    /// It serves, and something is missing: a server of the cluster, or room for newcomers.
    Degraded,
    /// It ends.
    Draining,
    /// It does not serve.
    Error,
    /// There is no such app.
    NotFound,
}

impl Condition {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Degraded => "DEGRADED",
            Self::Draining => "DRAINING",
            Self::Error => "ERROR",
            Self::NotFound => "NOT_FOUND",
        }
    }

    fn status(self) -> u16 {
        match self {
            Self::Ok | Self::Degraded => 200,
            Self::Draining | Self::Error => 503,
            Self::NotFound => 404,
        }
    }

    /// The answer to a question for it.
    pub fn answer(self) -> Answer<'static> {
        Answer { status: self.status(), ..self.told_in(format!("{{\"health\":\"{}\"}}", self.word())) }
    }

    fn told_in(self, body: String) -> Answer<'static> {
        let headers = vec![("X-Health-Check", self.word())].into();
        Answer { headers, ..Answer::json(body.into_bytes()) }
    }
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
        "/health" => Some(Probe::Health),
        "/accept-traffic" => Some(Probe::AcceptTraffic),
        _ => None,
    }
}

/// The app whose health is asked for by `GET /up/APP`.
pub fn probed_app(path: &str) -> Option<Cow<'_, str>> {
    let id = path.strip_prefix("/up/").filter(|id| !id.is_empty() && !id.contains('/'))?;
    Some(percent_decode_str(id).decode_utf8_lossy())
}

/// Whether what the probe asks for is well, and what is degraded meanwhile, as JSON. That is no reason to send no traffic.
pub fn answer_probe(
    probe: Probe,
    well: bool,
    degraded: Option<&str>,
    condition: Condition,
) -> Answer<'static> {
    let name = match probe {
        Probe::Index => return Answer::text("text/plain", b"OK"),
        Probe::Hello => return Answer::text("text/plain", b"Hello Workbunny!"),
        Probe::Up => {
            let health = if well { "OK" } else { "ERROR" };
            return condition.told_in(format!("{{\"health\":\"{health}\"}}")).well(well);
        }
        Probe::Health => return condition.answer(),
        Probe::Live => "live",
        Probe::Ready => "ready",
        Probe::AcceptTraffic => "accept_traffic",
    };
    let degraded = degraded.map_or_else(String::new, |what| format!(",\"degraded\":{what}"));
    Answer::json(format!("{{\"{name}\":{well}{degraded}}}").into_bytes()).well(well)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_in_the_header_too() {
        for (condition, status, word) in [
            (Condition::Ok, 200, "OK"),
            (Condition::Degraded, 200, "DEGRADED"),
            (Condition::Draining, 503, "DRAINING"),
            (Condition::Error, 503, "ERROR"),
            (Condition::NotFound, 404, "NOT_FOUND"),
        ] {
            for answer in [condition.answer(), answer_probe(Probe::Health, true, None, condition)] {
                assert_eq!((answer.status, &answer.headers[..]), (status, &[("X-Health-Check", word)][..]));
                assert_eq!(answer.body, format!("{{\"health\":\"{word}\"}}").as_bytes());
            }
        }
        let up = answer_probe(Probe::Up, true, None, Condition::Draining);
        assert_eq!((up.status, &up.headers[..]), (200, &[("X-Health-Check", "DRAINING")][..]));
    }

    #[test]
    fn an_app_is_named_by_the_rest_of_the_path() {
        for (path, app) in [
            ("/up/7", Some("7")),
            ("/up/a%2Db", Some("a-b")),
            ("/up/", None),
            ("/up", None),
            ("/up/7/x", None),
            ("/upper", None),
        ] {
            assert_eq!(probed_app(path).as_deref(), app, "{path}");
        }
    }
}
