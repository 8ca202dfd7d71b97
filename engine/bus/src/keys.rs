//! What all calls of scripts have in common: where the keys are, and bounds.

use redis::Cmd;

use crate::script::{Head, Script};

/// Where the keys of a cluster are, and the bounds that its scripts hold.
#[derive(Clone, Debug)]
pub struct Keys {
    /// What all keys begin with.
    prefix: String,
    grace_ms: u64,
    inbox_bytes_max: u64,
    edges_max: u64,
}

/// When a level that may not be told yet is looked at again, in milliseconds.
const RETRY_MS: u64 = 1_000;

impl Keys {
    /// Those that begin with this prefix. A level that hooks were told falls `grace_ms` after what it tells of has gone. An
    /// inbox takes so many bytes, and so many edges wait for hooks; 0: none are told.
    pub fn new(prefix: &str, grace_ms: u64, inbox_bytes_max: u64, edges_max: u64) -> Self {
        Self { prefix: format!("{{{prefix}}}"), grace_ms, inbox_bytes_max, edges_max }
    }

    /// The inbox of an epoch.
    pub(crate) fn inbox(&self, epoch: &str) -> String {
        format!("{}:in:{epoch}", self.prefix)
    }

    /// Which servers its nodes know.
    pub(crate) fn map(&self) -> String {
        format!("{}:map", self.prefix)
    }

    /// Edges for hooks.
    pub(crate) fn edges(&self) -> String {
        format!("{}:edges", self.prefix)
    }

    /// Puts what a script wants first. The time is the server's own.
    pub(crate) fn write(&self, script: Script, question: &mut Cmd) {
        question.arg(&self.prefix);
        if script.head() == Head::Full {
            question.arg(0).arg(self.grace_ms).arg(RETRY_MS).arg(self.inbox_bytes_max).arg(self.edges_max);
        }
    }
}
