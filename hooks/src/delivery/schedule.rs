//! When a batch that failed is tried again, and for how long: Pusher's minutes with growing pauses, or eight tries over a
//! day.
//!
//! What must never happen here: a schedule without an end.

use std::time::Duration;

use fastrand::Rng;

use super::backoff;
use crate::settings::{DeliverySettings, Retry};

/// The pauses of Standard Webhooks between eight tries: 27 hours and 35 minutes.
const DAY_PAUSES_MS: [u64; 7] = [5_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 36_000_000];
const DAY_GIVE_UP_AFTER_MS: u64 = 28 * 3_600_000;
/// So that an endpoint which asks for more still has its tries.
const DAY_WAIT_MAX_MS: u64 = 3_600_000;
/// A pause grows by up to a hundredth of it, so that endpoints which fell together do not come back together.
const DAY_JITTER: u64 = 100;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Schedule {
    Pusher { give_up_after_ms: u64, pause_max_ms: u64 },
    Day { pause_max_ms: u64 },
}

impl Schedule {
    pub(crate) fn new(delivery: &DeliverySettings) -> Self {
        let pause_max_ms = millis(delivery.pause_max);
        match delivery.retry {
            Retry::Pusher => Self::Pusher { give_up_after_ms: millis(delivery.give_up_after), pause_max_ms },
            Retry::Day => Self::Day { pause_max_ms },
        }
    }

    /// After how long a batch is given up.
    pub(crate) fn give_up_after_ms(self) -> u64 {
        match self {
            Self::Pusher { give_up_after_ms, .. } => give_up_after_ms,
            Self::Day { .. } => DAY_GIVE_UP_AFTER_MS,
        }
    }

    /// The longest pause between two probes of an endpoint that cannot be reached.
    pub(crate) fn probe_pause_max_ms(self) -> u64 {
        let (Self::Pusher { pause_max_ms, .. } | Self::Day { pause_max_ms }) = self;
        pause_max_ms
    }

    /// The pause after so many tries in vain, at least one; none if that was the last.
    pub(crate) fn pause_ms(self, tries: u32, rng: &mut Rng) -> Option<u64> {
        match self {
            Self::Pusher { pause_max_ms, .. } => Some(backoff::pause_ms(tries, pause_max_ms, rng)),
            Self::Day { .. } => {
                let pause_ms = *DAY_PAUSES_MS.get(tries.checked_sub(1)? as usize)?;
                Some(pause_ms + rng.u64(..=pause_ms / DAY_JITTER))
            }
        }
    }

    /// The longest wait that an endpoint may ask for.
    pub(crate) fn wait_max_ms(self) -> u64 {
        match self {
            Self::Pusher { pause_max_ms, .. } => pause_max_ms,
            Self::Day { .. } => DAY_WAIT_MAX_MS,
        }
    }

    /// Whether tries are so few that none is made before its time.
    pub(crate) fn is_by_count(self) -> bool {
        matches!(self, Self::Day { .. })
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_eight_tries_within_28_hours() {
        let delivery = DeliverySettings { retry: Retry::Day, ..DeliverySettings::default() };
        let (schedule, mut rng) = (Schedule::new(&delivery), Rng::with_seed(1));
        for _ in 0..1_000 {
            let pauses: Vec<u64> = (1..).map_while(|tries| schedule.pause_ms(tries, &mut rng)).collect();
            let hours = pauses.iter().sum::<u64>() as f64 / 3.6e6;
            assert_eq!(pauses.len() + 1, 8);
            assert!((5_000..5_100).contains(&pauses[0]) && (27.0..28.0).contains(&hours), "{pauses:?}");
        }
    }
}
