//! Silence on the real binary: a silent client is pinged, one that does not answer is closed with 4201, and one that only receives
//! stays. The times are the shortest that a configuration file may set.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::rig::KEY;
use crate::rig::raw::{PING, PONG, Raw};
use crate::rig::server::{Server, binary, free_port};

const FILE: &str = r#"
shards = 1

[limits]
activity_timeout_s = 1
ping_grace_s = 1
pong_s_max = 1

[[apps]]
id = "7"
key = "loopback-key"
secret = "loopback-secret"
"#;

fn serve(name: &str) -> Server {
    let port = free_port();
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.toml"));
    fs::write(&path, FILE).unwrap();
    let mut command = Command::new(binary());
    command.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--config"]).arg(path);
    command.stdin(Stdio::null());
    Server::start_command(command, port)
}

#[test]
fn silent_connection_is_pinged_and_then_closed_with_4201() {
    let server = serve("silent");
    let mut raw = Raw::open(&server);
    raw.upgrade(&format!("/app/{KEY}"));
    let established = raw.hear_event("pusher:connection_established");
    let data: serde_json::Value = serde_json::from_str(established["data"].as_str().unwrap()).unwrap();
    assert_eq!(data["activity_timeout"], 1);
    let (opcode, _) = raw.read_frame();
    assert_eq!(opcode, PING);
    assert_eq!(raw.hear_error_and_close(), 4201);
}

#[test]
fn connection_that_only_answers_pings_stays() {
    let server = serve("answering");
    let mut raw = Raw::open(&server);
    raw.upgrade(&format!("/app/{KEY}"));
    raw.hear_event("pusher:connection_established");
    // Each ping comes after two seconds or three; without its answer the next frame would be an error.
    for _ in 0..3 {
        let (opcode, payload) = raw.read_frame();
        assert_eq!(opcode, PING);
        raw.frame(PONG, &payload);
    }
}
