//! A log that cannot be written: it costs its lines, and nobody else notices. And commands whose reader has gone.
//!
//! Standard error is what an operator's machine may make of it: a pipe whose reader has ended, a disk that is full, a pipe
//! that nobody reads. Lines come from endpoints of hooks that nobody answers for.

use std::fs::{self, File};
use std::io::{PipeReader, PipeWriter, Write, pipe};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::rig::client::Client;
use crate::rig::http::Http;
use crate::rig::server::{Server, binary, free_port, wait_for};

/// Each has a line for the log.
const DEAD_ENDPOINTS: usize = 5;
/// What a shell says of a command that SIGPIPE has ended.
const READER_GONE: Option<i32> = Some(141);

struct Logged {
    server: Server,
    admin: u16,
    events: PathBuf,
}

impl Logged {
    /// A server in a folder of its own, with one endpoint that takes events and some that nobody answers for.
    fn start(name: &str, stderr: impl Into<Stdio>) -> Self {
        let folder = folder(name);
        let (port, admin, events) = (free_port(), free_port(), folder.join("events.json"));
        let config = folder.join("corecast.toml");
        fs::write(&config, configuration(&folder, port, admin)).unwrap();
        let mut command = Command::new(binary());
        command.arg("serve").arg("--config").arg(&config).stdin(Stdio::null()).stderr(stderr);
        Self { server: Server::start_unheard(command, port), admin, events }
    }

    /// How many samples of a family with this label are at least so much.
    fn samples(&self, family: &str, label: &str, least: f64) -> usize {
        let mut tools = Http::on(TcpStream::connect(("127.0.0.1", self.admin)).unwrap());
        let answer = tools.ask(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let samples = answer.body.lines().filter(|line| line.starts_with(family) && line.contains(label));
        samples.filter(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap() >= least).count()
    }

    /// Waits until every endpoint that cannot be reached was tried, and spoken of.
    fn wait_for_words(&self) {
        wait_for("the endpoints to be tried", || {
            let tried = self.samples("corecast_hooks_deliveries_total", "unreachable", 1.0);
            (tried == DEAD_ENDPOINTS).then_some(())
        });
    }

    /// The first lines are those that say where it listens.
    fn wait_for_losses(&self) {
        wait_for("lost lines to be counted", || {
            (self.samples("corecast_log_lines_dropped_total", "", 2.0) == 1).then_some(())
        });
    }

    fn wait_for_event_of(&self, channel: &str) {
        wait_for("an event at the endpoint that takes them", || {
            fs::read_to_string(&self.events).ok()?.contains(channel).then_some(())
        });
    }

    /// What must hold whatever became of the log: clients stay, hooks are delivered, SIGTERM ends it in its time.
    fn serves_and_ends(mut self) {
        let mut client = Client::connect(self.server.tcp(), "/app/key?protocol=7");
        client.subscribe("before-the-words");
        self.wait_for_event_of("before-the-words");
        self.wait_for_words();
        client.subscribe("after-the-words");
        self.wait_for_event_of("after-the-words");
        client.expect_pong();
        drop(client);
        let asked = Instant::now();
        assert_eq!(self.server.terminate().code(), Some(0));
        assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    }
}

fn configuration(folder: &Path, port: u16, admin: u16) -> String {
    let mut text = format!(
        "listen = \"127.0.0.1:{port}\"\nadmin = \"127.0.0.1:{admin}\"\nshards = 1\n[hooks]\ndata_dir = {:?}\n\
         [[apps]]\nid = \"1\"\nkey = \"key\"\nsecret = \"secret\"\n\
         [[apps.hooks]]\nname = \"events\"\nfile = {:?}\n",
        folder.join("data"),
        folder.join("events.json")
    );
    for number in 0..DEAD_ENDPOINTS {
        let port = free_port();
        text.push_str(&format!(
            "[[apps.hooks]]\nname = \"dead-{number}\"\nurl = \"http://127.0.0.1:{port}/\"\n"
        ));
    }
    text
}

/// An empty folder of a test's own.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A pipe that takes nothing more until it is read, and that nobody reads.
fn full_pipe(blocks: bool) -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while writer.write(&[b'#'; 4096]).is_ok() {}
    rustix::io::ioctl_fionbio(&writer, !blocks).unwrap();
    (reader, writer)
}

