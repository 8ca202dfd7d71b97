//! The settings of the file for how the server ends and whether it takes over. What the file does not set is `None`.

use std::num::NonZeroU32;
use std::time::Duration;

use protocol::close::Close;

use super::fault::Fault;
use super::section::{Section, Value};

/// The longest grace, in seconds.
const READY_GRACE_S_MAX: u64 = 3_600;

/// Settings for the end, from the file or from the command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EndingWish {
    /// Connections closed per second, by the whole server.
    pub drain_rate: Option<NonZeroU32>,
    /// The close code for clients.
    pub drain_close: Option<Close>,
    /// How long new clients are still served after SIGTERM, while `/ready` fails.
    pub ready_grace: Option<Duration>,
    /// Join the port of a running server.
    pub takeover: Option<bool>,
}

impl EndingWish {
    /// These settings; where one is missing, that of `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            drain_rate: self.drain_rate.or(other.drain_rate),
            drain_close: self.drain_close.or(other.drain_close),
            ready_grace: self.ready_grace.or(other.ready_grace),
            takeover: self.takeover.or(other.takeover),
        }
    }

    pub(super) fn parse(top: &mut Section<'_>) -> Result<Self, Fault> {
        let rate = |value: Value<'_>| Ok(NonZeroU32::new(value.integer(1, u32::MAX.into())? as u32));
        let seconds = |value: Value<'_>| value.integer(0, READY_GRACE_S_MAX).map(Duration::from_secs);
        Ok(Self {
            drain_rate: top.take("drain_rate").map(rate).transpose()?.flatten(),
            drain_close: top.take("drain_close").map(drain_close).transpose()?,
            ready_grace: top.take("ready_grace").map(seconds).transpose()?,
            takeover: top.take("takeover").map(|value| value.boolean()).transpose()?,
        })
    }
}

fn drain_close(value: Value<'_>) -> Result<Close, Fault> {
    match value.integer(0, u64::MAX)? {
        4100 => Ok(Close::DRAINING),
        4200 => Ok(Close::RECONNECT),
        code => {
            let what = "possible are 4100 (clients come back after a second) and 4200 (at once)";
            Err(value.wrong(&code.to_string(), what))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_wish_holds_and_the_second_fills_in() {
        let first = EndingWish { takeover: Some(true), ..EndingWish::default() };
        let second = EndingWish {
            takeover: Some(false),
            ready_grace: Some(Duration::from_secs(3)),
            ..EndingWish::default()
        };
        let both = first.or(second);
        assert_eq!((both.takeover, both.ready_grace), (Some(true), Some(Duration::from_secs(3))));
    }
}
