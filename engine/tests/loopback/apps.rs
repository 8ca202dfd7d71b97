//! What an app decides for itself: its keys, the origins of its pages, how fast its back ends may call; and the path that
//! a proxy puts before all of it. On one shard and on three.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::rig::client::{Client, data_of};
use crate::rig::http::{Answer, Http, encode_event, encode_request, now_unix_s};
use crate::rig::raw::{Raw, encode_upgrade};
use crate::rig::server::{Server, binary, free_port};
use protocol::app::App;
use protocol::auth::{sign_request, sign_subscription};
use serde_json::json;

const SHARDS: [&str; 2] = ["1", "3"];

/// A file in the folder for tests. The name must be the test's own.
fn write_file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("apps-{name}.toml"));
    fs::write(&path, text).unwrap();
    path
}

/// A server on a free port that reads this file.
fn serve(path: &Path, shards: &str) -> Server {
    let port = free_port();
    let mut command = Command::new(binary());
    command.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--admin", "off", "--shards", shards]);
    command.arg("--config").arg(path).stdin(Stdio::null());
    Server::start_command(command, port)
}

/// The app as a caller knows it that has this one of its keys.
fn caller(id: &str, key: &str) -> App {
    App::new(id, key, &format!("{key}-secret"))
}

fn ask(http: &mut Http, app: &App, method: &str, path: &str, body: &str) -> Answer {
    let query = sign_request(app, method, path, &[], body.as_bytes(), now_unix_s());
    http.ask(&encode_request(method, &format!("{path}?{query}"), body))
}

fn publish(http: &mut Http, app: &App, channel: &str, data: &str) -> Answer {
    let path = format!("/apps/{}/events", app.id);
    ask(http, app, "POST", &path, &encode_event(channel, "e", data))
}

fn connect(server: &Server, key: &str) -> Client {
    Client::connect(server.tcp(), &format!("/app/{key}?protocol=7"))
}

/// The code that an upgrade on this path, with this further header line, is closed with at once.
fn refusal(server: &Server, path: &str, header: &str) -> u16 {
    let mut raw = Raw::open(server);
    raw.write(encode_upgrade(path).replace("\r\n\r\n", &format!("\r\n{header}\r\n")).as_bytes());
    assert_eq!(raw.read_head().status, 101);
    raw.hear_error_and_close()
}

/// Whether an upgrade with this further header line is established.
fn is_let_in(server: &Server, path: &str, header: &str) -> bool {
    let mut raw = Raw::open(server);
    raw.write(encode_upgrade(path).replace("\r\n\r\n", &format!("\r\n{header}\r\n")).as_bytes());
    assert_eq!(raw.read_head().status, 101);
    raw.hear()["event"] == "pusher:connection_established"
}

const KEYS: &str = r#"
[[apps]]
id = "keys"
[[apps.keys]]
key = "past"
secret = "past-secret"
enabled = false
[[apps.keys]]
key = "old"
secret = "old-secret"
[[apps.keys]]
key = "new"
secret = "new-secret"
"#;

#[test]
fn each_enabled_key_of_an_app_opens_it_to_clients_and_back_ends() {
    let path = write_file("keys", KEYS);
    for shards in SHARDS {
        let server = serve(&path, shards);
        let mut http = server.http();
        for (mine, other) in [("old", "new"), ("new", "old")] {
            let mut client = connect(&server, mine);
            for (signer, channel) in [(mine, "private-a"), (other, "private-b")] {
                let auth = sign_subscription(&caller("keys", signer), client.socket_id, channel, None);
                client.say(&json!({"event": "pusher:subscribe", "data": {"auth": auth, "channel": channel}}));
                client.hear_event("pusher_internal:subscription_succeeded");
            }
            for signer in [mine, other] {
                assert_eq!(publish(&mut http, &caller("keys", signer), "private-a", signer).status, 200);
                client.expect("private-a", "e", signer);
            }
        }
        assert_eq!(refusal(&server, "/app/past?protocol=7", ""), 4001);
        assert_eq!(publish(&mut http, &caller("keys", "past"), "private-a", "x").status, 401);
        let mut client = connect(&server, "new");
        let auth = sign_subscription(&caller("keys", "past"), client.socket_id, "private-a", None);
        client.say(&json!({"event": "pusher:subscribe", "data": {"auth": auth, "channel": "private-a"}}));
        client.hear_refusal("private-a");
    }
}

const ORIGINS: &str = r#"
[[apps]]
id = "some"
key = "some"
secret = "some-secret"
allowed_origins = ["https://exact.com", "*.example.com"]
[[apps]]
id = "must"
key = "must"
secret = "must-secret"
allowed_origins = "example.com"
require_origin = true
[[apps]]
id = "any"
key = "any"
secret = "any-secret"
"#;

