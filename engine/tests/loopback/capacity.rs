//! What remains for publishers when clients have taken all that they may.

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
