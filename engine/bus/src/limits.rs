//! Bounds of a link, each with its reason.

/// Batches of calls that wait for a thread. A session has 16 calls with commands under way; the rest are beats and
/// acknowledgements, of which an answer that is missing for three seconds leaves a hundred.
pub(crate) const ASKED_MAX: usize = 256;

/// Answers and entries that wait for the bus thread. Past it the threads of the link wait for it.
pub(crate) const NEWS_MAX: usize = 1024;

/// Attempts whose threads are still there. A resolver that hangs keeps one for as long as it likes.
pub(crate) const ATTEMPTS_MAX: usize = 8;
