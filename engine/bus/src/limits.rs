//! Bounds of a link, each with its reason.

/// Batches of calls that wait for a thread. A session has 16 calls with commands under way; the rest are beats and
/// acknowledgements, of which an answer that is missing for three seconds leaves a hundred.
pub(crate) const ASKED_MAX: usize = 256;

/// Answers and entries that wait for the bus thread. Past it the threads of the link wait for it.
pub(crate) const NEWS_MAX: usize = 1024;

/// Attempts whose threads are still there. A resolver that hangs keeps one for as long as it likes.
pub(crate) const ATTEMPTS_MAX: usize = 8;

/// How often a server is given the scripts for the same calls. One that forgets them again and again is not asked for ever.
pub(crate) const LOADS_MAX: usize = 3;

/// Entries of one answer: at 64 events each they keep the bus thread busy for some milliseconds.
pub(crate) const ENTRIES_MAX: usize = 256;

/// Edges for hooks that are taken at once: so many are told again at most where the node that has taken them dies.
pub(crate) const EDGES_TAKEN_MAX: usize = 256;

/// Levels in one call of a script: some milliseconds of the server.
pub(crate) const LEVELS_SLICE: usize = 500;

/// How much of what a session still holds goes in one call when its node leaves.
pub(crate) const LEAVING_SLICE: usize = 256;

/// So many of those calls: the other nodes clear up the rest.
pub(crate) const LEAVING_CALLS_MAX: usize = 64;
