//! A sink that starts a command for each batch: JSON lines to its standard input, and exit status 0 accepts them.
//!
//! There is no shell. A command that takes too long is killed together with its process group. What must never happen
//! here: a wait without end for a process, or for a pipe that one of its children keeps open.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::line;
use crate::sink::{Batch, Outcome, Sink};

/// What is kept of what a command says.
const STDERR_BYTES_MAX: usize = 1_024;
/// How long a command's words are waited for when it has ended: a child of its own may hold the pipe.
const STDERR_PATIENCE: Duration = Duration::from_millis(200);

#[derive(Clone)]
pub(crate) struct Exec {
    program: String,
    arguments: Vec<String>,
    timeout: Duration,
}

impl Exec {
    pub(crate) fn new(command: &[String], timeout: Duration) -> Result<Self, String> {
        let (program, arguments) = command.split_first().ok_or("the command is empty")?;
        Ok(Self { program: program.clone(), arguments: arguments.to_vec(), timeout })
    }

    fn spawn(&self) -> std::io::Result<Child> {
        Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
    }

    fn run(&self, mut child: Child, lines: Vec<u8>) -> Outcome {
        if let Some(mut stdin) = child.stdin.take() {
            // A command may end without reading all: its status says what it thinks of that.
            thread::spawn(move || stdin.write_all(&lines));
        }
        let words = child.stderr.take().map(listen);
        let in_time = self.wait_or_kill(&child);
        let status = child.wait();
        let said = words.and_then(|words| words.recv_timeout(STDERR_PATIENCE).ok()).unwrap_or_default();
        match status {
            _ if !in_time => Outcome::Unreachable(format!(
                "{} took longer than {:?} and was killed{said}",
                self.program, self.timeout
            )),
            Ok(status) if status.success() => Outcome::Done,
            Ok(status) => Outcome::Refused(format!("{}: {status}{said}", self.program)),
            Err(error) => Outcome::Unreachable(format!("{}: {error}", self.program)),
        }
    }

    /// Returns with the command ended but not yet reaped, so that its process group cannot be another's: true if it
    /// ended by itself.
    fn wait_or_kill(&self, child: &Child) -> bool {
        let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else { return false };
        let (ended, end): (Sender<()>, Receiver<()>) = bounded(1);
        let timeout = self.timeout;
        let watch = thread::spawn(move || {
            let in_time = end.recv_timeout(timeout).is_ok();
            if !in_time {
                // It may have ended in this instant.
                let _ = kill_process_group(pid, Signal::KILL);
            }
            in_time
        });
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(pid), options) {}
        let _ = ended.try_send(());
        watch.join().unwrap_or(false)
    }
}

impl Sink for Exec {
    fn deliver(&mut self, batch: &Batch) -> Outcome {
        let mut lines = Vec::new();
        line::encode_lines(&mut lines, batch);
        match self.spawn() {
            Ok(child) => self.run(child, lines),
            Err(error) => Outcome::Unreachable(format!("{} cannot be started: {error}", self.program)),
        }
    }
}

/// The beginning of what a command says, once it says no more. All of it is read, so that nobody waits to be heard.
fn listen(mut stderr: ChildStderr) -> Receiver<String> {
    let (sender, receiver) = bounded(1);
    thread::spawn(move || {
        let mut kept = Vec::new();
        // What cannot be read was not said.
        let _ = stderr.by_ref().take(STDERR_BYTES_MAX as u64).read_to_end(&mut kept);
        let _ = std::io::copy(&mut stderr, &mut std::io::sink());
        let text = String::from_utf8_lossy(&kept).trim().replace(['\n', '\r'], " ");
        let _ = sender.try_send(if text.is_empty() { text } else { format!(": {text}") });
    });
    receiver
}
