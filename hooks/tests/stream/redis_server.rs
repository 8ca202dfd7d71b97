//! A real redis-server for one test: on a port of its own, with a directory of its own, and gone with the test. REDIS_SERVER
//! names another program in its place, such as valkey-server.

#![allow(dead_code)] // each test binary uses its own part of it

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use redis::{Connection, FromRedisValue, RedisResult};

pub(crate) struct RedisServer {
    child: Option<Child>,
    port: u16,
    directory: PathBuf,
    options: Vec<String>,
    password: Option<String>,
}

impl RedisServer {
    /// A server with these options beside the usual ones; nothing is saved unless they say so.
    pub(crate) fn start(options: &[&str]) -> Self {
        let mut server = Self::planned(options);
        server.launch();
        server
    }

    /// A server that is not running yet.
    pub(crate) fn planned(options: &[&str]) -> Self {
        let port = free_port();
        let directory = std::env::temp_dir().join(format!("corecast-redis-{}-{port}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        Self { child: None, port, directory, options, password: None }
    }

    pub(crate) fn launch(&mut self) {
        let program = std::env::var_os("REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
        let child = Command::new(&program)
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
            .arg(&self.directory)
            .args(&self.options)
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|fault| {
                panic!("{} is needed for this test: install it (test.sh does): {fault}", program.display())
            });
        self.child = Some(child);
        let patience = Instant::now() + Duration::from_secs(10);
        while !self.answers() {
            assert!(Instant::now() < patience, "{} does not start", program.display());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// As SIGKILL ends it.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// What was kept on disk is gone too.
    pub(crate) fn forget(&self) {
        fs::remove_dir_all(&self.directory).unwrap();
        fs::create_dir_all(&self.directory).unwrap();
    }

    pub(crate) fn pause(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    pub(crate) fn password_is(&mut self, password: &str) {
        let () = self.ask(&["CONFIG", "SET", "requirepass", password]).unwrap();
        self.password = Some(password.to_owned());
    }

    pub(crate) fn url(&self) -> String {
        match &self.password {
            Some(password) => format!("redis://:{password}@127.0.0.1:{}", self.port),
            None => format!("redis://127.0.0.1:{}", self.port),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn connection(&self) -> RedisResult<Connection> {
        let patience = Duration::from_secs(2);
        let connection = redis::Client::open(self.url())?.get_connection_with_timeout(patience)?;
        connection.set_read_timeout(Some(patience))?;
        Ok(connection)
    }

    pub(crate) fn ask<T: FromRedisValue>(&self, words: &[&str]) -> RedisResult<T> {
        let mut command = redis::cmd(words[0]);
        words[1..].iter().for_each(|word| {
            command.arg(word);
        });
        command.query(&mut self.connection()?)
    }

    fn answers(&self) -> bool {
        // One that wants a password answers too.
        match self.ask::<String>(&["PING"]) {
            Ok(_) => true,
            Err(error) => error.code() == Some("NOAUTH"),
        }
    }

    fn signal(&self, signal: &str) {
        let id = self.child.as_ref().expect("it runs").id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A port that nobody listens on, below those that the kernel gives to clients.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 21_000 + (std::process::id() % 9_000) as u16;
    for _ in 0..1_000 {
        let port = start + NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}
