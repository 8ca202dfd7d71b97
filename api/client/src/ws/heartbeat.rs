//! Whether the server is still there: after some silence it is asked, and it has to answer in time.
//!
//! Anything that comes counts as a sign of life. While a client reads nothing, because its user is behind, it goes on asking, so
//! that the server hears from it, but it expects no answer.

use std::time::{Duration, Instant};

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Beat {
    Nothing,
    Ping,
    Lost,
}

#[derive(Debug)]
pub(super) struct Heartbeat {
    silence: Duration,
    patience: Duration,
    heard: Instant,
    pinged: Option<Instant>,
    /// When something was last left unread. The wait for an answer begins after it.
    unread: Instant,
}

impl Heartbeat {
    /// Asks after `silence` and waits for `patience`.
    pub(super) fn new(silence: Duration, patience: Duration, now: Instant) -> Self {
        Self { silence, patience, heard: now, pinged: None, unread: now }
    }

    /// Something has come.
    pub(super) fn hear(&mut self, now: Instant) {
        self.heard = now;
        self.pinged = None;
    }

    /// What is due. `is_reading` is false while nothing is read.
    pub(super) fn beat(&mut self, now: Instant, is_reading: bool) -> Beat {
        if !is_reading {
            self.unread = now;
        }
        match self.pinged {
            Some(_) if is_reading && now >= self.deadline(true) => Beat::Lost,
            Some(_) if is_reading => Beat::Nothing,
            _ if now >= self.deadline(is_reading) => {
                self.pinged = Some(now);
                Beat::Ping
            }
            _ => Beat::Nothing,
        }
    }

    /// When something is due next.
    pub(super) fn deadline(&self, is_reading: bool) -> Instant {
        match self.pinged {
            Some(at) if is_reading => at.max(self.unread) + self.patience,
            Some(at) => at.max(self.heard) + self.silence,
            None => self.heard + self.silence,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn silence_is_answered_with_a_ping_and_more_silence_is_the_end() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(seconds(120), seconds(30), start);
        assert_eq!(heartbeat.beat(start + seconds(119), true), Beat::Nothing);
        heartbeat.hear(start + seconds(100));
        assert_eq!(heartbeat.beat(start + seconds(219), true), Beat::Nothing);
        assert_eq!(heartbeat.deadline(true), start + seconds(220));
        assert_eq!(heartbeat.beat(start + seconds(220), true), Beat::Ping);
        assert_eq!(heartbeat.deadline(true), start + seconds(250));
        assert_eq!(heartbeat.beat(start + seconds(249), true), Beat::Nothing);
        assert_eq!(heartbeat.beat(start + seconds(250), true), Beat::Lost);
        heartbeat.hear(start + seconds(250));
        assert_eq!(heartbeat.beat(start + seconds(250), true), Beat::Nothing);
    }

    #[test]
    fn a_client_that_reads_nothing_pings_and_expects_no_answer() {
        let start = Instant::now();
        let mut heartbeat = Heartbeat::new(seconds(10), seconds(5), start);
        let pings = (1..=100).filter(|at| heartbeat.beat(start + seconds(*at), false) == Beat::Ping).count();
        assert_eq!(pings, 10);
        // Reading again, it waits from then on.
        assert_eq!(heartbeat.beat(start + seconds(101), false), Beat::Nothing);
        assert_eq!(heartbeat.beat(start + seconds(105), true), Beat::Nothing);
        assert_eq!(heartbeat.beat(start + seconds(106), true), Beat::Lost);
    }
}
