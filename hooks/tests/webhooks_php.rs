//! A webhook at a real PHP, checked as Pusher's PHP library does: by `getallheaders()`, where the case of letters counts.

mod receiver;
mod scratch;

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hooks::row::Row;
use hooks::settings::{DeliverySettings, Durability, Endpoint, Format, SinkSettings};
use hooks::sink::{Batch, Outcome, Sink};
use hooks::sinks;
use protocol::app::App;
use protocol::hook_event::HookEvent;
use scratch::Scratch;

const PATIENCE: Duration = Duration::from_secs(30);

/// Answers 200 to a webhook that is signed for this app and has the header of the configuration, else 401 with what came.
const RECEIVER: &str = r#"<?php
$headers = getallheaders();
$body = file_get_contents('php://input');
$is_signed = ($headers['X-Pusher-Key'] ?? null) === 'key'
    && hash_equals(hash_hmac('sha256', $body, 'secret'), $headers['X-Pusher-Signature'] ?? '')
    && ($headers['Content-Type'] ?? null) === 'application/json'
    && ($headers['X-myTenant'] ?? null) === 'blue'
    && $_SERVER['PHP_AUTH_USER'] === 'hook' && $_SERVER['PHP_AUTH_PW'] === 'p@ss';
http_response_code($is_signed ? 200 : 401);
echo implode(' ', array_keys($headers));
"#;

/// PHP's own server, gone with its test.
struct Php(Child);

impl Php {
    fn start(scratch: &Scratch) -> (Self, u16) {
        let router = scratch.path().join("hooks.php");
        fs::write(&router, RECEIVER).unwrap();
        let (port, address) = receiver::closed_port();
        drop(port);
        let child = Command::new("php")
            .args(["-n", "-S", &address.to_string()])
            .arg(&router)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("php is needed for this test: install php-cli (test.sh does)");
        let php = Self(child);
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < end, "php does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        (php, address.port())
    }
}

impl Drop for Php {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn php_finds_key_and_signature_where_pushers_library_looks_for_them() {
    let scratch = Scratch::new();
    let (_php, port) = Php::start(&scratch);
    let app = Arc::new(App::new("1", "key", "secret"));
    let sink = SinkSettings::Webhook {
        url: format!("http://hook:p%40ss@127.0.0.1:{port}/hooks"),
        format: Format::Pusher,
        headers: vec![("X-myTenant".to_owned(), "blue".to_owned())],
    };
    let mut endpoint = Endpoint::new("php", Arc::clone(&app), sink);
    endpoint.timeout = PATIENCE;
    let outlet = sinks::open(&endpoint, &DeliverySettings::default(), Durability::Process).unwrap();
    let mut sink: Box<dyn Sink> = outlet.sink().unwrap();
    let event = HookEvent::ChannelOccupied { app: Arc::clone(&app), channel: "room".into() };
    let row = Arc::new(Row { id: 1, time_ms: 1_700_000_000_000, event });
    let batch = Batch { app, rows: vec![row], time_ms: 1_700_000_000_500, tries: 0 };
    for _ in 0..2 {
        assert_eq!(sink.deliver(&batch), Outcome::Done);
    }
}
