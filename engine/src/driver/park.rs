//! How a core sleeps: it waits in its own ring until something completes. A core that has just heard signs of life and
//! nothing else naps first: it waits for other cores and for newcomers only, while such signs gather in its ring.
//!
//! glommio never hears of it. Its executor runs one task, the turn, which never yields, so there is nothing else to wait
//! for; parking in glommio's reactor costs an idle core several times as much, and each wake as well. What must never
//! happen here: a sleep without an end, after which a core could not show that it lives. Called by turn.rs.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::limits::SLEEP_MAX;
use super::ring::Ring;

/// Sleeps until `ring` has a completion, for at most `patience`, cut to `SLEEP_MAX`.
pub fn sleep(ring: &mut Ring, patience: Duration) -> io::Result<()> {
    ring.wait(patience.min(SLEEP_MAX))
}

/// Sleeps until one of these descriptors can be read, for at most `patience`, cut to `SLEEP_MAX`. What comes from sockets
/// waits meanwhile; never what other cores send, so never what is published.
pub fn nap<'a>(wakers: impl Iterator<Item = BorrowedFd<'a>>, patience: Duration) -> io::Result<()> {
    let mut polled: Vec<PollFd<'a>> = wakers.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
    let patience = Timespec::try_from(patience.min(SLEEP_MAX)).map_err(io::Error::other)?;
    match poll(&mut polled, Some(&patience)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::sync::Arc;
    use std::thread;
    use std::time::Instant;

    use super::super::doorbell::Doorbell;
    use super::super::ring::{Kind, Operation, Sizes};
    use super::*;
    use machines::machine::Token;

    const SIZES: Sizes = Sizes { submissions: 8, completions: 16, sends: 0 };

    #[test]
    fn a_doorbell_that_the_ring_reads_ends_a_nap() {
        let bell = Arc::new(Doorbell::new().unwrap());
        let mut ring = Ring::new(SIZES).unwrap();
        ring.read_doorbell(bell.as_fd());
        ring.submit().unwrap();
        let ringer = thread::spawn({
            let bell = Arc::clone(&bell);
            move || bell.ring()
        });
        // Each nap ends after a second by itself; a bell that is not heard costs them all.
        let begun = Instant::now();
        (0..10).for_each(|_| nap([bell.as_fd()].into_iter(), SLEEP_MAX).unwrap());
        assert!(begun.elapsed() < 5 * SLEEP_MAX, "{:?}", begun.elapsed());
        ringer.join().unwrap();
        sleep(&mut ring, SLEEP_MAX).unwrap();
        assert!(ring.has_completions());
    }

    #[test]
    fn what_comes_to_a_socket_waits_in_the_ring_for_the_end_of_a_nap() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = listener.accept().unwrap().0;
        let (bell, mut ring) = (Doorbell::new().unwrap(), Ring::new(SIZES).unwrap());
        let operation = Operation { kind: Kind::Readable, token: Token { slot: 1, generation: 1 } };
        ring.poll_input(socket.as_fd(), operation);
        ring.submit().unwrap();
        peer.write_all(b"ping").unwrap();
        nap([bell.as_fd()].into_iter(), Duration::from_millis(50)).unwrap();
        assert!(!ring.has_completions(), "the nap was disturbed");
        sleep(&mut ring, SLEEP_MAX).unwrap();
        assert!(ring.has_completions());
    }
}
