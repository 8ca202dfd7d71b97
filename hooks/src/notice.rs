//! One line for the operator. What must never happen here: a line per event.

use std::fmt::Display;

/// Says something about hooks on standard error.
pub(crate) fn say(text: impl Display) {
    eprintln!("corecast: hooks: {text}");
}
