//! The client of `corecast publish`: one signed POST over a blocking socket, as any server SDK would send it. It speaks
//! to the server only by its public port.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::app::App;
use protocol::auth::sign_request;
use protocol::json::encode_string;

/// One event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Publication<'a> {
    /// The channel.
    pub(super) channel: &'a str,
    /// The name of the event.
    pub(super) event: &'a str,
    /// Its data, sent unchanged.
    pub(super) data: &'a str,
}

/// Why it was not published.
#[derive(Debug)]
pub(super) enum PublishError {
    /// The server could not be reached.
    Unreachable(String, io::Error),
    /// The server has refused it.
    Refused(String),
}

impl fmt::Display for PublishError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(to, error) => {
                write!(out, "no answer from {to}: {error} (is the server running there?)")
            }
            Self::Refused(answer) => write!(out, "the server refused the event: {answer}"),
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(5);

/// Publishes one event to the server at `to` (`HOST:PORT`).
pub(super) fn publish(app: &App, to: &str, publication: &Publication<'_>) -> Result<(), PublishError> {
    let answer = ask(to, &encode_request(app, to, publication))
        .map_err(|error| PublishError::Unreachable(to.to_owned(), error))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    if head.starts_with("HTTP/1.1 200 ") {
        return Ok(());
    }
    let status = head.lines().next().unwrap_or("no answer");
    Err(PublishError::Refused(format!("{status}: {}", body.trim())))
}

fn encode_request(app: &App, to: &str, publication: &Publication<'_>) -> Vec<u8> {
    let mut body = Vec::new();
    for (before, text) in [
        (&b"{\"name\":"[..], publication.event),
        (b",\"channel\":", publication.channel),
        (b",\"data\":", publication.data),
    ] {
        body.extend_from_slice(before);
        encode_string(&mut body, text);
    }
    body.push(b'}');
    let path = format!("/apps/{}/events", app.id);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let query = sign_request(app, "POST", &path, &[], &body, now);
    let head = format!(
        "POST {path}?{query} HTTP/1.1\r\nHost: {to}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}

fn ask(to: &str, request: &[u8]) -> io::Result<String> {
    let address = to.to_socket_addrs()?.next().ok_or_else(|| io::Error::other("it has no address"))?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
