//! A line in the log for the operator. What must never happen here: a line per event.

use std::fmt::Display;

/// Says something about hooks in the log.
pub(crate) fn say(text: impl Display) {
    logging::event!(WARN, "hooks", {}, "hooks: {text}");
}
