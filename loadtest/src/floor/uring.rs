//! Many sends with one system call, by an io_uring of the floor's own.
//!
//! Owns the ring and the only `unsafe` of this program. Nothing may stay in the ring when `send` returns: every entry points
//! into bytes that are borrowed for the length of that call. Successes are silent; only what a socket did not take comes back.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use io_uring::{IoUring, opcode, squeue, types};

/// Larger batches save nothing more, and half of what the kernel allows leaves room on small machines.
const ENTRIES: u32 = 1024;

/// Takes what fits, at once, as a whole or not at all as far as there is room, and raises no signal.
const FLAGS: i32 = libc::MSG_DONTWAIT | libc::MSG_WAITALL | libc::MSG_NOSIGNAL;

pub(super) struct Ring {
    /// None once it has failed: what it was given last is dropped with it.
    ring: Option<IoUring>,
}

#[derive(Clone, Copy)]
pub(super) struct Send<'a> {
    pub(super) fd: BorrowedFd<'a>,
    pub(super) bytes: &'a [u8],
}

/// A send that did not go through as a whole.
pub(super) struct Shortfall {
    /// Which of the sends it was.
    pub(super) send: usize,
    /// How much the socket took before it was full; None: the connection is broken.
    pub(super) sent: Option<u64>,
}

impl Ring {
    pub(super) fn new() -> io::Result<Self> {
        let mut builder = IoUring::builder();
        builder.setup_clamp().setup_cqsize(2 * ENTRIES);
        Ok(Self { ring: Some(builder.build(ENTRIES)?) })
    }

    /// Sends all, and returns what did not go through and how often the kernel was entered.
    pub(super) fn send(&mut self, sends: &[Send<'_>]) -> io::Result<(Vec<Shortfall>, u64)> {
        let mut ring = self.ring.take().ok_or(io::ErrorKind::NotConnected)?;
        let (mut shortfalls, mut entered) = (Vec::new(), 0);
        let mut rest = sends.iter().enumerate();
        loop {
            let pushed = push_some(&mut ring, &mut rest);
            while !ring.submission().is_empty() {
                entered += 1;
                match ring.submit() {
                    Err(error) if !is_passing(&error) => return Err(error),
                    _ => shortfalls.extend(ring.completion().map(|entry| Shortfall::of(&entry))),
                }
            }
            if pushed == 0 {
                self.ring = Some(ring);
                return Ok((shortfalls, entered));
            }
        }
    }
}

/// Fills the submission queue.
fn push_some<'a>(ring: &mut IoUring, rest: &mut impl Iterator<Item = (usize, &'a Send<'a>)>) -> usize {
    let mut queue = ring.submission();
    let room = queue.capacity() - queue.len();
    let mut pushed = 0;
    for (index, send) in rest.take(room) {
        let entry =
            opcode::Send::new(types::Fd(send.fd.as_raw_fd()), send.bytes.as_ptr(), send.bytes.len() as u32)
                .flags(FLAGS)
                .build()
                .flags(squeue::Flags::SKIP_SUCCESS)
                .user_data(index as u64);
        // SAFETY: descriptor and bytes are borrowed until `send` returns. It returns with a ring only after the kernel has taken
        // every entry, and a send with MSG_DONTWAIT is over when it has been taken: it is never put off. A ring that
        // fails is dropped with the entries that the kernel has not seen.
        let result = unsafe { queue.push(&entry) };
        assert!(result.is_ok(), "the room was counted");
        pushed += 1;
    }
    pushed
}

/// Interruptions and a lack of memory pass; a full completion queue is emptied by the caller.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN | libc::EBUSY))
}

impl Shortfall {
    fn of(entry: &io_uring::cqueue::Entry) -> Self {
        let sent = match entry.result() {
            result if result == -libc::EAGAIN => Some(0),
            result => u64::try_from(result).ok(),
        };
        Self { send: entry.user_data() as usize, sent }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().unwrap().0)
    }

    #[test]
    fn more_sends_than_entries_all_arrive_in_order_and_silently() {
        let (near, mut far) = pair();
        let texts: Vec<String> = (0..2 * ENTRIES + 7).map(|number| format!("{number:08}")).collect();
        let sends: Vec<_> =
            texts.iter().map(|text| Send { fd: near.as_fd(), bytes: text.as_bytes() }).collect();
        let (shortfalls, entered) = Ring::new().unwrap().send(&sends).unwrap();
        assert!(shortfalls.is_empty());
        assert_eq!(entered, 3);
        let mut received = vec![0; texts.len() * 8];
        far.read_exact(&mut received).unwrap();
        assert_eq!(received, texts.concat().as_bytes());
    }

    #[test]
    fn full_and_broken_sockets_come_back_with_what_they_took() {
        let ((full, mut reader), (broken, other)) = (pair(), pair());
        drop(other);
        broken.shutdown(std::net::Shutdown::Write).unwrap();
        let block = vec![7; 64 * 1024 * 1024];
        let sends = [&full, &broken, &full].map(|stream| Send { fd: stream.as_fd(), bytes: &block });
        let (shortfalls, _) = Ring::new().unwrap().send(&sends).unwrap();
        let told: Vec<_> = shortfalls.iter().map(|shortfall| (shortfall.send, shortfall.sent)).collect();
        let [(0, Some(first)), (1, None), (2, Some(0))] = told[..] else { panic!("{told:?}") };
        assert!(first > 0 && first < block.len() as u64);
        drop(full);
        let mut received = Vec::new();
        reader.read_to_end(&mut received).unwrap();
        assert_eq!(received.len() as u64, first);
    }
}
