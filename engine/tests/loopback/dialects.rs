//! Dialects over real sockets: what webman-push-server's clients say and hear, frame for frame, beside Pusher's on the same
//! channels. On one shard and on three.

use crate::rig::client::{Client, data_of};
use crate::rig::http::{Answer, Http, encode_request, now_unix_s, signed};
use crate::rig::server::{Server, shared};
use crate::rig::{KEY, app, text};
use protocol::app::App;
use protocol::auth::{sign_request, sign_subscription};
use serde_json::{Value, json};

/// How webman-push-server's PHP client names itself.
const OF_WS_CLIENT: &str = "X-Push-WS-Client=push-server+2.0.0";

/// The apps of the tests, the first with this dialect.
fn apps(dialect: &str) -> String {
    format!(
        "[[apps]]\nid = \"7\"\nkey = \"{KEY}\"\nsecret = \"loopback-secret\"\ndialect = \"{dialect}\"\n\
         terminate_by_presence = true\n"
    )
}

fn on_three_and_one(test: impl Fn(&Server)) {
    test(&shared());
    test(&Server::start(&["--shards", "1"]));
}

fn connect(server: &Server, query: &str) -> Client {
    Client::connect(server.tcp(), &format!("/app/{KEY}?{query}"))
}

fn ws_client(server: &Server) -> Client {
    connect(server, OF_WS_CLIENT)
}

/// Subscribes as the PHP client does; returns the acknowledgement.
fn subscribe(client: &mut Client, data: Value) -> Value {
    client.say(&json!({"event": "pusher:subscribe", "data": data}));
    client.hear_event("pusher_internal:subscription_succeeded")
}

/// A member as the PHP client sends it, its text as its back end has signed it, and who it is.
const MEMBER: (&str, &str) = (
    r#"{"user_info":"{\"name\":\"张三\",\"url\":\"https://a.cn/1\"}","user_id":"100"}"#,
    r#"{"user_id":"100","user_info":"{\"name\":\"张三\",\"url\":\"https:\/\/a.cn\/1\"}"}"#,
);

fn join(client: &mut Client, channel: &str) -> Value {
    let auth = sign_subscription(&app(), client.socket_id, channel, Some(MEMBER.1));
    let channel_data: Value = serde_json::from_str(MEMBER.0).unwrap();
    subscribe(client, json!({"channel": channel, "channel_data": channel_data, "auth": auth}))
}

