//! The record of a connection: at most 96 bytes, and no buffer while nothing is pending.

use std::sync::Arc;

use protocol::app::{Admission, App};
use protocol::dialect::DataForm;
use protocol::presence::Member;
use protocol::ws::Decoder;

use crate::outbox::Outbox;
use crate::shard::fanout::event_bucket::EventBucket;

/// When a connection was last heard. Part of its record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heard {
    /// In seconds of the wheel; wraps after 18 hours. After a ping: when that was sent. Two bytes that ask for no alignment:
    /// the record has no room for a gap.
    pub(in crate::shard) second: [u8; 2],
    /// A ping was sent, and nothing has come since.
    pub(in crate::shard) pinged: bool,
}

/// What the shard keeps of a connection.
#[derive(Debug)]
pub(super) struct Connection {
    /// Its place among its app's connections; given back when the record goes.
    pub(super) admission: Admission,
    /// The second number of its socket_id.
    pub(super) second: u64,
    /// Its channels.
    pub(super) subscriptions: Vec<Subscription>,
    /// What waits to be written.
    pub(super) outbox: Outbox,
    /// What has arrived of an unfinished message.
    pub(super) decoder: Decoder,
    /// Private bytes that came into the outbox since the last attempt to write it.
    pub(super) private_gain: u32,
    /// How many client events it may send.
    pub(super) client_events: EventBucket,
    /// When bytes of it last came.
    pub(super) heard: Heard,
    /// It stands in a dirty FIFO.
    pub(super) dirty: bool,
    /// It stands among those who wait for a tick of their app's flush interval.
    pub(super) held: bool,
    /// The kernel has refused its bytes; it waits to be writable.
    pub(super) blocked: bool,
    /// The kernel has refused its bytes, and not all of them were written since.
    pub(super) late: bool,
    /// Its next message waits for a gate or for its next turn; nothing is read meanwhile.
    pub(super) stalled: bool,
    /// How the data of its events looks.
    pub(super) form: DataForm,
}

/// A connection on a channel.
#[derive(Debug)]
pub(in crate::shard) struct Subscription {
    /// The channel's slot among the shard's local topics.
    pub(super) topic_slot: u32,
    /// Its place in that topic's fan-out list, or [`WAITING`].
    pub(super) fanout_index: u32,
    /// Tells it from earlier subscriptions of the same connection to the same channel.
    pub(super) ticket: u32,
    /// The end of the sequence number that its Enter or Replay had among the roots to its home.
    pub(super) entered: u32,
    /// What its home does for it.
    pub(super) needs: Needs,
}

/// What a subscription needs of its topic's home, besides the events.
#[derive(Clone, Debug)]
pub enum Needs {
    /// Nothing that is kept. On a live link it is acknowledged at once, unless the channel's kind says that it gets the last
    /// event: home answers then.
    Nothing,
    /// A place in the roster, for this member. Home answers, and must hear when the subscription goes.
    Presence(Arc<Member>),
}

/// In place of a place in the fan-out list: not acknowledged yet.
pub(super) const WAITING: u32 = u32::MAX;

impl Connection {
    /// One that has just come and has nothing yet.
    pub(super) fn new(admission: Admission, second: u64, heard: Heard, form: DataForm) -> Self {
        Self {
            admission,
            second,
            subscriptions: Vec::new(),
            outbox: Outbox::default(),
            decoder: Decoder::default(),
            private_gain: 0,
            client_events: EventBucket::default(),
            heard,
            dirty: false,
            held: false,
            blocked: false,
            late: false,
            stalled: false,
            form,
        }
    }

    /// The app it belongs to.
    pub(super) fn app(&self) -> &Arc<App> {
        self.admission.app()
    }
}

impl Subscription {
    /// As whom it is on a presence channel.
    pub(in crate::shard) fn member(&self) -> Option<&Arc<Member>> {
        match &self.needs {
            Needs::Nothing => None,
            Needs::Presence(member) => Some(member),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_and_a_subscription_stay_small() {
        assert!(size_of::<Connection>() <= 96, "{}", size_of::<Connection>());
        assert!(size_of::<Subscription>() <= 24, "{}", size_of::<Subscription>());
    }
}
