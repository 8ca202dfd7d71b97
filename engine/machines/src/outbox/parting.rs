//! What still goes out to a connection that its machine has forgotten: the rest of its outbox, then a close frame.
//!
//! As long as no write was tried for it, the rest is what it was, ranges of Runs that are shared: a peer that reads gets it
//! with the first write, and nothing is copied. What the kernel refuses is copied, so that the Runs can go, and that has
//! an allowance for all who are closed together: a thousand readers that share a Run must not leave a thousand copies of
//! it. Past half of the allowance only the frame that was begun is ended, so that the peer can read the close frame
//! behind it; past the whole not even that, and the connection is reset.

use std::cell::Cell;
use std::io::IoSlice;
use std::rc::Rc;

use crate::limits::PARTING_BYTES_MAX;
use crate::outbox::held::{Charge, Held};
use crate::outbox::{Outbox, Tails};

/// What may be kept of the outboxes of all whom a shard has forgotten.
#[derive(Clone, Debug)]
pub struct Allowance(Rc<Account>);

#[derive(Debug)]
struct Account {
    kept: Held,
    bytes_max: usize,
    cut: Cell<u64>,
    reset: Cell<u64>,
}

impl Allowance {
    /// For so many bytes.
    pub fn new(bytes_max: usize) -> Self {
        let account =
            Account { kept: Held::default(), bytes_max, cut: Cell::default(), reset: Cell::default() };
        Self(Rc::new(account))
    }

    /// What is kept now.
    pub fn kept_bytes(&self) -> usize {
        self.0.kept.bytes()
    }

    /// How many were cut for want of it since the last call, and how many reset.
    pub fn take_counts(&self) -> (u64, u64) {
        (self.0.cut.take(), self.0.reset.take())
    }

    fn left_of(&self, bytes_max: usize) -> usize {
        bytes_max.saturating_sub(self.0.kept.bytes())
    }

    fn left(&self) -> usize {
        self.left_of(self.0.bytes_max)
    }

    fn left_for_outboxes(&self) -> usize {
        self.left_of(self.0.bytes_max / 2).min(PARTING_BYTES_MAX)
    }
}

/// The last bytes of a connection.
#[derive(Debug, Default)]
pub struct Parting {
    shared: Outbox,
    /// Bytes that nobody shares, behind those.
    own: Vec<u8>,
    /// How much of them has gone.
    written: usize,
    allowance: Option<Allowance>,
    charge: Option<Charge>,
}

/// Bytes that are all the connection's own.
impl From<Vec<u8>> for Parting {
    fn from(own: Vec<u8>) -> Self {
        Self { own, ..Self::default() }
    }
}

impl Parting {
    /// What waits in an outbox that does not grow any more, and then `words`. All its Runs must be sealed.
    pub fn new(mut outbox: Outbox, words: Vec<u8>, allowance: &Allowance) -> Self {
        outbox.advance_by(0, &mut Tails::default());
        Self { shared: outbox, own: words, allowance: Some(allowance.clone()), ..Self::default() }
    }

    /// True when all has gone.
    pub fn is_empty(&self) -> bool {
        self.shared.is_empty() && self.written == self.own.len()
    }

    /// How many bytes are left.
    pub fn bytes(&self) -> usize {
        self.shared.bytes_up_to(usize::MAX) + self.own.len().saturating_sub(self.written)
    }

    /// What goes out next, as many slices as fit; returns how many there are. None is left out before the last.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let shared = self.shared.slices(slices);
        match slices.get_mut(shared) {
            Some(slice) if shared == self.shared.range_count() => {
                *slice = IoSlice::new(self.own.get(self.written..).unwrap_or(&[]));
                shared + 1
            }
            _ => shared,
        }
    }

    /// The kernel took so many bytes.
    pub fn advance_by(&mut self, bytes: usize) {
        let shared = self.shared.bytes_up_to(bytes);
        self.shared.advance_by(shared, &mut Tails::default());
        self.written += bytes - shared;
    }

    /// The kernel takes no more now: what is shared is copied as far as the allowance goes. False: not even the frame
    /// that was begun can be kept.
    #[must_use]
    pub fn handle_refused(&mut self) -> bool {
        let Some(allowance) = self.allowance.take_if(|_| !self.shared.is_empty()) else { return true };
        let waiting = self.shared.bytes_up_to(usize::MAX);
        let copied = self.copy(&allowance, allowance.left_for_outboxes());
        if copied.is_some_and(|copied| copied < waiting) {
            bump(&allowance.0.cut);
        }
        copied.is_some()
    }

    /// Copies so much of what is shared, or the rest of the frame that was begun, and lets go of it. None: that is more
    /// than may be kept.
    fn copy(&mut self, allowance: &Allowance, most: usize) -> Option<usize> {
        let mut outbox = std::mem::take(&mut self.shared);
        if outbox.begun_bytes() > allowance.left() {
            bump(&allowance.0.reset);
            return None;
        }
        let mut own = Vec::new();
        outbox.drain_into(&mut own, most);
        let copied = own.len();
        own.append(&mut self.own);
        own.shrink_to_fit();
        self.own = own;
        self.charge = (copied > 0).then(|| allowance.0.kept.charge(copied));
        Some(copied)
    }

    /// All that is left, copied.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.shared.copy_into(&mut bytes);
        bytes.extend_from_slice(self.own.get(self.written..).unwrap_or(&[]));
        bytes
    }
}

