//! How long to wait before the next try: twice as long each time, up to a bound, with jitter. Pure but for its seed.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);

/// Growing pauses.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    max: Duration,
    noise: u64,
}

impl Backoff {
    /// Pauses up to `max`.
    pub(crate) fn new(max: Duration) -> Self {
        let mut seed = [0; 8];
        // Without randomness the jitter is the same everywhere, which is no fault.
        let _ = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut seed);
        Self { next: FIRST, max: max.max(FIRST), noise: u64::from_le_bytes(seed) | 1 }
    }

    /// The next pause: between half of its bound and all of it.
    pub(crate) fn pause(&mut self) -> Duration {
        let bound = self.next.min(self.max);
        self.next = (self.next * 2).min(self.max);
        // xorshift64: jitter asks for no more.
        self.noise ^= self.noise << 13;
        self.noise ^= self.noise >> 7;
        self.noise ^= self.noise << 17;
        let thousandths = 500 + self.noise % 501;
        bound * u32::try_from(thousandths).unwrap_or(1_000) / 1_000
    }

    /// It worked.
    pub(crate) fn reset(&mut self) {
        self.next = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_with_jitter_up_to_their_bound_and_begin_anew() {
        let mut backoff = Backoff::new(Duration::from_secs(1));
        for bound_ms in [100, 200, 400, 800, 1_000, 1_000] {
            let pause = backoff.pause();
            let bound = Duration::from_millis(bound_ms);
            assert!(pause >= bound / 2 && pause <= bound, "{pause:?} of {bound:?}");
        }
        backoff.reset();
        assert!(backoff.pause() <= FIRST);
    }
}
