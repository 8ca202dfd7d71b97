//! The hooks core as its server sees it: started with the settings, stopped after the last shard.
//!
//! A stand-in: events are taken and forgotten.

use std::fmt;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use protocol::app::Apps;

use crate::queue::{Drain, Queue, Waited, queue};
use crate::settings::Settings;

/// What the journal knows as occupied, of one channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenEdges {
    /// The app of the channel.
    pub app_id: Box<str>,
    /// The name of the channel.
    pub channel: Box<str>,
    /// Whether the channel was reported as occupied. Where only members are reported, it was not.
    pub occupied: bool,
    /// The users that were reported as members.
    pub members: Vec<Box<str>>,
}

/// Why hooks cannot start.
#[derive(Debug)]
pub struct StartError(String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

/// Hooks at work.
#[derive(Debug)]
pub struct Hooks {
    thread: JoinHandle<()>,
}

impl Hooks {
    /// Starts them.
    pub fn start(
        _settings: &Settings,
        _apps: &Arc<Apps>,
    ) -> Result<(Self, Queue, Vec<OpenEdges>), StartError> {
        let (queue, drain) = queue(65_536);
        let thread = thread::Builder::new().name("hooks".to_owned()).spawn(move || take_all(&drain));
        let thread = thread.map_err(|error| StartError(error.to_string()))?;
        Ok((Self { thread }, queue, Vec::new()))
    }

    /// Waits until the queue is empty.
    pub fn stop(self, patience: Duration) {
        let end = Instant::now() + patience;
        while !self.thread.is_finished() && Instant::now() < end {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn take_all(drain: &Drain) {
    while !matches!(drain.wait(Duration::from_secs(1)), Waited::Finished) {}
}
