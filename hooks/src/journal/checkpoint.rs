//! Moves the journal's log into its file beside the writer, whose commits would wait for the disk otherwise.
//!
//! Owns a thread with a connection of its own. A pass moves what was committed when it began; the log begins anew only when
//! all of it was moved and nobody writes, so the writer moves the last bit itself. What must never happen here: anything
//! that is needed for correctness, since a pass may fail or come late.

use std::path::Path;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::StartError;
use super::file::LogFile;
use crate::settings::Durability;

/// So many pages are worth a pass, and are too many for the writer to move.
const WORTH_A_PASS: u64 = 500;

/// A log that has so many pages shall begin anew: 16 MB.
const LOG_PAGES_USUAL: u64 = 4_000;

/// At so many the writer moves whatever there is: who writes as fast as it can is never overtaken by a pass.
const LOG_PAGES_MAX: u64 = 12_000;

/// The thread, until it is dropped.
#[derive(Debug)]
pub(super) struct Checkpointer {
    ask: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The write-ahead log, in pages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Log {
    /// How many it has.
    pub(super) all: u64,
    /// How many of them are not in the file yet.
    pub(super) left: u64,
}

/// Who is to do something about a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    Nobody,
    Checkpointer,
    Writer,
}

impl Log {
    /// Whose turn it is.
    pub(super) fn turn(self) -> Turn {
        let is_short = self.left < WORTH_A_PASS;
        if self.all >= LOG_PAGES_MAX || self.all >= LOG_PAGES_USUAL && is_short {
            return Turn::Writer;
        }
        if is_short { Turn::Nobody } else { Turn::Checkpointer }
    }
}

impl Checkpointer {
    /// Starts one for the journal at this path.
    pub(super) fn start(path: &Path, durability: Durability) -> Result<Self, StartError> {
        let file = LogFile::open(path, durability)?;
        let (ask, asked) = bounded(1);
        let thread = thread::Builder::new().name("hooks-log".to_owned());
        let thread = thread.spawn(move || work(&file, &asked)).map_err(StartError::Thread)?;
        Ok(Self { ask: Some(ask), thread: Some(thread) })
    }

    /// Asks for a pass, if none is asked for already.
    pub(super) fn ask(&self) {
        if let Some(ask) = &self.ask {
            let _ = ask.try_send(());
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.ask = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn work(file: &LogFile, asked: &Receiver<()>) {
    for () in asked {
        // What fails here shows when there is something to write.
        let _ = file.pass();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_writer_moves_little_unless_the_log_grows_out_of_hand() {
        let turn = |all, left| Log { all, left }.turn();
        assert_eq!(turn(100, 100), Turn::Nobody);
        assert_eq!(turn(3_000, 600), Turn::Checkpointer);
        assert_eq!(turn(5_000, 600), Turn::Checkpointer);
        assert_eq!(turn(5_000, 400), Turn::Writer);
        assert_eq!(turn(12_000, 9_000), Turn::Writer);
    }
}
