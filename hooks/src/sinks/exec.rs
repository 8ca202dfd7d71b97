//! A sink that starts a command for each batch: JSON lines to its standard input, and exit status 0 accepts them.
//!
//! There is no shell. A command that takes too long is killed together with its process group (`running.rs`). What must
//! never happen here: a batch accepted whose command did not end with status 0.

use std::process::Command;
use std::time::Duration;

use super::line;
use super::running::{Ended, Running};
use crate::sink::{Batch, Outcome, Sink};

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

    fn outcome_of(&self, ended: Ended) -> Outcome {
        let Ended { in_time, status, said } = ended;
        let said = if said.is_empty() { said } else { format!(": {said}") };
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
}

impl Sink for Exec {
    fn deliver(&mut self, batch: &Batch) -> Outcome {
        let mut lines = Vec::new();
        line::encode_lines(&mut lines, batch);
        match Running::start(Command::new(&self.program).args(&self.arguments)) {
            Ok(running) => self.outcome_of(running.run(&lines, self.timeout)),
            Err(error) => Outcome::Unreachable(format!("{} cannot be started: {error}", self.program)),
        }
    }
}
