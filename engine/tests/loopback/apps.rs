//! What an app decides for itself: its keys, the origins of its pages, how fast its back ends may call; and the path that
//! a proxy puts before all of it. On one shard and on three.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::rig::client::{Client, data_of};
use crate::rig::http::{Answer, Http, encode_event, encode_request, now_unix_s};
use crate::rig::raw::{Raw, encode_upgrade};
use crate::rig::server::{Server, binary, free_port, wait_for};
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

fn serve_command(path: &Path, port: u16, shards: &str) -> Command {
    let mut command = Command::new(binary());
    command.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--admin", "off", "--shards", shards]);
    command.arg("--config").arg(path).stdin(Stdio::null());
    command
}

/// A server on a free port that reads this file.
fn serve(path: &Path, shards: &str) -> Server {
    let port = free_port();
    Server::start_command(serve_command(path, port, shards), port)
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

/// The apps of a file that changes: ids, and what else is in their tables.
fn apps_file(apps: &[(&str, &str)]) -> String {
    let table = |(id, more): &(&str, &str)| format!("[[apps]]\nid = \"{id}\"\n{more}\n");
    apps.iter().map(table).collect()
}

fn key(key: &str) -> String {
    format!("key = \"{key}\"\nsecret = \"{key}-secret\"")
}

fn hang_up(server: &Server) {
    assert!(Command::new("kill").args(["-HUP", &server.pid().to_string()]).status().unwrap().success());
}

/// Waits until the server answers a call of this app with this status.
fn wait_for_status(server: &Server, app: &App, status: u16) {
    wait_for(&format!("{status} for {}", app.id), || {
        let answer = publish(&mut server.http(), app, "any", "x");
        (answer.status == status).then_some(())
    });
}

#[test]
fn sighup_adds_changes_disables_and_removes_apps_and_others_notice_nothing() {
    for shards in SHARDS {
        let text = apps_file(&[
            ("busy", &key("busy")),
            ("off", &key("off")),
            ("gone", &key("gone")),
            ("limited", &key("limited")),
            ("rotated", &key("old")),
        ]);
        let path = write_file(&format!("sighup-{shards}"), &text);
        let mut server = serve(&path, shards);
        let of = |name: &str| -> Vec<Client> { (0..12).map(|_| connect(&server, name)).collect() };
        let (mut busy, mut off, mut gone, mut old) = (of("busy"), of("off"), of("gone"), of("old"));
        let mut limited = of("limited");
        for client in busy.iter_mut().chain(&mut off).chain(&mut gone) {
            client.subscribe("news");
        }
        // Events for the busy app come all the time, and each must arrive once and in order.
        let stop = AtomicBool::new(false);
        let sent = thread::scope(|scope| {
            let publisher = scope.spawn(|| {
                let (mut http, app, mut sent) = (server.http(), caller("busy", "busy"), 0);
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(publish(&mut http, &app, "news", &sent.to_string()).status, 200);
                    sent += 1;
                    thread::sleep(Duration::from_millis(2));
                }
                sent
            });
            let rotated = "keys = [{ key = \"old\", secret = \"old-secret\", enabled = false }, \
                           { key = \"new\", secret = \"new-secret\" }]";
            let full = format!("{}\nlimits = {{ connections_max = 12 }}", key("limited"));
            let disabled = format!("{}\nenabled = false", key("off"));
            let next = apps_file(&[
                ("busy", &key("busy")),
                ("off", &disabled),
                ("limited", &full),
                ("rotated", rotated),
                ("fresh", &key("fresh")),
            ]);
            fs::write(&path, next).unwrap();
            hang_up(&server);
            wait_for_status(&server, &caller("fresh", "fresh"), 200);
            for (name, clients, again, status) in [("off", off, 4003, 403), ("gone", gone, 4001, 404)] {
                for mut client in clients {
                    assert_eq!(client.hear_error().0, Some(4003), "{name}");
                    assert_eq!(client.hear_close().0, 4003, "{name}");
                }
                assert_eq!(refusal(&server, &format!("/app/{name}?protocol=7"), ""), again);
                wait_for_status(&server, &caller(name, name), status);
            }
            connect(&server, "fresh").subscribe("news");
            // Connections that are there are still counted, and stay.
            assert_eq!(refusal(&server, "/app/limited?protocol=7", ""), 4100);
            limited.iter_mut().for_each(Client::expect_pong);
            // A key that was disabled opens nothing, also for those who came with it.
            assert_eq!(refusal(&server, "/app/old?protocol=7", ""), 4001);
            wait_for_status(&server, &caller("rotated", "old"), 401);
            connect(&server, "new").subscribe("news");
            for client in &mut old {
                client.expect_pong();
                let sign =
                    |key| sign_subscription(&caller("rotated", key), client.socket_id, "private-a", None);
                let signed = [sign("old"), sign("new")];
                let ask = |auth| json!({"event": "pusher:subscribe", "data": {"auth": auth, "channel": "private-a"}});
                client.say(&ask(&signed[0]));
                client.hear_refusal("private-a");
                client.say(&ask(&signed[1]));
                client.hear_event("pusher_internal:subscription_succeeded");
            }
            stop.store(true, Ordering::Relaxed);
            publisher.join().unwrap()
        });
        for client in &mut busy {
            for number in 0..sent {
                client.expect("news", "e", &number.to_string());
            }
            client.expect_pong();
        }
        // What has come and gone may come again.
        fs::write(&path, text).unwrap();
        hang_up(&server);
        wait_for_status(&server, &caller("gone", "gone"), 200);
        connect(&server, "gone").subscribe("news");
        wait_for("the app that was added to be gone", || {
            (publish(&mut server.http(), &caller("fresh", "fresh"), "a", "x").status == 404).then_some(())
        });
        assert_eq!(refusal(&server, "/app/fresh?protocol=7", ""), 4001);
        drop((busy, limited, old));
        assert_eq!(server.terminate().code(), Some(0));
        let errors = server.take_errors();
        let told = "added: fresh; changed: limited, rotated; disabled: off; removed: gone";
        assert!(errors.contains(&format!("SIGHUP: {}: {told}\n", path.display())), "{errors}");
        let back = "added: gone; changed: limited, rotated; enabled: off; removed: fresh";
        assert!(errors.contains(back) && !errors.contains("take effect"), "{errors}");
    }
}

