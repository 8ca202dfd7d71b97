//! Cases that cannot occur unless our own code is wrong. What a peer can cause is dealt with where it happens and never
//! reported here.
//!
//! Tests, the simulation and debug builds panic at a violation. A release build counts it and goes on; `/metrics` has
//! the count, and the driver logs the place. The record belongs to the thread, which is the core: violations can be met
//! in every part of a machine, and no part needs another's fields for them. Nothing is ever decided by it.

use std::cell::Cell;
use std::panic::Location;

thread_local! {
    static VIOLATIONS: Cell<Violations> = const { Cell::new(Violations { count: 0, last: None }) };
}

/// The violations on a thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Violations {
    /// How many there were.
    pub count: u64,
    /// The last of them.
    pub last: Option<Violation>,
}

/// An invariant that did not hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Violation {
    /// What should have been true.
    pub invariant: &'static str,
    /// Where it was not.
    pub at: &'static Location<'static>,
}

/// The violations on this thread since it started.
pub fn violations() -> Violations {
    VIOLATIONS.get()
}

/// Reports that this invariant does not hold.
#[cold]
#[inline(never)]
#[track_caller]
pub fn violated(invariant: &'static str) {
    note(Violation { invariant, at: Location::caller() });
    debug_assert!(false, "{invariant}");
}

/// Reports this invariant unless it holds.
#[inline]
#[track_caller]
pub fn check(holds: bool, invariant: &'static str) {
    if !holds {
        violated(invariant);
    }
}

/// A value that is always there.
pub trait Expected {
    /// Returns it as it is, and reports the invariant if there is none.
    #[must_use]
    fn expected(self, invariant: &'static str) -> Self;
}

impl<T> Expected for Option<T> {
    #[inline]
    #[track_caller]
    fn expected(self, invariant: &'static str) -> Self {
        check(self.is_some(), invariant);
        self
    }
}

fn note(violation: Violation) {
    let count = VIOLATIONS.get().count + 1;
    VIOLATIONS.set(Violations { count, last: Some(violation) });
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn violations_are_counted_and_the_last_one_is_kept() {
        let at = Location::caller();
        let before = violations().count;
        note(Violation { invariant: "one", at });
        note(Violation { invariant: "two", at });
        let last = Some(Violation { invariant: "two", at });
        assert_eq!(violations(), Violations { count: before + 2, last });
    }

    #[test]
    fn a_missing_value_is_counted_with_its_place_and_panics_in_debug_builds_only() {
        let before = violations().count;
        let line = line!() + 1;
        let outcome = catch_unwind(|| None::<u8>.expected("it is there"));
        assert_eq!(outcome.is_err(), cfg!(debug_assertions));
        let last = violations().last.unwrap();
        assert_eq!((violations().count, last.invariant), (before + 1, "it is there"));
        assert_eq!((last.at.file(), last.at.line()), (file!(), line));
    }

    #[test]
    fn what_holds_is_not_counted() {
        let before = violations();
        check(true, "true");
        assert_eq!(Some(7).expected("it is there"), Some(7));
        assert_eq!(violations(), before);
    }
}
