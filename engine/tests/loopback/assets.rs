//! push.js, for uni-app and WeChat too: where it is served from, in which versions, and that it is served only on request.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::rig::http::{Answer, Http, encode_request};
use crate::rig::server::{Server, binary, free_port};

const FOLDERS: [&str; 2] = ["/plugin/workbunny/webman-push-server/", "/plugin/webman/push/"];
const NAMES: [&str; 3] = ["push.js", "push-uniapp.js", "push-miniprogram.js"];

fn paths() -> impl Iterator<Item = String> {
    FOLDERS.iter().flat_map(|folder| NAMES.iter().map(move |name| format!("{folder}{name}")))
}

fn ask(http: &mut Http, method: &str, path: &str, lines: &str) -> Answer {
    http.send(format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n").as_bytes());
    // The length that these tell of is that of the file, which does not come.
    if method == "HEAD" || !lines.is_empty() { http.read_head() } else { http.read_answer() }
}

#[test]
fn the_files_are_served_on_public_and_api_ports_where_the_configuration_says_so() {
    let (port, api, admin) = (free_port(), free_port(), free_port());
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("assets.toml");
    let text = format!(
        "shards = 2\nlisten = \"127.0.0.1:{port}\"\napi_listen = \"127.0.0.1:{api}\"\nadmin = \"127.0.0.1:{admin}\"\n\
         assets = true\npath_prefix = \"/realtime\"\n[[apps]]\nid = \"1\"\nkey = \"k\"\nsecret = \"s\"\n"
    );
    fs::write(&file, text).unwrap();
    let mut command = Command::new(binary());
    command.args(["serve", "--config"]).arg(&file).stdin(Stdio::null());
    let _server = Server::start_command(command, port);
    let on = |port: u16| Http::on(TcpStream::connect(("127.0.0.1", port)).unwrap());
    for port in [port, api] {
        let mut http = on(port);
        for path in paths().chain(paths().map(|path| format!("/realtime{path}"))) {
            let answer = ask(&mut http, "GET", &path, "");
            assert_eq!(answer.status, 200, "{path}");
            assert!(answer.body.contains("class Push"), "{path}");
            assert_eq!(answer.header("Content-Type"), Some("text/javascript; charset=utf-8"));
            assert_eq!(answer.header("Cache-Control"), Some("public, max-age=600"));
            let (tag, length) = (answer.header("ETag").unwrap(), answer.header("Content-Length").unwrap());
            let known = ask(&mut http, "GET", &path, &format!("If-None-Match: {tag}\r\n"));
            assert_eq!((known.status, known.header("ETag")), (304, Some(tag)));
            for method in ["HEAD", "GET"] {
                let other = ask(&mut http, method, &path, "If-None-Match: \"other\"\r\n");
                assert_eq!((other.status, other.header("Content-Length")), (200, Some(length)));
                if method == "GET" {
                    http = on(port);
                }
            }
            let options = ask(&mut http, "OPTIONS", &path, "");
            assert_eq!((options.status, options.header("Allow")), (200, Some("GET, HEAD, OPTIONS")));
            assert_eq!(ask(&mut http, "POST", &path, "").status, 405);
        }
        assert_eq!(ask(&mut http, "GET", "/plugin/webman/push/push.css", "").status, 404);
    }
    assert_eq!(ask(&mut on(admin), "GET", "/plugin/webman/push/push.js", "").status, 404);
}

#[test]
fn the_files_are_served_with_the_flag_and_by_dev_and_not_otherwise() {
    for (arguments, status) in [
        (&["serve", "--app", "1:k:s", "--admin", "off", "--assets"][..], 200),
        (&["serve", "--app", "1:k:s", "--admin", "off"][..], 404),
        (&["dev", "--app", "1:k:s"][..], 200),
    ] {
        let port = free_port();
        let mut command = Command::new(binary());
        command.args(arguments).args(["--shards", "1", "--listen", &format!("127.0.0.1:{port}")]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let server = Server::start_command(command, port);
        for path in paths() {
            for method in ["GET", "OPTIONS"] {
                let answer = server.http().ask(&encode_request(method, &path, ""));
                assert_eq!(answer.status, status, "{arguments:?} {path}");
            }
        }
    }
}
