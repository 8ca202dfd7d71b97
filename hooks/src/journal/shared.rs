//! What the writer and the reader of a journal tell each other: the newest rows one way, what is released the other.
//!
//! Held under locks that are taken once a batch, never with disk work inside. What must never happen here: a release that
//! is forgotten before it was committed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::batch::Batch;
use super::file::Extent;
use super::marks::Marks;
use super::release::Release;
use super::tail::Tail;
use crate::row::Position;
use crate::source::Wake;

/// Between the writer's thread and the reader's.
#[derive(Debug)]
pub(super) struct JournalShared {
    tail: Mutex<Tail>,
    wanted: Mutex<Release>,
    marks: Mutex<Marks>,
    first_id: u64,
    /// How far each endpoint had come when that was last told, also of those that are not there any more.
    places: Mutex<BTreeMap<String, Position>>,
    stopping: AtomicBool,
    /// How often the file has had a successor, and in which of them somebody has found damage.
    generation: AtomicU64,
    damaged: AtomicU64,
    rows_here: (Wake, Receiver<()>),
    work_here: (Sender<()>, Receiver<()>),
}

impl JournalShared {
    /// For a journal with these rows, and these places at its start. With `has_stream`, a mark waits until its rows are there.
    pub(super) fn new(extent: Extent, places: BTreeMap<String, Position>, has_stream: bool) -> Self {
        Self {
            tail: Mutex::new(Tail::new(extent.last_id)),
            wanted: Mutex::default(),
            marks: Mutex::new(Marks::new(has_stream)),
            first_id: extent.first_id,
            places: Mutex::new(places),
            stopping: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            damaged: AtomicU64::new(u64::MAX),
            rows_here: Wake::new(),
            work_here: bounded(1),
        }
    }

    /// The oldest row that was kept at the start, or the next one to come.
    pub(super) fn first_id(&self) -> u64 {
        self.first_id
    }

    /// Where this endpoint goes on.
    pub(super) fn place_of(&self, endpoint: &str) -> Position {
        let start = Position(self.first_id - 1, 0);
        self.places().get(endpoint).map_or(start, |place| start.max(*place))
    }

    /// The newest rows.
    pub(super) fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows the rows of a committed batch, which is empty then.
    pub(super) fn publish(&self, batch: &mut Batch) {
        let mut tail = self.tail();
        batch.hand_over(|row, bytes| tail.push(row, bytes));
        drop(tail);
        self.rows_here.0.wake();
    }

    /// All rows up to this one are committed, and these marks stand behind them.
    pub(super) fn note_committed(&self, row: u64, marks: &mut Vec<Sender<()>>) {
        if !marks.is_empty() {
            self.marks().note_committed(row, marks);
        }
    }

    /// All rows up to this one are in the stream.
    pub(super) fn note_moved(&self, row: u64) {
        self.marks().note_moved(row);
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells when there are new rows.
    pub(super) fn rows_here(&self) -> &Receiver<()> {
        &self.rows_here.1
    }

    /// Asks for a release.
    pub(super) fn release(&self, all: Position, places: &[(&str, Position)]) {
        let named = || places.iter().map(|(name, place)| ((*name).to_owned(), *place));
        self.places().extend(named());
        let mut wanted = self.wanted();
        wanted.all = wanted.all.max(all.0);
        wanted.places.extend(named());
        drop(wanted);
        let _ = self.work_here.0.try_send(());
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<String, Position>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be released.
    pub(super) fn to_release(&self) -> Release {
        self.wanted().clone()
    }

    /// This much has been released.
    pub(super) fn released(&self, done: &Release) {
        self.wanted().places.retain(|name, place| done.places.get(name) != Some(place));
        self.tail().forget(done.all);
    }

    /// Which file it is: another one each time that a successor has taken the place of a damaged one.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// A successor has taken the place.
    pub(super) fn is_succeeded(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Tells the writer that the contents of this file are wrong.
    pub(super) fn is_damaged(&self, generation: u64) {
        self.damaged.store(generation, Ordering::Release);
        let _ = self.work_here.0.try_send(());
    }

    /// Whether somebody has found the file of now damaged since this was last asked.
    pub(super) fn take_damaged(&self) -> bool {
        self.damaged.swap(u64::MAX, Ordering::AcqRel) == self.generation()
    }

    /// Asks the writer to end.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        let _ = self.work_here.0.try_send(());
    }

    /// Whether the writer is to end.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Tells the writer that something was asked for.
    pub(super) fn work_here(&self) -> &Receiver<()> {
        &self.work_here.1
    }

    fn wanted(&self) -> MutexGuard<'_, Release> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
