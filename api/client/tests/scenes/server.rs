//! The built server, started on a free port and ended with the test.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// As long as a test waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server.
pub(crate) struct Server {
    child: Child,
    port: u16,
    shards: usize,
}

/// The server that all tests with this many shards share. It ends with this process, however that ends.
pub(crate) fn shared(shards: usize) -> &'static Server {
    static SERVERS: [OnceLock<Server>; 2] = [OnceLock::new(), OnceLock::new()];
    SERVERS[usize::from(shards > 1)].get_or_init(|| Server::start(free_port(), shards))
}

/// The binary under test: CORECAST_BIN, or what cargo has built beside this test.
fn binary() -> PathBuf {
    let beside = || {
        let folder = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned();
        folder.join("corecast")
    };
    let found = std::env::var_os("CORECAST_BIN").map_or_else(beside, PathBuf::from);
    assert!(found.exists(), "{} is missing: cargo build -p corecast", found.display());
    found
}

/// A port that nobody listens on. Below 32768 no outgoing connection takes it meanwhile.
pub(crate) fn free_port() -> u16 {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    loop {
        let step = u32::from(TRIED.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(12_000 + (std::process::id() * 41 + step) % 20_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl Server {
    /// Starts one and waits until it is ready.
    pub(crate) fn start(port: u16, shards: usize) -> Self {
        let mut command = Command::new("sh");
        // The shell waits at a pipe whose other end is held here.
        command.args(["-c", r#""$@" & server=$!; read -r end; kill -KILL $server; wait $server"#, "sh"]);
        command.arg(binary()).args(["serve", "--app", "7:client-key:client-secret", "--admin", "off"]);
        command.args(["--listen", &format!("127.0.0.1:{port}"), "--shards", &shards.to_string()]);
        let child =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { child, port, shards };
        let give_up = Instant::now() + PATIENCE;
        while !server.is_ready() {
            assert!(Instant::now() < give_up, "the server is not ready");
            thread::sleep(Duration::from_millis(10));
        }
        server
    }

    fn is_ready(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        let mut answer = String::new();
        stream.write_all(b"GET /ready HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").is_ok()
            && stream.read_to_string(&mut answer).is_ok()
            && answer.starts_with("HTTP/1.1 200 ")
    }

    /// Kills it, as a crash does, and starts another one at its place.
    pub(crate) fn restart(&mut self) {
        self.kill();
        *self = Self::start(self.port, self.shards);
    }

    fn kill(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }

    pub(crate) fn shards(&self) -> usize {
        self.shards
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn pusher_url(&self) -> String {
        self.pusher_url_with("client-secret")
    }

    pub(crate) fn pusher_url_with(&self, secret: &str) -> String {
        format!("http://client-key:{secret}@127.0.0.1:{}/apps/7", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
