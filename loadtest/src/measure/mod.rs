//! What a run measures: how late, how much was lost, what it cost, and whether the figures can be believed.
//!
//! Knows nothing of scenarios, of sockets or of how a result is shown. `ledger` counts what each subscriber has seen, `tally` adds
//! up what all of them saw, `late` says how well this program kept to its own schedules.

pub(crate) mod late;
pub(crate) mod ledger;
pub(crate) mod tally;
