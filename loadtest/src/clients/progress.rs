//! What subscribers show of themselves while they run, and what they are told to do.
//!
//! Owns the few words that receiving threads and their scenario share: who is connected, what all have seen, which phase counts.
//! A publisher in closed loop sleeps on it. Threads write their own words after a wake-up and share nothing per frame.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use mio::Waker;

use super::socket_pool::Ending;
use crate::measure::tally::PHASES;
use crate::progress::CoarseP99;
use crate::publish::Audience;

pub(crate) struct Progress {
    members: Vec<Member>,
    /// The sequence number from which on phase i + 1 counts.
    phases: [AtomicU64; PHASES - 1],
    /// Whether a publisher follows what all have seen. Looking for the slowest costs a little on each wake-up.
    followed: AtomicBool,
    /// Events go to this many subscribers each, of several channels; 0: to all.
    spread: AtomicU64,
    /// A publisher sleeps until all are past this sequence number; u64::MAX: none does.
    wanted: AtomicU64,
    waker: OnceLock<Arc<Waker>>,
    /// Storms ordered so far, and whether connections end with a reset.
    storms: AtomicU64,
    resets: AtomicBool,
    stop: AtomicBool,
}

/// One thread, or one process.
#[derive(Default)]
pub(crate) struct Member {
    pub(crate) settled: AtomicBool,
    /// Storms carried out; what `settled` says is meant after them.
    pub(crate) storms: AtomicU64,
    pub(crate) live: AtomicU64,
    pub(crate) frames: AtomicU64,
    pub(crate) seen: AtomicU64,
    /// Pings that were answered.
    pub(crate) pongs: AtomicU64,
    pub(crate) p99: CoarseP99,
    pub(crate) ended: AtomicBool,
}

impl Progress {
    pub(crate) fn new(members: usize) -> Self {
        Self {
            members: (0..members).map(|_| Member::default()).collect(),
            phases: std::array::from_fn(|_| AtomicU64::new(u64::MAX)),
            followed: AtomicBool::new(false),
            spread: AtomicU64::new(0),
            wanted: AtomicU64::new(u64::MAX),
            waker: OnceLock::new(),
            storms: AtomicU64::new(0),
            resets: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        }
    }

    pub(crate) fn member(&self, index: usize) -> &Member {
        &self.members[index]
    }

    /// Connections that are subscribed now.
    pub(crate) fn live(&self) -> u64 {
        self.members.iter().map(|member| member.live.load(Ordering::Acquire)).sum()
    }

    pub(crate) fn pongs(&self) -> u64 {
        self.members.iter().map(|member| member.pongs.load(Ordering::Relaxed)).sum()
    }

    /// Microseconds, of the member that is worst off; 0 while nothing has arrived that is measured.
    pub(crate) fn p99_us(&self) -> u64 {
        self.members.iter().map(|member| member.p99.us()).max().unwrap_or(0)
    }

    /// Every connection was begun, also again after each storm, and none is under way.
    pub(crate) fn is_settled(&self) -> bool {
        let storms = self.storms();
        self.members.iter().all(|member| {
            let is_current = member.storms.load(Ordering::Acquire) == storms;
            member.ended.load(Ordering::Acquire) || is_current && member.settled.load(Ordering::Acquire)
        })
    }

    /// Sequence numbers from here on count for `phase`, 1 to `PHASES` - 1.
    pub(crate) fn begin_phase(&self, phase: usize, sequence: u64) {
        self.phases[phase - 1].store(sequence, Ordering::Release);
    }

    #[inline]
    pub(crate) fn phase_of(&self, sequence: u64) -> usize {
        self.phases.iter().filter(|phase| sequence >= phase.load(Ordering::Relaxed)).count()
    }

    pub(crate) fn phases(&self) -> [u64; PHASES - 1] {
        std::array::from_fn(|phase| self.phases[phase].load(Ordering::Acquire))
    }

    /// Lets a closed loop follow what was seen; `waker` wakes it. With several channels an event goes to `spread` subscribers.
    pub(crate) fn follow(&self, waker: Arc<Waker>, spread: Option<u64>) {
        self.waker.get_or_init(|| waker);
        self.spread.store(spread.unwrap_or(0), Ordering::SeqCst);
        self.set_followed(true);
    }

