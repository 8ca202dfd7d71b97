//! What waits to be written to one connection: ranges of Runs, oldest first.
//!
//! The first range lies in the connection's record, so a connection with one busy topic needs no memory of its own.
//! Only a backlog that the kernel has refused is counted (`Backlog`): a consumer is slow by what remains after
//! EAGAIN, never by what nobody has tried to write. Writes end anywhere; a cut goes on to the end of the frame.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::rc::Rc;

pub mod held;
pub mod parting;
pub mod run;

use crate::invariant;
use run::Run;

use crate::limits::{SPARE_RANGES_MAX, TAIL_RANGES_MAX};

/// The end of a range whose Run is open: up to wherever it will be sealed.
pub const OPEN: u32 = u32::MAX;

/// Part of a Run.
#[derive(Clone, Debug)]
pub struct Range {
    run: Rc<Run>,
    from: u32,
    to: u32,
}

impl Range {
    /// From an offset of an open Run to wherever that Run ends.
    pub fn open(run: &Rc<Run>, from: u32) -> Self {
        Self { run: Rc::clone(run), from, to: OPEN }
    }

    /// The whole of a sealed Run.
    pub fn whole(run: Rc<Run>) -> Self {
        let to = run.bytes().len() as u32;
        Self { run, from: 0, to }
    }

    #[inline]
    fn end(&self) -> u32 {
        if self.to == OPEN { self.run.bytes().len() as u32 } else { self.to }
    }

    fn len(&self) -> usize {
        self.end().saturating_sub(self.from) as usize
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        self.run.bytes().get(self.from as usize..self.end() as usize).unwrap_or(&[])
    }

    fn frames(&self) -> usize {
        self.run.frames(self.from, self.end())
    }

    /// How many bytes remain of a frame that was begun.
    fn begun(&self) -> usize {
        (self.run.frame_end(self.from) - self.from) as usize
    }
}

/// What waits for one connection.
#[derive(Debug, Default)]
pub struct Outbox {
    head: Option<Range>,
    tail: Option<Box<Tail>>,
}

/// Everything behind the first range.
#[derive(Debug, Default)]
pub struct Tail {
    ranges: VecDeque<Range>,
}

/// Boxes of drained outboxes, for reuse: in steady state nothing is allocated per delivery.
#[derive(Debug, Default)]
pub struct Tails {
    #[expect(clippy::vec_box, reason = "the boxes themselves are what is reused")]
    spare: Vec<Box<Tail>>,
    /// Room for so many ranges is in them.
    ranges: usize,
}

impl Tails {
    fn take(&mut self) -> Box<Tail> {
        let tail = self.spare.pop().unwrap_or_default();
        self.ranges -= tail.ranges.capacity();
        tail
    }

    fn give_back(&mut self, tail: Box<Tail>) {
        let ranges = tail.ranges.capacity();
        if ranges <= TAIL_RANGES_MAX && self.ranges + ranges <= SPARE_RANGES_MAX {
            self.ranges += ranges;
            self.spare.push(tail);
        }
    }
}

/// How much of an outbox the kernel has refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Backlog {
    /// Bytes, without the largest private item: a roster is admitted whole, it has its own cap.
    pub bytes: usize,
    /// Frames, private ones included.
    pub frames: usize,
    /// All bytes.
    pub waiting: usize,
    /// Ranges in which they wait.
    pub ranges: usize,
}

impl Tail {
    #[inline(never)]
    fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        for (slice, range) in slices.iter_mut().zip(&self.ranges) {
            *slice = IoSlice::new(range.bytes());
        }
        slices.len().min(self.ranges.len())
    }
}

impl Outbox {
    /// Appends a range.
    #[inline]
    pub fn push(&mut self, range: Range, tails: &mut Tails) {
        if self.head.is_none() {
            self.head = Some(range);
        } else {
            self.push_behind(range, tails);
        }
    }

    #[inline(never)]
    fn push_behind(&mut self, range: Range, tails: &mut Tails) {
        self.tail.get_or_insert_with(|| tails.take()).ranges.push_back(range);
    }

    /// Puts a small control frame in behind the frame that is being written, before all else.
    pub fn push_urgent(&mut self, range: Range, tails: &mut Tails) {
        let Some(head) = self.head.take() else {
            self.head = Some(range);
            return;
        };
        let cut = head.run.frame_end(head.from);
        let tail = self.tail.get_or_insert_with(|| tails.take());
        if cut == head.from {
            tail.ranges.push_front(head);
            self.head = Some(range);
        } else {
            if cut < head.end() || head.to == OPEN {
                tail.ranges.push_front(Range { run: Rc::clone(&head.run), from: cut, to: head.to });
            }
            tail.ranges.push_front(range);
            self.head = Some(Range { to: cut, ..head });
        }
    }

    /// Ends the open range of this Run at `end`: the subscription has gone, or leaves out the next frame. An empty
    /// range is dropped.
    pub fn close_range(&mut self, run: &Rc<Run>, end: u32) {
        let is_open = |range: &Range| range.to == OPEN && Rc::ptr_eq(&range.run, run);
        if let Some(tail) = &mut self.tail
            && let Some(index) = tail.ranges.iter().rposition(is_open)
        {
            let empty = tail.ranges.get_mut(index).is_some_and(|range| {
                range.to = end;
                range.from == end
            });
            if empty {
                tail.ranges.remove(index);
            }
        } else if let Some(head) = self.head.as_mut().filter(|head| is_open(head)) {
            head.to = end;
            if head.from == end {
                self.head = None;
                self.advance();
            }
        }
    }

