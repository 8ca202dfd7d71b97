//! Another user of the machine: reads no event, and keeps no server from starting.
//!
//! The other user is real, which needs root or sudo.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::rig::client::Client;
use crate::rig::server::{Server, binary, free_port, wait_for};

const OTHER_USER: &str = "54323";
const THIRD_USER: &str = "54324";

/// A folder that every user may look into, removed when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("corecast-{name}-{}", std::process::id()));
        drop(as_root(&["rm", "-rf", path.to_str().unwrap()]));
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }

    fn at(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(as_root(&["rm", "-rf", self.0.to_str().unwrap()]));
    }
}

fn as_root(words: &[&str]) -> Output {
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    let words = if is_root { words.to_vec() } else { [&["sudo"], words].concat() };
    Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).output().unwrap()
}

fn as_other_user(words: &[&str]) -> Output {
    as_root(&[&["setpriv", "--clear-groups", "--reuid", OTHER_USER, "--regid", OTHER_USER], words].concat())
}

#[test]
fn another_user_neither_reads_events_nor_takes_the_lock() {
    let folder = Folder::new("data-directory");
    let data = folder.at("data");
    let (port, dead) = (free_port(), free_port());
    let start = || {
        let mut command = Command::new(binary());
        command.args([
            "serve",
            "--app",
            "1:key:secret",
            "--shards",
            "1",
            "--admin",
            "off",
            "--data-dir",
            &data,
        ]);
        command.args([
            "--listen",
            &format!("127.0.0.1:{port}"),
            "--webhook",
            &format!("http://127.0.0.1:{dead}/"),
        ]);
        command.stdin(Stdio::null());
        Server::start_command(command, port)
    };
    let mut server = start();
    Client::connect(server.tcp(), "/app/key?protocol=7").subscribe("for-the-owner-alone");
    let journal = Path::new(&data).join("journal.db-wal");
    wait_for("an event in the journal", || {
        let bytes = fs::read(&journal).ok()?;
        bytes.windows(19).any(|bytes| bytes == b"for-the-owner-alone").then_some(())
    });
    let journal = journal.to_str().unwrap().to_owned();
    let lock = format!("{data}/lock");
    assert_eq!(server.terminate().code(), Some(0));
    // As an earlier version has left it.
    fs::set_permissions(&data, Permissions::from_mode(0o755)).unwrap();
    for entry in fs::read_dir(&data).unwrap() {
        fs::set_permissions(entry.unwrap().path(), Permissions::from_mode(0o644)).unwrap();
    }
    assert!(as_other_user(&["test", "-r", &lock]).status.success(), "the other user sees nothing at all");
    let mut server = start();
    for words in [&["cat", &journal][..], &["ls", &data], &["flock", "--nonblock", &lock, "true"]] {
        let tried = as_other_user(words);
        let said = String::from_utf8(tried.stderr).unwrap();
        assert!(!tried.status.success() && said.contains("Permission denied"), "{words:?}: {said}");
    }
    assert_eq!(server.terminate().code(), Some(0));
    let said = server.take_errors();
    let line = format!("the data directory {data} was open to others (mode 755): now it is 700");
    assert_eq!(said.matches(&line).count(), 1, "{said}");
}

#[test]
fn a_data_directory_of_another_user_is_refused() {
    let folder = Folder::new("foreign-directory");
    let (program, data, port) = (folder.at("corecast"), folder.at("data"), free_port());
    fs::copy(binary(), &program).unwrap();
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, Permissions::from_mode(0o777)).unwrap();
    assert!(as_root(&["chown", THIRD_USER, &data]).status.success());
    let listen = format!("127.0.0.1:{port}");
    let hook = format!("http://127.0.0.1:{}/", free_port());
    let serve =
        ["serve", "--app", "1:key:secret", "--listen", &listen, "--webhook", &hook, "--data-dir", &data];
    let refused = as_other_user(&[&[program.as_str()], &serve[..]].concat());
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!((refused.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    for words in [&data, "another user (uid 54324)", "chown", "--data-dir"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!(fs::read_dir(&data).unwrap().count(), 0, "something was left there");
}