fn pipe_without_reader() -> PipeWriter {
    pipe().unwrap().1
}

fn full_disk() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

#[test]
fn a_log_whose_reader_has_gone_costs_nothing_but_its_lines() {
    let logged = Logged::start("log-without-reader", pipe_without_reader());
    logged.wait_for_losses();
    logged.serves_and_ends();
}

#[test]
fn a_log_on_a_full_disk_costs_nothing_but_its_lines() {
    let logged = Logged::start("log-on-full-disk", full_disk());
    logged.wait_for_losses();
    logged.serves_and_ends();
}

#[test]
fn a_full_pipe_that_does_not_block_costs_nothing_but_lines() {
    let (_unread, writer) = full_pipe(false);
    Logged::start("log-in-full-pipe", writer).serves_and_ends();
}

#[test]
fn a_full_pipe_that_blocks_and_that_nobody_reads_costs_nothing_but_lines() {
    let (_unread, writer) = full_pipe(true);
    Logged::start("log-in-blocking-pipe", writer).serves_and_ends();
}

fn command(arguments: &[&str], stdout: impl Into<Stdio>, stderr: impl Into<Stdio>) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).stdin(Stdio::null()).stdout(stdout).stderr(stderr);
    command.spawn().unwrap().wait_with_output().unwrap()
}

#[test]
fn commands_whose_reader_has_gone_end_without_a_word() {
    let folder = folder("log-commands");
    let (config, data) = (folder.join("corecast.toml"), folder.join("data"));
    let (port, admin) = (free_port(), free_port());
    fs::write(&config, configuration(&folder, port, admin)).unwrap();
    let (config, data) = (config.to_str().unwrap(), data.to_str().unwrap());
    let mut serve = Command::new(binary());
    serve.args(["serve", "--config", config]).stdin(Stdio::null());
    let server = Server::start_command(serve, port);
    let mut client = Client::connect(server.tcp(), "/app/key?protocol=7");
    client.subscribe("waits-for-the-dead");
    let (to, listen) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{}", free_port()));
    let table = [
        &["--help"][..],
        &["serve", "--help"],
        &["--version"],
        &["check", "--config", config],
        &["publish", "--app", "1:key:secret", "--to", &to, "a", "b", "c"],
        &["dev", "--listen", &listen, "--shards", "1", "--app", "1:key:secret"],
        &["hooks", "status", "--data-dir", data],
        &["hooks", "dlq", "list", "--data-dir", data],
        &["hooks", "tail", "--data-dir", data],
    ];
    wait_for("an event that can be followed", || {
        let tail = command(&["hooks", "tail", "--once", "--data-dir", data], Stdio::piped(), Stdio::null());
        (!tail.stdout.is_empty()).then_some(())
    });
    for arguments in table {
        let ended = command(arguments, pipe_without_reader(), Stdio::piped());
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!((ended.status.code(), said.as_str()), (READER_GONE, ""), "{arguments:?}");
    }
    for arguments in [table[3], table[6], table[7]] {
        let ended = command(arguments, full_disk(), Stdio::piped());
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(ended.status.code() == Some(1) && said.lines().count() == 1, "{arguments:?}: {said}");
        assert!(said.contains("standard output cannot be written"), "{arguments:?}: {said}");
    }
}

#[test]
fn a_failure_that_cannot_be_told_has_its_exit_code() {
    for stderr in [Stdio::from(pipe_without_reader()), full_disk().into(), full_pipe(false).1.into()] {
        assert_eq!(command(&["serve"], Stdio::null(), stderr).status.code(), Some(78));
    }
}
