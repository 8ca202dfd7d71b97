//! A thread that moves the journal's log into its file, so that the writer's commits need not wait for the disk.
//!
//! Owns a thread with a connection of its own. A pass moves what was committed when it began; the log begins anew only when
//! all of it was moved and nobody writes, so the writer moves the last bit itself. What must never happen here: anything
//! that is needed for correctness, since a pass may fail or come late.

use std::path::Path;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::log::LogFile;
use super::start_error::StartError;
use crate::settings::Durability;

/// The thread, until it is dropped.
#[derive(Debug)]
pub(super) struct Checkpointer {
    ask: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
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