#[test]
fn pages_of_other_origins_than_the_app_allows_are_refused() {
    let path = write_file("origins", ORIGINS);
    let table = [
        ("some", "Origin: https://exact.com\r\n", true),
        ("some", "Origin: https://a.example.com\r\n", true),
        ("some", "Origin: http://exact.com\r\n", false),
        ("some", "Origin: https://example.com\r\n", false),
        ("some", "Origin: null\r\n", false),
        ("some", "", true),
        ("must", "Origin: http://example.com\r\n", true),
        ("must", "", false),
        ("any", "Origin: https://evil.com\r\n", true),
        ("any", "", true),
    ];
    for shards in SHARDS {
        let server = serve(&path, shards);
        for (key, header, allowed) in table {
            let target = format!("/app/{key}?protocol=7");
            match allowed {
                true => assert!(is_let_in(&server, &target, header), "{key} {header}"),
                false => assert_eq!(refusal(&server, &target, header), 4009, "{key} {header}"),
            }
        }
    }
}

const RATES: &str = r#"
[[apps]]
id = "slow"
key = "slow"
secret = "slow-secret"
limits = { backend_events_per_second = 3, read_requests_per_second = 2 }
[[apps]]
id = "fast"
key = "fast"
secret = "fast-secret"
"#;

#[test]
fn back_ends_that_are_too_fast_for_their_app_are_told_when_to_come_back() {
    let path = write_file("rates", RATES);
    for shards in SHARDS {
        let server = serve(&path, shards);
        let (slow, fast) = (caller("slow", "slow"), caller("fast", "fast"));
        let mut http = server.http();
        let mut client = connect(&server, "slow");
        client.subscribe("a");
        // Ten channels cost three seconds of the rate at once.
        let channels: Vec<_> = (0..9).map(|i| format!("b{i}")).chain(["a".to_owned()]).collect();
        let body = json!({"name": "e", "channels": channels, "data": "all"}).to_string();
        assert_eq!(ask(&mut http, &slow, "POST", "/apps/slow/events", &body).status, 200);
        client.expect("a", "e", "all");
        let refused = publish(&mut http, &slow, "a", "too fast");
        assert_eq!(refused.header("Retry-After"), Some("3"), "{}", refused.head);
        let (status, text) = refused.refusal();
        assert_eq!(status, 429);
        assert!(text.contains("3 events per second (backend_events_per_second)"), "{text}");
        client.expect_pong();
        // Asking has a rate of its own, and so has each app.
        for _ in 0..2 {
            assert_eq!(ask(&mut http, &slow, "GET", "/apps/slow/channels", "").status, 200);
        }
        let statuses: Vec<_> =
            (0..2).map(|_| ask(&mut http, &slow, "GET", "/apps/slow/channels", "").status).collect();
        assert!(statuses.contains(&429), "{statuses:?}");
        for _ in 0..20 {
            assert_eq!(publish(&mut http, &fast, "a", "x").status, 200);
            assert_eq!(ask(&mut http, &fast, "GET", "/apps/fast/channels", "").status, 200);
        }
    }
}

const PREFIX: &str = r#"
path_prefix = "/realtime"
[[apps]]
id = "prefix"
key = "prefix"
secret = "prefix-secret"
"#;

#[test]
fn clients_and_back_ends_are_served_with_the_path_prefix_and_without() {
    let path = write_file("prefix", PREFIX);
    let app = caller("prefix", "prefix");
    for shards in SHARDS {
        let server = serve(&path, shards);
        let mut http = server.http();
        for target in ["/realtime/app/prefix?protocol=7", "/app/prefix?protocol=7"] {
            let mut client = Client::connect(server.tcp(), target);
            assert!(data_of(&client.established)["socket_id"].is_string());
            client.subscribe("news");
            // The path that is asked for, and the path that is signed: a proxy may have removed the prefix or added it.
            for (asked, signed) in
                [("", ""), ("/realtime", "/realtime"), ("", "/realtime"), ("/realtime", "")]
            {
                let body = encode_event("news", "e", "x");
                let path = "/apps/prefix/events";
                let query = sign_request(
                    &app,
                    "POST",
                    &format!("{signed}{path}"),
                    &[],
                    body.as_bytes(),
                    now_unix_s(),
                );
                let answer = http.ask(&encode_request("POST", &format!("{asked}{path}?{query}"), &body));
                assert_eq!(answer.status, 200, "{asked} {signed}: {}", answer.body);
                client.expect("news", "e", "x");
            }
        }
        assert_eq!(refusal(&server, "/other/app/prefix?protocol=7", ""), 4005);
        assert_eq!(http.ask(b"GET /realtime/live HTTP/1.1\r\nHost: h\r\n\r\n").status, 200);
    }
}