fn bump(count: &Cell<u64>) {
    count.set(count.get() + 1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::Range;
    use crate::outbox::run::{OpenRun, Run};
    use protocol::ws::Frame;

    const FRAME: usize = 1000;
    const WORDS: &[u8] = b"close";

    /// A sealed Run of so many frames, each full of its number.
    fn run(frames: u8) -> Rc<Run> {
        let mut open = OpenRun::new(0);
        (0..frames).for_each(|number| open.append(&Frame::from(vec![number; FRAME])));
        let run = Rc::clone(open.run());
        open.seal(&Held::default());
        run
    }

    /// What waits in an outbox of which so many bytes have gone.
    fn outbox(runs: &[Rc<Run>], gone: usize) -> Outbox {
        let (mut outbox, mut tails) = (Outbox::default(), Tails::default());
        runs.iter().for_each(|run| outbox.push(Range::whole(Rc::clone(run)), &mut tails));
        outbox.advance_by(gone, &mut tails);
        outbox
    }

    fn part(runs: &[Rc<Run>], gone: usize, allowance: &Allowance) -> Parting {
        Parting::new(outbox(runs, gone), WORDS.to_vec(), allowance)
    }

    #[test]
    fn what_a_kernel_takes_is_never_copied() {
        let (allowance, runs) = (Allowance::new(0), [run(3), run(2), run(1)]);
        let mut parting = part(&runs, 0, &allowance);
        let all = parting.to_vec();
        assert_eq!(all.len(), 6 * FRAME + WORDS.len());
        let mut got = Vec::new();
        while !parting.is_empty() {
            let mut slices = [IoSlice::new(&[]); 2];
            let filled = parting.slices(&mut slices);
            let bytes: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
            let taken = bytes.len().min(700);
            got.extend_from_slice(&bytes[..taken]);
            parting.advance_by(taken);
        }
        assert!(got == all);
        assert_eq!((allowance.kept_bytes(), allowance.take_counts()), (0, (0, 0)));
        assert!(runs.iter().all(|run| Rc::strong_count(run) == 1));
    }

    #[test]
    fn a_thousand_who_take_no_more_keep_no_more_than_their_allowance_and_end_with_whole_frames() {
        let (allowance, runs) = (Allowance::new(40 * FRAME), [run(8), run(8)]);
        let partings: Vec<Parting> = (0..1000)
            .map(|_| {
                let mut parting = part(&runs, 0, &allowance);
                assert!(parting.handle_refused(), "no frame was begun, so none must be ended");
                parting
            })
            .collect();
        assert!(allowance.kept_bytes() <= 20 * FRAME, "{} bytes are kept", allowance.kept_bytes());
        assert_eq!(allowance.take_counts(), (999, 0));
        for parting in &partings {
            let bytes = parting.to_vec();
            assert!(bytes.ends_with(WORDS) && bytes.len() % FRAME == WORDS.len(), "{} bytes", bytes.len());
        }
        assert!(runs.iter().all(|run| Rc::strong_count(run) == 1), "Runs are let go of");
        drop(partings);
        assert_eq!(allowance.kept_bytes(), 0);
    }

    #[test]
    fn past_half_of_the_allowance_a_frame_that_was_begun_is_ended_and_past_the_whole_that_is_a_reset() {
        let (allowance, runs) = (Allowance::new(4 * FRAME), [run(4)]);
        let refused = || {
            let mut parting = part(&runs, FRAME / 2, &allowance);
            let kept = parting.handle_refused();
            (kept, parting.to_vec().len(), parting)
        };
        let all: Vec<_> = (0..9).map(|_| refused()).collect();
        let lengths: Vec<usize> =
            all.iter().filter(|(kept, ..)| *kept).map(|(_, length, _)| *length).collect();
        assert_eq!(lengths, [FRAME / 2 + WORDS.len(); 8]);
        assert!(!all[8].0);
        assert_eq!(allowance.take_counts(), (8, 1));
    }

    #[test]
    fn who_is_refused_again_is_not_counted_again() {
        let (allowance, runs) = (Allowance::new(100 * FRAME), [run(3)]);
        let mut parting = part(&runs, 0, &allowance);
        assert!(parting.handle_refused() && parting.handle_refused());
        assert_eq!((allowance.kept_bytes(), parting.to_vec().len()), (3 * FRAME, 3 * FRAME + WORDS.len()));
        parting.advance_by(2 * FRAME);
        assert!(parting.handle_refused());
        assert_eq!(parting.to_vec().len(), FRAME + WORDS.len());
        let mut words = Parting::from(WORDS.to_vec());
        assert!(words.handle_refused() && words.to_vec() == WORDS);
    }
}
