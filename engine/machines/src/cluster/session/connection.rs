//! The two connections of a session with its server, as one: what was asked on them and when.

use std::collections::VecDeque;

use crate::cluster::call::{Call, Script};
use crate::cluster::epoch::Epoch;
use crate::now::Now;

/// Both connections.
#[derive(Debug)]
pub(super) struct Connection {
    /// Tells them from those before.
    pub(super) number: u64,
    /// They are open.
    open: bool,
    began_ms: u64,
    /// Calls without an answer, oldest first.
    calls: VecDeque<Asked>,
    /// How many of them have commands.
    with_commands: usize,
    /// How many of them look something up.
    lookups: usize,
    /// Since when a read waits, if one does.
    reading: Option<u64>,
}

/// A call without an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Asked {
    /// Its script.
    pub(super) script: Script,
    /// Whom it is about.
    pub(super) epoch: Option<Epoch>,
    /// When it went out.
    pub(super) sent: Now,
}

impl Asked {
    fn of(call: &Call, sent: Now) -> Self {
        let epoch = match call {
            Call::Register { epoch, .. } | Call::Sweep { epoch, .. } | Call::Kill { epoch, .. } => {
                Some(*epoch)
            }
            _ => None,
        };
        Self { script: call.script(), epoch, sent }
    }

    pub(super) fn has_commands(self) -> bool {
        matches!(self.script, Script::Ops | Script::Pub)
    }

    fn looks_up(self) -> bool {
        matches!(self.script, Script::Counts | Script::List | Script::Users)
    }
}

impl Connection {
    /// It is being opened.
    pub(super) fn new(number: u64, mono_ms: u64) -> Self {
        Self {
            number,
            open: false,
            began_ms: mono_ms,
            calls: VecDeque::new(),
            with_commands: 0,
            lookups: 0,
            reading: None,
        }
    }

    /// It is open. Returns false if it was already.
    pub(super) fn open(&mut self) -> bool {
        !std::mem::replace(&mut self.open, true)
    }

    /// A call goes out.
    pub(super) fn note_call(&mut self, call: &Call, now: Now) {
        let asked = Asked::of(call, now);
        self.with_commands += usize::from(asked.has_commands());
        self.lookups += usize::from(asked.looks_up());
        self.calls.push_back(asked);
    }

    /// How many calls with commands have no answer.
    pub(super) fn calls_with_commands(&self) -> usize {
        self.with_commands
    }

    /// How many calls that look something up have no answer.
    pub(super) fn lookups(&self) -> usize {
        self.lookups
    }

    /// The oldest call is answered.
    pub(super) fn take_asked(&mut self) -> Option<Asked> {
        let asked = self.calls.pop_front()?;
        self.with_commands -= usize::from(asked.has_commands());
        self.lookups -= usize::from(asked.looks_up());
        Some(asked)
    }

    /// A read goes out.
    pub(super) fn begin_read(&mut self, mono_ms: u64) {
        self.reading = Some(mono_ms);
    }

    /// A read is answered.
    pub(super) fn end_read(&mut self) {
        self.reading = None;
    }

    /// True when a read waits.
    pub(super) fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// Since when an answer is missing, in `mono_ms`.
    pub(super) fn silent_since(&self) -> Option<u64> {
        if !self.open {
            return Some(self.began_ms);
        }
        let oldest = self.calls.front().map(|asked| asked.sent.mono_ms);
        oldest.into_iter().chain(self.reading).min()
    }
}
