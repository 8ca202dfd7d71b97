//! The one place where outboxes are written to sockets.
//!
//! A slice of a flush takes dirty connections in their order, up to 512 writes or 1 ms; then the core takes input again.
//! Within a slice as many go out with one system call as the time that is left allows. Owns the ring for that. What must
//! never happen here: a wait, a judgement (the machine is told what the kernel took and what it refused), or a second place
//! that writes outboxes. Called by the turn.

use std::io::{self, IoSlice};
use std::time::{Duration, Instant};

use super::limits::{FLUSH_CHUNK_MAX, FLUSH_TIME_MAX, FLUSH_WRITES_MAX, PIECES_MAX, SINGLE_WRITES_MAX};
use super::ring::{Batch, SendRing};
use super::sockets::Sockets;
use machines::invariant::Expected;
use machines::machine::{Machine, Now, Token};

/// Outboxes in the first chunk of a slice; what they cost says how many may follow before the clock is looked at again.
const CHUNK_FIRST: usize = 16;

/// Writes the outboxes of a core.
#[derive(Debug)]
pub struct Flusher {
    /// Where many outboxes are written at once; None: one at a time.
    sends: Option<SendRing>,
    /// Room for what is written at once.
    attempts: Vec<Attempt>,
}

/// An outbox that is being written together with others.
#[derive(Debug)]
struct Attempt {
    token: Token,
    /// What was offered to the kernel.
    bytes: usize,
    sent: Sent,
}

/// What came of one write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sent {
    /// The kernel took this many bytes.
    Some(usize),
    /// It was not tried.
    Untried,
    /// The kernel takes no more now.
    Blocked,
    /// The connection is broken.
    Broken,
}

impl Sent {
    fn of(sent: io::Result<usize>) -> Self {
        match sent {
            Ok(bytes) => Self::Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Self::Blocked,
            Err(_) => Self::Broken,
        }
    }
}

impl Flusher {
    /// Many at once with `sends`, or one at a time without.
    pub fn new(sends: Option<SendRing>) -> Self {
        Self { sends, attempts: Vec::new() }
    }

    /// Writes dirty outboxes until none is left or the slice is used up. Returns whether there was any.
    pub fn flush_slice<M: Machine>(&mut self, machine: &mut M, sockets: &mut Sockets, now: Now) -> bool {
        let begun = Instant::now();
        let mut chunk = CHUNK_FIRST;
        let mut writes = 0;
        while chunk > 0 {
            let more = self.write_chunk(machine, sockets, chunk, now);
            writes += more;
            if more < chunk || writes >= FLUSH_WRITES_MAX {
                break;
            }
            chunk = affordable(writes, begun.elapsed());
        }
        writes > 0
    }

    /// Writes up to `outboxes`. Returns the number of writes, fewer than that if no more connections are dirty.
    fn write_chunk<M: Machine>(
        &mut self,
        machine: &mut M,
        sockets: &mut Sockets,
        outboxes: usize,
        now: Now,
    ) -> usize {
        let untried = |token| Attempt { token, bytes: 0, sent: Sent::Untried };
        self.attempts.extend(std::iter::from_fn(|| machine.poll_dirty()).take(outboxes).map(untried));
        if self.attempts.len() > SINGLE_WRITES_MAX
            && let Some(sends) = &mut self.sends
        {
            write_together(machine, sockets, sends, &mut self.attempts);
        }
        let writes = tell(machine, sockets, &mut self.attempts, now);
        self.attempts.clear();
        writes
    }
}

/// How many outboxes may be written before the clock is looked at again.
fn affordable(writes: usize, elapsed: Duration) -> usize {
    let left = FLUSH_TIME_MAX.saturating_sub(elapsed).as_nanos();
    let writes_left = writes as u128 * left / elapsed.as_nanos().max(1);
    (writes_left as usize).min(FLUSH_CHUNK_MAX).min(FLUSH_WRITES_MAX - writes)
}

