//! The console from outside: who gets in, what streams tell, and that it is not there without a token.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::rig::http::{Answer, Http};
use crate::rig::server::{Server, free_port, wait_for};

const TOKEN: &str = "a-token-of-the-loopback-tests";
const BEARER: &str = "Authorization: Bearer a-token-of-the-loopback-tests\r\n";

/// A server with a console.
struct Operated {
    server: Server,
    admin: u16,
}

impl Operated {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.token"));
        fs::write(&file, format!("{TOKEN}\n")).unwrap();
        let admin = free_port();
        let address = format!("127.0.0.1:{admin}");
        let console = ["--shards", "2", "--admin", &address, "--admin-token-file", file.to_str().unwrap()];
        Self { server: Server::start(&[&console, arguments].concat()), admin }
    }

    fn ask(&self, request: &str) -> Answer {
        Http::on(self.connect()).ask(request.as_bytes())
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.admin)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    fn get(&self, path: &str, lines: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{lines}\r\n", self.admin))
    }

    fn post(&self, path: &str, lines: &str, body: &str) -> Answer {
        let (port, length) = (self.admin, body.len());
        self.ask(&format!(
            "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n{lines}\
             Content-Length: {length}\r\n\r\n{body}"
        ))
    }

    fn json(&self, path: &str) -> Value {
        let answer = self.get(path, BEARER);
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_str(&answer.body).unwrap()
    }

    fn stream(&self) -> Events {
        let mut stream = Http::on(self.connect());
        let request = format!("GET /console/stream HTTP/1.1\r\nHost: localhost\r\n{BEARER}\r\n");
        stream.send(request.as_bytes());
        let mut events = Events(BufReader::new(stream.into_stream()));
        assert!(events.line().unwrap().starts_with("HTTP/1.1 200 "));
        while events.line().is_some_and(|line| !line.is_empty()) {}
        events
    }
}

/// Events of a stream, as they come.
struct Events(BufReader<TcpStream>);

impl Events {
    /// None: the stream has ended.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let bytes = self.0.read_line(&mut line).unwrap();
        (bytes > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
    }

    fn next(&mut self) -> Option<(String, Value)> {
        let event = self.line()?.strip_prefix("event: ").unwrap().to_owned();
        let data = self.line()?.strip_prefix("data: ").unwrap().to_owned();
        assert_eq!(self.line()?, "");
        Some((event, serde_json::from_str(&data).unwrap()))
    }

    /// The first event of this name that is as it should be.
    fn wait_for(&mut self, name: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..200 {
            let (event, data) = self.next().unwrap();
            if event == name && is_it(&data) {
                return data;
            }
        }
        panic!("no {name} is as it should be");
    }
}

#[test]
fn without_a_token_there_is_no_console() {
    let admin = free_port();
    let address = format!("127.0.0.1:{admin}");
    let server = Server::start(&["--shards", "1", "--admin", &address]);
    let operated = Operated { server, admin };
    assert_eq!(operated.get("/", "").body, "OK");
    assert_eq!(operated.get("/console/main.js", "").status, 404);
    assert_eq!(operated.post("/console/sign-in", "", "{\"token\":\"\"}").status, 404);
    assert_eq!(operated.get("/console/stream", "Authorization: Bearer \r\n").status, 404);
    assert!(!operated.get("/metrics", "").body.contains("console"));
}

