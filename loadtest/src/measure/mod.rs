//! What a run measures: how late, how much was lost, what it cost, and whether the figures can be believed.
//!
//! Knows nothing of scenarios, of sockets or of how a result is shown. `ledger` counts what each subscriber has seen, `tally` adds
//! up what all of them saw, `late` says how well this program kept to its own schedules, `stopwatch` what a
//! stretch of the run cost, `memory` how the server grew, `verdict` whether the figures can be believed.

pub(crate) mod late;
pub(crate) mod ledger;
pub(crate) mod memory;
pub(crate) mod stopwatch;
pub(crate) mod tally;
pub(crate) mod verdict;
