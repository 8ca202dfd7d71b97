//! The log for programs: what a session of clients and back ends leaves in it, by name and field, and what it never holds.

use serde_json::{Value, json};

use crate::rig::KEY;
use crate::rig::client::Client;
use crate::rig::http::encode_request;
use crate::rig::raw::{Raw, encode_upgrade};
use crate::rig::server::Server;

const TARGET: &str = "/app/loopback-key?protocol=7&client=js&version=8.4.0";
const ALWAYS: [&str; 4] = ["time", "level", "event", "message"];

fn session(server: &Server) {
    let mut client = Client::connect(server.tcp(), TARGET);
    client.subscribe("room");
    client.say(&json!({ "event": "pusher:subscribe", "data": {
        "channel": "private-room", "auth": format!("{KEY}:0123456789abcdefSENTSIGNATURE") } }));
    drop(client.hear_refusal("private-room"));
    client.trigger("room", "client-x", &json!("PAYLOAD-OF-A-CLIENT"));
    drop(client.hear_error());
    client.socket().close(None).unwrap();
    while client.read().is_ok() {}
    let cut = Client::connect(server.tcp(), "/app/loopback-key?protocol=7");
    cut.abort();
    let mut unknown = Raw::open(server);
    unknown.write(encode_upgrade("/app/no-such-key?protocol=7").as_bytes());
    drop(unknown.read_to_end());
    let mut back_end = server.http();
    back_end.publish("room", "event", "PAYLOAD-OF-A-BACK-END");
    let target = "/apps/7/events?auth_key=loopback-key&auth_timestamp=1&auth_version=1.0&auth_signature=abcdefBADSIGNATURE";
    assert_eq!(back_end.ask(&encode_request("POST", target, "{}")).refusal().0, 401);
}

/// The lines of a session, each parsed.
fn logged(level: &str) -> (Vec<Value>, String) {
    let arguments = ["--log-format", "json", "--log-level", level, "--shards", "1", "--admin", "off"];
    let mut server = Server::start(&arguments);
    session(&server);
    assert_eq!(server.terminate().code(), Some(0));
    let text = server.take_errors();
    let lines =
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    (lines.collect(), text)
}

fn of<'a>(lines: &'a [Value], event: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["event"] == event).collect()
}

fn has_fields(line: &Value, fields: &[&str]) {
    let mut names: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
    let mut wanted: Vec<&str> = ALWAYS.iter().chain(fields).copied().collect();
    names.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(names, wanted, "{line}");
}

#[test]
fn a_session_leaves_lines_whose_names_and_fields_programs_rely_on() {
    let (lines, text) = logged("debug");
    for line in &lines {
        let time = line["time"].as_str().unwrap();
        assert!(time.ends_with('Z') && time.len() == "2026-01-01T00:00:00.000Z".len(), "{line}");
        assert!(line["message"].is_string() && line["level"].is_string(), "{line}");
    }
    assert_eq!(of(&lines, "started")[0]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(of(&lines, "listening")[0]["tls"], false);
    let opened = of(&lines, "connection_opened");
    assert_eq!(
        (opened.len(), &opened[0]["level"], &opened[0]["agent"]),
        (2, &json!("debug"), &json!("js/8.4.0"))
    );
    let closed = of(&lines, "connection_closed");
    assert_eq!(closed.len(), 2, "{text}");
    let fields = [
        "app",
        "socket_id",
        "address",
        "code",
        "by",
        "seconds",
        "bytes_in",
        "bytes_out",
        "subscriptions",
        "agent",
    ];
    closed.iter().for_each(|line| has_fields(line, &fields));
    let (client, cut) = (closed[0], closed[1]);
    assert_eq!(
        (&client["app"], &client["by"], &client["subscriptions"]),
        (&json!("7"), &json!("client"), &json!(1))
    );
    assert!(client["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{client}");
    assert!(
        client["bytes_in"].as_u64().unwrap() > 300 && client["bytes_out"].as_u64().unwrap() > 300,
        "{client}"
    );
    assert!(client["seconds"].as_f64().unwrap() < 60.0, "{client}");
    assert_eq!(
        (&cut["code"], &cut["by"], &cut["subscriptions"]),
        (&json!(1006), &json!("client"), &json!(0))
    );
    let calls = of(&lines, "rest");
    calls.iter().for_each(|line| has_fields(line, &["method", "path", "status", "ms"]));
    let called =
        |status: u16| calls.iter().any(|line| line["status"] == status && line["path"] == "/apps/7/events");
    assert!(called(200) && called(401), "{text}");
    assert_eq!(of(&lines, "stopping")[0]["clients"], 0);
    assert_eq!(lines.last().unwrap()["event"], "stopped");
}

#[test]
fn a_refusal_of_each_kind_says_what_to_do_and_no_line_holds_what_is_secret() {
    let (lines, text) = logged("info");
    let refused = of(&lines, "refused");
    let fields = ["what", "app", "key", "address", "reason", "channel", "path"];
    refused.iter().for_each(|line| has_fields(line, &fields));
    let the = |what: &str| {
        *refused.iter().find(|line| line["what"] == what).unwrap_or_else(|| panic!("{what}: {text}"))
    };
    let reason = |what: &str| the(what)["reason"].as_str().unwrap().to_owned();
    let connection = the("connection");
    assert_eq!((&connection["app"], &connection["key"]), (&Value::Null, &json!("no-such-key")));
    assert!(reason("connection").contains("add an app with this key"), "{connection}");
    let subscription = the("subscription");
    assert_eq!((&subscription["app"], &subscription["channel"]), (&json!("7"), &json!("private-room")));
    let socket_id = of(&lines, "connection_closed")[0]["socket_id"].as_str().unwrap();
    let signed = format!("signature should have been made over \"{socket_id}:private-room\"");
    assert!(reason("subscription").contains(&signed), "{subscription}");
    assert!(reason("client_event").contains("only supported on private"), "{text}");
    assert_eq!((&the("rest")["app"], &the("rest")["path"]), (&json!("7"), &json!("/apps/7/events")));
    assert!(reason("rest").contains("Timestamp expired"), "{text}");
    assert!(of(&lines, "connection_opened").is_empty() && of(&lines, "rest").is_empty(), "{text}");
    for secret in ["loopback-secret", "other-secret", "SENTSIGNATURE", "BADSIGNATURE", "PAYLOAD"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

#[test]
fn warnings_alone_are_no_line_for_a_client() {
    let (lines, text) = logged("warn");
    assert!(lines.is_empty(), "{text}");
}