#[test]
fn a_browser_signs_in_with_the_token_and_is_known_by_its_cookie() {
    let operated = Operated::start("console_sign_in", &[]);
    let page = operated.get("/", "");
    assert_eq!((page.status, page.header("Content-Type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("Content-Security-Policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    let script = operated.get("/console/main.js", "");
    let tag = script.header("ETag").unwrap();
    assert_eq!(operated.get("/console/main.js", &format!("If-None-Match: {tag}\r\n")).status, 304);
    for (body, status) in [("{\"token\":\"wrong\"}", 403), ("{\"token\":1}", 400), ("no", 400)] {
        assert_eq!(operated.post("/console/sign-in", "", body).status, status, "{body}");
    }
    let body = json!({"token": TOKEN}).to_string();
    let signed_in = operated.post("/console/sign-in", "", &body);
    assert_eq!((signed_in.status, &*signed_in.body), (204, ""));
    let cookie = signed_in.header("Set-Cookie").unwrap();
    for flag in ["; HttpOnly", "; SameSite=Strict", "; Path=/", "; Max-Age="] {
        assert!(cookie.contains(flag), "{cookie}");
    }
    assert!(!cookie.contains("Secure") && !cookie.contains(TOKEN), "{cookie}");
    let lines = format!("Cookie: theirs=1; {}\r\n", cookie.split(';').next().unwrap());
    let settings = operated.get("/console/settings", &lines);
    assert_eq!((settings.status, settings.header("Cache-Control")), (200, Some("no-store")));
    assert!(
        !settings.body.contains(TOKEN) && !settings.body.contains("loopback-secret"),
        "{}",
        settings.body
    );
    assert_eq!(operated.post("/console/sign-out", &lines, "{}").status, 204);
    let refused = operated.get("/console/settings", &lines);
    assert_eq!((refused.status, refused.header("WWW-Authenticate")), (401, Some("Bearer")));
}

#[test]
fn strangers_and_their_pages_get_nothing() {
    let operated = Operated::start("console_strangers", &[]);
    let port = operated.admin;
    for path in ["/console/settings", "/console/stream", "/console/try", "/console/problems"] {
        assert_eq!(operated.get(path, "").status, 401, "{path}");
        assert_eq!(operated.get(path, &format!("{BEARER}Origin: http://evil.example\r\n")).status, 403);
        let rebound = format!("GET {path} HTTP/1.1\r\nHost: evil.example:{port}\r\n{BEARER}\r\n");
        assert_eq!(operated.ask(&rebound).status, 403);
    }
    let rebound = format!("GET / HTTP/1.1\r\nHost: evil.example:{port}\r\n\r\n");
    assert_eq!(operated.ask(&rebound).status, 403);
    let form = format!(
        "POST /console/sign-out HTTP/1.1\r\nHost: localhost:{port}\r\n{BEARER}Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{{}}"
    );
    assert_eq!(operated.ask(&form).status, 415);
    assert_eq!(operated.get("/console/sign-in", BEARER).status, 405);
    let preflight = format!("OPTIONS /console/settings HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n");
    let preflight = operated.ask(&preflight);
    assert!(preflight.status == 405 && preflight.header("Access-Control-Allow-Origin").is_none());
    // The doors of other tools are as they were, and clients find no console.
    assert_eq!(operated.get("/metrics", "").status, 200);
    assert_eq!(operated.get("/ready", "").body, "{\"ready\":true}");
    let public = operated.server.http().ask(b"GET /console/settings HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(public.status, 404);
}

#[test]
fn who_guesses_tokens_must_wait_and_who_is_signed_in_need_not() {
    let operated = Operated::start("console_guesses", &[]);
    let body = json!({"token": TOKEN}).to_string();
    let signed_in = operated.post("/console/sign-in", "", &body);
    let cookie = signed_in.header("Set-Cookie").unwrap().split(';').next().unwrap().to_owned();
    // One more may be tried each second, so that many are needed on a busy machine.
    let refused = (0..1_000).map(|_| operated.post("/console/sign-in", "", "{\"token\":\"x\"}"));
    let refused = refused.map(|answer| (answer.status, answer.header("Retry-After").map(str::to_owned)));
    let first: Vec<_> = refused.take_while(|(status, _)| *status == 403).collect();
    assert!(first.len() >= 10 && first.len() < 1_000, "{}", first.len());
    assert_eq!(operated.get("/console/settings", &format!("Cookie: {cookie}\r\n")).status, 200);
    let metrics = operated.get("/metrics", "").body;
    let counted =
        metrics.lines().find_map(|line| line.strip_prefix("corecast_console_tokens_refused_total "));
    assert!(counted.unwrap().parse::<usize>().unwrap() > first.len(), "{counted:?}");
}

#[test]
fn a_stream_tells_each_second_how_the_server_is() {
    let operated = Operated::start("console_stream", &[]);
    let mut events = operated.stream();
    let (first, history) = events.next().unwrap();
    assert!(first == "history" && history.is_array(), "{first}");
    let mut clients: Vec<_> = (0..3).map(|_| operated.server.connect()).collect();
    clients.iter_mut().for_each(|client| drop(client.subscribe("watched")));
    let apps = events.wait_for("apps", |apps| apps[0]["connections"] == 3);
    assert_eq!((&apps[0]["id"], &apps[0]["subscriptions"]), (&json!("7"), &json!(3)));
    let sample = events.wait_for("sample", |sample| sample["connections"] == 3);
    for name in
        ["at", "deliveries_per_s", "publishes_per_s", "bytes_in_per_s", "bytes_out_per_s", "waiting_bytes"]
    {
        assert!(sample[name].is_number(), "{name}: {sample}");
    }
    let names: Vec<&str> =
        sample["cores"].as_array().unwrap().iter().map(|core| core["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["shard-0", "shard-1", "api"]);
    assert!(sample["memory_bytes"].as_u64().unwrap() > 1 << 20, "{sample}");
    operated.server.publish("watched", "e", "x");
    let sample = events.wait_for("sample", |sample| sample["deliveries_per_s"].as_f64() > Some(0.0));
    assert!(sample["publishes_per_s"].as_f64() > Some(0.0), "{sample}");
    let mut later = operated.stream();
    let (_, history) = later.next().unwrap();
    assert!(history.as_array().unwrap().iter().any(|it| it["at"] == sample["at"]), "{history}");
}

#[test]
fn problems_have_a_reason_and_a_remedy_and_names_are_inert() {
    let operated = Operated::start("console_problems", &["--log-level", "error"]);
    let hostile = "private-<img onerror=alert(1)>\u{202e}\u{1b}[31m\"";
    let mut client = operated.server.connect();
    let subscribe =
        json!({"event": "pusher:subscribe", "data": {"channel": hostile, "auth": "loopback-key:00"}});
    client.say(&subscribe);
    client.say(
        &json!({"event": "pusher:subscribe", "data": {"channel": "private-a", "auth": "loopback-key:00"}}),
    );
    let rest = operated.server.http().ask(b"GET /apps/7/channels HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(rest.status, 401);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = format!("auth_key=loopback-key&auth_timestamp={now}&auth_version=1.0");
    let wrong = format!("GET /apps/7/channels?{claims}&auth_signature=00 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(operated.server.http().ask(wrong.as_bytes()).status, 401);
    let problems = wait_for("all problems", || {
        let problems = operated.json("/console/problems")["problems"].take();
        (problems.as_array()?.len() >= 4).then_some(problems)
    });
    let of = |what: &str, reason: &str| {
        let found =
            problems.as_array().unwrap().iter().find(|it| it["what"] == what && it["reason"] == reason);
        found.unwrap_or_else(|| panic!("{what}, {reason}: {problems}")).clone()
    };
    let rest = of("rest", "Missing parameter: auth_key");
    assert_eq!(
        (&rest["app"], &rest["status"], &rest["path"]),
        (&json!("7"), &json!(401), &json!("/apps/7/channels"))
    );
    assert_eq!(rest["remedy"], "sign the call, as server SDKs do");
    assert!(rest["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{rest}");
    let signed =
        format!("you should have sent HmacSHA256Hex(\"GET\\n/apps/7/channels\\n{claims}\", your_secret_key)");
    assert_eq!(of("rest", "Invalid signature")["remedy"], signed);
    let subscription = of("subscription", "Invalid signature");
    let signed = format!("signature should have been made over \"{}:private-a\"", client.socket_id);
    assert!(subscription["remedy"].as_str().unwrap().starts_with(&signed), "{subscription}");
    assert!(problems.as_array().unwrap().iter().any(|it| it["channel"] == hostile), "{problems}");
    assert!(subscription["count"] == 1 && subscription["at"].as_u64() > Some(1 << 40), "{subscription}");
    drop(client);
}

#[test]
fn settings_are_shown_as_they_hold_and_clients_are_told_where_to_connect() {
    let operated = Operated::start("console_settings", &[]);
    let settings = operated.json("/console/settings");
    let of = |key: &str| settings.as_array().unwrap().iter().find(|it| it["key"] == key).unwrap();
    let shards = of("shards");
    assert_eq!(
        (&shards["value"], &shards["origin"], &shards["where"]),
        (&json!("2"), &json!("flag"), &json!("--shards"))
    );
    assert_eq!(of("metrics_prefix")["default"], "\"corecast_\"");
    assert_eq!(of("apps.0.secret")["value"], "\"***\"");
    let reached = operated.json("/console/try");
    assert_eq!((&reached["port"], &reached["tls"]), (&json!(operated.server.port()), &json!(false)));
    assert_eq!(reached["apps"], json!([{"id": "7", "key": "loopback-key"}, {"id": "8", "key": "other-key"}]));
}

#[test]
fn another_token_at_sighup_signs_everybody_out() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let (config, token) = (folder.join("console_sighup.toml"), folder.join("console_sighup.token"));
    fs::write(&token, TOKEN).unwrap();
    fs::write(&config, format!("admin_token_file = {:?}\n", token.to_str().unwrap())).unwrap();
    let admin = free_port();
    let (address, path) = (format!("127.0.0.1:{admin}"), config.to_str().unwrap());
    let server = Server::start(&["--shards", "1", "--admin", &address, "--config", path]);
    let operated = Operated { server, admin };
    let mut events = operated.stream();
    events.next().unwrap();
    fs::write(&token, "another-token-of-the-loopback-tests").unwrap();
    let pid = operated.server.pid().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    while events.next().is_some() {}
    assert_eq!(operated.get("/console/settings", BEARER).status, 401);
    let other = "Authorization: Bearer another-token-of-the-loopback-tests\r\n";
    assert_eq!(operated.get("/console/settings", other).status, 200);
}

#[test]
fn a_drain_ends_streams() {
    let mut operated = Operated::start("console_drain", &[]);
    let mut events = operated.stream();
    events.next().unwrap();
    assert_eq!(operated.server.terminate().code(), Some(0));
    while events.next().is_some() {}
}
