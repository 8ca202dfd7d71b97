//! `corecast watch`, as a shell sees it: what it prints, that it misses nothing, and how it ends.

use std::io::{BufRead, BufReader, Lines, Read};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::rig::server::{Server, binary, free_port, run, wait_for};

/// The command while it runs.
struct Watch {
    child: Child,
    out: Lines<BufReader<ChildStdout>>,
    err: BufReader<ChildStderr>,
}

impl Watch {
    /// Starts it, and waits until it watches so many channels.
    fn start(server: &Server, arguments: &[&str], channels: usize) -> Self {
        let to = format!("127.0.0.1:{}", server.port());
        // With a parent-death signal none outlives a test that fails.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(binary()).args(["watch", "--to", &to]).args(arguments);
        command.args(["--app", "7:loopback-key:loopback-secret"]).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap()).lines();
        let err = BufReader::new(child.stderr.take().unwrap());
        let mut watch = Self { child, out, err };
        watch.hear_of_channels(channels);
        watch
    }

    fn hear_of_channels(&mut self, channels: usize) {
        for _ in 0..channels {
            while !self.told().contains("watching ") {}
        }
    }

    /// The next line on standard error.
    fn told(&mut self) -> String {
        let mut line = String::new();
        assert!(self.err.read_line(&mut line).unwrap() > 0, "it has ended");
        line
    }

    fn line(&mut self) -> String {
        self.out.next().expect("a line").unwrap()
    }

    fn json(&mut self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    /// Ctrl-C, and what it says at its end.
    fn interrupt(mut self) -> String {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        let status = wait_for("the end of watch", || self.child.try_wait().unwrap());
        let mut said = String::new();
        self.err.read_to_string(&mut said).unwrap();
        assert_eq!(status.code(), Some(0), "{said}");
        said
    }
}

#[test]
fn ten_thousand_events_are_printed_without_loss_on_one_shard_and_on_three() {
    for shards in ["1", "3"] {
        let server = Server::start(&["--shards", shards]);
        let mut watch = Watch::start(&server, &["--json", "private-many"], 1);
        let port = server.port();
        let publisher = std::thread::spawn(move || {
            let stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
            let mut http = crate::rig::http::Http::on(stream);
            for first in (0..10_000).step_by(10) {
                let item = |n: i32| format!(r#"{{"name":"e","channel":"private-many","data":"{n}"}}"#);
                let batch: Vec<String> = (first..first + 10).map(item).collect();
                let body = format!(r#"{{"batch":[{}]}}"#, batch.join(","));
                assert_eq!(http.post("/apps/7/batch_events", &body).status, 200);
            }
        });
        for number in 0..10_000 {
            let line = watch.json();
            assert_eq!(
                (&line["channel"], &line["data"]),
                (&"private-many".into(), &number.to_string().into())
            );
        }
        publisher.join().unwrap();
        assert!(watch.interrupt().contains("10000 events"));
    }
}

#[test]
fn a_restarted_server_is_found_again() {
    let mut server = Server::start(&["--shards", "2"]);
    let port = server.port();
    let mut watch = Watch::start(&server, &["news", "private-orders"], 2);
    server.publish("news", "before", r#"{"a":1}"#);
    assert_eq!(watch.line(), r#"news before {"a":1}"#);
    assert_eq!(server.terminate().code(), Some(0));
    let server = Server::start_on(port, &["--shards", "2"]);
    watch.hear_of_channels(2);
    server.publish("private-orders", "after", "x");
    assert_eq!(watch.line(), "private-orders after x");
    assert!(watch.interrupt().contains("2 events"));
}

#[test]
fn presence_prints_who_is_there_who_comes_and_who_goes() {
    let server = Server::start(&["--shards", "3"]);
    let mut watch = Watch::start(&server, &["--presence=ops", "presence-room"], 1);
    assert_eq!(watch.line(), "presence-room pusher:member ops");
    let other = Watch::start(&server, &["--presence=guest", "presence-room"], 1);
    assert_eq!(watch.line(), "presence-room pusher:member_added guest");
    other.interrupt();
    assert_eq!(watch.line(), "presence-room pusher:member_removed guest");
    assert!(watch.interrupt().contains("3 events"));
}

#[test]
fn watch_says_what_went_wrong() {
    let server = Server::start(&["--shards", "1"]);
    let to = format!("127.0.0.1:{}", server.port());
    let nobody = format!("127.0.0.1:{}", free_port());
    let table = [
        ("7:no-such-key:s", &to, "c", "4001"),
        ("7:loopback-key:wrong", &to, "private-c", "private-c"),
        ("7:loopback-key:loopback-secret", &nobody, "c", "is the server running there?"),
    ];
    for (app, to, channel, words) in table {
        let (code, output, error) = run(&["watch", "--app", app, "--to", to, channel]);
        assert_eq!((code, &*output), (Some(1), ""), "{error}");
        assert!(error.lines().last().is_some_and(|line| line.contains(words)), "{error}");
    }
    assert_eq!(run(&["watch", "--app", "7:loopback-key:s"]).0, Some(78));
    assert_eq!(run(&["watch", "c", "--app", "7"]).0, Some(78));
}