    /// Ends all open ranges where their Runs end now: nothing more may come for this connection.
    pub fn end_open_ranges(&mut self) {
        let tail = self.tail.iter_mut().flat_map(|tail| &mut tail.ranges);
        for range in self.head.iter_mut().chain(tail).filter(|range| range.to == OPEN) {
            range.to = range.run.end();
        }
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    /// The waiting bytes, oldest first; returns how many slices were filled.
    #[inline]
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let (Some(head), Some((first, rest))) = (&self.head, slices.split_first_mut()) else { return 0 };
        *first = IoSlice::new(head.bytes());
        1 + self.tail.as_ref().map_or(0, |tail| tail.slices(rest))
    }

    /// Takes `bytes` from the front; returns whether anything is left. All Runs must be sealed.
    #[inline]
    pub fn advance_by(&mut self, bytes: usize, tails: &mut Tails) -> bool {
        match &mut self.head {
            Some(head) if bytes < head.len() => {
                head.from += bytes as u32;
                true
            }
            Some(head) if self.tail.is_none() && bytes == head.len() => {
                self.head = None;
                false
            }
            _ => self.advance_past(bytes, tails),
        }
    }

    #[inline(never)]
    fn advance_past(&mut self, mut bytes: usize, tails: &mut Tails) -> bool {
        while let Some(head) = &mut self.head {
            let len = head.len();
            if bytes < len {
                head.from += bytes as u32;
                break;
            }
            bytes -= len;
            self.head = None;
            self.advance();
        }
        invariant::check(self.head.is_some() || bytes == 0, "no more is written than was waiting");
        if self.head.is_none()
            && let Some(tail) = self.tail.take()
        {
            tails.give_back(tail);
        }
        self.head.is_some()
    }

    /// What the kernel has left waiting. Walks the outbox: for connections that were refused only.
    pub fn backlog(&self) -> Backlog {
        let mut backlog = Backlog::default();
        let mut largest_private = 0;
        for range in self.ranges() {
            backlog.waiting += range.len();
            backlog.frames += range.frames();
            backlog.ranges += 1;
            if range.run.is_private() {
                largest_private = largest_private.max(range.len());
            }
        }
        backlog.bytes = backlog.waiting - largest_private;
        backlog
    }

    /// How many bytes remain of a frame that was begun.
    pub fn begun_bytes(&self) -> usize {
        self.head.as_ref().map_or(0, Range::begun)
    }

    /// Lets go of everything but the rest of the frame that was begun.
    pub fn cut_to_frame(&mut self) {
        self.tail = None;
        self.head = self.head.take().filter(|head| head.begun() > 0);
        if let Some(head) = &mut self.head {
            head.to = head.run.frame_end(head.from);
        }
    }

    /// Copies what must still go out before a close frame: all of it up to `bytes_max` (ending with a whole frame),
    /// or with 0 just the rest of the frame that was begun.
    pub fn drain_into(&mut self, out: &mut Vec<u8>, bytes_max: usize) {
        let mut first = true;
        for range in self.ranges() {
            let whole = range.len() <= bytes_max.saturating_sub(out.len());
            let take = if whole {
                range.len()
            } else if first {
                range.begun()
            } else {
                0
            };
            out.extend_from_slice(range.bytes().get(..take).unwrap_or(&[]));
            first = false;
            if !whole {
                break;
            }
        }
        *self = Self::default();
    }

    /// The first so many bytes that wait, piece by piece.
    pub fn first(&self, mut bytes: usize, mut each: impl FnMut(&[u8])) {
        for range in self.ranges() {
            let piece = range.bytes();
            let take = piece.len().min(bytes);
            each(piece.get(..take).unwrap_or_default());
            bytes -= take;
            if bytes == 0 {
                break;
            }
        }
    }

    /// Copies all that waits.
    pub fn copy_into(&self, out: &mut Vec<u8>) {
        self.ranges().for_each(|range| out.extend_from_slice(range.bytes()));
    }

    /// How many bytes wait, if that is less than `most`. Looks at no more ranges than these bytes are in.
    pub fn bytes_up_to(&self, most: usize) -> usize {
        let mut left = most;
        for range in self.ranges() {
            left = left.saturating_sub(range.len());
            if left == 0 {
                break;
            }
        }
        most - left
    }

    /// How many ranges wait.
    pub fn range_count(&self) -> usize {
        usize::from(self.head.is_some()) + self.tail.as_ref().map_or(0, |tail| tail.ranges.len())
    }

    fn ranges(&self) -> impl Iterator<Item = &Range> {
        self.head.iter().chain(self.tail.iter().flat_map(|tail| &tail.ranges))
    }

    fn advance(&mut self) {
        if let Some(tail) = &mut self.tail {
            self.head = tail.ranges.pop_front();
        }
    }
}
