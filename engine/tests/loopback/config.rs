//! A server that is run from a configuration file: what the file says holds, for each app its own, and a flag wins over
//! it. A wrong file stops the start.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::rig::client::Client;
use crate::rig::http::{Answer, Http, encode_event, encode_request, now_unix_s};
use crate::rig::raw::{Raw, TEXT};
use crate::rig::server::{Server, binary, free_port, run};
use protocol::app::App;
use protocol::auth::sign_request;

/// Ids, keys and secrets of the file below are made of one word each.
const NAMES: [&str; 4] = ["small", "large", "full", "off"];

const FILE: &str = r#"
shards = 2
api_listen = ["127.0.0.1:API_PORT"]

[limits]
message_bytes_max = 16_384
http_body_bytes_max = 204_800

[[apps]]
id = "small"
key = "small-key"
secret = "small-secret"
limits = { event_data_bytes_max = 10_240, connections_max = 1 }

[[apps]]
id = "large"
key = "large-key"
secret = "large-secret"

[[apps]]
id = "full"
key = "full-key"
secret = "full-secret"
over_quota_close_code = 4004
limits = { connections_max = 1 }

[[apps]]
id = "off"
key = "off-key"
secret = "off-secret"
enabled = false
"#;

fn app(name: &str) -> App {
    App::new(name, &format!("{name}-key"), &format!("{name}-secret"))
}

/// A file in the folder for tests. The name must be the test's own.
fn write_file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.toml"));
    fs::write(&path, text).unwrap();
    path
}

/// A server on a free port that reads FILE, and the port of its API core.
fn serve(name: &str, arguments: &[&str]) -> (Server, u16) {
    let (port, api_port) = (free_port(), free_port());
    let path = write_file(name, &FILE.replace("API_PORT", &api_port.to_string()));
    let mut command = Command::new(binary());
    command.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--config"]).arg(path).args(arguments);
    command.stdin(Stdio::null());
    (Server::start_command(command, port), api_port)
}

fn signed(app: &App, method: &str, endpoint: &str, body: &str) -> Vec<u8> {
    let path = format!("/apps/{}/{endpoint}", app.id);
    let query = sign_request(app, method, &path, &[], body.as_bytes(), now_unix_s());
    encode_request(method, &format!("{path}?{query}"), body)
}

fn publish(http: &mut Http, app: &App, data: &str) -> Answer {
    http.ask(&signed(app, "POST", "events", &encode_event("news", "e", data)))
}

/// A publish whose body has so many bytes. One that is too long is refused by its head, so no more is sent.
fn publish_long(http: &mut Http, app: &App, bytes: usize) -> Answer {
    let mut body = encode_event("news", "e", "x").into_bytes();
    body.resize(bytes, b' ');
    let mut request = signed(app, "POST", "events", std::str::from_utf8(&body).unwrap());
    if bytes > 204_800 {
        request.truncate(request.len() - bytes);
    }
    http.ask(&request)
}

fn path(name: &str) -> String {
    format!("/app/{name}-key?protocol=7")
}

/// The code that a connection to this app is closed with at once.
fn refusal(server: &Server, name: &str) -> u16 {
    let mut raw = Raw::open(server);
    assert_eq!(raw.upgrade(&path(name)).status, 101);
    raw.hear_error_and_close()
}

#[test]
fn apps_of_one_file_have_limits_of_their_own() {
    let (server, _) = serve("own", &[]);
    let (small, large) = (app("small"), app("large"));
    let mut http = server.http();
    assert_eq!(publish(&mut http, &small, &"x".repeat(10_240)).status, 200);
    let (status, text) = publish(&mut http, &small, &"x".repeat(10_241)).refusal();
    assert_eq!(status, 413);
    assert!(text.contains("10240") && text.contains("event_data_bytes_max"), "{text}");
    assert_eq!(publish(&mut http, &large, &"x".repeat(10_241)).status, 200);
    // Bytes are counted, not characters.
    assert_eq!(publish(&mut http, &small, &"é".repeat(5_120)).status, 200);
    assert_eq!(publish(&mut http, &small, &"é".repeat(5_121)).status, 413);
}

