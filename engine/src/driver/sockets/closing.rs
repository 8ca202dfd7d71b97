//! How a connection is closed: last bytes, the end of ours, read and discard, drop.
//!
//! Owns how far one close has come. Dropping a socket alone would delay its FIN behind the armed poll, and unread input
//! would turn it into a reset that destroys the last bytes on their way. What must never happen here: a close that
//! waits without a deadline.

use std::io::{self, IoSlice};
use std::time::Duration;

use socket2::SockRef;

use super::super::limits::{CLOSE_MS_MAX, DISCARD_BYTES_MAX, LAST_MS_MAX, PIECES_MAX, READ_BYTES_PER_S_MIN};
use super::super::transport::TransportMut;
use machines::outbox::parting::Parting;

/// What a read counts for that brought nothing but what TLS says to itself.
const DISCARD_STEP: usize = 1 << 10;

/// A close in progress.
#[derive(Debug)]
pub(super) struct Closing {
    /// What still goes out.
    last: Parting,
    /// How much of it the peer has taken.
    taken: u64,
    /// How much input was thrown away since.
    discarded: usize,
    /// Our FIN is sent.
    shut: bool,
    /// When it began, in `mono_ms`.
    begun: u64,
    /// When patience ends, in `mono_ms`.
    deadline: u64,
}

/// How far a close has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Progress {
    /// It waits for room to write.
    Blocked,
    /// It waits for input, or for the end of it.
    Waiting,
    /// It is over.
    Done,
}

impl Closing {
    /// A close that begins now.
    pub(super) fn new(last: Parting, mono_ms: u64) -> Self {
        let deadline = mono_ms + CLOSE_MS_MAX;
        Self { last, taken: 0, discarded: 0, shut: false, begun: mono_ms, deadline }
    }

    /// When patience ends, in `mono_ms`.
    pub(super) fn deadline(&self) -> u64 {
        self.deadline
    }

    /// True once our FIN is sent.
    pub(super) fn is_shut(&self) -> bool {
        self.shut
    }

    /// If the peer has our FIN, it must answer by then. Returns whether that is sooner than before.
    pub(super) fn hurry(&mut self, deadline: u64) -> bool {
        let sooner = self.shut && self.deadline > deadline;
        if sooner {
            self.deadline = deadline;
        }
        sooner
    }

    /// Goes on as far as it gets. `linger_until`: when patience ends after our FIN.
    pub(super) fn advance(
        &mut self,
        transport: &mut TransportMut<'_>,
        scratch: &mut [u8],
        mono_ms: u64,
        linger_until: u64,
    ) -> Progress {
        if let Err(progress) = self.write_last(transport, mono_ms) {
            return progress;
        }
        if let Err(progress) = self.shut(transport, mono_ms, linger_until) {
            return progress;
        }
        self.discard_input(transport, scratch)
    }

    /// Patience has ended.
    pub(super) fn give_up(&self, transport: &TransportMut<'_>) {
        if self.shut {
            bound_orphan(transport);
        } else {
            reset_on_drop(transport);
        }
    }

    /// Writes what is left.
    fn write_last(&mut self, transport: &mut TransportMut<'_>, mono_ms: u64) -> Result<(), Progress> {
        while !self.last.is_empty() {
            let mut slices = [IoSlice::new(&[]); PIECES_MAX];
            let pieces = self.last.slices(&mut slices);
            match transport.send(&slices[..pieces]) {
                Ok(bytes) => self.note_taken(bytes, mono_ms),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.last.handle_refused() {
                        return Err(Progress::Blocked);
                    }
                    reset_on_drop(transport);
                    return Err(Progress::Done);
                }
                Err(_) => return Err(Progress::Done),
            }
        }
        Ok(())
    }

    /// Sends our FIN, once.
    fn shut(
        &mut self,
        transport: &mut TransportMut<'_>,
        mono_ms: u64,
        linger_until: u64,
    ) -> Result<(), Progress> {
        if self.shut {
            return Ok(());
        }
        let unsent = transport.unsent();
        let ended = transport.end();
        let gone = unsent.saturating_sub(transport.unsent());
        match ended {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.note_gone(gone, mono_ms);
                return Err(Progress::Blocked);
            }
            Err(_) => return Err(Progress::Done),
            Ok(()) => {}
        }
        self.shut = true;
        self.deadline = linger_until;
        self.last = Parting::default();
        Ok(())
    }

    fn discard_input(&mut self, transport: &mut TransportMut<'_>, scratch: &mut [u8]) -> Progress {
        while self.discarded <= DISCARD_BYTES_MAX {
            match transport.receive(scratch) {
                Ok(0) => return Progress::Done,
                Ok(bytes) => self.discarded += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Progress::Waiting,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => self.discarded += DISCARD_STEP,
                Err(_) => return Progress::Done,
            }
        }
        Progress::Done
    }

    /// The peer has made room for more. That buys it time, but not for ever where it is little.
    fn note_taken(&mut self, bytes: usize, mono_ms: u64) {
        self.last.advance_by(bytes);
        self.note_gone(bytes, mono_ms);
    }

    fn note_gone(&mut self, bytes: usize, mono_ms: u64) {
        if bytes == 0 {
            return;
        }
        self.taken += bytes as u64;
        let bought_ms = self.taken * 1_000 / READ_BYTES_PER_S_MIN;
        self.deadline = (mono_ms + CLOSE_MS_MAX).min(self.begun + LAST_MS_MAX + bought_ms);
    }
}

/// What is still in the kernel's buffer must not hold the port for minutes: the connection ends with a reset.
pub(super) fn reset_on_drop(transport: &TransportMut<'_>) {
    // A socket that refuses this is broken already, which is the same.
    let _ = SockRef::from(&transport.socket()).set_linger(Some(Duration::ZERO));
}

/// The peer has not ended, and may not have read all: the kernel goes on sending, but not for ever to one that reads nothing.
fn bound_orphan(transport: &TransportMut<'_>) {
    let patience = Duration::from_millis(LAST_MS_MAX);
    // A socket that refuses this is broken already, and nothing is sent.
    let _ = SockRef::from(&transport.socket()).set_tcp_user_timeout(Some(patience));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When a peer is given up that takes so much of its last bytes every second.
    fn patience_with(bytes_per_s: usize) -> Option<u64> {
        let mut closing = Closing::new(vec![0; 1 << 20].into(), 1_000);
        let late = |now: &u64| {
            let late = closing.deadline <= *now;
            closing.note_taken(bytes_per_s, *now);
            late
        };
        (2_000..600_000).step_by(1_000).find(late)
    }

    #[test]
    fn a_peer_that_takes_a_byte_a_second_is_given_up_and_one_that_reads_on_is_not() {
        assert_eq!(patience_with(1), Some(32_000));
        assert_eq!(patience_with(512), Some(60_000));
        assert_eq!(patience_with(1_024), None);
    }
}