/// Tries all attempts that can be sent as they are, in batches.
fn write_together<M: Machine>(
    machine: &M,
    sockets: &Sockets,
    sends: &mut SendRing,
    attempts: &mut [Attempt],
) {
    let mut rest = attempts;
    while let Some(mut batch) = sends.batch() {
        let filled = fill(machine, sockets, &mut batch, rest);
        if filled == 0 {
            return;
        }
        let (now, later) = rest.split_at_mut(filled);
        submit(batch, now);
        rest = later;
    }
}

/// Puts attempts into the batch until it is full. Returns how many of them it has passed.
fn fill<'a, M: Machine>(
    machine: &'a M,
    sockets: &'a Sockets,
    batch: &mut Batch<'_, 'a>,
    attempts: &mut [Attempt],
) -> usize {
    let mut slices = [IoSlice::new(&[]); PIECES_MAX];
    for (at, attempt) in attempts.iter_mut().enumerate() {
        // A broken one is no fault: its machine learns of it when it is read.
        let Some(socket) = sockets.batch_socket(attempt.token) else { continue };
        let pieces = machine.outbox(attempt.token, &mut slices);
        if pieces == 0 {
            continue;
        }
        if !batch.push(at, socket, &slices[..pieces]) {
            return at;
        }
        attempt.bytes = slices[..pieces].iter().map(|slice| slice.len()).sum();
    }
    attempts.len()
}

/// Sends a batch: what is not told has gone as a whole.
fn submit(batch: Batch<'_, '_>, attempts: &mut [Attempt]) {
    let queued = |attempt: &&mut Attempt| attempt.bytes > 0;
    attempts.iter_mut().filter(queued).for_each(|attempt| attempt.sent = Sent::Some(attempt.bytes));
    let unseen = batch.submit(|at, sent| {
        if let Some(attempt) = attempts.get_mut(at).expected("what was sent is an attempt") {
            attempt.sent = Sent::of(sent);
        }
    });
    attempts.iter_mut().rev().filter(queued).take(unseen).for_each(|attempt| attempt.sent = Sent::Untried);
}

/// Tells the machine what the kernel has taken, and only then what it has refused: judging one connection may end
/// another, and its last bytes must not be some that have gone. Goes on where more waits. Returns the number of writes.
fn tell<M: Machine>(machine: &mut M, sockets: &mut Sockets, attempts: &mut [Attempt], now: Now) -> usize {
    for attempt in &mut *attempts {
        if let Sent::Some(bytes) = attempt.sent
            && machine.handle_written(attempt.token, bytes, now)
        {
            attempt.sent = Sent::Untried;
        }
    }
    let mut writes = attempts.len();
    for attempt in attempts {
        match attempt.sent {
            Sent::Some(_) => {}
            Sent::Untried => writes += write_outbox(machine, sockets, attempt.token, now) - 1,
            refused => tell_refusal(machine, sockets, attempt.token, refused, now),
        }
    }
    writes
}

fn tell_refusal<M: Machine>(machine: &mut M, sockets: &mut Sockets, token: Token, refused: Sent, now: Now) {
    if refused == Sent::Blocked {
        sockets.arm_room(token);
        machine.handle_blocked(token, now);
    } else {
        sockets.handle_broken(token);
    }
}

/// Writes until the outbox is empty or the kernel refuses. Returns the number of writes, at least one.
fn write_outbox<M: Machine>(machine: &mut M, sockets: &mut Sockets, token: Token, now: Now) -> usize {
    let mut writes = 1;
    loop {
        match write_once(machine, sockets, token) {
            Sent::Some(bytes) if machine.handle_written(token, bytes, now) => writes += 1,
            Sent::Some(_) | Sent::Untried => return writes,
            refused => {
                tell_refusal(machine, sockets, token, refused, now);
                return writes;
            }
        }
    }
}

fn write_once<M: Machine>(machine: &M, sockets: &mut Sockets, token: Token) -> Sent {
    let Some(mut transport) = sockets.writable(token) else { return Sent::Untried };
    let mut slices = [IoSlice::new(&[]); PIECES_MAX];
    match machine.outbox(token, &mut slices) {
        0 => Sent::Untried,
        pieces => {
            let sent = Sent::of(transport.send(&slices[..pieces]));
            if transport.unsent() > 0 {
                // Nothing may be left for the machine to say.
                sockets.arm_room(token);
            }
            sent
        }
    }
}
