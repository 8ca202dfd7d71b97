//! The console: a web page of the operator's listener, and what it asks for.
//!
//! `access` says which requests are answered at all, and what an operator shows; `session` is the cookie; `files` are the
//! page's own; `events` is how a stream is written; `object` writes JSON; `questions` are what is asked and told of channels and connections, `excerpts` what is shown of events. Which of it is the right token or session is for
//! the API core to say, which counts those that are wrong.

pub mod access;
pub mod events;
pub mod excerpts;
pub mod files;
pub mod object;
pub mod questions;
pub mod session;

use protocol::http::Head;
use protocol::json::{Value, parse_object};
use serde::Deserialize;
use std::borrow::Cow;

use crate::answer::Answer;
use crate::limits::SIGN_IN_BYTES_MAX;
use crate::refused::Refused;

/// Below it is everything that the console asks for.
const FOLDER: &str = "/console/";

/// What the console asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConsoleCall {
    /// `POST /console/sign-in`
    SignIn,
    /// `POST /console/sign-out`
    SignOut,
    /// `GET /console/stream`
    Stream,
    /// `GET /console/settings`
    Settings,
    /// `GET /console/try`
    Try,
    /// `GET /console/problems`
    Problems,
    /// `GET /console/channels`
    Channels,
    /// `GET /console/channel`
    Channel,
    /// `GET /console/tail`
    Tail,
    /// `GET /console/slow`
    Slow,
    /// `GET /console/connection`
    Connection,
    /// `GET /console/trace`
    Trace,
    /// `GET /console/hooks`
    Hooks,
    /// `GET /console/dead_letters`
    DeadLetters,
    /// `POST /console/publish`
    Publish,
    /// `POST /console/disconnect`
    Disconnect,
    /// `POST /console/terminate`
    Terminate,
    /// `POST /console/replay`
    Replay,
    /// `POST /console/enable`
    Enable,
    /// `POST /console/log`
    Log,
}

impl ConsoleCall {
    /// Each, with the name below `/console/`.
    const ALL: [(&str, Self); 20] = [
        ("sign-in", Self::SignIn),
        ("sign-out", Self::SignOut),
        ("stream", Self::Stream),
        ("settings", Self::Settings),
        ("try", Self::Try),
        ("problems", Self::Problems),
        ("channels", Self::Channels),
        ("channel", Self::Channel),
        ("tail", Self::Tail),
        ("slow", Self::Slow),
        ("connection", Self::Connection),
        ("trace", Self::Trace),
        ("hooks", Self::Hooks),
        ("dead_letters", Self::DeadLetters),
        ("publish", Self::Publish),
        ("disconnect", Self::Disconnect),
        ("terminate", Self::Terminate),
        ("replay", Self::Replay),
        ("enable", Self::Enable),
        ("log", Self::Log),
    ];

    /// The call of a request whose origin was checked, by its head.
    pub fn of(head: &Head<'_>) -> Result<Self, Refused> {
        let name = head.path.strip_prefix(FOLDER);
        let named = Self::ALL.iter().find(|(known, _)| Some(*known) == name);
        let (_, call) = named.ok_or_else(|| Refused::new(404, "The console has no such path"))?;
        match (call.changes_something(), head.method) {
            (true, "POST") => access::check_content_type(head)?,
            (false, "GET" | "HEAD") => {}
            (true, _) => return Err(Refused::method("POST")),
            (false, _) => return Err(Refused::method("GET, HEAD")),
        }
        if *call == Self::SignIn && !is_short(head) {
            return Err(Refused::new(413, "Too much for a token"));
        }
        Ok(*call)
    }

    /// Whether it is more than a question.
    fn changes_something(self) -> bool {
        matches!(
            self,
            Self::SignIn
                | Self::SignOut
                | Self::Publish
                | Self::Disconnect
                | Self::Terminate
                | Self::Replay
                | Self::Enable
                | Self::Log
        )
    }

    /// Whether those may ask who are not signed in.
    pub fn is_open(self) -> bool {
        self == Self::SignIn
    }
}

/// Whether the console is asked for by this path.
pub fn is_of_console(path: &str) -> bool {
    path == "/" || path.starts_with(FOLDER)
}

/// The token of a sign-in.
pub fn parse_sign_in(body: &[u8]) -> Result<Cow<'_, str>, Refused> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        token: Option<Value<'a>>,
    }
    let wrong = || Refused::invalid("A sign-in is a JSON object with the token: {\"token\": \"…\"}");
    let Body { token } = parse_object(body).map_err(|_| wrong())?;
    token.ok_or_else(wrong)?.text().map_err(|_| wrong())
}

/// Done, and there is nothing to say of it. `headers` are further header lines.
pub fn answer_nothing<'a>(headers: Vec<(&'static str, &'a str)>) -> Answer<'a> {
    Answer { status: 204, headers: headers.into(), ..Answer::text("", b"") }
}

/// This JSON, which is nobody else's.
pub fn answer_json(json: String) -> Answer<'static> {
    Answer { headers: PRIVATE.as_slice().into(), ..Answer::json(json.into_bytes()) }
}

/// Nobody keeps it, and no browser takes it for anything else.
const PRIVATE: [(&str, &str); 2] = [("Cache-Control", "no-store"), ("X-Content-Type-Options", "nosniff")];

// A length that is not said may be any.
fn is_short(head: &Head<'_>) -> bool {
    let bytes = head.header("Content-Length").and_then(|text| text.parse::<usize>().ok());
    bytes.is_some_and(|bytes| bytes <= SIGN_IN_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::http::{RequestParse, parse_request};

    fn call(request: &str) -> Result<ConsoleCall, u16> {
        let RequestParse::Complete { request, .. } = parse_request(request.as_bytes()) else {
            panic!("{request}")
        };
        ConsoleCall::of(&request.head).map_err(|refused| refused.status)
    }

    #[test]
    fn what_changes_something_is_a_post_of_json_and_all_else_a_get() {
        let get = |path: &str| call(&format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n"));
        let post = |path: &str, kind: &str| {
            call(&format!("POST {path} HTTP/1.1\r\nHost: h\r\n{kind}Content-Length: 2\r\n\r\n{{}}"))
        };
        let json = "Content-Type: application/json; charset=utf-8\r\n";
        for (name, expected) in ConsoleCall::ALL {
            let path = format!("{FOLDER}{name}");
            let (asked, told) = (get(&path), post(&path, json));
            match expected.changes_something() {
                true => assert_eq!((asked, told), (Err(405), Ok(expected)), "{path}"),
                false => assert_eq!((asked, told), (Ok(expected), Err(405)), "{path}"),
            }
        }
        assert_eq!(post("/console/sign-in", ""), Err(415));
        assert_eq!(post("/console/sign-in", "Content-Type: text/plain\r\n"), Err(415));
        for path in ["/console/", "/console/x", "/console/stream/", "/console/Stream"] {
            assert_eq!(get(path), Err(404), "{path}");
        }
    }

    #[test]
    fn a_sign_in_has_a_token_that_is_a_short_text() {
        assert_eq!(&*parse_sign_in(br#"{"token":"a\u0062"}"#).unwrap(), "ab");
        for bad in ["", "[]", "{}", r#"{"token":1}"#, r#"{"token":null}"#] {
            assert_eq!(parse_sign_in(bad.as_bytes()).unwrap_err().status, 400, "{bad}");
        }
        let head = "POST /console/sign-in HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n";
        let long = format!("{head}Content-Length: 3000\r\n\r\n{}", " ".repeat(3_000));
        assert_eq!(call(&long), Err(413));
        assert_eq!(call(&format!("{head}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")), Err(413));
    }
}
