//! Which sockets are written to, and when: the only difference between the modes of the floor.
//!
//! Owns the place of the rotation. `each` writes every frame to every socket before the next; `coalesced` goes round the
//! sockets and gives each all that it lacks at that moment, with a look at the input after every few writes, so that frames
//! which come meanwhile go with the same write; `uring` does a whole wake-up in one submission.

use super::frame_log::FrameLog;
use super::peers::Peers;
use super::stats::Stats;
use super::uring::{Ring, Send};
use crate::failure::{Context, Outcome};

/// A look at the input costs a twentieth of a write: with this many writes between two looks it is below one percent.
const WRITES_PER_SLICE: usize = 64;

#[derive(Default)]
pub(super) struct Fan {
    cursor: usize,
    /// Places still to visit until all have what the log held when it was last looked at.
    left: usize,
    seen_end: u64,
}

impl Fan {
    /// True while a rotation is unfinished.
    pub(super) fn is_behind(&self) -> bool {
        self.left > 0
    }

    pub(super) fn send_each(&self, peers: &mut Peers, log: &FrameLog, stats: &mut Stats) {
        for &end in log.ends() {
            for index in 0..peers.places() {
                send_until(index, end, peers, log, stats);
            }
        }
    }

    /// A few writes of the rotation. New frames are for all peers, so they start a new round from here.
    pub(super) fn send_slice(&mut self, peers: &mut Peers, log: &FrameLog, stats: &mut Stats) {
        if self.seen_end != log.end() {
            self.seen_end = log.end();
            self.left = peers.places();
        }
        let enough = stats.writes + WRITES_PER_SLICE as u64;
        while self.left > 0 && stats.writes < enough {
            self.left -= 1;
            self.cursor = if self.cursor + 1 < peers.places() { self.cursor + 1 } else { 0 };
            send_until(self.cursor, log.end(), peers, log, stats);
        }
    }

    pub(super) fn send_batch(
        &self,
        ring: &mut Ring,
        peers: &mut Peers,
        log: &FrameLog,
        stats: &mut Stats,
    ) -> Outcome<()> {
        let end = log.end();
        let behind: Vec<(usize, u64)> =
            peers.behind(end).map(|(index, peer)| (index, peer.position())).collect();
        let sends: Vec<Send<'_>> = peers
            .behind(end)
            .map(|(_, peer)| Send { fd: peer.fd(), bytes: log.between(peer.position(), end) })
            .collect();
        let (unsent, entered) = ring.send(&sends).context("cannot submit to the io_uring")?;
        stats.writes += sends.len() as u64;
        stats.syscalls += entered;
        for &(index, _) in &behind {
            peers.at_mut(index).into_iter().for_each(|peer| peer.note_sent(end, true));
        }
        for shortfall in unsent {
            let (index, start) = behind[shortfall.send];
            match (shortfall.sent, peers.at_mut(index)) {
                (Some(sent), Some(peer)) => peer.note_sent(start + sent, false),
                _ => peers.remove(index),
            }
        }
        Ok(())
    }
}

#[inline]
fn send_until(index: usize, end: u64, peers: &mut Peers, log: &FrameLog, stats: &mut Stats) {
    let Some(peer) = peers.at_mut(index) else { return };
    if peer.send_until(end, log, stats).is_err() {
        peers.remove(index);
    }
}
