//! When a client connects again: Pusher's rules for close codes, and longer pauses while nothing gets better.
//!
//! | close code | what follows |
//! |---|---|
//! | 4000 to 4099 | never again |
//! | 4100 to 4199 | after a pause of at least one second |
//! | 4200 to 4299 | at once |
//! | anything else, or none | after a pause |

use std::time::Duration;

use crate::limits::{BACK_OFF_LEAST, LASTING};

#[derive(Debug)]
pub(super) struct Retry {
    random: fastrand::Rng,
    least: Duration,
    most: Duration,
    /// Connections in a row that did not last.
    failures: u32,
}

impl Retry {
    /// The first pause is about `least`, and none is much longer than `most`.
    pub(super) fn new(random: fastrand::Rng, least: Duration, most: Duration) -> Self {
        Self { random, least, most, failures: 0 }
    }

    /// The pause after a connection that has ended with this code and has lasted so long; none, if there is to be no other.
    pub(super) fn pause(&mut self, code: Option<u16>, lasted: Option<Duration>) -> Option<Duration> {
        let is_first = lasted.is_some_and(|lasted| lasted >= LASTING);
        self.failures = if is_first { 0 } else { self.failures.saturating_add(1) };
        match code {
            Some(4000..=4099) => None,
            Some(4100..=4199) => Some(self.back_off().max(BACK_OFF_LEAST)),
            Some(4200..=4299) if self.failures <= 1 => Some(Duration::ZERO),
            _ => Some(self.back_off()),
        }
    }

    /// Twice as long each time, and up to half as long again by chance, so that clients do not come all at once.
    fn back_off(&mut self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(16);
        let pause = self.least.saturating_mul(1 << doublings).min(self.most);
        pause + pause.mul_f64(self.random.f64() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry() -> Retry {
        Retry::new(fastrand::Rng::with_seed(7), Duration::from_secs(1), Duration::from_secs(30))
    }

    const LONG: Option<Duration> = Some(Duration::from_secs(60));

    #[test]
    fn the_close_code_decides() {
        let is_paused = |pause: Option<Duration>| pause.is_some_and(|pause| pause >= Duration::from_secs(1));
        for code in [4000, 4001, 4009, 4099] {
            assert_eq!(retry().pause(Some(code), LONG), None, "{code}");
        }
        for code in [4100, 4199, 1000, 1006, 1012, 3999, 4300, 4999] {
            assert!(is_paused(retry().pause(Some(code), LONG)), "{code}");
        }
        for code in [4200, 4201, 4299] {
            assert_eq!(retry().pause(Some(code), LONG), Some(Duration::ZERO), "{code}");
        }
        assert!(is_paused(retry().pause(None, LONG)) && is_paused(retry().pause(None, None)));
    }

    #[test]
    fn the_least_pause_after_4100_is_a_second_whatever_is_asked_for() {
        let mut hasty = Retry::new(fastrand::Rng::with_seed(7), Duration::ZERO, Duration::ZERO);
        assert_eq!(hasty.pause(Some(4100), LONG), Some(Duration::from_secs(1)));
        assert_eq!(hasty.pause(None, LONG), Some(Duration::ZERO));
    }

    #[test]
    fn pauses_grow_while_connections_do_not_last_and_differ_between_clients() {
        let mut one = retry();
        let mut pauses: Vec<Duration> = (0..8).filter_map(|_| one.pause(None, None)).collect();
        assert!(
            pauses.is_sorted() || pauses[5..].iter().all(|pause| *pause >= Duration::from_secs(30)),
            "{pauses:?}"
        );
        assert!(pauses.iter().all(|pause| *pause <= Duration::from_secs(45)), "{pauses:?}");
        assert!(one.pause(None, LONG).is_some_and(|pause| pause < Duration::from_millis(1500)));
        let mut other =
            Retry::new(fastrand::Rng::with_seed(8), Duration::from_secs(1), Duration::from_secs(30));
        assert_ne!(pauses.remove(0), other.pause(None, None).unwrap());
    }

    #[test]
    fn a_server_that_closes_every_connection_at_once_is_not_stormed() {
        let mut client = retry();
        assert_eq!(client.pause(Some(4200), None), Some(Duration::ZERO));
        assert!(client.pause(Some(4200), Some(Duration::ZERO)) >= Some(Duration::from_secs(1)));
    }
}
