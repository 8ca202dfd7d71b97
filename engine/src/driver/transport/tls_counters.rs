//! What metrics read of TLS: shared by all cores, changed at a handshake's end and where a socket is full, never with a
//! delivery.

use std::sync::atomic::{AtomicU64, Ordering};

/// How handshakes have ended, and what waits behind full sockets.
#[derive(Debug, Default)]
pub struct TlsCounters {
    ended: [AtomicU64; 4],
    unsent_bytes: AtomicU64,
}

/// How a handshake has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Handshake {
    /// Whole, with a signature.
    Full,
    /// Whole, with a ticket from an earlier connection.
    Resumed,
    /// The peer has gone, or has said what TLS does not allow.
    Failed,
    /// It was given up: it took too long, or the connection had to go.
    Timeout,
}

impl Handshake {
    /// All, with the names that metrics have for them.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Full, "full"),
        (Self::Resumed, "resumed"),
        (Self::Failed, "failed"),
        (Self::Timeout, "timeout"),
    ];
}

impl TlsCounters {
    /// How many handshakes have ended so.
    pub fn ended(&self, how: Handshake) -> u64 {
        self.ended[how as usize].load(Ordering::Relaxed)
    }

    /// Records that wait behind full sockets, in bytes.
    pub fn unsent_bytes(&self) -> u64 {
        self.unsent_bytes.load(Ordering::Relaxed)
    }

    /// One more has ended so.
    pub(super) fn note_ended(&self, how: Handshake) {
        self.ended[how as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The last one to end so was our own question whether TLS works. A process that shares our port may have answered it,
    /// and counted it.
    pub fn forget_one(&self, how: Handshake) {
        let one_less = |ended: u64| ended.checked_sub(1);
        let _ = self.ended[how as usize].fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
    }

    /// From now on a connection has `now` of such bytes and no longer `before`.
    pub(super) fn note_unsent(&self, before: usize, now: usize) {
        if before < now {
            self.unsent_bytes.fetch_add((now - before) as u64, Ordering::Relaxed);
        } else if now < before {
            self.unsent_bytes.fetch_sub((before - now) as u64, Ordering::Relaxed);
        }
    }
}
