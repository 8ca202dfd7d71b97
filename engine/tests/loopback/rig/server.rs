//! The server process: started on a free port, stopped with SIGTERM, and expected to end well.
//!
//! Owns the child. A server that says anything of a panic, or does not end with exit code 0, fails its test. `shared`
//! gives the tests of one file one server; there a test fails if it is not well afterwards.

use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::ops::Deref;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::client::Client;
use super::http::{Answer, Http};
use super::{APPS, PATIENCE};

/// A server that runs.
pub(crate) struct Server {
    child: Child,
    port: u16,
    errors: Option<JoinHandle<String>>,
}

/// The server of this file's tests. It is started by the first, and told to stop when this process ends.
pub(crate) fn shared() -> Shared {
    static SERVER: OnceLock<Server> = OnceLock::new();
    Shared(SERVER.get_or_init(|| {
        let port = free_port();
        let mut command = Command::new("sh");
        // The shell waits at a pipe whose other end is held here: it ends with this process, however that ends.
        command.args(["-c", r#""$@" & server=$!; read -r end; kill -TERM $server; wait $server"#, "sh"]);
        command.arg(binary()).args(serve_arguments(port)).args(["--shards", "3"]).stdin(Stdio::piped());
        Server::start_command(command, port)
    }))
}

/// A test's use of the shared server, which must be well after it.
pub(crate) struct Shared(&'static Server);

impl Deref for Shared {
    type Target = Server;

    fn deref(&self) -> &Server {
        self.0
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if !thread::panicking() {
            let answer = self.http().ask(b"GET /live HTTP/1.1\r\nHost: h\r\n\r\n");
            assert_eq!(answer.body, r#"{"live":true}"#);
        }
    }
}

/// The binary under test: CORECAST_BIN, or what cargo has built for this test.
pub(crate) fn binary() -> PathBuf {
    std::env::var_os("CORECAST_BIN").map_or_else(|| env!("CARGO_BIN_EXE_corecast").into(), PathBuf::from)
}

/// A port that nobody listens on. Below 32768 no outgoing connection takes it meanwhile.
pub(crate) fn free_port() -> u16 {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    loop {
        let step = TRIED.fetch_add(1, Ordering::Relaxed);
        let port = 12_000 + ((std::process::id() * 37 + step) % 20_000) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Runs a command of the binary to its end: exit code, standard output, standard error.
pub(crate) fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(binary()).args(arguments).stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Waits until something is there.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < give_up, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn serve_arguments(port: u16) -> [String; 7] {
    let listen = format!("127.0.0.1:{port}");
    ["serve", "--listen", &listen, "--app", APPS[0], "--app", APPS[1]].map(str::to_owned)
}

impl Server {
    /// Starts `serve` with the apps of the tests and these arguments, and waits until it is ready.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_on(free_port(), arguments)
    }

    pub(crate) fn start_on(port: u16, arguments: &[&str]) -> Self {
        let mut command = Command::new(binary());
        command.args(serve_arguments(port)).args(arguments).stdin(Stdio::null());
        Self::start_command(command, port)
    }

    /// A server with these shards, and the apps of a file that is its own by this name.
    pub(crate) fn with_apps(name: &str, shards: usize, apps: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}_{shards}.toml"));
        fs::write(&path, format!("shards = {shards}\n{apps}")).unwrap();
        let port = free_port();
        let mut command = Command::new(binary());
        command.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--config"]).arg(&path);
        command.stdin(Stdio::null());
        let server = Self::start_command(command, port);
        fs::remove_file(path).unwrap();
        server
    }

    /// Starts this command and waits until the server at the port is ready.
    pub(crate) fn start_command(mut command: Command, port: u16) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let errors = thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        Self { child, port, errors: Some(errors) }.once_ready()
    }

    /// The same for a command whose standard error is not for us.
    pub(crate) fn start_unheard(mut command: Command, port: u16) -> Self {
        Self { child: command.spawn().unwrap(), port, errors: None }.once_ready()
    }

    fn once_ready(mut self) -> Self {
        wait_for("the server to be ready", || {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "the server ended at once: {ended:?} {}", self.take_errors());
            let stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
            let answer = Http::on(stream).ask(b"GET /ready HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
            (answer.status == 200).then_some(())
        });
        self
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn stdout(&mut self) -> std::process::ChildStdout {
        self.child.stdout.take().unwrap()
    }

    /// A TCP connection.
    pub(crate) fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// A Pusher client.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.tcp(), "/app/loopback-key?protocol=7&client=js&version=8.4.0&flash=false")
    }

    /// Clients in the order of the shards that hold them, one on each of three.
    pub(crate) fn connect_to_each_shard(&self) -> [Client; 3] {
        let mut found = [None, None, None];
        for _ in 0..1000 {
            let client = self.connect();
            let shard = usize::from(client.shard());
            found[shard].get_or_insert(client);
            if found.iter().all(Option::is_some) {
                return found.map(Option::unwrap);
            }
        }
        panic!("a thousand connections and some shard has none");
    }

    /// A connection for REST.
    pub(crate) fn http(&self) -> Http {
        Http::on(self.tcp())
    }

    /// A signed POST.
    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        self.http().post(path, body)
    }

    /// A signed GET.
    pub(crate) fn get(&self, path: &str, params: &[(&str, &str)]) -> Answer {
        self.http().get(path, params)
    }

    /// Publishes an event whose data is a text.
    pub(crate) fn publish(&self, channel: &str, event: &str, data: &str) {
        self.http().publish(channel, event, data);
    }

    /// SIGTERM, and what came of it.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.signal_end();
        wait_for("the end of the server", || self.child.try_wait().unwrap())
    }

    /// SIGTERM.
    pub(crate) fn signal_end(&self) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success(), "the server had ended before it was told to");
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        drop(self.take_errors());
    }

    /// What the server has written to standard error, once it has ended.
    pub(crate) fn take_errors(&mut self) -> String {
        self.errors.take().map_or_else(String::new, |errors| errors.join().unwrap())
    }

    /// How the process has ended, once it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// True while the process runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if thread::panicking() {
            drop(self.child.kill());
            drop(self.child.wait());
            eprintln!("the server said: {}", self.take_errors());
            return;
        }
        if !self.is_running() && self.errors.is_none() {
            return;
        }
        let status = if self.is_running() { self.terminate() } else { self.child.wait().unwrap() };
        let errors = self.take_errors();
        assert_eq!(status.code(), Some(0), "the server said: {errors}");
        assert!(!errors.contains("panic"), "{errors}");
    }
}
