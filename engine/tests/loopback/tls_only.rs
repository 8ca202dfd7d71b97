//! Apps that are there over TLS only: who comes by a plain port is told, and a trusted proxy may say that its client came by
//! TLS. On one shard and on three.

use std::fs;
use std::path::Path;

use serde_json::json;
use tungstenite::Message;

use crate::rig::http::{Answer, Http, encode_event, encode_request, now_unix_s};
use crate::rig::raw::{Raw, encode_upgrade};
use crate::rig::server::Server;
use crate::rig::tls::{Pair, Secure, hear};
use protocol::app::App;
use protocol::auth::sign_request;

const APPS: &str = r#"
[[apps]]
id = "closed"
key = "closed"
secret = "closed-secret"
tls_only = true
[[apps]]
id = "open"
key = "open"
secret = "open-secret"
"#;

/// A server with these apps, on a plain port and with TLS.
fn serve(pair: &Pair, name: &str, shards: &str, top: &str) -> Secure {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tls/only-{name}-{shards}.toml"));
    fs::write(&path, format!("{top}{APPS}")).unwrap();
    Secure::start_with(pair, shards, &path)
}

fn with_lines(request: &str, lines: &str) -> String {
    request.replacen("\r\n", &format!("\r\n{lines}"), 1)
}

/// How an upgrade on a plain port is met: 0, or the code of its error frame and close frame.
fn meets(server: &Server, key: &str, lines: &str) -> u16 {
    let mut raw = Raw::open(server);
    raw.write(with_lines(&encode_upgrade(&format!("/app/{key}?protocol=7")), lines).as_bytes());
    assert_eq!(raw.read_head().status, 101);
    let first = raw.hear();
    if first["event"] == "pusher:connection_established" {
        return 0;
    }
    assert_eq!(first["event"], "pusher:error");
    let code = raw.hear_close();
    assert_eq!(first["data"]["code"], code, "{first}");
    if code == 4000 {
        let text = "Application only accepts SSL connections, reconnect using wss://";
        assert_eq!(first["data"]["message"], text);
    }
    code
}

fn request(id: &str, lines: &str) -> String {
    let (path, body) = (format!("/apps/{id}/events"), encode_event("news", "e", "1"));
    let app = App::new(id, id, &format!("{id}-secret"));
    let query = sign_request(&app, "POST", &path, &[], body.as_bytes(), now_unix_s());
    let request = encode_request("POST", &format!("{path}?{query}"), &body);
    with_lines(&String::from_utf8(request).unwrap(), lines)
}

fn calls(http: &mut Http, id: &str, lines: &str) -> Answer {
    http.ask(request(id, lines).as_bytes())
}

#[test]
fn an_app_that_is_there_by_tls_only_closes_others_with_4000_and_answers_their_calls_with_403() {
    let pair = Pair::make("only", "localhost");
    for shards in ["1", "3"] {
        let mut secure = serve(&pair, "plain", shards, "");
        let claims = ["", "X-Forwarded-Proto: https\r\n", "Forwarded: for=1.2.3.4;proto=https\r\n"];
        for lines in claims {
            assert_eq!(meets(&secure.server, "closed", lines), 4000, "{lines}");
            assert_eq!(meets(&secure.server, "open", lines), 0, "{lines}");
            let mut http = secure.server.http();
            let (status, text) = calls(&mut http, "closed", lines).refusal();
            assert!(status == 403 && text.contains("tls_only") && text.contains("https://"), "{text}");
            assert_eq!(calls(&mut http, "open", lines).status, 200, "the connection goes on");
        }
        let config = pair.client();
        let mut client = secure.connect_to(&config, "localhost", "/app/closed?protocol=7");
        client
            .send(Message::text(
                json!({"event": "pusher:subscribe", "data": {"channel": "news"}}).to_string(),
            ))
            .unwrap();
        assert_eq!(hear(&mut client)["event"], "pusher_internal:subscription_succeeded");
        let answer = secure.ask(&config, request("closed", "").as_bytes());
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(hear(&mut client)["data"], "1");
        drop(client);
        assert_eq!(secure.server.terminate().code(), Some(0));
        let said = secure.server.take_errors();
        assert!(said.contains("over TLS only (tls_only)") && said.contains("wss://"), "{said}");
    }
}

#[test]
fn a_trusted_proxy_says_whether_its_client_came_by_tls() {
    let pair = Pair::make("only-proxy", "localhost");
    let secure = serve(&pair, "proxy", "1", "trusted_proxies = \"127.0.0.0/8\"\n");
    let table = [
        ("X-Forwarded-Proto: https\r\n", true),
        ("Forwarded: for=1.2.3.4;proto=https\r\n", true),
        ("X-Forwarded-Proto: http\r\n", false),
        ("X-Forwarded-Proto: https, http\r\n", false),
        ("X-Forwarded-For: 1.2.3.4\r\n", false),
        ("", false),
    ];
    let mut http = secure.server.http();
    for (lines, is_secure) in table {
        assert_eq!(meets(&secure.server, "closed", lines) == 0, is_secure, "{lines}");
        assert_eq!(calls(&mut http, "closed", lines).status == 200, is_secure, "{lines}");
    }
}
