//! A source of apps: a scripted HTTP server that says for each app what the test wants, and remembers what it was asked.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use super::PATIENCE;

/// What it says when it is asked for something.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// This status with this body.
    Http(u16, String),
    /// Nothing, and the connection stays.
    Silence,
    /// Nothing before it is told otherwise.
    Hold,
}

impl Reply {
    /// The record of an app, with more keys in JSON.
    pub(crate) fn app(id: &str, key: &str, more: &str) -> Self {
        let record = format!(r#"{{"id":"{id}","key":"{key}","secret":"{key}-secret"{more}}}"#);
        Self::Http(200, record)
    }
}

/// A source that answers for as long as it is there.
pub(crate) struct Source {
    port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    script: Mutex<Script>,
    changed: Condvar,
}

#[derive(Default)]
struct Script {
    replies: HashMap<String, Reply>,
    asked: Vec<String>,
    /// Connections are closed as they come.
    is_down: bool,
}

impl Source {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, state) = (stream.unwrap(), Arc::clone(&shared));
                thread::spawn(move || state.serve(&stream));
            }
        });
        Self { port, state }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/app?token=t", self.port)
    }

    /// From now on this is the answer to a query such as `key=a`; 404 without one.
    pub(crate) fn say(&self, query: &str, reply: Reply) {
        self.state.change(|script| {
            script.replies.insert(query.to_owned(), reply);
        });
    }

    /// There is no such app any more.
    pub(crate) fn forget(&self, query: &str) {
        self.state.change(|script| {
            script.replies.remove(query);
        });
    }

    /// It answers nothing, and refuses connections as they come, or not.
    pub(crate) fn go_down(&self, down: bool) {
        self.state.change(|script| script.is_down = down);
    }

    /// How often it was asked this.
    pub(crate) fn asked(&self, query: &str) -> usize {
        self.state.lock().asked.iter().filter(|asked| *asked == query).count()
    }

    /// Waits until it has been asked this so many times.
    pub(crate) fn wait_asked(&self, query: &str, times: usize) {
        let is_early =
            |script: &mut Script| script.asked.iter().filter(|asked| *asked == query).count() < times;
        let waited = self.state.changed.wait_timeout_while(self.state.lock(), PATIENCE, is_early);
        let timeout = waited.unwrap_or_else(PoisonError::into_inner).1;
        assert!(!timeout.timed_out(), "the source was not asked {query} {times} times");
    }
}

impl State {
    fn lock(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Answers the requests of a connection.
    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some(query) = read_query(&mut reader) {
            let mut script = self.lock();
            if script.is_down {
                return;
            }
            script.asked.push(query.clone());
            self.changed.notify_all();
            let holds = |script: &mut Script| matches!(script.replies.get(&query), Some(Reply::Hold));
            let script = self.changed.wait_while(script, holds).unwrap_or_else(PoisonError::into_inner);
            let reply = script.replies.get(&query).cloned().unwrap_or(Reply::Http(404, String::new()));
            drop(script);
            match reply {
                Reply::Http(status, body) => {
                    let length = body.len();
                    let head = format!("HTTP/1.1 {status} Said\r\nContent-Length: {length}\r\n\r\n");
                    if (&*stream).write_all((head + &body).as_bytes()).is_err() {
                        return;
                    }
                }
                Reply::Silence | Reply::Hold => {}
            }
        }
    }
}

/// The query of the next request, without the token that the URL has.
fn read_query(reader: &mut BufReader<&TcpStream>) -> Option<String> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let query = line.strip_prefix("GET /app?token=t&")?.strip_suffix(" HTTP/1.1\r\n")?.to_owned();
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    }
    Some(query)
}
