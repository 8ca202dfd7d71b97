//! Which rule is broken now. One per thread, so that several can be tried at once.

use std::cell::Cell;

thread_local! {
    static BROKEN: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Breaks the rule with this number in the table, and no other, on this thread.
pub fn set(mutant: Option<usize>) {
    BROKEN.set(mutant);
}

/// Whether the rule with this number is broken.
pub fn is(mutant: usize) -> bool {
    BROKEN.get() == Some(mutant)
}
