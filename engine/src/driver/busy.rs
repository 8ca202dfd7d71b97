//! For how long a core has not slept: its load, on the clock. Owns a sum and nothing else; the turn tells it when the core
//! sleeps and when it is awake again.

/// The time of a core that was not asleep, in microseconds of its clock.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Busy {
    us: u64,
    awake_since_us: Option<u64>,
}

impl Busy {
    /// The core is awake. Returns for how long it has been so far.
    pub(super) fn note_awake(&mut self, now_us: u64) -> u64 {
        let since_us = *self.awake_since_us.get_or_insert(now_us);
        self.us + now_us.saturating_sub(since_us)
    }

    /// It goes to sleep.
    pub(super) fn note_asleep(&mut self, now_us: u64) {
        self.us = self.note_awake(now_us);
        self.awake_since_us = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_time_awake_counts() {
        let mut busy = Busy::default();
        assert_eq!((busy.note_awake(100), busy.note_awake(130)), (0, 30));
        busy.note_asleep(150);
        assert_eq!((busy.note_awake(900), busy.note_awake(901)), (50, 51));
        busy.note_asleep(910);
        assert_eq!(busy.note_awake(2_000), 60);
    }
}
