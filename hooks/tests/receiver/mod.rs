//! A real HTTP receiver on threads that keeps what it is sent and can misbehave.
//!
//! It knows nothing of the code under test. Each connection has a thread; all end with the receiver.
#![allow(dead_code, reason = "each file of tests uses a part of this")]

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Which connection it came on, counted from 0.
    pub(crate) connection: usize,
}

impl Request {
    /// The value of a header that stands there once.
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut found = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let (_, value) = found.next().unwrap_or_else(|| panic!("no header {name}"));
        assert!(found.next().is_none(), "the header {name} stands there twice");
        value
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What a receiver does with a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    /// This status with a short body.
    Status(u16),
    /// This status with a Location that must not be followed.
    Redirect(u16),
    /// This status with the header that wants no further try.
    Abort(u16),
    /// This status with a Retry-After.
    Later(u16, &'static str),
    /// Nothing, ever.
    Hang,
    /// A reset instead of an answer.
    Reset,
    /// Success, half a body, and a reset.
    ResetInBody,
    /// Success and a body that does not end.
    Endless,
    /// Success and a body that does not come.
    SilentBody,
}

pub(crate) type Decide = dyn FnMut(&Request) -> Answer + Send;

pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    streams: Arc<Mutex<HashMap<usize, TcpStream>>>,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A listener on a port that servers of tests may use.
pub(crate) fn listener() -> TcpListener {
    closed_port().0.open()
}

/// A port that refuses connections and that no other test gets meanwhile.
pub(crate) struct ClosedPort(socket2::Socket);

impl ClosedPort {
    /// From now on it is listened on.
    pub(crate) fn open(self) -> TcpListener {
        self.0.listen(128).unwrap();
        self.0.into()
    }
}

pub(crate) fn closed_port() -> (ClosedPort, SocketAddr) {
    let first = std::process::id() % 12_000;
    let bound = (0..12_000).find_map(|more| {
        let address = SocketAddr::from(([127, 0, 0, 1], 20_000 + ((first + more) % 12_000) as u16));
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&address.into()).is_ok().then_some((ClosedPort(socket), address))
    });
    bound.expect("a free port")
}

impl Receiver {
    pub(crate) fn start(decide: impl FnMut(&Request) -> Answer + Send + 'static) -> Self {
        Self::start_on(listener(), decide)
    }

    pub(crate) fn start_on(
        listener: TcpListener,
        decide: impl FnMut(&Request) -> Answer + Send + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let (requests, streams) = (Arc::default(), Arc::default());
        let ending = Arc::new(AtomicBool::new(false));
        let decide: Arc<Mutex<Decide>> = Arc::new(Mutex::new(decide));
        let kept = (Arc::clone(&requests), Arc::clone(&streams), Arc::clone(&ending));
        let thread = thread::spawn(move || accept(&listener, &decide, &kept.0, &kept.1, &kept.2));
        Self { address, requests, streams, ending, thread: Some(thread) }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        for (_, stream) in self.streams.lock().unwrap().drain() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let _ = self.thread.take().unwrap().join();
    }
}

fn accept(
    listener: &TcpListener,
    decide: &Arc<Mutex<Decide>>,
    requests: &Arc<Mutex<Vec<Request>>>,
    streams: &Arc<Mutex<HashMap<usize, TcpStream>>>,
    ending: &AtomicBool,
) {
    let mut threads = Vec::new();
    for (connection, stream) in listener.incoming().enumerate() {
        let stream = stream.unwrap();
        if ending.load(Ordering::SeqCst) {
            break;
        }
        streams.lock().unwrap().insert(connection, stream.try_clone().unwrap());
        let (decide, requests, streams) = (Arc::clone(decide), Arc::clone(requests), Arc::clone(streams));
        threads.push(thread::spawn(move || {
            serve(stream, connection, &decide, &requests, &streams);
            streams.lock().unwrap().remove(&connection);
        }));
    }
    for (_, stream) in streams.lock().unwrap().drain() {
        let _ = stream.shutdown(Shutdown::Both);
    }
    for thread in threads {
        let _ = thread.join();
    }
}

fn serve(
    mut stream: TcpStream,
    connection: usize,
    decide: &Mutex<Decide>,
    requests: &Mutex<Vec<Request>>,
    streams: &Mutex<HashMap<usize, TcpStream>>,
) {
    while let Some(request) = read_request(&mut stream, connection) {
        let answer = (decide.lock().unwrap())(&request);
        requests.lock().unwrap().push(request);
        if answer == Answer::Reset || answer == Answer::ResetInBody {
            // A socket is closed with its last descriptor.
            streams.lock().unwrap().remove(&connection);
            let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
        if !write_answer(&mut stream, answer) {
            return;
        }
    }
}

/// Returns false when the connection is over.
pub(crate) fn write_answer(stream: &mut (impl Read + Write), answer: Answer) -> bool {
    let head =
        |status: u16, more: &str| format!("HTTP/1.1 {status} Some Reason\r\nServer: test\r\n{more}\r\n");
    match answer {
        // In one write: a second small one would wait for the first one's acknowledgement.
        Answer::Status(status) => {
            stream.write_all((head(status, "Content-Length: 7\r\n") + "no\r\nway").as_bytes()).is_ok()
        }
        Answer::Redirect(status) => {
            stream.write_all(head(status, "Location: /elsewhere\r\nContent-Length: 0\r\n").as_bytes()).is_ok()
        }
        Answer::Abort(status) => {
            let more = "webhook-delivery: abort-message\r\nContent-Length: 0\r\n";
            stream.write_all(head(status, more).as_bytes()).is_ok()
        }
        Answer::Later(status, when) => {
            let more = format!("Retry-After: {when}\r\nContent-Length: 0\r\n");
            stream.write_all(head(status, &more).as_bytes()).is_ok()
        }
        Answer::Hang => {
            // Returns when the other end, or the receiver, closes.
            let _ = stream.read(&mut [0]);
            false
        }
        Answer::Reset => false,
        Answer::ResetInBody => {
            let _ = stream.write_all((head(200, "Content-Length: 100\r\n") + "half").as_bytes());
            thread::sleep(Duration::from_millis(20));
            false
        }
        Answer::SilentBody => {
            let _ = stream.write_all(head(200, "Content-Length: 100\r\n").as_bytes());
            let _ = stream.read(&mut [0]);
            false
        }
        Answer::Endless => {
            let _ = stream.write_all(head(200, "Transfer-Encoding: chunked\r\n").as_bytes());
            while stream.write_all(b"10\r\n0123456789abcdef\r\n").is_ok() {}
            false
        }
    }
}

/// The next request of a connection; `None` at its end.
pub(crate) fn read_request(stream: &mut impl Read, connection: usize) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let path = lines.next()?.strip_prefix("POST ")?.strip_suffix(" HTTP/1.1")?.to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut request = Request { path, headers, body: Vec::new(), connection };
    request.body = vec![0; request.header("content-length").parse().unwrap()];
    stream.read_exact(&mut request.body).ok()?;
    Some(request)
}
