//! A Run: the bytes of all frames of one topic in one decide phase, concatenated once for all its local subscribers.
//!
//! While its phase lasts a Run is open: its bytes grow in an [`OpenRun`] and subscribers hold ranges without an end.
//! Sealing fixes the bytes for good, before the first flush; a sealed Run never grows. Private frames
//! (acknowledgements, errors, rosters) are Runs that are sealed from the start and have one holder.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;

use protocol::ws::Frame;

use crate::invariant::{self, Expected};
use crate::outbox::held::{Charge, Held};

/// Shared by the outboxes of one shard.
#[derive(Debug, Default)]
pub struct Run {
    sealed: OnceCell<Sealed>,
    /// What it counts for in its shard's budget, once it is sealed and somebody may hold it.
    charge: OnceCell<Charge>,
    /// While it is open, how long it is.
    open_end: Cell<u32>,
}

#[derive(Debug)]
struct Sealed {
    bytes: Bytes,
    /// Where each frame ends, ascending; the last is the length. Empty where there is one frame.
    ends: Vec<u32>,
    /// The length.
    end: u32,
    private: bool,
}

#[derive(Debug)]
enum Bytes {
    Own(Vec<u8>),
    Shared(Frame),
}

impl Run {
    /// A private frame (or several that must stay together), for one connection.
    pub fn private(bytes: Vec<u8>) -> Rc<Self> {
        let end = bytes.len() as u32;
        Self::sealed(Bytes::Own(bytes), end, Vec::new())
    }

    /// A private frame that is shared with other shards or connections.
    pub fn shared(frame: Frame) -> Rc<Self> {
        let end = frame.len() as u32;
        Self::sealed(Bytes::Shared(frame), end, Vec::new())
    }

    /// Several private frames in their order, shared with other connections.
    pub fn shared_in_order(frames: &[Frame]) -> Rc<Self> {
        let mut bytes = Vec::with_capacity(frames.iter().map(Frame::len).sum());
        let mut ends = Vec::with_capacity(frames.len());
        for frame in frames {
            bytes.extend_from_slice(frame.as_bytes());
            ends.push(bytes.len() as u32);
        }
        let end = bytes.len() as u32;
        Self::sealed(Bytes::Own(bytes), end, ends)
    }

    fn sealed(bytes: Bytes, end: u32, ends: Vec<u32>) -> Rc<Self> {
        let sealed = OnceCell::from(Sealed { bytes, ends, end, private: true });
        Rc::new(Self { sealed, charge: OnceCell::new(), open_end: Cell::new(0) })
    }

    /// Counts the memory of a sealed Run until it is dropped; once, however often it is said.
    pub fn charge(&self, held: &Held) {
        let Some(sealed) = self.sealed.get().expected("only a sealed Run is charged") else { return };
        self.charge.get_or_init(|| held.charge(sealed.memory_bytes()));
    }

    /// The bytes; empty while the Run is open.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        match self.sealed.get() {
            Some(Sealed { bytes: Bytes::Own(bytes), .. }) => bytes,
            Some(Sealed { bytes: Bytes::Shared(frame), .. }) => frame.as_bytes(),
            None => &[],
        }
    }

    /// Where it ends now.
    pub fn end(&self) -> u32 {
        self.sealed.get().map_or_else(|| self.open_end.get(), |sealed| sealed.end)
    }

    /// True for frames that only one connection gets.
    pub fn is_private(&self) -> bool {
        self.sealed.get().is_some_and(|sealed| sealed.private)
    }

    /// Where the frame that holds byte `at` ends; `at` itself when a frame begins there.
    pub fn frame_end(&self, at: u32) -> u32 {
        let Some(sealed) = self.sealed.get() else { return at };
        let ends = sealed.ends();
        let index = ends.partition_point(|end| *end <= at);
        let start = index.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
        if start == at { at } else { ends.get(index).copied().unwrap_or(at) }
    }

    /// How many frames end within the range.
    pub fn frames(&self, from: u32, to: u32) -> usize {
        self.sealed.get().map_or(0, |sealed| {
            let ends = sealed.ends();
            ends.partition_point(|end| *end <= to) - ends.partition_point(|end| *end <= from)
        })
    }
}

impl Sealed {
    fn ends(&self) -> &[u32] {
        if self.ends.is_empty() { std::slice::from_ref(&self.end) } else { &self.ends }
    }

    /// What is freed with it, as far as it is more than a few words.
    fn memory_bytes(&self) -> usize {
        let bytes = match &self.bytes {
            Bytes::Own(bytes) => bytes.capacity(),
            Bytes::Shared(frame) => frame.len(),
        };
        size_of::<Run>() + bytes + self.ends.capacity() * size_of::<u32>()
    }
}

/// A Run that still grows. Owned by the shard, one per topic with events in this phase.
#[derive(Debug)]
pub struct OpenRun {
    run: Rc<Run>,
    bytes: Vec<u8>,
    ends: Vec<u32>,
    /// The topic whose events these are.
    pub topic_slot: u32,
}

impl OpenRun {
    /// An empty one.
    pub fn new(topic_slot: u32) -> Self {
        Self { run: Rc::default(), bytes: Vec::new(), ends: Vec::new(), topic_slot }
    }

    /// What outboxes hold.
    pub fn run(&self) -> &Rc<Run> {
        &self.run
    }

    /// Where the next frame will begin.
    pub fn end(&self) -> u32 {
        self.bytes.len() as u32
    }

    /// Appends a whole frame.
    pub fn append(&mut self, frame: &Frame) {
        self.append_with(|bytes| bytes.extend_from_slice(frame.as_bytes()));
    }

    /// Appends the whole frame that `append` does.
    pub fn append_with(&mut self, append: impl FnOnce(&mut Vec<u8>)) {
        append(&mut self.bytes);
        self.ends.push(self.bytes.len() as u32);
        self.run.open_end.set(self.bytes.len() as u32);
    }

    /// How many frames were appended at or after this offset.
    pub fn frames_from(&self, from: u32) -> usize {
        self.ends.len() - self.ends.partition_point(|end| *end <= from)
    }

    /// Fixes the bytes. Nobody holds this OpenRun afterwards.
    pub fn seal(self, held: &Held) {
        let end = self.bytes.len() as u32;
        let sealed = Sealed { bytes: Bytes::Own(self.bytes), ends: self.ends, end, private: false };
        let first = self.run.sealed.set(sealed).is_ok();
        invariant::check(first, "a Run is sealed once");
        self.run.charge(held);
    }
}
