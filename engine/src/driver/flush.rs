//! The one place where outboxes are written to sockets.
//!
//! A slice of a flush takes dirty connections in their order, up to 512 writes or 1 ms; then the core takes input again.
//! Owns nothing. What must never happen here: a wait, a judgement (the machine is told what the kernel took and what it
//! refused), or a second function that writes outboxes. Called by the turn.

use std::io::{self, IoSlice};
use std::time::{Duration, Instant};

use super::sockets::Sockets;
use crate::shard::machine::{Machine, Now, Token};

/// Writes in a slice.
const WRITES_MAX: usize = 512;

/// Time for a slice.
const TIME_MAX: Duration = Duration::from_millis(1);

/// Pieces of an outbox that go out in one write.
const PIECES_MAX: usize = 64;

/// After how many connections a slice looks at the clock.
const CLOCK_EVERY: usize = 16;

/// What the kernel said to one write.
enum Sent {
    /// Took this many bytes.
    Some(usize),
    /// There was nothing to write.
    Nothing,
    /// It takes no more now.
    Blocked,
    /// The connection is broken.
    Broken,
}

/// Writes dirty outboxes until none is left or the slice is used up. Returns whether there was any.
pub fn flush_slice<M: Machine>(machine: &mut M, sockets: &mut Sockets, now: Now) -> bool {
    let mut writes = 0;
    let mut attempts = 0;
    let begun = Instant::now();
    while writes < WRITES_MAX && (attempts % CLOCK_EVERY != CLOCK_EVERY - 1 || begun.elapsed() < TIME_MAX) {
        let Some(token) = machine.poll_dirty() else { break };
        writes += write_outbox(machine, sockets, token, now);
        attempts += 1;
    }
    attempts > 0
}

/// Writes until the outbox is empty or the kernel refuses. Returns the number of writes.
fn write_outbox<M: Machine>(machine: &mut M, sockets: &mut Sockets, token: Token, now: Now) -> usize {
    let mut writes = 0;
    loop {
        writes += 1;
        match write_once(machine, sockets, token) {
            Sent::Some(bytes) => {
                if !machine.handle_written(token, bytes, now) {
                    return writes;
                }
            }
            Sent::Nothing => return writes,
            Sent::Blocked => {
                sockets.arm_room(token);
                machine.handle_blocked(token, now);
                return writes;
            }
            Sent::Broken => {
                sockets.handle_broken(token);
                return writes;
            }
        }
    }
}

fn write_once<M: Machine>(machine: &M, sockets: &mut Sockets, token: Token) -> Sent {
    let Some(connection) = sockets.writable(token) else { return Sent::Nothing };
    let mut slices = [IoSlice::new(&[]); PIECES_MAX];
    let pieces = machine.outbox(token, &mut slices);
    if pieces == 0 {
        return Sent::Nothing;
    }
    match connection.transport.send(connection.fd(), &slices[..pieces]) {
        Ok(bytes) => Sent::Some(bytes),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Sent::Blocked,
        Err(_) => Sent::Broken,
    }
}
