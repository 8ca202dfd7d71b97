//! What homes do, as they do it: the witness of each shard notes it, and model and hooks are told after the phase.

use std::cell::RefCell;
use std::rc::Rc;

use corecast_machines::mesh::Origin;
use corecast_machines::shard::home::cache::cached_bytes;
use corecast_machines::shard::home::witness::{self, Witness};

use crate::model::Done;
use crate::remembered::Kept;

/// What was done to a channel, and whether the hooks want to know of it.
pub type Deed = (String, Done, bool);

/// What homes have done since it was last taken.
#[derive(Clone, Debug, Default)]
pub struct Deeds(Rc<RefCell<Vec<Deed>>>);

impl Deeds {
    pub fn take(&self) -> Vec<Deed> {
        self.0.take()
    }

    /// Notes what a home does.
    pub fn witness(&self) -> Witness {
        let deeds = Rc::clone(&self.0);
        Box::new(move |deed| {
            let (topic, done, hooked) = match deed {
                witness::Deed::Occupied(topic) => (topic, Done::Occupied, false),
                witness::Deed::Vacated(topic) => (topic, Done::Vacated, false),
                witness::Deed::Online(topic) => (topic, Done::Online, false),
                witness::Deed::Offline(topic) => (topic, Done::Offline, false),
                witness::Deed::Added { topic, user_id } => (topic, Done::Added(user_id.to_owned()), false),
                witness::Deed::Removed { topic, user_id } => {
                    (topic, Done::Removed(user_id.to_owned()), false)
                }
                witness::Deed::Published { event, hooked } => {
                    assert_eq!(
                        event.origin,
                        origin(event.frame.as_bytes()),
                        "an event's name says its origin"
                    );
                    let id = event_id(event.frame.as_bytes());
                    let of_client = event.origin == Origin::Client;
                    let kept = Kept {
                        bytes: cached_bytes(&event.topic, &event.frame),
                        ttl_ms: 1000 * u64::from(event.topic.app.cache_ttl_s),
                    };
                    (&*event.topic, Done::Event { id, except: event.except, of_client, kept }, hooked)
                }
                witness::Deed::Replayed { topic, frame } => {
                    (topic, Done::Replayed(frame.map(|frame| event_id(frame.as_bytes()))), false)
                }
                witness::Deed::Counted { topic, subscriptions, hooked } => {
                    (topic, Done::Counted(subscriptions), hooked)
                }
            };
            deeds.borrow_mut().push((topic.name().into_owned(), done, hooked));
        })
    }
}

/// Where an event has come from.
fn origin(frame: &[u8]) -> Origin {
    let text = String::from_utf8_lossy(frame);
    if text.contains("\"event\":\"client-") { Origin::Client } else { Origin::BackEnd }
}

/// The digits at the beginning of data within its quotes. As text it begins with its number, as JSON with a key before that.
pub fn number_in_literal(data: &str) -> Option<&str> {
    data.trim_start_matches(r#"{\"id\":"#).split([':', ',']).next()
}

/// The number at the beginning of an event's data.
pub fn event_id(frame: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(frame);
    let data = text.split("\"data\":\"").nth(1).expect("each event has data");
    let id = number_in_literal(data);
    id.and_then(|id| id.parse().ok()).expect("each event's data begins with its number")
}
