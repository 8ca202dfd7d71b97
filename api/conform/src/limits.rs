//! How long a check waits, how much it reads, and how many are played at a time.

use std::time::Duration;

/// For an answer that must come. A server that is slower has a fault of its own, which the check then shows.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// For something that a server may tell late: a member or a user may be back within 3 s, so leaving is told after that.
pub(crate) const LONG_PATIENCE: Duration = Duration::from_secs(12);

/// For a sign that nothing comes, where no later message can prove it.
pub(crate) const SILENCE: Duration = Duration::from_millis(300);

/// The largest answer of a REST call that is read.
pub(crate) const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// Checks that are played at a time: enough that waiting costs little, few enough for any server.
pub(crate) const CHECKS_AT_ONCE: usize = 6;
