//! Too much to do: whom the server turns away, who notices nothing, and that it recovers by itself.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::rig::client::Client;
use crate::rig::http::{Answer, Http};
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
        fs::write(&file, text(1 << 40)).unwrap();
        let mut command = Command::new(binary());
        let addresses = [port, admin].map(|port| format!("127.0.0.1:{port}"));
        command.args(["serve", "--shards", "2", "--listen", &addresses[0], "--admin", &addresses[1]]);
        command.arg("--config").arg(&file).stdin(Stdio::null());
        Self { file, server: Server::start_command(command, port), admin }
    }

    /// From now on memory is short from so many bytes on.
    fn set_high_mark(&self, bytes: u64) {
        fs::write(&self.file, text(bytes)).unwrap();
        let process = self.server.pid().to_string();
        assert!(Command::new("kill").args(["-HUP", &process]).status().unwrap().success());
    }

    fn connect(&self) -> Client {
        Client::connect(self.server.tcp(), "/app/loaded?protocol=7")
    }

    fn ask(&self, port: u16, path: &str) -> Answer {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        Http::on(stream)
            .ask(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())
    }

    /// What both listeners answer, the same on each.
    fn statuses(&self) -> [u16; 4] {
        let probes = ["/accept-traffic", "/ready", "/live", "/up"];
        let [public, admin] =
            [self.server.port(), self.admin].map(|port| probes.map(|path| self.ask(port, path).status));
        assert_eq!(public, admin);
        public
    }

    fn shedding(&self) -> String {
        let metrics = self.ask(self.admin, "/metrics").body;
        let line = metrics.lines().find(|line| line.starts_with("corecast_shedding "));
        line.unwrap().to_owned()
    }
}

fn text(high: u64) -> String {
    format!("[load]\nmemory_high_bytes = {high}\n[[apps]]\nid = \"1\"\nkey = \"loaded\"\nsecret = \"s\"\n")
}

#[test]
fn while_memory_is_short_newcomers_get_4100_and_those_who_are_there_notice_nothing() {
    let marked = Marked::start("memory_is_short");
    let mut stays = marked.connect();
    stays.subscribe("news");
    assert_eq!(marked.statuses(), [200; 4]);
    assert_eq!(marked.shedding(), "corecast_shedding 0");
    for _ in 0..2 {
        marked.set_high_mark(1);
        wait_for("the shortage", || (marked.statuses()[0] == 503).then_some(()));
        assert_eq!(marked.statuses(), [503, 503, 200, 200]);
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
        wait_for("the recovery", || (marked.statuses() == [200; 4]).then_some(()));
        marked.connect().expect_pong();
    }
    assert_eq!(marked.shedding(), "corecast_shedding 0");
}
