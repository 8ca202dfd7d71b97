//! What the sample endpoints answer, read back by what verifies it in the server.

use super::*;
use protocol::app::{App, AppKey};
use protocol::auth::{shared_secret, verify_signin, verify_subscription};
use protocol::http::{RequestParse, parse_request};
use protocol::socket_id::SocketId;
use serde_json::{Value, json};

use crate::answer::{Manner, encode_answer};

const KEY: &str = "workbunny";
const SECRET: &str = "U2FsdGVkX1+vlfFH8Q9XdZ9t9h2bABGYAZltEYAX6UM=";
const SOCKET_ID: SocketId = SocketId { first: 1234, second: 1234 };

fn apps() -> Apps {
    let mut disabled = App::new("0", "disabled", "s0");
    disabled.enabled = false;
    let mut other = App::new("2", "other", "s2");
    other.add_key(AppKey::parse("newer", "s3").unwrap());
    Apps::new(vec![disabled, App::new("1", KEY, SECRET), other]).unwrap()
}

fn http(method: &str, target: &str, lines: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{lines}Content-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn form(target: &str, body: &str) -> Vec<u8> {
    http("POST", target, "Content-Type: application/x-www-form-urlencoded\r\n", body)
}

fn json(target: &str, body: &Value) -> Vec<u8> {
    http("POST", target, "Content-Type: application/json\r\n", &body.to_string())
}

fn ask(bytes: &[u8]) -> Result<Answer<'static>, Refused> {
    let RequestParse::Complete { request, .. } = parse_request(bytes) else { panic!() };
    Sample::of(request.head.path).unwrap().answer(&apps(), &request)
}

fn reply(bytes: &[u8]) -> Value {
    let answer = ask(bytes).unwrap_or_else(|refused| panic!("{refused:?}"));
    assert_eq!((answer.status, answer.content_type), (200, "application/json"));
    assert!(answer.headers.contains(&ANY_ORIGIN));
    serde_json::from_slice(&answer.body).unwrap()
}

fn refusal(bytes: &[u8]) -> (u16, String) {
    let refused = ask(bytes).unwrap_err();
    assert_eq!(refused.header, Some(("Access-Control-Allow-Origin", "*".into())), "a page reads it");
    (refused.status, refused.text.into_owned())
}

fn text<'a>(reply: &'a Value, name: &str) -> &'a str {
    reply[name].as_str().unwrap_or_else(|| panic!("{reply}"))
}

fn is_signed(key: &str, channel: &str, reply: &Value) -> bool {
    let apps = apps();
    let app = apps.by_key(key).unwrap();
    let channel_data = reply.get("channel_data").map(|data| data.as_str().unwrap());
    verify_subscription(app, SOCKET_ID, channel, channel_data, text(reply, "auth")).is_ok()
}

#[test]
fn a_private_channel_is_signed_at_every_path() {
    for path in ["/subscribe/auth", "/plugin/webman/push/auth", "/pusher/auth"] {
        let reply = reply(&form(path, "channel_name=private-a&socket_id=1234.1234"));
        assert_eq!(reply.as_object().unwrap().keys().collect::<Vec<_>>(), ["auth"], "{path}");
        assert!(is_signed(KEY, "private-a", &reply), "{path} {reply}");
    }
}

#[test]
fn webman_push_servers_user_is_a_string_and_signed_as_it_stands() {
    let user = json!({"user_id": "100", "user_info": r"{\'name\':\'John\',\'sex\':\'man\'}"});
    for data in
        ["", "&channel_data=", "&channel_data=null", "&channel_data=[object Object]", "&channel_data=7"]
    {
        let reply =
            reply(&form("/subscribe/auth", &format!("channel_name=presence-a&socket_id=1234.1234{data}")));
        assert!(is_signed(KEY, "presence-a", &reply), "{data} {reply}");
        assert_eq!(serde_json::from_str::<Value>(text(&reply, "channel_data")).unwrap(), user, "{data}");
    }
}