#[test]
fn limits_of_the_server_hold_for_all_apps() {
    let (server, _) = serve("server", &[]);
    let mut raw = Raw::open(&server);
    assert_eq!(raw.upgrade(&path("large")).status, 101);
    raw.hear_event("pusher:connection_established");
    let ping = r#"{"event":"pusher:ping","data":{}}"#;
    raw.frame(TEXT, format!("{ping:16384}").as_bytes());
    raw.hear_event("pusher:pong");
    raw.frame(TEXT, format!("{ping:16385}").as_bytes());
    assert_eq!(raw.hear_close(), 1009);

    let mut http = server.http();
    assert_eq!(publish_long(&mut http, &app("large"), 204_800).status, 200);
    let (status, text) = publish_long(&mut http, &app("large"), 204_801).refusal();
    assert_eq!(status, 413);
    assert!(text.contains("http_body_bytes_max"), "{text}");
}

#[test]
fn an_app_that_is_full_says_its_own_code_until_a_place_is_free() {
    let (server, _) = serve("full", &[]);
    for (name, code) in [("small", 4100), ("full", 4004)] {
        let mut first = Client::connect(server.tcp(), &path(name));
        assert_eq!(refusal(&server, name), code, "{name}");
        first.expect_pong();
        first.abort();
        crate::rig::server::wait_for("the place", || {
            let mut raw = Raw::open(&server);
            raw.upgrade(&path(name));
            (raw.hear()["event"] == "pusher:connection_established").then_some(())
        });
    }
    let clients: Vec<_> = (0..3).map(|_| Client::connect(server.tcp(), &path("large"))).collect();
    assert_eq!(clients.len(), 3);
}

#[test]
fn a_disabled_app_refuses_connections_and_calls() {
    let (server, _) = serve("off", &[]);
    assert_eq!(refusal(&server, "off"), 4003);
    let mut http = server.http();
    assert_eq!(publish(&mut http, &app("off"), "x").status, 403);
    assert_eq!(http.ask(&signed(&app("off"), "GET", "channels", "")).status, 403);
    // A caller who cannot sign for the app is not told of its state.
    let stranger = App::new("off", "off-key", "wrong");
    assert_eq!(publish(&mut http, &stranger, "x").status, 401);
}

#[test]
fn api_listen_takes_calls_and_what_they_publish_arrives() {
    let (server, api_port) = serve("api", &[]);
    let mut client = Client::connect(server.tcp(), &path("large"));
    client.subscribe("news");
    let stream = std::net::TcpStream::connect(("127.0.0.1", api_port)).unwrap();
    assert_eq!(publish(&mut Http::on(stream), &app("large"), "x").status, 200);
    client.expect("news", "e", "x");
}

#[test]
fn an_app_by_flag_replaces_those_of_the_file_and_has_its_limits() {
    let (server, _) = serve("flag", &["--app", "flag:flag-key:flag-secret", "--shards", "1"]);
    for name in NAMES {
        assert_eq!(refusal(&server, name), 4001, "{name}");
    }
    let mut http = server.http();
    assert_eq!(publish(&mut http, &app("flag"), "x").status, 200);
    assert_eq!(publish_long(&mut http, &app("flag"), 204_801).status, 413);
    for _ in 0..8 {
        assert_eq!(Client::connect(server.tcp(), &path("flag")).shard(), 0);
    }
}

#[test]
fn a_wrong_file_stops_the_start_with_one_message() {
    let wrong =
        write_file("wrong", "[[apps]]\nid = \"1\"\nkey = \"a\"\nsecret = \"hunter2\"\nenable = true\n");
    let empty = write_file("empty", "shards = 1\n");
    let (wrong, empty) = (wrong.to_str().unwrap(), empty.to_str().unwrap());
    let no_app = format!(
        "no app is configured: add [[apps]], [app_store] or apps_url to {empty}, or give --app ID:KEY:SECRET (there are no built-in \
         credentials; `corecast dev` makes some and keeps them for its next run)"
    );
    let missing =
        "no-such.toml: the configuration file cannot be read: No such file or directory (os error 2)";
    let table = [
        (wrong, format!("{wrong}:5: unknown key \"enable\" in [[apps]]: did you mean \"enabled\"?")),
        (empty, no_app),
        ("no-such.toml", missing.to_owned()),
    ];
    for (file, message) in table {
        let (code, out, errors) = run(&["serve", "--config", file]);
        assert_eq!((code, &*out, &*errors), (Some(78), "", &*format!("corecast: {message}\n")));
        assert_eq!(
            run(&["check", "--config", file]),
            (code, out, errors.replace(", or give --app ID:KEY:SECRET", ""))
        );
    }
}

#[test]
fn a_right_file_is_told_so() {
    let file = write_file("right", &FILE.replace("API_PORT", "6002"));
    let file = file.to_str().unwrap();
    let told = format!("{file}: good, 4 app(s)\n");
    assert_eq!(run(&["check", "--config", file]), (Some(0), told, String::new()));
}
