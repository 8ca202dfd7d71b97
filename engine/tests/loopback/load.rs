//! Too much to do: whom the server turns away, who notices nothing, and that it recovers by itself.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::rig::client::Client;
use crate::rig::http::{Answer, Http, encode_post};
use crate::rig::raw::Raw;
use crate::rig::server::{Server, binary, free_port, wait_for};

/// A server whose marks of memory are read again.
struct Marked {
    file: PathBuf,
    server: Server,
    admin: u16,
}

impl Marked {
    fn start(name: &str) -> Self {
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.toml"));
        let (port, admin) = (free_port(), free_port());
        fs::write(&file, text(1 << 40, 1 << 39)).unwrap();
        let mut command = Command::new(binary());
        let addresses = [port, admin].map(|port| format!("127.0.0.1:{port}"));
        command.args(["serve", "--shards", "2", "--listen", &addresses[0], "--admin", &addresses[1]]);
        command.arg("--config").arg(&file).stdin(Stdio::null());
        Self { file, server: Server::start_command(command, port), admin }
    }

    /// From now on memory is short from so many bytes on.
    fn set_high_mark(&self, bytes: u64) {
        self.set_marks(bytes, bytes.div_ceil(2));
    }

    fn set_marks(&self, high: u64, low: u64) {
        fs::write(&self.file, text(high, low)).unwrap();
        let process = self.server.pid().to_string();
        assert!(Command::new("kill").args(["-HUP", &process]).status().unwrap().success());
    }

    fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.server.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    fn connect(&self) -> Client {
        Client::connect(self.server.tcp(), "/app/loaded?protocol=7")
    }

    fn ask(&self, port: u16, path: &str) -> Answer {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        Http::on(stream)
            .ask(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())
    }

    /// Waits until both listeners answer that it is alive, and that clients should come, or should not.
    fn wait_until(&self, what: &str, is_welcoming: bool) {
        let probes = ["/accept-traffic", "/ready", "/live", "/up"];
        let status = if is_welcoming { 200 } else { 503 };
        wait_for(what, || {
            let answers =
                [self.server.port(), self.admin].map(|port| probes.map(|path| self.ask(port, path).status));
            (answers == [[status, status, 200, 200]; 2]).then_some(())
        });
    }

    fn shedding(&self) -> String {
        let metrics = self.ask(self.admin, "/metrics").body;
        let line = metrics.lines().find(|line| line.starts_with("corecast_shedding "));
        line.unwrap().to_owned()
    }
}

fn text(high: u64, low: u64) -> String {
    format!(
        "[load]\nmemory_high_bytes = {high}\nmemory_low_bytes = {low}\n\
         [[apps]]\nid = \"1\"\nkey = \"loaded\"\nsecret = \"s\"\n\
         [[apps]]\nid = \"7\"\nkey = \"loopback-key\"\nsecret = \"loopback-secret\"\n"
    )
}

#[test]
fn while_memory_is_short_newcomers_get_4100_and_those_who_are_there_notice_nothing() {
    let marked = Marked::start("memory_is_short");
    let mut stays = marked.connect();
    stays.subscribe("news");
    marked.wait_until("the start", true);
    assert_eq!(marked.shedding(), "corecast_shedding 0");
    for _ in 0..2 {
        marked.set_high_mark(1);
        marked.wait_until("the shortage", false);
        assert_eq!(marked.shedding(), "corecast_shedding 1");
        for _ in 0..8 {
            let mut refused = Raw::open(&marked.server);
            assert_eq!(refused.upgrade("/app/loaded?protocol=7").status, 101);
            assert_eq!(refused.hear_error_and_close(), 4100);
            let mut unknown = Raw::open(&marked.server);
            assert_eq!(unknown.upgrade("/app/nobody?protocol=7").status, 101);
            assert_eq!(unknown.hear_error_and_close(), 4001);
        }
        stays.expect_pong();
        stays.subscribe("more-news");
        stays.unsubscribe("more-news");
        marked.set_high_mark(1 << 40);
        marked.wait_until("the recovery", true);
        marked.connect().expect_pong();
    }
    assert_eq!(marked.shedding(), "corecast_shedding 0");
}

#[test]
fn a_server_whose_memory_is_free_again_recovers_by_itself() {
    let marked = Marked::start("memory_is_free_again");
    let mut stays = marked.connect();
    let resident = marked.resident_bytes();
    marked.set_marks(resident + (24 << 20), resident + (12 << 20));
    // Calls whose bodies lack a byte: the server keeps them.
    let call = encode_post("/apps/7/events", &"x".repeat(2_000_000));
    let begun: Vec<TcpStream> = (0..25)
        .map(|_| {
            let mut stream = marked.server.tcp();
            stream.write_all(&call[..call.len() - 1]).unwrap();
            stream
        })
        .collect();
    marked.wait_until("the shortage", false);
    let mut refused = Raw::open(&marked.server);
    assert_eq!(refused.upgrade("/app/loaded?protocol=7").status, 101);
    assert_eq!(refused.hear_error_and_close(), 4100);
    stays.expect_pong();
    drop(begun);
    marked.wait_until("the recovery", true);
    marked.connect().expect_pong();
    stays.expect_pong();
}