#[test]
fn a_user_that_is_sent_is_signed_byte_for_byte() {
    let data = r#"{"user_info": {"a":"é/\u00e9"}, "user_id":"7"}"#;
    let asked = json!({"channel_name": "presence-a", "socket_id": "1234.1234", "channel_data": data});
    for path in ["/subscribe/auth", "/pusher/auth", "/plugin/webman/push/auth"] {
        let reply = reply(&json(path, &asked));
        assert_eq!(text(&reply, "channel_data"), data);
        assert!(is_signed(KEY, "presence-a", &reply), "{path} {reply}");
    }
    let object =
        json!({"channel_name": "presence-a", "socket_id": "1234.1234", "channel_data": {"user_id": "7"}});
    assert_eq!(text(&reply(&json("/subscribe/auth", &object)), "channel_data"), r#"{"user_id":"7"}"#);
}

#[test]
fn form_data_is_read_as_a_form() {
    let data = r#"{"user_id":"7","user_info":"a b&c=d"}"#;
    let fields = [("channel_name", "presence-a"), ("socket_id", "1234.1234"), ("channel_data", data)];
    let part =
        |(name, value)| format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    let body = format!("{}--b--\r\n", fields.map(part).concat());
    for path in ["/subscribe/auth", "/pusher/auth", "/plugin/webman/push/auth"] {
        let reply = reply(&http("POST", path, "Content-Type: multipart/form-data; boundary=b\r\n", &body));
        assert_eq!(text(&reply, "channel_data"), data);
        assert!(is_signed(KEY, "presence-a", &reply), "{path} {reply}");
    }
}

#[test]
fn the_form_of_webman_push_server_has_an_object_on_every_channel() {
    let of = |channel: &str| {
        reply(&form("/subscribe/auth?compat=webman", &format!("channel_name={channel}&socket_id=1234.1234")))
    };
    let user = json!({"user_id": "100", "user_info": r"{\'name\':\'John\',\'sex\':\'man\'}"});
    let (member, private) = (of("presence-a"), of("private-a"));
    assert_eq!((&member["channel_data"], &private["channel_data"]), (&user, &user));
    let apps = apps();
    let app = apps.by_key(KEY).unwrap();
    let auth = text(&private, "auth");
    assert_eq!(verify_subscription(app, SOCKET_ID, "private-a", None, auth), Ok(()));
    let signed = r#"{"user_id":"100","user_info":"{\\'name\\':\\'John\\',\\'sex\\':\\'man\\'}"}"#;
    let auth = text(&member, "auth");
    assert_eq!(verify_subscription(app, SOCKET_ID, "presence-a", Some(signed), auth), Ok(()));
    // What a client passes on is signed as PHP would write it, whatever the order and the form in which it came.
    let object = json!({"user_info": "a/é", "user_id": "7"});
    let asked =
        json!({"channel_name": "presence-a", "socket_id": "1234.1234", "channel_data": object.to_string()});
    let reply = reply(&json("/subscribe/auth?compat=webman", &asked));
    assert_eq!(reply["channel_data"], object);
    let signed = r#"{"user_id":"7","user_info":"a\/é"}"#;
    let auth = text(&reply, "auth");
    assert_eq!(verify_subscription(app, SOCKET_ID, "presence-a", Some(signed), auth), Ok(()));
    let broken =
        r#"{"channel_name":"presence-a","socket_id":"1.1","channel_data":"{\"user_id\":\"\\ud800\"}"}"#;
    let request = http("POST", "/subscribe/auth?compat=webman", "Content-Type: application/json\r\n", broken);
    assert_eq!(refusal(&request), (400, "Invalid channel_data".into()));
}

#[test]
fn faults_are_told_as_webman_push_server_tells_them() {
    let table = [
        ("", "Required channel_name"),
        ("channel_name=&socket_id=1.1", "Required channel_name"),
        ("channel_name=0&socket_id=1.1", "Required channel_name"),
        ("socket_id=1.1", "Required channel_name"),
        ("channel_name=public", "Invalid channel_name"),
        ("channel_name=privatefoo&socket_id=1.1", "Invalid channel_name"),
        ("channel_name=%23server-to-user-7&socket_id=1.1", "Invalid channel_name"),
        ("channel_name=private-a", "Required socket_id"),
        ("channel_name=private-a&socket_id=", "Required socket_id"),
        ("channel_name=private-a&socket_id=x", "Invalid socket_id"),
        ("channel_name=private-a!&socket_id=1.1", "Invalid channel_name"),
        ("channel_name=private-a&socket_id=1.1&app_key=nobody", "Unknown app_key"),
    ];
    for (body, error) in table {
        assert_eq!(refusal(&form("/subscribe/auth", body)), (400, error.into()), "{body}");
    }
    for body in ["", "{", "[]", r#"{"channel_name":null}"#, r#"{"channel_name":7,"channel_name":7}"#] {
        let request = http("POST", "/subscribe/auth", "Content-Type: application/json\r\n", body);
        assert_eq!(refusal(&request), (400, "Required channel_name".into()), "{body}");
    }
}

#[test]
fn the_app_is_that_of_the_key_or_the_first_that_is_enabled() {
    let body = "channel_name=private-a&socket_id=1234.1234";
    for (target, body, key) in [
        ("/pusher/auth", body.to_owned(), KEY),
        ("/pusher/auth?app_key=other", body.to_owned(), "other"),
        ("/pusher/auth", format!("{body}&app_key=newer"), "other"),
        ("/pusher/auth?app_key=workbunny", format!("{body}&app_key=other"), "other"),
    ] {
        let reply = reply(&form(target, &body));
        assert!(text(&reply, "auth").starts_with(&format!("{key}:")), "{target} {body} {reply}");
        assert!(is_signed(key, "private-a", &reply));
    }
    let of = |key: &str| refusal(&form("/pusher/auth", &format!("{body}&app_key={key}")));
    assert_eq!(of("disabled"), (403, "The app is disabled".into()));
    assert_eq!(of("nobody").0, 400);
}

#[test]
fn an_encrypted_channel_gets_its_key() {
    let channel = "private-encrypted-a";
    let reply = reply(&form("/pusher/auth", &format!("channel_name={channel}&socket_id=1234.1234")));
    assert_eq!(text(&reply, "shared_secret"), shared_secret(apps().by_key(KEY).unwrap(), channel));
    assert!(is_signed(KEY, channel, &reply));
}

#[test]
fn everybody_is_a_member_of_their_own_unless_they_say_who_they_are() {
    let of = |more: &str| {
        let body = format!("channel_name=presence-a&socket_id=1234.1234{more}");
        let reply = reply(&form("/pusher/auth", &body));
        assert!(is_signed(KEY, "presence-a", &reply), "{reply}");
        serde_json::from_str::<Value>(text(&reply, "channel_data")).unwrap()
    };
    assert_eq!(of(""), json!({"user_id": "1234.1234"}));
    assert_eq!(
        of("&user_id=a%22b&user_info=%7B%22n%22%3A1%7D"),
        json!({"user_id": "a\"b", "user_info": {"n": 1}})
    );
}

#[test]
fn a_sign_in_is_signed() {
    let check = |more: &str, expected: &str| {
        let reply = reply(&form("/pusher/user-auth", &format!("socket_id=1234.1234{more}")));
        let user_data = text(&reply, "user_data");
        assert_eq!(user_data, expected);
        let apps = apps();
        let auth = text(&reply, "auth");
        assert_eq!(verify_signin(apps.by_key(KEY).unwrap(), SOCKET_ID, user_data, auth), Ok(()));
    };
    check("", r#"{"id":"1234.1234"}"#);
    check("&user_id=7&user_info=%7B%7D", r#"{"id":"7","user_info":{}}"#);
    check("&user_data=%7B%22id%22%3A%20%2212345%22%7D", r#"{"id": "12345"}"#);
    assert_eq!(refusal(&form("/pusher/user-auth", "")), (400, "Required socket_id".into()));
}

#[test]
fn jsonp_calls_the_function_and_no_other_script() {
    let query = "channel_name=private-a&socket_id=1234.1234";
    let callback = "Pusher.auth_callbacks%5B%271%27%5D";
    for (path, query) in [("/pusher/auth", query), ("/pusher/user-auth", "socket_id=1234.1234")] {
        let answer = ask(&http("GET", &format!("{path}?callback={callback}&{query}"), "", "")).unwrap();
        assert_eq!(answer.content_type, "application/javascript");
        let body = String::from_utf8(answer.body.into_owned()).unwrap();
        let json = body.strip_prefix("Pusher.auth_callbacks['1'](").and_then(|rest| rest.strip_suffix(");"));
        let reply: Value = serde_json::from_str(json.unwrap_or_else(|| panic!("{body}"))).unwrap();
        assert!(text(&reply, "auth").starts_with("workbunny:"));
    }
    for callback in ["", "alert(1)//", "a%20b", "%3Cscript%3E", &"a".repeat(129)] {
        let request = http("GET", &format!("/pusher/auth?callback={callback}&{query}"), "", "");
        assert_eq!(refusal(&request), (400, "Invalid callback".into()), "{callback}");
    }
    assert!(reply(&http("GET", &format!("/pusher/auth?{query}"), "", ""))["auth"].is_string());
}

#[test]
fn methods_are_those_of_the_path_and_a_preflight_allows_any_page() {
    for (path, sample) in Sample::ALL {
        let jsonp = path.starts_with("/pusher/");
        let get = ask(&http("GET", path, "", "")).unwrap_err();
        assert_eq!(get.status, if jsonp { 400 } else { 405 });
        assert_eq!(ask(&http("DELETE", path, "", "")).unwrap_err().status, 405);
        let lines = "Origin: http://a\r\nAccess-Control-Request-Method: POST\r\n";
        let mut out = Vec::new();
        let manner = Manner { keep_alive: true, head_only: false };
        encode_answer(&mut out, "", &ask(&http("OPTIONS", path, lines, "")).unwrap(), manner);
        let head = String::from_utf8(out).unwrap();
        for line in [
            "HTTP/1.1 200 OK",
            "Access-Control-Allow-Origin: *",
            &format!("Access-Control-Allow-Methods: {}", sample.methods()),
        ] {
            assert!(head.lines().any(|its| its == line), "{path} {line}\n{head}");
        }
        assert!(head.contains("Access-Control-Allow-Headers: *, ") && head.contains("Authorization"));
    }
    assert_eq!(Sample::of("/subscribe/auth/"), None);
}

#[test]
fn a_long_body_is_refused_by_its_head_or_when_it_is_there() {
    let longest = |bytes: usize| form("/subscribe/auth", &"x".repeat(bytes));
    let head = |bytes: usize| {
        let request = longest(bytes);
        let RequestParse::Complete { request, .. } = parse_request(&request) else { panic!() };
        Sample::SubscribeAuth.check_head(&request.head).map_err(|refused| refused.status)
    };
    assert_eq!((head(SAMPLE_BODY_BYTES_MAX), head(SAMPLE_BODY_BYTES_MAX + 1)), (Ok(()), Err(413)));
    assert_eq!(refusal(&longest(SAMPLE_BODY_BYTES_MAX + 1)).0, 413);
    assert_eq!(refusal(&longest(SAMPLE_BODY_BYTES_MAX)), (400, "Required channel_name".into()));
}
