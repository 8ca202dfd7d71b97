//! A command at work: fed, heard and waited for by the thread that started it, within one limit of time.
//!
//! It needs no thread of its own, since there may be none to have when the process is at its limit. What must never happen
//! here: a wait without end for a pipe that a child of the command keeps open, or a signal to a group of somebody else.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use logging::blanked;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::limits::STDERR_BYTES_MAX;

/// How long a command's words are waited for when it has ended: a child of its own may hold the pipe.
const STDERR_PATIENCE: Duration = Duration::from_millis(200);
const READ_BYTES: usize = 16 << 10;

/// A command that was started.
pub(super) struct Running {
    child: Child,
    pid: Pid,
    /// Can be read once it has ended.
    exit: OwnedFd,
    stdin: Option<ChildStdin>,
    stderr: Option<ChildStderr>,
    said: Vec<u8>,
}

/// How it ended.
pub(super) struct Ended {
    /// Not killed, since its time was not over.
    pub(super) in_time: bool,
    pub(super) status: io::Result<ExitStatus>,
    /// The beginning of what it said on standard error, in one line.
    pub(super) said: String,
}

impl Running {
    /// Starts it in a process group of its own.
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn()?;
        match watch(&mut child) {
            Ok((pid, exit, stdin, stderr)) => {
                Ok(Self { child, pid, exit, stdin: Some(stdin), stderr: Some(stderr), said: Vec::new() })
            }
            Err(error) => {
                // It was never fed.
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    /// Gives it these lines, and what time it may take. Past that it is killed with its group.
    pub(super) fn run(mut self, mut lines: &[u8], timeout: Duration) -> Ended {
        let end = Instant::now().checked_add(timeout);
        let in_time = loop {
            match self.turn(&mut lines, end) {
                Turn::Ended => break true,
                Turn::OutOfTime => break false,
                Turn::GoesOn => {}
            }
        };
        if !in_time {
            // Nobody has reaped it, so its number is still its own. It may have ended in this instant.
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
        self.stdin = None;
        let status = self.child.wait();
        self.hear_out();
        Ended { in_time, status, said: self.words() }
    }

    fn turn(&mut self, lines: &mut &[u8], end: Option<Instant>) -> Turn {
        let waits = [
            (Some(self.exit.as_fd()), PollFlags::IN),
            (self.stderr.as_ref().map(AsFd::as_fd), PollFlags::IN),
            (self.stdin.as_ref().map(AsFd::as_fd), PollFlags::OUT),
        ];
        let Some([ended, can_read, can_write]) = ready(waits, end) else { return Turn::OutOfTime };
        if can_read {
            self.hear();
        }
        if can_write {
            self.feed(lines);
        }
        if ended { Turn::Ended } else { Turn::GoesOn }
    }

    /// All of what it says is read, so that it never waits to be heard.
    fn hear(&mut self) {
        let Some(stderr) = &mut self.stderr else { return };
        let mut piece = [0; READ_BYTES];
        match stderr.read(&mut piece) {
            Ok(length @ 1..) => {
                let room = STDERR_BYTES_MAX.saturating_sub(self.said.len()).min(length);
                self.said.extend_from_slice(piece.get(..room).unwrap_or_default());
            }
            Err(error) if is_passing(&error) => {}
            // What cannot be read was not said.
            Ok(0) | Err(_) => self.stderr = None,
        }
    }

    /// A command may end without reading all: its status says what it thinks of that.
    fn feed(&mut self, lines: &mut &[u8]) {
        let Some(stdin) = &mut self.stdin else { return };
        match stdin.write(lines) {
            Ok(length) => *lines = lines.get(length..).unwrap_or_default(),
            Err(error) if is_passing(&error) => return,
            Err(_) => *lines = &[],
        }
        if lines.is_empty() {
            self.stdin = None;
        }
    }

    fn hear_out(&mut self) {
        let end = Some(Instant::now() + STDERR_PATIENCE);
        while let Some(stderr) = &self.stderr {
            match ready([(Some(stderr.as_fd()), PollFlags::IN)], end) {
                Some(_) => self.hear(),
                None => return,
            }
        }
    }

    fn words(&self) -> String {
        blanked(String::from_utf8_lossy(&self.said).trim()).into_owned()
    }
}

enum Turn {
    Ended,
    OutOfTime,
    GoesOn,
}

/// Waits until something can be done with one of these, and says with which; None when the time is over.
fn ready<const N: usize>(
    waits: [(Option<BorrowedFd<'_>>, PollFlags); N],
    end: Option<Instant>,
) -> Option<[bool; N]> {
    let left = end.map(|end| end.saturating_duration_since(Instant::now()));
    if left.is_some_and(|left| left.is_zero()) {
        return None;
    }
    let there = waits.iter().filter_map(|(fd, flags)| Some(PollFd::from_borrowed_fd((*fd)?, *flags)));
    let mut polled: Vec<PollFd<'_>> = there.collect();
    let left = left.and_then(|left| Timespec::try_from(left).ok());
    // A signal in between costs one more look.
    let _ = poll(&mut polled, left.as_ref());
    let mut events = polled.iter().map(|fd| !fd.revents().is_empty());
    Some(waits.map(|(fd, _)| fd.is_some() && events.next().unwrap_or(false)))
}

type Watched = (Pid, OwnedFd, ChildStdin, ChildStderr);

fn watch(child: &mut Child) -> io::Result<Watched> {
    let missing = || io::Error::from(ErrorKind::NotFound);
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(missing)?;
    let exit = pidfd_open(pid, PidfdFlags::empty())?;
    let (stdin, stderr) = (child.stdin.take().ok_or_else(missing)?, child.stderr.take().ok_or_else(missing)?);
    rustix::io::ioctl_fionbio(&stdin, true)?;
    rustix::io::ioctl_fionbio(&stderr, true)?;
    Ok((pid, exit, stdin, stderr))
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
