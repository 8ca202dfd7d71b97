//! A Pusher server that does with each event exactly what its script says: on time or late, once, twice, never, out of order.
//!
//! Real sockets and plain threads, one per connection, and one that delivers; meant for a handful of subscribers. It knows its own truth: when each
//! publish came and when it was written. Ends all its threads when it is dropped.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tungstenite::handshake::derive_accept_key;

/// Where a load test has its subscribers unless told otherwise.
const CHANNEL: &str = "loadtest";

/// What becomes of an event, by its number in the order of arrival; every subscriber gets the same.
#[derive(Clone, Copy)]
pub(crate) struct Fate {
    /// How often it is delivered.
    pub(crate) copies: usize,
    /// How long after its arrival.
    pub(crate) delay: Duration,
    /// It waits until this many later events have been delivered.
    pub(crate) after_later: usize,
}

pub(crate) const AT_ONCE: Fate = Fate { copies: 1, delay: Duration::ZERO, after_later: 0 };

pub(crate) type Script = fn(event: usize) -> Fate;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stage: Arc<Stage>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Stage {
    subscribers: Mutex<Vec<TcpStream>>,
    connections: Mutex<Vec<TcpStream>>,
    ended: Mutex<bool>,
    /// From arrival to delivery, of each event that was delivered.
    took: Mutex<Vec<Duration>>,
}

struct Arrival {
    at: Instant,
    frame: Vec<u8>,
}

