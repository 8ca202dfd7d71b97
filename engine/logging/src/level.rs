//! How much is logged.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};

use tracing::level_filters::LevelFilter;

/// How much is logged: lines of this level and of those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub enum Level {
    /// The process, or a command, cannot go on.
    Error,
    /// Somebody should act.
    Warn,
    /// What an operator wants to know of a server in production.
    #[default]
    Info,
    /// Each connection and each call.
    Debug,
}

static CURRENT: AtomicU8 = AtomicU8::new(Level::Info as u8);

impl Level {
    const ALL: [(Self, &str); 4] =
        [(Self::Error, "error"), (Self::Warn, "warn"), (Self::Info, "info"), (Self::Debug, "debug")];

    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(level, _)| *level == self).map_or("info", |(_, name)| name)
    }

    pub(crate) fn of(level: tracing::Level) -> Self {
        match level {
            tracing::Level::ERROR => Self::Error,
            tracing::Level::WARN => Self::Warn,
            tracing::Level::INFO => Self::Info,
            _ => Self::Debug,
        }
    }

    pub(crate) fn filter(self) -> LevelFilter {
        match self {
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
        }
    }
}

/// The level that lines must have to be written.
#[inline]
pub fn level() -> Level {
    match CURRENT.load(Ordering::Relaxed) {
        0 => Level::Error,
        1 => Level::Warn,
        2 => Level::Info,
        _ => Level::Debug,
    }
}

/// From now on this much is logged.
pub(crate) fn set(level: Level) {
    CURRENT.store(level as u8, Ordering::Relaxed);
}

impl fmt::Display for Level {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl FromStr for Level {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text);
        found.map(|(level, _)| *level).ok_or("must be one of error, warn, info, debug")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_called_what_it_is_parsed_from() {
        for (level, name) in Level::ALL {
            assert_eq!((name.parse(), level.to_string().as_str()), (Ok(level), name));
        }
        assert!("trace".parse::<Level>().is_err() && "INFO".parse::<Level>().is_err());
        assert!(Level::Error < Level::Debug);
    }
}