/// A publish whose body is this, as it stands.
fn publish(server: &Server, channel: &str, data: &str) {
    let body = format!(r#"{{"channels":["{channel}"],"name":"e","data":{data},"socket_id":null}}"#);
    let answer = server.post("/apps/7/events", &body);
    assert_eq!((answer.status, &*answer.body), (200, "{}"));
}

/// The transcript of a connection: what it hears, with its own id in place of its socket_id.
fn established(client: &Client) -> Value {
    let shown = text(&client.established).replace(&client.socket_id.to_string(), "SOCKET_ID");
    serde_json::from_str(&shown).unwrap()
}

#[test]
fn the_php_client_of_webman_2_hears_objects_from_its_first_frame_to_its_last() {
    on_three_and_one(|server| {
        let (channel, private, presence) = ("webman", "private-webman", "presence-webman");
        let mut client = ws_client(server);
        let data = json!({"socket_id": "SOCKET_ID", "activity_timeout": 55});
        assert_eq!(established(&client), json!({"event": "pusher:connection_established", "data": data}));
        client.say_text(r#"{"event":"pusher:ping","data":{}}"#);
        assert_eq!(client.hear(), json!({"event": "pusher:pong", "data": {}}));

        let succeeded = |channel, data: Value| json!({"event": "pusher_internal:subscription_succeeded", "channel": channel, "data": data});
        assert_eq!(subscribe(&mut client, json!({"channel": channel})), succeeded(channel, json!({})));
        let count = json!({"event": "pusher_internal:subscription_count", "channel": channel, "data": {"subscription_count": 1}});
        assert_eq!(client.hear_any(), count);
        let auth = sign_subscription(&app(), client.socket_id, private, None);
        let data = json!({"channel": private, "channel_data": [], "auth": auth});
        assert_eq!(subscribe(&mut client, data), succeeded(private, json!({})));
        let info = r#"{"name":"张三","url":"https://a.cn/1"}"#;
        let members = json!({"presence": {"count": 1, "ids": ["100"], "hash": {"100": info}}});
        assert_eq!(join(&mut client, presence), succeeded(presence, members));

        let mut other = server.connect();
        other.join(presence, r#"{"user_id":7,"user_info":{"name":"b"}}"#);
        let member = json!({"user_id": "7", "user_info": {"name": "b"}});
        assert_eq!(
            client.hear(),
            json!({"event": "pusher_internal:member_added", "channel": presence, "data": member})
        );
        other.subscribe(private);
        other.trigger(private, "client-x", &json!({"a": [1, {}]}));
        assert_eq!(client.hear(), json!({"event": "client-x", "channel": private, "data": {"a": [1, {}]}}));
        other.trigger(presence, "client-text", &json!("{\"a\":1}"));
        let client_event =
            json!({"event": "client-text", "channel": presence, "data": "{\"a\":1}", "user_id": "7"});
        assert_eq!(client.hear(), client_event);
        client.say(&json!({"event": "client-y", "data": {"n": 1}, "channel": private}));
        other.expect(private, "client-y", r#"{"n":1}"#);
        other.unsubscribe(presence);
        let member = json!({"user_id": "7"});
        assert_eq!(
            client.hear(),
            json!({"event": "pusher_internal:member_removed", "channel": presence, "data": member})
        );

        client.unsubscribe(private);
        let ended =
            json!({"event": "pusher_internal:unsubscription_succeeded", "channel": private, "data": {}});
        assert_eq!(client.hear(), ended);
        client.unsubscribe("never");
        let error = client.hear();
        assert_eq!((&error["event"], &error["data"]["code"]), (&json!("pusher:error"), &Value::Null));
        assert!(error.get("channel").is_none() && error["data"]["message"].is_string(), "{error}");
    });
}

#[test]
fn data_has_the_type_that_was_published_for_the_php_client_and_is_a_string_for_everybody_else() {
    on_three_and_one(|server| {
        let channel = "webman-types";
        let (mut php, mut js) = (ws_client(server), server.connect());
        subscribe(&mut php, json!({"channel": channel}));
        js.subscribe(channel);
        let table = [
            (r#"{ "a" : "\u4e2d/" , "b":{} }"#, r#"{"a":"\u4e2d/","b":{}}"#, json!({"a": "中/", "b": {}})),
            (r#"[1,"x"]"#, r#"[1,"x"]"#, json!([1, "x"])),
            ("7", "7", json!(7)),
            (r#""hello""#, "hello", json!("hello")),
            (r#""{\"a\":1}""#, r#"{"a":1}"#, json!("{\"a\":1}")),
            (r#""""#, "", json!("")),
        ];
        for (posted, as_string, as_object) in table {
            publish(server, channel, posted);
            js.expect(channel, "e", as_string);
            assert_eq!(php.hear(), json!({"event": "e", "channel": channel, "data": as_object}), "{posted}");
        }
        // All of them at once: the order is the same in both forms.
        for number in 0..40 {
            publish(
                server,
                channel,
                &if number % 2 == 0 { format!("{{\"n\":{number}}}") } else { format!("\"{number}\"") },
            );
        }
        for number in 0..40 {
            let (string, object) = match number % 2 {
                0 => (format!("{{\"n\":{number}}}"), json!({"n": number})),
                _ => (number.to_string(), json!(number.to_string())),
            };
            js.expect(channel, "e", &string);
            assert_eq!(php.hear()["data"], object);
        }
    });
}

#[test]
fn what_is_remembered_and_what_is_for_a_user_come_as_objects_too() {
    on_three_and_one(|server| {
        let channel = "cache-webman";
        let mut php = ws_client(server);
        subscribe(&mut php, json!({"channel": channel}));
        assert_eq!(php.hear(), json!({"event": "pusher:cache_miss", "channel": channel, "data": {}}));
        publish(server, channel, r#"{"a":1}"#);
        assert_eq!(php.hear()["data"], json!({"a": 1}));
        let (mut late, mut js) = (ws_client(server), server.connect());
        subscribe(&mut late, json!({"channel": channel}));
        assert_eq!(late.hear(), json!({"event": "e", "channel": channel, "data": {"a": 1}}));
        js.subscribe(channel);
        js.expect(channel, "e", r#"{"a":1}"#);

        let user_data = r#"{"id":"webman-user","watchlist":["webman-nobody"]}"#;
        php.ask_to_sign_in(user_data);
        assert_eq!(php.hear(), json!({"event": "pusher:signin_success", "data": {"user_data": user_data}}));
        let offline = json!({"events": [{"name": "offline", "user_ids": ["webman-nobody"]}]});
        assert_eq!(php.hear(), json!({"event": "pusher_internal:watchlist_events", "data": offline}));
        let own = "#server-to-user-webman-user";
        subscribe(&mut php, json!({"channel": own}));
        publish(server, own, r#"{"b":2}"#);
        assert_eq!(php.hear(), json!({"event": "e", "channel": own, "data": {"b": 2}}));
        let answer = server.post("/apps/7/users/webman-user/terminate_connections", "");
        assert_eq!(answer.status, 200);
        let told = json!({"message": "Terminate connection by API"});
        assert_eq!(php.hear(), json!({"event": "pusher:terminate_connection", "data": told}));
        assert_eq!(php.hear_error().0, Some(4009));
        assert_eq!(php.hear_close().0, 4009);
    });
}

// push.js of webman-push-server 2.x and of webman/push parses the data of everything but an error and a pong.
#[test]
fn push_js_which_says_nothing_of_itself_hears_strings_that_hold_json() {
    on_three_and_one(|server| {
        for target in [format!("/app/{KEY}"), format!("/app/{KEY}?"), format!("/app/{KEY}?room=1")] {
            let (channel, private) = ("webman-push-js", "private-webman-push-js");
            let mut client = Client::connect(server.tcp(), &target);
            let data = data_of(&client.established);
            assert_eq!(
                (&data["activity_timeout"], established(&client)["data"].is_string()),
                (&json!(55), true)
            );
            client.say_text(r#"{"event":"pusher:ping","data":{}}"#);
            assert_eq!(client.hear(), json!({"event": "pusher:pong", "data": "{}"}));
            client.say(&json!({"event": "pusher:subscribe", "data": {"channel": channel}}));
            assert_eq!(data_of(&client.hear()), json!({}));
            let auth = sign_subscription(&app(), client.socket_id, private, None);
            let data = json!({"auth": auth, "channel_data": {"user_id": "100", "user_info": "{}"}, "channel": private});
            client.say(&json!({"event": "pusher:subscribe", "data": data}));
            assert_eq!(data_of(&client.hear()), json!({}));
            publish(server, channel, r#"{"a":1}"#);
            assert_eq!(data_of(&client.hear()), json!({"a": 1}));
            client.unsubscribe(channel);
            client.expect_pong();
        }
    });
}

#[test]
fn channel_data_that_says_nothing_is_none_and_a_stray_one_passes_where_it_is_not_signed() {
    let server = shared();
    let mut client = ws_client(&server);
    let nothing = ["[]", "{}", "null", "\"\""];
    let stray = [r#"{"user_id":"100"}"#, r#""{\"user_id\":\"100\"}""#, "[1]"];
    for (number, channel_data) in nothing.iter().chain(&stray).enumerate() {
        let channel = format!("private-stray-{number}");
        let auth = sign_subscription(&app(), client.socket_id, &channel, None);
        let data = format!(r#"{{"channel":"{channel}","channel_data":{channel_data},"auth":"{auth}"}}"#);
        subscribe(&mut client, serde_json::from_str(&data).unwrap());
    }
    // On a presence channel it is signed or it is nothing.
    for (number, channel_data) in nothing.iter().chain(&stray).enumerate() {
        let channel = format!("presence-stray-{number}");
        let auth = sign_subscription(&app(), client.socket_id, &channel, None);
        client.say_text(&format!(
            r#"{{"event":"pusher:subscribe","data":{{"channel":"{channel}","channel_data":{channel_data},"auth":"{auth}"}}}}"#
        ));
        assert_eq!(client.hear_event("pusher:error")["data"]["code"], Value::Null);
        assert_eq!(client.hear_event("pusher:subscription_error")["data"]["type"], "AuthError");
    }
}

// Each of the first ones ended a process of webman-push-server, with all its connections.
#[test]
fn odd_events_get_an_error_and_nothing_else() {
    let server = shared();
    for query in [OF_WS_CLIENT, "protocol=7"] {
        let mut client = connect(&server, query);
        for message in [
            r#"{"x":1}"#,
            r#"{"event":5,"data":{}}"#,
            r#"{"event":null}"#,
            r#"{"event":["pusher:ping"]}"#,
            r#"{"event":{"a":1}}"#,
            r#"{"event":true}"#,
            r#"{"event":""}"#,
            r#"{"event":"nothing","data":[]}"#,
            r#"{"event":"client-x","data":{}}"#,
            r#"{"event":"pusher:subscribe","data":[]}"#,
            "[]",
            "5",
        ] {
            client.say_text(message);
            let error = client.hear();
            assert_eq!(error["event"], "pusher:error", "{message}: {error}");
            assert!(error["data"]["code"].is_null() && error.get("channel").is_none(), "{error}");
        }
        client.say_text(r#"{"event":"pusher:ping"}"#);
        client.hear_event("pusher:pong");
    }
}

/// A call as webman-push-server's ApiClient makes it: with its header, and with `body_md5` whatever the method.
fn ask_as_api_client(
    http: &mut Http,
    method: &str,
    path: &str,
    params: &[(&str, &str)],
    body: &str,
) -> Answer {
    let md5_of_nothing = "d41d8cd98f00b204e9800998ecf8427e";
    let mut params = params.to_vec();
    if body.is_empty() {
        params.push(("body_md5", md5_of_nothing));
    }
    let request = encode_request(method, &signed(method, path, &params, body), body);
    let request = String::from_utf8(request).unwrap();
    let headers = "\r\nContent-Type: application/json\r\nConnection: keep-alive\r\nX-Push-Client: push-server 2.0.0\r\n";
    http.ask(request.replacen("\r\n", headers, 1).as_bytes())
}

#[test]
fn api_client_of_webman_publishes_and_asks_over_one_connection() {
    on_three_and_one(|server| {
        let (channel, private, presence) = ("api-client", "private-api-client", "presence-api-client");
        let mut php = ws_client(server);
        let auth = sign_subscription(&app(), php.socket_id, private, None);
        subscribe(&mut php, json!({"channel": channel}));
        subscribe(&mut php, json!({"channel": private, "channel_data": [], "auth": auth}));
        join(&mut php, presence);
        let mut http = server.http();
        let http = &mut http;
        let body = format!(r#"{{"channels":["{channel}"],"name":"e","data":{{"a":1}},"socket_id":null}}"#);
        assert_eq!(ask_as_api_client(http, "POST", "/apps/7/events", &[], &body).status, 200);
        assert_eq!(php.hear()["data"], json!({"a": 1}));
        let body = format!(r#"{{"batch":[{{"channel":"{channel}","name":"e","data":{{"b":2}}}}]}}"#);
        assert_eq!(ask_as_api_client(http, "POST", "/apps/7/batch_events", &[], &body).status, 200);
        assert_eq!(php.hear()["data"], json!({"b": 2}));

        let mut list = |filter: &str| {
            let params = [("filter_by_prefix", filter), ("info", "user_count,subscription_count")];
            let params = if filter.is_empty() { &params[1..] } else { &params[..] };
            let answer = ask_as_api_client(http, "GET", "/apps/7/channels", params, "");
            assert_eq!(answer.status, 200, "{answer:?}");
            answer.json()["channels"].clone()
        };
        let counted = |kind, users| json!({"type": kind, "user_count": users, "subscription_count": 1});
        let is_there =
            |channels: &Value| [channel, private, presence].map(|name| channels.get(name).is_some());
        assert_eq!(is_there(&list("public")), [true, false, false]);
        assert_eq!(is_there(&list("private")), [false, true, false]);
        let presences = list("presence");
        assert_eq!(
            (is_there(&presences), &presences[presence]),
            ([false, false, true], &counted("presence", 1))
        );
        let all = list("");
        assert_eq!((is_there(&all), &all[channel]), ([true; 3], &counted("public", 0)));

        let one = ask_as_api_client(
            http,
            "GET",
            &format!("/apps/7/channels/{presence}"),
            &[("info", "user_count")],
            "",
        );
        assert_eq!(one.json(), json!({"occupied": true, "type": "presence", "user_count": 1}));
        let users = format!("/apps/7/channels/{presence}/users");
        assert_eq!(ask_as_api_client(http, "GET", &users, &[], "").json(), json!({"users": ["100"]}));
        assert_eq!(
            server.get(&users, &[]).json(),
            json!({"users": [{"id": "100"}]}),
            "as Pusher's SDKs read it"
        );
        let answer = ask_as_api_client(http, "POST", "/apps/7/users/100/terminate_connections", &[], "");
        assert_eq!((answer.status, &*answer.body), (200, "{}"));
        let hello = http.ask(b"GET /index HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!((hello.status, &*hello.body), (200, "Hello Workbunny!"));
    });
}

fn post_as(app: &App, server: &Server, path: &str) -> u16 {
    let body = r#"{"name":"e","channel":"by-key","data":"x"}"#;
    let query = sign_request(app, "POST", path, &[], body.as_bytes(), now_unix_s());
    server.http().ask(&encode_request("POST", &format!("{path}?{query}"), body)).status
}

// Its Api class has one app id in its code, whatever the app is.
#[test]
fn a_call_of_webman_push_means_the_app_of_its_key() {
    let server = shared();
    let wrong = App::new("7", KEY, "wrong-secret");
    assert_eq!(post_as(&app(), &server, "/apps/1024/events"), 200);
    assert_eq!(post_as(&wrong, &server, "/apps/1024/events"), 401);
    assert_eq!(post_as(&App::new("7", "nobody", "s"), &server, "/apps/1024/events"), 404);
    assert_eq!(post_as(&app(), &server, "/apps/9/events"), 404, "an id that was mistyped is told");
    for (dialect, expected) in [("pusher", [404, 404]), ("webman2", [200, 200])] {
        let server = Server::with_apps(&format!("dialects_{dialect}"), 1, &apps(dialect));
        let statuses = ["/apps/1024/events", "/apps/9/events"].map(|path| post_as(&app(), &server, path));
        assert_eq!(statuses, expected, "{dialect}");
    }
}

#[test]
fn an_app_decides_what_its_clients_are() {
    for (dialect, objects) in
        [("pusher", [false, false]), ("webman2", [true, true]), ("webman3", [true, true])]
    {
        for shards in [1, 3] {
            let server = Server::with_apps(&format!("dialects_of_apps_{dialect}"), shards, &apps(dialect));
            for (query, objects) in [OF_WS_CLIENT, "protocol=7&client=js"].into_iter().zip(objects) {
                let mut client = connect(&server, query);
                assert_eq!(client.established["data"].is_object(), objects, "{dialect} {query}");
                let data = json!({"channel": "of-apps"});
                assert_eq!(subscribe(&mut client, data)["data"].is_object(), objects);
                publish(&server, "of-apps", r#"{"a":1}"#);
                assert_eq!(client.hear()["data"].is_object(), objects);
                client.unsubscribe("of-apps");
                if objects {
                    client.hear_event("pusher_internal:unsubscription_succeeded");
                }
                client.say_text(r#"{"event":"pusher:ping","data":{}}"#);
                client.hear_event("pusher:pong");
            }
            let mut member = ws_client(&server);
            if member.established["data"].is_object() {
                join(&mut member, "presence-of-apps");
                assert_eq!(server.post("/apps/7/users/100/terminate_connections", "").status, 200);
                member.hear_event("pusher:terminate_connection");
                assert_eq!(member.hear_error().0, Some(4009));
            }
        }
    }
}
