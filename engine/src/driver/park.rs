//! How a core sleeps: it waits in its own ring until something completes.
//!
//! glommio never hears of it. Its executor runs one task, the turn, which never yields, so there is nothing else to wait
//! for; parking in glommio's reactor costs an idle core several times as much, and each wake as well. What must never
//! happen here: a sleep without an end, after which a core could not show that it lives. Called by turn.rs.

use std::io;
use std::time::Duration;

use super::ring::Ring;

/// The longest sleep. A core that has slept so long shows that it lives and sleeps on.
pub const SLEEP_MAX: Duration = Duration::from_secs(1);

/// Sleeps until `ring` has a completion, for at most `patience`, cut to [`SLEEP_MAX`].
pub fn sleep(ring: &mut Ring, patience: Duration) -> io::Result<()> {
    ring.wait(patience.min(SLEEP_MAX))
}