impl Server {
    pub(crate) fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stage = Arc::new(Stage::default());
        let (arrivals, inbox) = sync_channel(100_000);
        let (delivering, accepting) = (Arc::clone(&stage), Arc::clone(&stage));
        let threads = vec![
            std::thread::spawn(move || deliver(&inbox, script, &delivering)),
            std::thread::spawn(move || accept(&listener, &arrivals, &accepting)),
        ];
        Self { address, stage, threads }
    }

    /// Closes every subscriber's connection with this code, as a server that goes away does.
    pub(crate) fn close_subscribers(&self, code: u16) {
        for subscriber in self.stage.subscribers.lock().unwrap().drain(..) {
            let [high, low] = code.to_be_bytes();
            (&subscriber).write_all(&[0x88, 2, high, low]).unwrap();
        }
    }

    pub(crate) fn subscribers(&self) -> usize {
        self.stage.subscribers.lock().unwrap().len()
    }

    /// The middle of the times from an event's arrival to its delivery, as this server measured them.
    pub(crate) fn median_took(&self) -> Duration {
        let mut took = self.stage.took.lock().unwrap().clone();
        took.sort_unstable();
        took[took.len() / 2]
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        *self.stage.ended.lock().unwrap() = true;
        // Wakes the acceptor, which then sees that this was the end.
        drop(TcpStream::connect(self.address));
        for stream in self.stage.connections.lock().unwrap().iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

fn accept(listener: &TcpListener, arrivals: &SyncSender<Arrival>, stage: &Arc<Stage>) {
    std::thread::scope(|scope| {
        for stream in listener.incoming().map(Result::unwrap) {
            // Registered under the lock that `drop` takes: no connection is missed there.
            let ended = stage.ended.lock().unwrap();
            if *ended {
                return;
            }
            stream.set_nodelay(true).unwrap();
            stage.connections.lock().unwrap().push(stream.try_clone().unwrap());
            scope.spawn(move || converse(stream, arrivals, stage));
        }
    });
}

/// Ends with the connection: every failure of a socket is its end.
fn converse(stream: TcpStream, arrivals: &SyncSender<Arrival>, stage: &Stage) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(head) = read_head(&mut reader) {
        if let Some(key) = head.get("sec-websocket-key") {
            return subscribe(&mut reader, stream, key, stage).unwrap_or(());
        }
        let length = head.get("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let at = Instant::now();
        for frame in event_frames(&body) {
            arrivals.send(Arrival { at, frame }).unwrap();
        }
        if (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").is_err() {
            return;
        }
    }
}

fn subscribe(reader: &mut impl Read, mut stream: TcpStream, key: &str, stage: &Stage) -> std::io::Result<()> {
    let accept = derive_accept_key(key.as_bytes());
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    let established = r#"{"event":"pusher:connection_established","data":"{\"socket_id\":\"1.1\",\"activity_timeout\":120}"}"#;
    stream.write_all(&server_frame(established.as_bytes()))?;
    let message: serde_json::Value = serde_json::from_slice(&read_frame(reader)?).unwrap();
    let channel = &message["data"]["channel"];
    let succeeded =
        format!(r#"{{"event":"pusher_internal:subscription_succeeded","channel":{channel},"data":"{{}}"}}"#);
    // Under the lock: no event may come between the confirmation and the place in the list.
    let mut subscribers = stage.subscribers.lock().unwrap();
    stream.write_all(&server_frame(succeeded.as_bytes()))?;
    subscribers.push(stream);
    drop(subscribers);
    loop {
        read_frame(reader)?;
    }
}

/// Delivers each event when its time has come, in the order of those times.
fn deliver(inbox: &Receiver<Arrival>, script: Script, stage: &Stage) {
    let mut events = 0;
    let mut due: BTreeMap<(Instant, usize), Arrival> = BTreeMap::new();
    let mut overtaken: Vec<(usize, Arrival)> = Vec::new();
    loop {
        let patience =
            due.keys().next().map_or(Duration::MAX, |(at, _)| at.saturating_duration_since(Instant::now()));
        match inbox.recv_timeout(patience) {
            Ok(arrival) => {
                let fate = script(events);
                if fate.after_later > 0 {
                    overtaken.push((events + fate.after_later, arrival));
                } else {
                    due.insert((arrival.at + fate.delay, events), arrival);
                }
                events += 1;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        while let Some(entry) = due.first_entry().filter(|entry| entry.key().0 <= Instant::now()) {
            let ((_, event), arrival) = entry.remove_entry();
            stage.write(&arrival, script(event).copies);
            let waiting = std::mem::take(&mut overtaken);
            let (now, later) = waiting.into_iter().partition(|&(until, _)| until <= event);
            overtaken = later;
            let now: Vec<_> = now;
            now.iter().for_each(|(_, arrival)| stage.write(arrival, 1));
        }
    }
}

impl Stage {
    fn write(&self, arrival: &Arrival, copies: usize) {
        let subscribers = self.subscribers.lock().unwrap();
        for stream in subscribers.iter() {
            // A client that has gone meanwhile gets nothing.
            (0..copies).for_each(|_| (&*stream).write_all(&arrival.frame).unwrap_or(()));
        }
        if copies > 0 {
            self.took.lock().unwrap().push(arrival.at.elapsed());
        }
    }
}

/// Header names in lower case; None at the end of the stream.
fn read_head(reader: &mut impl BufRead) -> Option<BTreeMap<String, String>> {
    let mut head = BTreeMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim_end().is_empty() {
            return Some(head);
        }
        if let Some((name, value)) = line.split_once(':') {
            head.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
}

/// Payload of one masked frame below 64 KiB.
fn read_frame(reader: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut head = [0; 2];
    reader.read_exact(&mut head)?;
    let mut length = usize::from(head[1] & 0x7F);
    if length == 126 {
        let mut long = [0; 2];
        reader.read_exact(&mut long)?;
        length = usize::from(u16::from_be_bytes(long));
    }
    let mut mask = [0; 4];
    reader.read_exact(&mut mask)?;
    let mut payload = vec![0; length];
    reader.read_exact(&mut payload)?;
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Ok(payload)
}

/// One frame for each event of `/events` or `/batch_events`.
fn event_frames(body: &[u8]) -> Vec<Vec<u8>> {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap();
    let single = std::slice::from_ref(&body);
    let events = body["batch"].as_array().map_or(single, Vec::as_slice);
    let channel = |event: &serde_json::Value| match event["channel"].as_str() {
        Some(channel) => channel.to_owned(),
        None => event["channels"][0].as_str().unwrap_or_default().to_owned(),
    };
    let frame = |event: &serde_json::Value| {
        let message = serde_json::json!({"event": event["name"], "channel": CHANNEL, "data": event["data"]});
        server_frame(message.to_string().as_bytes())
    };
    // A load test also publishes where nobody listens, to see what the server is like.
    let is_for_subscribers = |event: &&serde_json::Value| channel(event) == CHANNEL;
    events.iter().filter(is_for_subscribers).map(frame).collect()
}

fn server_frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
    match u8::try_from(payload.len()) {
        Ok(length) if length < 126 => frame.push(length),
        _ => {
            frame.push(126);
            frame.extend_from_slice(&u16::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}
