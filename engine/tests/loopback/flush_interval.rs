//! An app with a flush interval gets its events in few writes, in order and whole; what is for one connection alone does not
//! wait, and takes along what stands before it.

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::rig::http::{encode_event, encode_request, now_unix_s};
use crate::rig::raw::Raw;
use crate::rig::server::{Server, binary, free_port};
use protocol::app::App;
use protocol::auth::sign_request;

const EVENTS: usize = 50;

const FILE: &str = r#"
shards = 2

[[apps]]
id = "soon"
key = "soon-key"
secret = "secret"

[[apps]]
id = "late"
key = "late-key"
secret = "secret"
flush_interval_ms = 1000
"#;

fn serve(name: &str) -> Server {
    let port = free_port();
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.toml"));
    fs::write(&path, FILE).unwrap();
    let mut command = Command::new(binary());
    command.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--config"]).arg(path);
    command.stdin(Stdio::null());
    Server::start_command(command, port)
}

/// A subscriber of `news`.
fn subscribe(server: &Server, app: &str) -> Raw {
    let mut raw = Raw::open(server);
    assert_eq!(raw.upgrade(&format!("/app/{app}-key?protocol=7")).status, 101);
    raw.hear_event("pusher:connection_established");
    raw.say(r#"{"event":"pusher:subscribe","data":{"channel":"news"}}"#);
    raw.hear_event("pusher_internal:subscription_succeeded");
    raw
}

fn publish(server: &Server, app: &str, numbers: std::ops::Range<usize>) {
    let app = App::new(app, &format!("{app}-key"), "secret");
    let mut http = server.http();
    for number in numbers {
        let body = encode_event("news", "e", &format!("<{number}>"));
        let path = format!("/apps/{}/events", app.id);
        let query = sign_request(&app, "POST", &path, &[], body.as_bytes(), now_unix_s());
        assert_eq!(http.ask(&encode_request("POST", &format!("{path}?{query}"), &body)).status, 200);
        thread::sleep(Duration::from_millis(2));
    }
}

/// How many reads it takes to hear all events while they are published; checks that they come whole and in order.
fn reads(server: &Server, app: &str) -> usize {
    let raw = subscribe(server, app);
    let mut stream = raw.tcp().try_clone().unwrap();
    let reader = thread::spawn(move || {
        let (mut got, mut chunk, mut reads) = (Vec::new(), [0; 65_536], 0);
        while got.windows(1).filter(|byte| byte == b"<").count() < EVENTS || !got.ends_with(b"}") {
            let length = stream.read(&mut chunk).unwrap();
            assert!(length > 0, "closed after {reads} reads");
            got.extend_from_slice(&chunk[..length]);
            reads += 1;
        }
        (got, reads)
    });
    publish(server, app, 0..EVENTS);
    let (got, reads) = reader.join().unwrap();
    let text = String::from_utf8_lossy(&got).into_owned();
    let numbers: Vec<usize> =
        text.split('<').skip(1).map(|rest| rest.split('>').next().unwrap().parse().unwrap()).collect();
    assert_eq!(numbers, (0..EVENTS).collect::<Vec<_>>());
    reads
}

#[test]
fn events_of_an_interval_come_in_one_write() {
    let server = serve("interval-reads");
    let (soon, late) = (reads(&server, "soon"), reads(&server, "late"));
    assert!(late * 5 <= soon, "{late} reads with an interval, {soon} without");
}

#[test]
fn a_pong_does_not_wait_and_takes_along_what_stands_before_it() {
    let server = serve("interval-pong");
    let mut raw = subscribe(&server, "late");
    // So many that no tick can have come between each event and its ping.
    let mut early = 0;
    for number in 0..20 {
        publish(&server, "late", number..number + 1);
        raw.say(r#"{"event":"pusher:ping","data":{}}"#);
        let first = raw.hear();
        if first["event"] == "e" {
            early += 1;
            raw.hear_event("pusher:pong");
        } else {
            assert_eq!(first["event"], "pusher:pong", "{first}");
            raw.hear_event("e");
        }
    }
    assert!(early >= 15, "only {early} of 20 events came before the pong that was asked for after them");
}