#[test]
fn a_faulty_file_changes_nothing_at_sighup_and_the_log_says_why() {
    let text = apps_file(&[("stays", &key("stays"))]);
    let path = write_file("faulty", &text);
    let log = path.with_extension("log");
    let port = free_port();
    let mut command = serve_command(&path, port, "3");
    command.stderr(File::create(&log).unwrap());
    let mut server = Server::start_unheard(command, port);
    let mut client = connect(&server, "stays");
    client.subscribe("news");
    let next = apps_file(&[("next", &key("next"))]);
    let shown = path.display().to_string();
    let reload = |text: &str, line: &str| {
        fs::write(&path, text).unwrap();
        hang_up(&server);
        wait_for(line, || fs::read_to_string(&log).unwrap().contains(line).then_some(()));
    };
    let faulty = [
        (format!("{next}colour = 1\n"), ":5: unknown key \"colour\" in [[apps]]"),
        (
            apps_file(&[("next", &key("a")), ("other", &key("a"))]),
            ":7: apps.key = \"a\": already used by the app on line 3",
        ),
        ("[limits]\n".to_owned(), " has no app\n"),
    ];
    for (text, why) in faulty {
        reload(&text, &format!("SIGHUP changes nothing: {shown}{why}"));
        assert_eq!(publish(&mut server.http(), &caller("stays", "stays"), "news", "x").status, 200);
        client.expect("news", "e", "x");
        assert_eq!(refusal(&server, "/app/next?protocol=7", ""), 4001);
    }
    // Other settings wait for the next start; what is right of the apps holds.
    let others = "added: next; these take effect when the server is started again: drain_rate, path_prefix\n";
    reload(
        &format!("drain_rate = 7\npath_prefix = \"/a\"\n{text}{next}"),
        &format!("SIGHUP: {shown}: {others}"),
    );
    wait_for_status(&server, &caller("next", "next"), 200);
    connect(&server, "next");
    client.expect_pong();
    drop(client);
    assert_eq!(server.terminate().code(), Some(0));
    let log = fs::read_to_string(&log).unwrap();
    assert!(!log.contains("-secret"), "{log}");
}

#[test]
fn an_app_that_is_removed_and_comes_back_has_its_counts() {
    for shards in SHARDS {
        let limited = format!("{}\nlimits = {{ connections_max = 3 }}", key("limited"));
        let with = apps_file(&[("other", &key("other")), ("limited", &limited)]);
        let without = apps_file(&[("other", &key("other"))]);
        let path = write_file(&format!("back-{shards}"), &with);
        let server = serve(&path, shards);
        let app = caller("limited", "limited");
        for _ in 0..3 {
            let clients: Vec<_> = (0..3).map(|_| connect(&server, "limited")).collect();
            assert_eq!(refusal(&server, "/app/limited?protocol=7", ""), 4100);
            fs::write(&path, &without).unwrap();
            hang_up(&server);
            wait_for_status(&server, &app, 404);
            fs::write(&path, &with).unwrap();
            hang_up(&server);
            wait_for_status(&server, &app, 200);
            for mut client in clients {
                assert_eq!(client.hear_error().0, Some(4003));
            }
            let connections = ask(&mut server.http(), &app, "GET", "/apps/limited/connections", "");
            assert_eq!(connections.json(), json!({"connections": 0}));
        }
    }
}
