//! The floor beside the servers of a comparison: a child process on the cores of the first one.
//!
//! Owns its start and its end, and what it says then: how many system calls a delivery took. It ends with its `Floor`, and by itself
//! if this process is killed: it watches its standard input.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::thread::{CpuSet, Pid, sched_setaffinity};
use serde_json::Value;

use super::arguments::Contender;
use super::interrupt::end;
use super::own_executable;
use crate::failure::{Context, Failure, Outcome};
use crate::options::FloorMode;
use crate::proc::Process;

pub(super) struct Floor {
    child: Child,
    /// Kept open: its last words must find a reader.
    output: BufReader<ChildStdout>,
    address: String,
    mode: FloorMode,
    json: PathBuf,
}

/// What the floor did over all rounds.
pub(super) struct Yardstick {
    pub(super) mode: String,
    pub(super) syscalls_per_delivery: Option<f64>,
}

impl Floor {
    /// Starts it on a free port.
    pub(super) fn start(
        mode: FloorMode,
        contenders: &[Contender],
        scenario: &[String],
        json: PathBuf,
    ) -> Outcome<Self> {
        let mut command = Command::new(own_executable()?);
        command.args(["floor", "--listen", "127.0.0.1:0", "--with-parent", "--mode", &mode.to_string()]);
        command.arg("--json").arg(&json);
        if let Some(channel) = value_of("--channel", scenario) {
            command.args(["--channel", channel]);
        }
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.context("cannot start the floor")?;
        let output = child.stdout.take().ok_or_else(|| Failure::new("the floor has no output"))?;
        let mut floor = Self { child, output: BufReader::new(output), address: String::new(), mode, json };
        floor.pin_beside(contenders.first())?;
        floor.address = floor.read_address()?;
        Ok(floor)
    }

    pub(super) fn contender(&self) -> Contender {
        let pid = self.child.id();
        let flags = ["--ws", &self.address, "--app", "1:key:secret", "--pid", &pid.to_string()];
        Contender { name: "floor".to_owned(), flags: flags.map(str::to_owned).to_vec(), pid: Some(pid) }
    }

    /// Ends it as a person would, and reads what it says that it did.
    pub(super) fn end(mut self) -> Outcome<Yardstick> {
        let status = end(&mut self.child)?;
        if !status.success() {
            return Err(Failure::new(format!("the floor failed ({status})")));
        }
        let text = std::fs::read(&self.json).context("cannot read the result of the floor")?;
        let told: Value = serde_json::from_slice(&text).context("cannot read the result of the floor")?;
        Ok(Yardstick {
            mode: self.mode.to_string(),
            syscalls_per_delivery: told["syscalls_per_delivery"].as_f64(),
        })
    }

    /// It has one thread, so what is said to the process is said to all of it.
    fn pin_beside(&self, first: Option<&Contender>) -> Outcome<()> {
        let Some(pid) = first.and_then(|contender| contender.pid) else { return Ok(()) };
        let mut cores = CpuSet::new();
        for core in Process::open(pid)?.cores()? {
            cores.set(core as usize);
        }
        sched_setaffinity(Pid::from_raw(self.child.id() as i32), &cores).context("cannot pin the floor")
    }

    fn read_address(&mut self) -> Outcome<String> {
        let mut line = String::new();
        self.output.read_line(&mut line).context("cannot read from the floor")?;
        let address = line.trim().strip_prefix("floor listening on ").map(str::to_owned);
        address.ok_or_else(|| Failure::new("the floor did not start"))
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// For the floor itself: ends the process when its parent is gone.
pub(crate) fn leave_with_parent() {
    std::thread::spawn(|| {
        let mut nothing = [0; 64];
        while std::io::stdin().read(&mut nothing).is_ok_and(|length| length > 0) {}
        std::process::exit(0);
    });
}

/// The value of a flag, given as `--flag value` or `--flag=value`.
fn value_of<'a>(flag: &str, arguments: &'a [String]) -> Option<&'a str> {
    let joined = arguments.iter().find_map(|argument| argument.strip_prefix(flag)?.strip_prefix('='));
    let place = arguments.iter().position(|argument| argument == flag);
    joined.or_else(|| place.and_then(|place| arguments.get(place + 1)).map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_of_a_flag_is_found_in_both_forms() {
        let arguments = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(value_of("--channel", &arguments("fanout --channel a --rate 5")), Some("a"));
        assert_eq!(value_of("--channel", &arguments("fanout --channel=b")), Some("b"));
        assert_eq!(value_of("--channel", &arguments("fanout --channels 5")), None);
        assert_eq!(value_of("--channel", &arguments("fanout --channel")), None);
    }
}
