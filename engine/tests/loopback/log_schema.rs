//! docs/logs.md is the schema of the log: a session in which everything happens that an operator reads of leaves lines with
//! the names, levels and fields of that page, and each field has one type. And a flood of refusals leaves few of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::rig::client::Client;
use crate::rig::http::{Http, encode_request};
use crate::rig::raw::{Raw, encode_upgrade};
use crate::rig::server::{Server, binary, free_port, wait_for};

const PAGE: &str = include_str!("../../../docs/logs.md");
const ALWAYS: [&str; 4] = ["time", "level", "event", "message"];

/// Whether a value may stand in a field of this name.
fn is_of_kind(field: &str, value: &Value) -> bool {
    let is_text = value.is_string();
    match field {
        "time" | "level" | "event" | "message" | "version" | "settings" | "what" | "by" | "reason"
        | "method" | "socket_id" | "endpoint" => is_text,
        "app" | "key" | "address" | "agent" | "channel" | "path" | "needs_restart" => {
            is_text || value.is_null()
        }
        "shards" | "processors" | "apps" | "open_files" | "clients" | "code" | "subscriptions" | "status"
        | "ms" | "count" => value.is_u64(),
        "bytes_in" | "bytes_out" | "memory_bytes" => value.is_u64() || value.is_null(),
        "seconds" | "days_left" => value.is_number(),
        "tls" => value.is_boolean(),
        other => panic!("{other} has no type here"),
    }
}

/// What the page says of an event: its levels, in words, and its fields.
struct Row {
    levels: &'static str,
    fields: BTreeSet<&'static str>,
}

