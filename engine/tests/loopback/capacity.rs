//! What remains for publishers when clients have taken all that they may.

use std::fs;
use std::process::{Command, Stdio};

use crate::rig::client::Client;
use crate::rig::raw::Raw;
use crate::rig::server::{Server, binary, free_port};

/// 256 are kept for REST and the like, 16 for each of two cores.
const CLIENTS_MAX: usize = 400 - 256 - 2 * 16;

#[test]
fn clients_leave_descriptors_to_publishers() {
    let port = free_port();
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -n 400; exec "$@""#, "sh"]).arg(binary());
    command.args([
        "serve",
        "--listen",
        &format!("127.0.0.1:{port}"),
        "--app",
        "7:loopback-key:loopback-secret",
    ]);
    command.args(["--shards", "1"]).stdin(Stdio::null());
    let server = Server::start_command(command, port);
    let mut clients: Vec<Client> = (0..CLIENTS_MAX).map(|_| server.connect()).collect();
    let mut refused = Raw::open(&server);
    assert_eq!(refused.upgrade("/app/loopback-key").status, 101);
    assert_eq!(refused.hear_error_and_close(), 4100);
    clients[0].subscribe("news");
    let mut publishers = Vec::new();
    for _ in 0..200 {
        let mut publisher = server.http();
        publisher.publish("news", "e", "still possible");
        clients[0].expect("news", "e", "still possible");
        publishers.push(publisher);
    }
}

/// The binary with these arguments, under limits that the shell sets.
fn limited(limits: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!(r#"{limits}; exec "$@""#), "sh"]).arg(binary()).args(arguments);
    command.stdin(Stdio::null());
    command
}

#[test]
fn the_soft_limit_of_open_files_is_raised_to_the_hard_one() {
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let serve = ["serve", "--listen", &listen, "--app", "7:loopback-key:s", "--shards", "1"];
    let mut server = Server::start_command(limited("ulimit -Sn 64; ulimit -Hn 400", &serve), port);
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(files.split_ascii_whitespace().nth(3), Some("400"), "{files}");
    assert_eq!(server.terminate().code(), Some(0));
    let errors = server.take_errors();
    assert!(errors.contains(&format!("{CLIENTS_MAX} clients fit into 400 open files")), "{errors}");
}

#[test]
fn a_connections_max_beyond_what_fits_is_warned_of() {
    let port = free_port();
    let file = std::env::temp_dir().join(format!("corecast-capacity-{port}.toml"));
    let text = format!(
        "listen = \"127.0.0.1:{port}\"\nshards = 1\n[[apps]]\nid = \"7\"\nkey = \"loopback-key\"\nsecret = \"s\"\n\
         limits = {{ connections_max = 5000 }}\n"
    );
    fs::write(&file, text).unwrap();
    let path = file.to_str().unwrap();
    let expected = format!("warning: app 7: connections_max is 5000, but only {CLIENTS_MAX} clients fit");
    let checked = limited("ulimit -n 400", &["check", "--config", path]).output().unwrap();
    let errors = String::from_utf8(checked.stderr).unwrap();
    assert!(checked.status.success() && errors.contains(&expected), "{errors}");
    let mut server = Server::start_command(limited("ulimit -n 400", &["serve", "--config", path]), port);
    assert_eq!(server.terminate().code(), Some(0));
    let errors = server.take_errors();
    assert!(errors.contains(&expected), "{errors}");
    fs::remove_file(file).unwrap();
}
