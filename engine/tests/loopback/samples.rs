//! The sample endpoints, which sign whatever a page asks for: that clients get in with what they sign, that every address for
//! clients and back ends has them, and that nobody has them without asking.

use std::net::TcpStream;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::rig::client::Client;
use crate::rig::http::{Answer, Http, encode_request};
use crate::rig::server::{Server, binary, free_port, shared};

const APP: &str = "[[apps]]\nid = \"7\"\nkey = \"loopback-key\"\nsecret = \"loopback-secret\"\n";
const PATHS: [&str; 4] = ["/subscribe/auth", "/plugin/webman/push/auth", "/pusher/auth", "/pusher/user-auth"];

fn ask_form(http: &mut Http, path: &str, form: &str) -> Answer {
    let kind = "Content-Type: application/x-www-form-urlencoded";
    let length = form.len();
    let request =
        format!("POST {path} HTTP/1.1\r\nHost: h\r\n{kind}\r\nContent-Length: {length}\r\n\r\n{form}");
    http.ask(request.as_bytes())
}

/// Says what the reply of an endpoint says, as push.js and WsClient do.
fn subscribe(client: &mut Client, channel: &str, reply: &Value) -> Value {
    let mut data = reply.clone();
    data["channel"] = channel.into();
    client.say(&json!({"event": "pusher:subscribe", "data": data}));
    client.hear_event("pusher_internal:subscription_succeeded")
}

#[test]
fn clients_get_in_with_what_the_endpoints_sign_on_every_address() {
    let api = free_port();
    let top = format!("sample_endpoints = true\napi_listen = \"127.0.0.1:{api}\"\npath_prefix = \"/ws\"\n");
    let mut server = Server::with_apps("samples", 1, &format!("{top}{APP}"));
    let mut public = server.http();
    let mut for_back_ends = Http::on(TcpStream::connect(("127.0.0.1", api)).unwrap());
    for http in [&mut public, &mut for_back_ends] {
        for path in &PATHS[..3] {
            let mut client = server.connect();
            for channel in ["private-signed", "presence-signed", "private-encrypted-signed"] {
                let form = format!("channel_name={channel}&socket_id={}", client.socket_id);
                let answer = ask_form(http, path, &form);
                assert_eq!((answer.status, answer.header("Access-Control-Allow-Origin")), (200, Some("*")));
                let event = subscribe(&mut client, channel, &answer.json());
                assert_eq!(event["channel"], channel, "{path}");
            }
        }
        let mut client = server.connect();
        let answer = ask_form(http, "/ws/pusher/user-auth", &format!("socket_id={}", client.socket_id));
        client.say(&json!({"event": "pusher:signin", "data": answer.json()}));
        client.hear_event("pusher:signin_success");
    }
    let answer = ask_form(&mut public, "/subscribe/auth", "channel_name=news&socket_id=1.1");
    assert_eq!((answer.status, &*answer.body), (400, r#"{"error":"Invalid channel_name"}"#));
    assert_eq!(answer.header("Access-Control-Allow-Origin"), Some("*"));
    assert_eq!(server.terminate().code(), Some(0));
    let errors = server.take_errors();
    assert_eq!(errors.matches("sign whatever anybody asks").count(), 1, "{errors}");
}

#[test]
fn a_browser_may_ask_first_and_a_long_body_is_not_waited_for() {
    let server = Server::with_apps("preflight", 1, &format!("sample_endpoints = true\n{APP}"));
    let mut http = server.http();
    let preflight = "OPTIONS /subscribe/auth HTTP/1.1\r\nHost: h\r\nOrigin: https://example.com\r\n\
                     Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n\r\n";
    let answer = http.ask(preflight.as_bytes());
    let allowed = ["Origin", "Methods", "Headers"]
        .map(|what| answer.header(&format!("Access-Control-Allow-{what}")).unwrap_or_default().to_owned());
    assert_eq!((answer.status, &*allowed[0], &*allowed[1]), (200, "*", "POST, OPTIONS"), "{answer:?}");
    assert!(allowed[2].contains("Content-Type"), "{answer:?}");
    let head = "POST /subscribe/auth HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n";
    assert_eq!(http.ask(head.as_bytes()).status, 413);
    assert!(http.is_at_end());
}

#[test]
fn dev_has_the_endpoints_and_a_server_that_was_not_asked_has_none() {
    let port = free_port();
    let mut command = Command::new(binary());
    command.args(["dev", "--listen", &format!("127.0.0.1:{port}"), "--shards", "1", "--app", "9:k:s"]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let dev = Server::start_command(command, port);
    let form = "channel_name=private-a&socket_id=1.1";
    let answer = ask_form(&mut dev.http(), "/pusher/auth", form);
    assert!(answer.json()["auth"].as_str().unwrap().starts_with("k:"), "{answer:?}");
    let server = shared();
    for path in PATHS {
        assert_eq!(ask_form(&mut server.http(), path, form).status, 404, "{path}");
        assert_eq!(server.http().ask(&encode_request("OPTIONS", path, "")).status, 404, "{path}");
    }
}
