//! How fast each app's back ends publish and ask: one bucket per app and rate, for apps that bound them.
//!
//! Bounded by the apps there are: an app has buckets when it was charged, and loses them with its place in the
//! registry. Those of apps that stay go on as they are.

use api::call::Call;
use api::rate::{Bucket, Rate};
use api::refused::Refused;
use hashbrown::HashMap;
use protocol::app::Apps;

use crate::machine::Now;

/// The buckets of all apps.
#[derive(Debug, Default)]
pub(super) struct Rates {
    by_app: HashMap<Box<str>, Buckets>,
}

#[derive(Debug, Default)]
struct Buckets {
    backend_events: Bucket,
    read_requests: Bucket,
}

impl Rates {
    /// Charges the app for this call, or refuses the call because its back ends are too fast.
    pub(super) fn charge(&mut self, call: &Call<'_>, now: Now) -> Result<(), Refused> {
        let Some(charge) = call.charge() else { return Ok(()) };
        let buckets = self.by_app.entry_ref(&charge.app.id).or_default();
        let bucket = match charge.rate {
            Rate::BackendEvents => &mut buckets.backend_events,
            Rate::ReadRequests => &mut buckets.read_requests,
        };
        charge.take_from(bucket, now.mono_ms)
    }
    /// Forgets the apps that are none of these.
    pub(super) fn keep(&mut self, apps: &Apps) {
        self.by_app.retain(|id, _| apps.by_id(id).is_some());
    }
}