fn schema() -> BTreeMap<&'static str, Row> {
    let rows = PAGE.lines().filter(|line| line.starts_with("| `"));
    let words = |cell: &'static str| cell.split('`').skip(1).step_by(2);
    rows.flat_map(|row| {
        let cells: Vec<&str> = row.split('|').collect();
        words(cells[1]).map(move |event| (event, Row { levels: cells[2], fields: words(cells[3]).collect() }))
    })
    .collect()
}

fn check(line: &Value) {
    let schema = schema();
    let event = line["event"].as_str().unwrap();
    let row = schema.get(event).unwrap_or_else(|| panic!("docs/logs.md has no {event}"));
    assert!(row.levels.contains(line["level"].as_str().unwrap()), "{line}");
    let object = line.as_object().unwrap();
    let named: BTreeSet<&str> = object.keys().map(String::as_str).collect();
    assert_eq!(named, row.fields.iter().chain(&ALWAYS).copied().collect(), "{line}");
    assert!(object.iter().all(|(name, value)| is_of_kind(name, value)), "{line}");
    let time = line["time"].as_str().unwrap();
    assert!(time.ends_with('Z') && time.len() == "2026-01-01T00:00:00.000Z".len(), "{line}");
}

/// A server whose log is a file.
struct Logged {
    server: Server,
    config: PathBuf,
    log: PathBuf,
    admin: u16,
}

impl Logged {
    fn start(name: &str, settings: &str, environment: &[(&str, &str)]) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).unwrap();
        let (port, admin) = (free_port(), free_port());
        let (config, log) = (folder.join("corecast.toml"), folder.join("log.json"));
        let text = format!(
            "listen = \"127.0.0.1:{port}\"\nadmin = \"127.0.0.1:{admin}\"\nshards = 1\nlog_format = \"json\"\n\
             [hooks]\ndata_dir = {:?}\ngive_up_after_s = 1\nretry_pause_max_s = 1\n{settings}",
            folder.join("data")
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new(binary());
        command.arg("serve").arg("--config").arg(&config).envs(environment.iter().copied());
        command.stdin(Stdio::null()).stderr(File::create(&log).unwrap());
        Self { server: Server::start_unheard(command, port), config, log, admin }
    }

    fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.log).unwrap();
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        whole.map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}"))).collect()
    }

    fn of(&self, event: &str) -> Vec<Value> {
        self.lines().into_iter().filter(|line| line["event"] == event).collect()
    }

    fn wait_for(&self, event: &str) -> Value {
        wait_for(event, || self.of(event).into_iter().next())
    }

    fn hang_up(&self) {
        let pid = self.server.pid().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    }

    fn metric(&self, name: &str) -> u64 {
        let mut tools = Http::on(std::net::TcpStream::connect(("127.0.0.1", self.admin)).unwrap());
        let answer = tools.ask(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let value = answer.body.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        value.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
    }
}

const APP: &str = "[[apps]]\nid = \"7\"\nkey = \"loopback-key\"\nsecret = \"loopback-secret\"\n";

fn endpoint(name: &str, more: &str) -> String {
    format!(
        "[[apps.hooks]]\nname = \"{name}\"\nurl = \"http://127.0.0.1:{}/\"\nbatch_ms = 1\n{more}",
        free_port()
    )
}

fn refused_in_each_way(server: &Server, client: &mut Client) {
    client.say(&json!({ "event": "pusher:subscribe", "data": {
        "channel": "private-room", "auth": "no-such-key:0123456789abcdef" } }));
    drop(client.hear_refusal("private-room"));
    client.trigger("room", "client-x", &json!("x"));
    drop(client.hear_error());
    refuse_connection(server);
    let target = "/apps/7/events?auth_key=no-such-key&auth_timestamp=1&auth_version=1.0&auth_signature=a";
    assert_eq!(server.http().ask(&encode_request("POST", target, "{}")).refusal().0, 401);
}

fn refuse_connection(server: &Server) {
    let mut unknown = Raw::open(server);
    unknown.write(encode_upgrade("/app/no-such-key?protocol=7").as_bytes());
    drop(unknown.read_to_end());
}

#[test]
fn a_session_leaves_lines_as_the_page_has_them() {
    let settings = format!(
        "{APP}{}{}",
        endpoint("dead", ""),
        endpoint("sick", "disable_after_s = 1\nretry = \"day\"\n")
    );
    let link = [("CORECAST_PORT", "tcp://10.0.0.1:6001"), ("CORECAST_LOG_LEVEL", "debug")];
    let mut logged = Logged::start("log-schema", &settings, &link);
    let mut client =
        Client::connect(logged.server.tcp(), "/app/loopback-key?protocol=7&client=js&version=8.4.0");
    client.subscribe("room");
    refused_in_each_way(&logged.server, &mut client);
    logged.server.publish("room", "event", "x");
    for event in ["dead_letter", "endpoint_disabled"] {
        logged.wait_for(event);
    }
    logged.hang_up();
    logged.wait_for("reloaded");
    fs::write(&logged.config, "no = TOML").unwrap();
    logged.hang_up();
    logged.wait_for("reload_failed");
    assert_eq!(logged.server.terminate().code(), Some(0));
    let lines = logged.lines();
    lines.iter().for_each(check);
    let seen: BTreeSet<&str> = lines.iter().filter_map(|line| line["event"].as_str()).collect();
    for event in [
        "started",
        "listening",
        "capacity",
        "connection_opened",
        "connection_closed",
        "refused",
        "rest",
        "reloaded",
        "reload_failed",
        "stopping",
        "stopped",
        "dead_letter",
        "endpoint_disabled",
        "ignored_key",
    ] {
        assert!(seen.contains(event), "{event} is not in {seen:?}");
    }
    let of = |event: &str| lines.iter().find(|line| line["event"] == event).unwrap();
    let settings = of("started")["settings"].as_str().unwrap();
    assert!(
        settings.contains("hooks.give_up_after_s = 1") && settings.contains("log_level = \"debug\""),
        "{settings}"
    );
    assert!(!settings.contains("loopback"), "{settings}");
    assert_eq!((&of("dead_letter")["count"], &of("stopping")["clients"]), (&json!(1), &json!(1)));
    assert_eq!(of("ignored_key")["key"], "CORECAST_PORT");
    let closed = of("connection_closed");
    assert_eq!((&closed["code"], &closed["by"]), (&json!(4100), &json!("server")));
    refusals_name_the_key(&lines);
    drop(client);
}

/// For a key that no app has, `app` is null, unless the connection says whose it is.
fn refusals_name_the_key(lines: &[Value]) {
    for (what, app) in [("connection", Value::Null), ("rest", Value::Null), ("subscription", json!("7"))] {
        let refused = lines.iter().find(|line| line["event"] == "refused" && line["what"] == what).unwrap();
        assert_eq!((&refused["app"], &refused["key"]), (&app, &json!("no-such-key")), "{refused}");
        let reason = refused["reason"].as_str().unwrap();
        assert!(reason.contains("app"), "nothing says what to do: {refused}");
    }
}

#[test]
fn of_a_flood_of_refusals_each_kind_has_some_lines_a_second_and_the_others_are_counted() {
    const FLOOD: u64 = 300;
    const PER_SECOND_MAX: usize = 50;
    let logged = Logged::start("log-flood", APP, &[]);
    for _ in 0..FLOOD {
        refuse_connection(&logged.server);
    }
    let target = "/apps/8/channels?auth_key=loopback-key";
    assert_eq!(logged.server.http().ask(&encode_request("GET", target, "")).refusal().0, 404);
    let told = wait_for("all refusals to be told or counted", || {
        let told = logged.of("refused");
        let untold = logged.metric("corecast_log_refusals_untold_total");
        (told.len() as u64 + untold == FLOOD + 1).then_some(told)
    });
    let mut by_second: BTreeMap<String, usize> = BTreeMap::new();
    for line in told.iter().filter(|line| line["what"] == "connection") {
        // A line is written a moment after its second has counted it.
        *by_second.entry(line["time"].as_str().unwrap()[..19].to_owned()).or_default() += 1;
    }
    assert!(by_second.values().all(|lines| *lines <= PER_SECOND_MAX + 10), "{by_second:?}");
    assert!(told.len() < FLOOD as usize && told.len() >= PER_SECOND_MAX, "{}", told.len());
    assert!(told.iter().any(|line| line["what"] == "rest"), "another kind is told all the same");
}
