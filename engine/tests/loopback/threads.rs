//! A server that may have no further thread or process, as TasksMax, pids.max and ulimit -u have it: deliveries of hooks go
//! on or wait, and nobody else notices.
//!
//! The limit is real. It does not bind root, so that root runs the server as another user.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::rig::client::Client;
use crate::rig::http::Http;
use crate::rig::server::{Server, binary, free_port, wait_for};

/// Nobody else runs anything as these users: one for each test.
const USERS: [u32; 3] = [54_321, 54_322, 54_323];

struct Limited {
    server: Server,
    user: u32,
    admin: u16,
    home: PathBuf,
    // Goes behind the server that works in it.
    _folder: Folder,
}

/// A folder that is removed when this is dropped.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

impl Limited {
    /// A server with this endpoint, in a folder of its own that its user can reach.
    fn start(name: &str, user: u32, endpoint: impl Fn(&Path) -> String) -> Self {
        let folder = reachable_folder(name);
        let program = folder.0.join("corecast");
        fs::copy(binary(), &program).unwrap();
        let home = folder.0.join("home");
        fs::create_dir(&home).unwrap();
        if is_root() {
            chown(&home, Some(user), Some(user)).unwrap();
        }
        let (port, admin, config) = (free_port(), free_port(), folder.0.join("corecast.toml"));
        let text = format!(
            "listen = \"127.0.0.1:{port}\"\nadmin = \"127.0.0.1:{admin}\"\nshards = 1\n[hooks]\ndata_dir = {:?}\n\
             [[apps]]\nid = \"1\"\nkey = \"key\"\nsecret = \"secret\"\n\
             [[apps.hooks]]\nname = \"e\"\nbatch_ms = 0\n{}\n",
            home.join("data"),
            endpoint(&home)
        );
        fs::write(&config, text).unwrap();
        let mut command =
            as_user(user, &[program.to_str().unwrap(), "serve", "--config", config.to_str().unwrap()]);
        command.stdin(Stdio::null());
        Self { server: Server::start_command(command, port), user, admin, home, _folder: folder }
    }

    fn connect(&self) -> Client {
        Client::connect(self.server.tcp(), "/app/key?protocol=7")
    }

    /// How many tries have ended so.
    fn deliveries(&self, outcome: &str) -> f64 {
        let mut tools = Http::on(TcpStream::connect(("127.0.0.1", self.admin)).unwrap());
        let answer = tools.ask(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let sample = answer.body.lines().find(|line| {
            line.starts_with("corecast_hooks_deliveries_total") && line.contains(&format!("\"{outcome}\""))
        });
        sample.unwrap().rsplit_once(' ').unwrap().1.parse().unwrap()
    }

    /// From now on it may start no thread and no process, or as many as before.
    fn set_tasks_max(&self, tasks: &str) {
        let process = self.server.pid().to_string();
        let limit = format!("--nproc={tasks}:");
        assert!(as_user(self.user, &["prlimit", "--pid", &process, &limit]).status().unwrap().success());
    }

    /// The threads of all processes of its user.
    fn tasks(&self) -> usize {
        let owner = |path: &Path| fs::metadata(path).ok().map(|found| found.uid());
        let server = owner(&PathBuf::from(format!("/proc/{}", self.server.pid())));
        let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
        let of_user = processes.filter(|path| owner(path) == server);
        of_user.filter_map(|path| Some(fs::read_dir(path.join("task")).ok()?.count())).sum()
    }

    fn tasks_max(&self) -> String {
        let process = self.server.pid().to_string();
        let asked = ["prlimit", "--pid", &process, "--nproc", "--output", "SOFT", "--noheadings", "--raw"];
        let output = as_user(self.user, &asked).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

fn reachable_folder(name: &str) -> Folder {
    let folder = std::env::temp_dir().join(format!("corecast-{name}-{}", std::process::id()));
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
    Folder(folder)
}

/// The words as a command of this user, if we may choose.
fn as_user(user: u32, words: &[&str]) -> Command {
    let user = user.to_string();
    let switch = ["setpriv", "--clear-groups", "--reuid", &user, "--regid", &user];
    let words = if is_root() { [&switch, words].concat() } else { words.to_vec() };
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().unwrap().stdout == b"0\n"
}

/// Accepts every webhook, and keeps what was sent.
fn receive() -> (u16, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let bodies = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&bodies);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let mut length = 0;
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|length| length > 2) {
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            if reader.read_exact(&mut body).is_ok() {
                kept.lock().unwrap().push_str(&String::from_utf8(body).unwrap());
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                drop(reader.into_inner().write_all(answer));
            }
        }
    });
    (port, bodies)
}

#[test]
fn webhooks_to_a_name_go_out_without_another_thread() {
    let (port, bodies) = receive();
    let limited =
        Limited::start("threads-webhook", USERS[0], |_| format!("url = \"http://localhost:{port}/\""));
    let mut client = limited.connect();
    let heard = |channel: &str| bodies.lock().unwrap().contains(channel).then_some(());
    client.subscribe("while-threads-are-to-be-had");
    wait_for("the first webhook", || heard("while-threads-are-to-be-had"));
    limited.set_tasks_max("1");
    client.subscribe("while-there-are-none");
    wait_for("a webhook at the limit", || heard("while-there-are-none"));
    client.expect_pong();
}

#[test]
fn what_needs_a_process_or_a_thread_waits_until_there_may_be_one() {
    let limited = Limited::start("threads-exec", USERS[1], |home| {
        format!("exec = [\"tee\", \"-a\", {:?}]", home.join("events"))
    });
    let mut client = limited.connect();
    let events = limited.home.join("events");
    let heard = |channel: &str| fs::read_to_string(&events).ok()?.contains(channel).then_some(());
    let before = limited.tasks_max();
    // Not even the thread that would start the command.
    limited.set_tasks_max("1");
    client.subscribe("without-a-thread");
    wait_for("a try in vain", || (limited.deliveries("unreachable") >= 1.0).then_some(()));
    limited.set_tasks_max(&before);
    wait_for("the first event", || heard("without-a-thread"));
    // The thread is there, but no command can be started.
    limited.set_tasks_max("1");
    let tried = limited.deliveries("unreachable");
    client.subscribe("without-a-process");
    wait_for("a try in vain", || (limited.deliveries("unreachable") > tried).then_some(()));
    client.expect_pong();
    limited.set_tasks_max(&before);
    wait_for("the second event", || heard("without-a-process"));
    // The command, and nothing beside it.
    limited.set_tasks_max(&(limited.tasks() + 1).to_string());
    client.subscribe("without-a-thread-beside-it");
    wait_for("an event at the limit", || heard("without-a-thread-beside-it"));
}

#[test]
fn a_start_with_too_few_threads_is_refused_in_one_line() {
    let folder = reachable_folder("threads-start");
    let program = folder.0.join("corecast");
    fs::copy(binary(), &program).unwrap();
    let listen = format!("127.0.0.1:{}", free_port());
    let program = program.to_str().unwrap();
    let serve = [program, "serve", "--app", "1:key:secret", "--shards", "1", "--listen", &listen];
    let mut command = as_user(USERS[2], &[&["prlimit", "--nproc=4"], &serve[..]].concat());
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.starts_with("corecast: ") && said.contains("Resource temporarily unavailable"), "{said}");
    // A user other than root is above this limit with its other processes, before the server has asked what its cores take.
    assert!(!is_root() || said.contains("4 threads") && said.contains("TasksMax"), "{said}");
}
