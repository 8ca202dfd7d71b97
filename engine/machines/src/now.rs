//! The time, as a driver tells it: nothing here asks a clock.

/// Both clocks, read once per turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// Milliseconds of the monotonic clock, from any origin.
    pub mono_ms: u64,
    /// Milliseconds since the Unix epoch.
    pub unix_ms: u64,
}
