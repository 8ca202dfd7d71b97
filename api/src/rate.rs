//! How fast an app's back ends may publish and ask, and the refusal of faster ones: 429 with `Retry-After`.
//!
//! Publishing is counted in events, once for each channel, so a trigger to a hundred channels costs as much as a hundred
//! triggers. The API core keeps a [`Bucket`] per app and rate, and charges it before it carries out a call.

use std::borrow::Cow;
use std::sync::Arc;

use protocol::app::App;

use crate::call::Call;
use crate::refused::Refused;

/// What a call counts for, if its app bounds it.
#[derive(Clone, Copy, Debug)]
pub struct Charge<'a> {
    /// The app whose bound it is.
    pub app: &'a Arc<App>,
    /// Which of its bounds.
    pub rate: Rate,
    /// How much of it.
    pub count: u32,
    /// The bound.
    pub per_second: u32,
}

/// What an app bounds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Rate {
    /// `backend_events_per_second`
    BackendEvents,
    /// `read_requests_per_second`
    ReadRequests,
}

impl Call<'_> {
    /// What the call counts for; `None` if nothing bounds it. Terminating connections is never put off.
    pub fn charge(&self) -> Option<Charge<'_>> {
        let (app, rate, count) = match self {
            Self::Publish(publish) => {
                let events: usize = publish.events.iter().map(|event| event.channels.len()).sum();
                (publish.app, Rate::BackendEvents, u32::try_from(events).unwrap_or(u32::MAX))
            }
            Self::Channels(channels) => (channels.app, Rate::ReadRequests, 1),
            Self::Channel(channel) => (channel.app, Rate::ReadRequests, 1),
            Self::Users(users) => (users.app, Rate::ReadRequests, 1),
            Self::Connections(connections) => (connections.app, Rate::ReadRequests, 1),
            Self::Terminate(_) | Self::Health(_) | Self::AppHealth(_) | Self::Options(_) => return None,
        };
        let per_second = match rate {
            Rate::BackendEvents => app.limits.backend_events_per_second,
            Rate::ReadRequests => app.limits.read_requests_per_second,
        };
        Some(Charge { app, rate, count, per_second: per_second? })
    }
}

impl Charge<'_> {
    /// Takes it out of the app's bucket, or says that the caller is too fast.
    pub fn take_from(&self, bucket: &mut Bucket, now_ms: u64) -> Result<(), Refused> {
        bucket.take(self.count, self.per_second, now_ms).map_err(|wait_ms| self.refusal(wait_ms))
    }

    fn refusal(&self, wait_ms: u64) -> Refused {
        let per_second = self.per_second;
        let (what, setting) = match self.rate {
            Rate::BackendEvents => ("events", "backend_events_per_second"),
            Rate::ReadRequests => ("requests", "read_requests_per_second"),
        };
        let text = format!("Too fast: this app may send {per_second} {what} per second ({setting})");
        let retry_after_s = wait_ms.div_ceil(1_000).max(1);
        Refused {
            header: Some(("Retry-After", Cow::Owned(retry_after_s.to_string()))),
            ..Refused::new(429, text)
        }
    }
}

/// What an app may still do of what is bounded: one second's worth, which fills again as time goes by.
///
/// A call is carried out as long as the bucket is not empty, and takes more than is in it if it must: a batch that is
/// larger than a second's worth is delayed and not impossible, and the rate holds on average.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket {
    /// When it will be full, on the monotonic clock.
    full_us: u64,
}

impl Bucket {
    /// Takes so many, or says in how many milliseconds there will be one.
    fn take(&mut self, count: u32, per_second: u32, now_ms: u64) -> Result<(), u64> {
        let now_us = now_ms.saturating_mul(1_000);
        let each_us = (SECOND_US / u64::from(per_second.max(1))).max(1);
        let full_us = self.full_us.max(now_us);
        let one_taken_us = full_us.saturating_add(each_us);
        let wait_us = one_taken_us.saturating_sub(now_us.saturating_add(SECOND_US));
        if wait_us > 0 {
            return Err(wait_us.div_ceil(1_000));
        }
        self.full_us = full_us.saturating_add(each_us.saturating_mul(count.into()));
        Ok(())
    }
}