    pub(crate) fn unfollow(&self) {
        self.set_followed(false);
    }

    pub(crate) fn is_followed(&self) -> bool {
        self.followed.load(Ordering::SeqCst)
    }

    pub(crate) fn set_followed(&self, followed: bool) {
        self.followed.store(followed, Ordering::SeqCst);
    }

    /// All connections end at once and come back.
    pub(crate) fn order_storm(&self, ending: Ending) {
        self.resets.store(ending == Ending::Reset, Ordering::Release);
        self.storms.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn storms(&self) -> u64 {
        self.storms.load(Ordering::Acquire)
    }

    /// Storms that every member has carried out.
    pub(crate) fn storms_done(&self) -> u64 {
        self.members.iter().map(|member| member.storms.load(Ordering::Acquire)).min().unwrap_or(0)
    }

    pub(crate) fn ending(&self) -> Ending {
        if self.resets.load(Ordering::Acquire) { Ending::Reset } else { Ending::Fin }
    }

    pub(crate) fn order_stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// The publisher stores `wanted` and then reads `seen`; threads store `seen` and then read `wanted`: one of them sees the other.
    pub(crate) fn wake_if_wanted(&self) {
        let wanted = self.wanted.load(Ordering::SeqCst);
        if self.seen_by_all() >= wanted && self.wanted.swap(u64::MAX, Ordering::SeqCst) != u64::MAX {
            self.waker.get().into_iter().for_each(|waker| waker.wake().unwrap_or(()));
        }
    }
}

impl Audience for Progress {
    /// On several channels, which are served in turn, the frames tell how many events have arrived.
    fn seen_by_all(&self) -> u64 {
        match self.spread.load(Ordering::SeqCst) {
            0 => self.members.iter().map(|member| member.seen.load(Ordering::SeqCst)).min().unwrap_or(0),
            spread => self.frames() / spread,
        }
    }

    fn wake_at(&self, sequence: u64) {
        self.wanted.store(sequence, Ordering::SeqCst);
    }

    fn frames(&self) -> u64 {
        self.members.iter().map(|member| member.frames.load(Ordering::SeqCst)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscribers_have_seen_what_the_slowest_thread_has_seen() {
        let progress = Progress::new(2);
        progress.members[0].seen.store(9, Ordering::SeqCst);
        progress.members[1].seen.store(4, Ordering::SeqCst);
        assert_eq!(progress.seen_by_all(), 4);
    }

    #[test]
    fn crowd_on_several_channels_has_seen_what_its_frames_are_enough_for() {
        let progress = Progress::new(2);
        progress.spread.store(10, Ordering::SeqCst);
        progress.members[0].frames.store(55, Ordering::SeqCst);
        progress.members[1].frames.store(44, Ordering::SeqCst);
        assert_eq!(progress.seen_by_all(), 9);
    }

    #[test]
    fn publisher_is_woken_once_and_only_when_all_are_past_its_mark() {
        let progress = Progress::new(1);
        progress.wake_at(5);
        progress.members[0].seen.store(4, Ordering::SeqCst);
        progress.wake_if_wanted();
        assert_eq!(progress.wanted.load(Ordering::SeqCst), 5);
        progress.members[0].seen.store(5, Ordering::SeqCst);
        progress.wake_if_wanted();
        assert_eq!(progress.wanted.load(Ordering::SeqCst), u64::MAX);
    }

    #[test]
    fn phases_are_told_apart_by_sequence_number() {
        let progress = Progress::new(1);
        assert_eq!(progress.phase_of(0), 0);
        progress.begin_phase(1, 10);
        progress.begin_phase(2, 20);
        assert_eq!([9, 10, 19, 20, 1000].map(|sequence| progress.phase_of(sequence)), [0, 1, 1, 2, 2]);
    }

    #[test]
    fn storm_unsettles_until_its_connections_are_back() {
        let progress = Progress::new(1);
        progress.members[0].settled.store(true, Ordering::SeqCst);
        assert!(progress.is_settled());
        progress.order_storm(Ending::Reset);
        assert!(!progress.is_settled() && progress.ending() == Ending::Reset);
        progress.members[0].storms.store(1, Ordering::SeqCst);
        assert!(progress.is_settled());
    }
}
