//! The time, as a driver tells it: nothing here asks a clock.

use std::num::NonZeroU32;

/// Both clocks, read once per turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// Milliseconds of the monotonic clock, from any origin.
    pub mono_ms: u64,
    /// The same in microseconds: for what is measured, never to decide anything.
    pub mono_us: u64,
    /// Milliseconds since the Unix epoch.
    pub unix_ms: u64,
}

impl Now {
    /// With a monotonic clock that goes in whole milliseconds.
    pub const fn at(mono_ms: u64, unix_ms: u64) -> Self {
        Self { mono_ms, mono_us: mono_ms * 1_000, unix_ms }
    }

    /// What is kept of it where a duration will be measured.
    pub fn moment(self) -> Moment {
        Moment(NonZeroU32::MIN | self.mono_us as u32)
    }
}

/// A moment of the monotonic clock, in four bytes: in microseconds, to within one, without what is beyond 32 bits. It serves to
/// measure what takes less than half an hour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment(NonZeroU32);

impl Moment {
    /// Microseconds from then to now; 0 if it is later than now.
    pub fn elapsed_us(self, now: Now) -> u32 {
        let elapsed = now.moment().0.get().wrapping_sub(self.0.get()).cast_signed();
        elapsed.max(0).cast_unsigned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_right_wherever_the_clock_stands() {
        let at = |mono_us| Now { mono_us, ..Now::default() };
        for began_us in [0, 1, 4_294_967_290, u64::from(u32::MAX), 1 << 40] {
            for took_us in [0, 2, 50, 5_000_000, 1_700_000_000] {
                let measured = at(began_us).moment().elapsed_us(at(began_us + took_us));
                assert!(u64::from(measured).abs_diff(took_us) <= 1, "{began_us} {took_us} {measured}");
            }
        }
        assert_eq!(at(100).moment().elapsed_us(at(40)), 0, "of a core whose turn began later");
    }
}