const SECOND_US: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoints::connections::Connections;
    use crate::endpoints::events::parse_batch;
    use crate::endpoints::terminate::parse_terminate;
    use proptest::prelude::*;

    fn app(backend: Option<u32>, reads: Option<u32>) -> Arc<App> {
        let mut app = App::new("3", "key", "secret");
        app.limits.backend_events_per_second = backend;
        app.limits.read_requests_per_second = reads;
        Arc::new(app)
    }

    #[test]
    fn each_channel_of_an_event_counts_and_so_does_each_question() {
        let app = app(Some(10), Some(20));
        let body =
            r#"{"batch":[{"name":"e","channel":"a","data":"x"},{"name":"e","channel":"b","data":"x"}]}"#;
        let publish = Call::Publish(parse_batch(&app, body.as_bytes()).unwrap());
        let charge = publish.charge().unwrap();
        assert_eq!((charge.rate, charge.count, charge.per_second), (Rate::BackendEvents, 2, 10));
        let ask = Call::Connections(Connections { app: &app });
        let charge = ask.charge().unwrap();
        assert_eq!((charge.rate, charge.count, charge.per_second), (Rate::ReadRequests, 1, 20));
        assert!(Call::Terminate(parse_terminate(&app, "u").unwrap()).charge().is_none());
    }

    #[test]
    fn an_app_without_bounds_is_never_charged() {
        let app = app(None, None);
        assert!(Call::Connections(Connections { app: &app }).charge().is_none());
    }

    #[test]
    fn a_caller_that_is_too_fast_is_told_when_to_come_back() {
        let app = app(None, Some(2));
        let ask = Call::Connections(Connections { app: &app });
        let (charge, mut bucket) = (ask.charge().unwrap(), Bucket::default());
        let mut at = |now_ms| charge.take_from(&mut bucket, now_ms);
        assert_eq!((at(5_000), at(5_000)), (Ok(()), Ok(())));
        let refused = at(5_000).unwrap_err();
        assert_eq!((refused.status, refused.header), (429, Some(("Retry-After", Cow::Borrowed("1")))));
        assert!(
            refused.text.contains("2 requests per second (read_requests_per_second)"),
            "{}",
            refused.text
        );
        assert!(at(5_499).is_err());
        assert_eq!((at(5_500), at(5_999).is_err(), at(6_000)), (Ok(()), true, Ok(())));
    }

    #[test]
    fn a_call_larger_than_the_bucket_is_carried_out_and_paid_for_afterwards() {
        let mut bucket = Bucket::default();
        assert_eq!(bucket.take(100, 10, 0), Ok(()));
        assert_eq!(bucket.take(1, 10, 0), Err(9_100));
        assert_eq!(bucket.take(1, 10, 9_099), Err(1));
        assert_eq!(bucket.take(1, 10, 9_100), Ok(()));
    }

    proptest! {
        #[test]
        fn no_second_sees_more_than_two_seconds_worth(
            per_second in 1_u32..2_000, steps in proptest::collection::vec((0_u64..400, 1_u32..5), 1..200),
        ) {
            let (mut bucket, mut now_ms, mut taken) = (Bucket::default(), 10_000, Vec::new());
            for (pause_ms, count) in steps {
                now_ms += pause_ms;
                match bucket.take(count, per_second, now_ms) {
                    Ok(()) => taken.push((now_ms, count)),
                    Err(wait_ms) => {
                        prop_assert!(wait_ms > 0);
                        let mut later = bucket;
                        prop_assert_eq!(later.take(1, per_second, now_ms + wait_ms), Ok(()));
                    }
                }
            }
            for (from_ms, _) in &taken {
                let within = taken.iter().filter(|(at_ms, _)| (*from_ms..from_ms + 1_000).contains(at_ms));
                let sum: u32 = within.map(|(_, count)| count).sum();
                // Microseconds are rounded down: up to one in 500 more.
                prop_assert!(sum <= 2 * per_second + per_second / 250 + 6, "{} of {}", sum, per_second);
            }
        }
    }
}
