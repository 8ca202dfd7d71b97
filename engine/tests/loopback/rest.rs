//! The REST API over real sockets: its endpoints, who may call them, and what is said to whom.

use crate::rig::client::Client;
use crate::rig::http::{encode_event, encode_request, now_unix_s, signed};
use crate::rig::server::{Server, shared};
use crate::rig::{app, other_app, text};
use protocol::auth::sign_request;
use serde_json::{Value, json};

const DATA_BYTES_MAX: usize = 100 << 10;

const EVENTS: &str = "/apps/7/events";
const BATCH: &str = "/apps/7/batch_events";

/// A method, a path, and a body with which the call is right.
const CALLS: [(&str, &str, &str); 7] = [
    ("POST", EVENTS, r#"{"name":"e","channel":"calls","data":"x"}"#),
    ("POST", BATCH, r#"{"batch":[{"name":"e","channel":"calls","data":"x"}]}"#),
    ("GET", "/apps/7/channels", ""),
    ("GET", "/apps/7/channels/calls", ""),
    ("GET", "/apps/7/channels/presence-calls/users", ""),
    ("GET", "/apps/7/connections", ""),
    ("POST", "/apps/7/users/calls/terminate_connections", r#"{"x":1}"#),
];

fn publish(server: &Server, body: &Value) -> (u16, String) {
    let answer = server.post(EVENTS, &text(body));
    (answer.status, answer.body)
}

#[test]
fn an_event_reaches_all_its_channels() {
    let server = shared();
    let mut client = server.connect();
    for channel in ["many-a", "private-many-b", "many-d"] {
        client.subscribe(channel);
    }
    let channels = ["many-a", "private-many-b", "many-c", "many-a"];
    let body = json!({"name": "news", "channels": channels, "data": "{\"a\":\"é\"}"});
    assert_eq!(publish(&server, &body), (200, "{}".to_owned()));
    let mut heard = [client.hear(), client.hear()].map(|event| {
        assert_eq!((&event["event"], &event["data"]), (&json!("news"), &json!("{\"a\":\"é\"}")));
        event["channel"].as_str().unwrap().to_owned()
    });
    heard.sort();
    assert_eq!(heard, ["many-a", "private-many-b"], "a channel that is named twice gets the event once");
    server.publish("many-d", "end", "");
    client.expect("many-d", "end", "");
}

#[test]
fn an_event_may_name_a_hundred_channels() {
    let server = shared();
    let names = |count: usize| (0..count).map(|number| format!("hundred-{number}")).collect::<Vec<_>>();
    let mut client = server.connect();
    client.subscribe("hundred-99");
    let body = |count| json!({"name": "e", "data": "x", "channels": names(count)});
    let (status, error) = publish(&server, &body(101));
    assert!(status == 400 && error.contains("channels_per_event_max"), "{error}");
    assert_eq!(publish(&server, &body(100)).0, 200);
    client.expect("hundred-99", "e", "x");
}

#[test]
fn data_that_is_no_string_arrives_as_one() {
    let server = shared();
    let mut client = server.connect();
    client.subscribe("data-types");
    let table = [
        ("{ \"a\" : [1, 2] }", r#"{"a":[1,2]}"#),
        ("[]", "[]"),
        ("7", "7"),
        ("false", "false"),
        ("null", "null"),
        ("\"\"", ""),
        (r#""\u00e9\n\"\\\/""#, "é\n\"\\/"),
        (r#""\ud83d\ude42\u0000""#, "🙂\0"),
    ];
    for (written, heard) in table {
        let body = format!(r#"{{"name":"e","channel":"data-types","data":{written}}}"#);
        assert_eq!(server.post(EVENTS, &body).status, 200, "{written}");
        client.expect("data-types", "e", heard);
    }
}

#[test]
fn an_event_may_come_in_the_query() {
    let server = shared();
    let mut client = server.connect();
    client.subscribe("by-query");
    let params = [("name", "e"), ("data", "a b"), ("channels[]", "by-query"), ("channels[]", "by-query-2")];
    let request = encode_request("POST", &signed("POST", EVENTS, &params, ""), "");
    assert_eq!(server.http().ask(&request).status, 200);
    client.expect("by-query", "e", "a b");
}

#[test]
fn what_is_wrong_with_an_event_is_400_and_nobody_hears_it() {
    let server = shared();
    let mut client = server.connect();
    client.subscribe("wrong");
    let with = |field: &str, value: Value| {
        let mut body = json!({"name": "e", "channel": "wrong", "data": "x"});
        body[field] = value;
        body
    };
    let without = |field: &str| {
        let mut body = json!({"name": "e", "channel": "wrong", "data": "x"});
        body.as_object_mut().unwrap().remove(field);
        body
    };
    let bodies = [
        without("name"),
        without("channel"),
        without("data"),
        with("name", json!("")),
        with("name", json!("n".repeat(201))),
        with("name", json!("pusher:error")),
        with("name", json!("pusher_internal:member_added")),
        with("name", json!(7)),
        with("channel", json!("a b")),
        with("channel", json!("")),
        with("channels", json!([])),
        with("channels", json!("wrong")),
        with("channels", json!(["wrong", "a b"])),
        with("channels", json!(["wrong", 7])),
        with("channels", json!({"a": "wrong"})),
        with("info", json!("cashe")),
        with("socket_id", json!("")),
        with("socket_id", json!("1")),
        with("socket_id", json!("1.2.3")),
        with("socket_id", json!("a.b")),
        with("socket_id", json!("1.-2")),
        with("socket_id", json!("1.2 ")),
        with("socket_id", json!(1.2)),
        json!([]),
        json!("text"),
    ];
    for body in &bodies {
        let (status, error) = server.post(EVENTS, &text(body)).refusal();
        assert!(status == 400 && !error.is_empty(), "{status} {error} for {body}");
    }
    for body in ["", "{", "{}x", "nonsense", r#"{"name":"e","name":"e","channel":"wrong","data":"x"}"#] {
        assert_eq!(server.post(EVENTS, body).status, 400, "{body}");
    }
    assert_eq!(publish(&server, &with("socket_id", Value::Null)).0, 200);
    client.expect("wrong", "e", "x");
}

#[test]
fn data_is_limited_in_bytes_of_its_text() {
    let server = shared();
    let mut client = server.connect();
    client.subscribe("limits");
    for data in ["x".repeat(DATA_BYTES_MAX), "é".repeat(DATA_BYTES_MAX / 2), "\u{1}".repeat(DATA_BYTES_MAX)]
    {
        server.publish("limits", "e", &data);
        client.expect("limits", "e", &data);
        let longer = format!("{data}x");
        let (status, error) = server.post(EVENTS, &encode_event("limits", "e", &longer)).refusal();
        assert_eq!(status, 413);
        assert!(
            error.starts_with("The data content of this event exceeds the allowed maximum (102400 bytes)")
        );
        let item = json!({"name": "e", "channel": "limits", "data": longer});
        assert_eq!(server.post(BATCH, &text(&json!({"batch": [item]}))).status, 413);
    }
    server.publish("limits", "end", "");
    client.expect("limits", "end", "");
}

#[test]
fn the_excluded_connection_does_not_hear_the_event_on_whatever_shard() {
    let server = shared();
    // One of these names is at home on each shard, whatever the seed of this run.
    for number in 0..20 {
        let channel = format!("excluded-{number}");
        let mut clients = server.connect_to_each_shard();
        for client in &mut clients {
            client.subscribe(&channel);
        }
        for excluded in 0..clients.len() {
            let socket_id = clients[excluded].socket_id.to_string();
            let body = json!({"name": "e", "channel": channel, "data": "x", "socket_id": socket_id});
            assert_eq!(publish(&server, &body).0, 200);
            server.publish(&channel, "after", "y");
            for (index, client) in clients.iter_mut().enumerate() {
                if index != excluded {
                    client.expect(&channel, "e", "x");
                }
                client.expect(&channel, "after", "y");
            }
        }
    }
}

#[test]
fn excluding_a_connection_that_is_not_there_excludes_nobody() {
    let server = shared();
    let mut client = server.connect();
    client.subscribe("excluding");
    let near = client.socket_id;
    let other = format!("{}.{}", near.first, near.second ^ (1 << 30));
    for socket_id in ["0.0", "1.1", "9007199254740991.9007199254740991", &other] {
        let body = json!({"name": "e", "channel": "excluding", "data": socket_id, "socket_id": socket_id});
        assert_eq!(publish(&server, &body).0, 200);
        client.expect("excluding", "e", socket_id);
    }
}

#[test]
fn a_batch_is_published_in_order_and_taken_whole_or_not_at_all() {
    let server = shared();
    let mut client = server.connect();
    client.subscribe("batch");
    let item = |number: usize| json!({"name": "e", "channel": "batch", "data": number.to_string()});
    let batch = |items: Vec<Value>| text(&json!({"batch": items}));
    let answer = server.post(BATCH, &batch((0..10).map(item).collect()));
    assert_eq!((answer.status, &*answer.body), (200, "{}"));
    for number in 0..10 {
        client.expect("batch", "e", &number.to_string());
    }
    let two = json!({"name": "e", "channels": ["batch", "batch-2"], "data": "x"});
    let bad = json!({"name": "e", "channel": "batch", "data": "x", "socket_id": "bad"});
    for items in
        [vec![], (0..11).map(item).collect(), vec![item(0), bad], vec![item(0), two], vec![item(0), json!(7)]]
    {
        assert_eq!(server.post(BATCH, &batch(items)).status, 400);
    }
    for body in ["{}", "[]", r#"{"batch":{}}"#, r#"{"batch":null}"#] {
        assert_eq!(server.post(BATCH, body).status, 400, "{body}");
    }
    server.publish("batch", "end", "");
    client.expect("batch", "end", "");
}

#[test]
fn info_is_given_for_each_channel_and_in_a_batch_for_each_event() {
    let server = shared();
    let mut clients = server.connect_to_each_shard();
    for (number, client) in clients.iter_mut().enumerate() {
        client.subscribe("info-public");
        client.join("presence-info", &json!({"user_id": (number % 2).to_string()}).to_string());
    }
    let channels = ["info-public", "presence-info", "info-nobody"];
    let body =
        json!({"name": "e", "channels": channels, "data": "x", "info": "user_count,subscription_count"});
    let answer = server.post(EVENTS, &text(&body)).json();
    let expected = json!({"channels": {
        "info-public": {"subscription_count": 3},
        "presence-info": {"user_count": 2, "subscription_count": 3},
        "info-nobody": {"subscription_count": 0},
    }});
    assert_eq!(answer, expected);
    let batch = json!({"batch": [
        {"name": "e", "channel": "info-public", "data": "x"},
        {"name": "e", "channel": "presence-info", "data": "x", "info": "user_count"},
        {"name": "e", "channel": "info-public", "data": "x", "info": "user_count"},
        {"name": "e", "channel": "info-public", "data": "x", "info": "subscription_count"},
    ]});
    let answer = server.post(BATCH, &text(&batch)).json();
    assert_eq!(answer, json!({"batch": [{}, {"user_count": 2}, {}, {"subscription_count": 3}]}));
}

#[test]
fn occupied_channels_are_listed_by_prefix() {
    let server = shared();
    let list = |params: &[(&str, &str)]| server.get("/apps/7/channels", params).json();
    let prefix = ("filter_by_prefix", "presence-list-");
    assert_eq!(list(&[("filter_by_prefix", "list-")]), json!({"channels": {}}));
    let mut clients = server.connect_to_each_shard();
    for (number, client) in clients.iter_mut().enumerate() {
        client.subscribe("list-all");
        client.subscribe(&format!("list-{number}"));
        client.join(&format!("presence-list-{}", number % 2), &json!({"user_id": number}).to_string());
    }
    let expected = json!({"channels": {"list-all": {}, "list-0": {}, "list-1": {}, "list-2": {}}});
    assert_eq!(list(&[("filter_by_prefix", "list-")]), expected);
    let expected =
        json!({"channels": {"presence-list-0": {"user_count": 2}, "presence-list-1": {"user_count": 1}}});
    assert_eq!(list(&[prefix, ("info", "user_count")]), expected);
    let all = list(&[]);
    assert!(
        all["channels"]["list-all"].is_object() && all["channels"]["presence-list-0"].is_object(),
        "{all}"
    );
    for params in [&[("info", "user_count")][..], &[("info", "user_count"), ("filter_by_prefix", "list-")]] {
        assert_eq!(server.get("/apps/7/channels", params).status, 400, "{params:?}");
    }
    drop(clients);
    let empty = || (list(&[("filter_by_prefix", "list-")]) == json!({"channels": {}})).then_some(());
    crate::rig::server::wait_for("the channels to be vacated", empty);
}

#[test]
fn open_connections_of_an_app_are_counted_over_all_shards_and_no_others() {
    let server = Server::start(&["--shards", "3"]);
    let open = || server.get("/apps/7/connections", &[]).body;
    assert_eq!(open(), r#"{"connections":0}"#);
    let mut clients = server.connect_to_each_shard();
    let mut foreigner = Client::connect(server.tcp(), "/app/other-key?protocol=7");
    let wait_for_count = |count: usize| {
        let expected = json!({"connections": count}).to_string();
        crate::rig::server::wait_for(&expected, || (open() == expected).then_some(()));
    };
    // Those that came to a shard that had one already are on their way out.
    wait_for_count(3);
    clients.iter_mut().for_each(Client::expect_pong);
    foreigner.expect_pong();
    drop(clients);
    crate::rig::server::wait_for("the connections to end", || {
        (open() == r#"{"connections":0}"#).then_some(())
    });
}

#[test]
fn a_channel_tells_whether_it_is_occupied() {
    let server = shared();
    let one =
        |channel: &str, info: &str| server.get(&format!("/apps/7/channels/{channel}"), &[("info", info)]);
    let mut client = server.connect();
    client.subscribe("told");
    client.join("presence-told", r#"{"user_id":"1"}"#);
    assert_eq!(one("told", "").json(), json!({"occupied": true}));
    assert_eq!(one("told", "subscription_count").json(), json!({"occupied": true, "subscription_count": 1}));
    assert_eq!(one("presence-told", "user_count").json(), json!({"occupied": true, "user_count": 1}));
    assert_eq!(one("never-told", "").json(), json!({"occupied": false}));
    assert_eq!(one("presence-never", "user_count").json(), json!({"occupied": false, "user_count": 0}));
    assert_eq!(one("told", "user_count").status, 400);
    assert_eq!(one("told", "nonsense").status, 400);
    assert_eq!(one("a%20b", "").status, 400);
    client.unsubscribe("told");
    client.expect_pong();
    assert_eq!(one("told", "").json(), json!({"occupied": false}));
}

#[test]
fn names_in_a_path_may_be_raw_or_encoded() {
    let server = shared();
    let mut client = server.connect();
    client.join("presence-a,b@c;d=e", r#"{"user_id":"1"}"#);
    for name in ["presence-a,b@c;d=e", "presence-a%2Cb%40c%3Bd%3De"] {
        let path = format!("/apps/7/channels/{name}");
        assert_eq!(server.get(&path, &[]).json(), json!({"occupied": true}), "{name}");
        assert_eq!(
            server.get(&format!("{path}/users"), &[]).json(),
            json!({"users": [{"id": "1"}]}),
            "{name}"
        );
    }
}

#[test]
fn users_are_listed_of_presence_channels_alone() {
    let server = shared();
    let users = |channel: &str| server.get(&format!("/apps/7/channels/{channel}/users"), &[]);
    assert_eq!(users("presence-empty").json(), json!({"users": []}));
    let mut clients = server.connect_to_each_shard();
    for client in &mut clients {
        client.join("presence-users", r#"{"user_id":"\"quoted\" é"}"#);
    }
    assert_eq!(users("presence-users").json(), json!({"users": [{"id": "\"quoted\" é"}]}));
    for channel in ["users", "private-users"] {
        assert_eq!(users(channel).status, 400, "{channel}");
    }
}

#[test]
fn every_call_is_refused_when_any_part_of_its_signature_is_wrong() {
    let server = shared();
    for (method, path, body) in CALLS {
        let good = signed(method, path, &[], body);
        let status = |target: &str| {
            let answer = server.http().ask(&encode_request(method, target, body));
            assert!(!answer.body.contains("loopback-secret"), "{}", answer.body);
            answer.status
        };
        assert_eq!(status(&good), 200, "{good}");
        let without = |name: &str| good.replacen(&format!("{name}="), "other=", 1);
        let sign = |now| format!("{path}?{}", sign_request(&app(), method, path, &[], body.as_bytes(), now));
        let foreign = sign_request(&other_app(), method, path, &[], body.as_bytes(), now_unix_s());
        let now = now_unix_s();
        let table = [
            ("no query", path.to_owned()),
            ("no key", without("auth_key")),
            ("no timestamp", without("auth_timestamp")),
            ("no version", without("auth_version")),
            ("no signature", without("auth_signature")),
            ("the key of another app", format!("{path}?{foreign}")),
            ("another version", good.replace("auth_version=1.0", "auth_version=1.1")),
            ("a parameter more", good.replace("auth_key", "more=1&auth_key")),
            ("another signature", good.replace("auth_signature=", "auth_signature=0")),
            ("an old timestamp", sign(now - 660)),
            ("a timestamp of tomorrow", sign(now + 660)),
            ("a timestamp in words", good.replace("auth_timestamp=", "auth_timestamp=x")),
        ];
        for (what, target) in table {
            assert_ne!(target, good, "{what}");
            assert_eq!(status(&target), 401, "{method} {path} with {what}");
        }
        assert_eq!(status(&sign(now - 540)), 200);
        assert_eq!(status(&sign(now + 540)), 200);
        assert_eq!(status(&good.replace("/apps/7/", "/apps/8/")), 401, "{path} for another app");
        assert_eq!(status(&good.replace("/apps/7/", "/apps/nobody/")), 404, "{path} for an app of nobody");
    }
}

#[test]
fn a_body_must_be_the_one_that_was_signed() {
    let server = shared();
    for (method, path, body) in CALLS.into_iter().filter(|(method, ..)| *method == "POST") {
        let good = signed(method, path, &[], body);
        let status =
            |target: &str, body: &str| server.http().ask(&encode_request(method, target, body)).status;
        assert_eq!(status(&good, &body.replace('x', "y")), 401, "{path}");
        assert_eq!(status(&good, ""), 401, "{path}");
        let (before, rest) = good.split_once("body_md5=").unwrap();
        let (_, after) = rest.split_once('&').unwrap();
        assert_eq!(status(&format!("{before}{after}"), body), 401, "{path} without body_md5");
        assert_eq!(status(&format!("{before}body_md5={}&{after}", "0".repeat(32)), body), 401, "{path}");
    }
}

#[test]
fn a_digest_of_nothing_is_accepted_without_a_body() {
    let server = shared();
    let params = [("body_md5", "d41d8cd98f00b204e9800998ecf8427e")];
    assert_eq!(server.get("/apps/7/channels", &params).status, 200);
}

#[test]
fn a_wrong_signature_is_answered_with_the_text_to_sign() {
    let server = shared();
    let target = signed("GET", "/apps/7/channels", &[], "").replace("auth_signature=", "auth_signature=0");
    let (status, error) = server.http().ask(&encode_request("GET", &target, "")).refusal();
    assert_eq!(status, 401);
    assert!(error.contains(r"GET\n/apps/7/channels\nauth_key=loopback-key&"), "{error}");
}

#[test]
fn whoever_saw_its_acknowledgement_hears_what_is_published_then() {
    let server = shared();
    let mut http = server.http();
    let mut clients: Vec<Client> = (0..6).map(|_| server.connect()).collect();
    for round in 0..30 {
        let channel = format!("at-once-{round}");
        for (number, client) in clients.iter_mut().enumerate() {
            client.subscribe(&channel);
            let own = number.to_string();
            http.publish(&channel, "e", &own);
            // An event of before may still be on its way to this shard; the one of after must come.
            while client.hear_event("e")["data"] != own {}
        }
        for (number, client) in clients.iter_mut().enumerate() {
            (number + 1..6).for_each(|later| client.expect(&channel, "e", &later.to_string()));
        }
    }
}

#[test]
fn calls_that_pusher_has_deprecated_are_still_answered() {
    let server = shared();
    let (mut first, mut second) = (server.connect(), server.connect());
    for client in [&mut first, &mut second] {
        client.subscribe("deprecated");
    }
    let (path, body) = ("/apps/7/channels/deprecated/events", r#"{"a":1}"#);
    let socket_id = second.socket_id.to_string();
    let params = [("name", "news"), ("socket_id", &*socket_id)];
    let request = encode_request("POST", &signed("POST", path, &params, body), body);
    let answer = server.http().ask(&request);
    assert_eq!(answer.status, 202, "{}", answer.body);
    first.expect("deprecated", "news", r#"{"a":1}"#);
    second.expect_pong();
    let stats = server.get("/apps/7/channels/deprecated/stats", &[]);
    assert_eq!(stats.status, 200, "{}", stats.body);
    assert_eq!(serde_json::from_str::<Value>(&stats.body).unwrap()["occupied"], true);
}
