//! How a scene ends: as it should, or with what was expected and what came instead.

use std::fmt;

/// How a scene ended.
pub(crate) type Verdict = Result<(), Deviation>;

/// What was expected, and what came instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deviation(pub(crate) String);

impl fmt::Display for Deviation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// A deviation, unless this holds.
pub(crate) fn hold(holds: bool, otherwise: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(Deviation(otherwise())) }
}

/// A deviation, unless both are the same.
pub(crate) fn same<T: PartialEq + fmt::Debug>(what: &str, came: &T, wanted: &T) -> Verdict {
    hold(came == wanted, || format!("{what}: expected {wanted:?}, got {came:?}"))
}

/// A deviation with these words.
pub(crate) fn deviates<T>(words: impl Into<String>) -> Result<T, Deviation> {
    Err(Deviation(words.into()))
}
