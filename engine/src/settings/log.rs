//! What the log looks like, and how much is in it.

use logging::{Format, Level};

/// The settings of the log.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Log {
    /// Text, or JSON.
    pub format: Format,
    /// Lines of this level and of more weighty ones.
    pub level: Level,
}

impl Log {
    /// From now on the log is like this.
    pub fn apply(self) {
        logging::set(self.format, self.level);
    }
}
