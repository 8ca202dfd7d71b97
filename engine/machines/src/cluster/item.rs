//! What stands in inboxes: each entry of the stream has one or more items, a field and a value each.
//!
//! | field | value |
//! |---|---|
//! | `J` topic | parts: link, subscribers on other nodes, milliseconds that are left of the cached event or `0`, cached event or nothing; then a user and its `user_info` or nothing, of each member |
//! | `E` topic | part: user; then the ticket |
//! | `R` topic | the same |
//! | `+` topic | part: user; then its `user_info` or nothing |
//! | `-` topic | the user |
//! | `#` topic | how many subscribers it has on other nodes |
//! | `P` topic | event ([`event_data`](super::event_data)) |
//! | `A` | order ([`order`](super::order)) |
//! | `!` | nothing: the inbox had too much in it and was cut |
//!
//! Entries are numbered 1, 2, 3 … (`0-1`, `0-2` …); a number that is left out ends the session. An item counts for
//! [`COMMAND_BYTES`] and the bytes of its field and value.

use std::sync::Arc;

use protocol::presence::Member;

use crate::cluster::command::COMMAND_BYTES;
use crate::cluster::event_data::{EventData, decode_event};
use crate::cluster::order::Order;
use crate::cluster::parts::{Parts, number};

/// An entry of an inbox as it was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its number.
    pub number: u64,
    /// Fields with their values.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Entry {
    /// The number of the entry with this id. None: no script makes such ids.
    pub fn number_of(id: &[u8]) -> Option<u64> {
        number(id.strip_prefix(b"0-")?).filter(|number| *number > 0)
    }

    /// What it counts for, in bytes.
    pub fn bytes(&self) -> u64 {
        let of_item = |(field, value): &(Vec<u8>, Vec<u8>)| COMMAND_BYTES + field.len() + value.len();
        self.fields.iter().map(of_item).sum::<usize>() as u64
    }
}

/// One item, and what it is about, as servers call it.
#[derive(Debug)]
#[expect(missing_docs, reason = "the fields mean what they mean in commands")]
pub enum Item<'a> {
    /// The answer to a Join. What happens to the topic comes behind it. The last event of a cache channel comes with the
    /// milliseconds for which it will be remembered.
    Joined {
        topic: &'a [u8],
        link: u64,
        elsewhere: u64,
        members: Vec<Arc<Member>>,
        cached: Option<(EventData, u64)>,
    },
    /// The answer to an Enter: the user is in.
    Entered { topic: &'a [u8], user_id: &'a str, ticket: u64 },
    /// The answer to an Enter: there is no room.
    Refused { topic: &'a [u8], user_id: &'a str, ticket: u64 },
    /// A user has a first connection.
    Added { topic: &'a [u8], member: Arc<Member> },
    /// A user has no connection any more.
    Removed { topic: &'a [u8], user_id: &'a str },
    /// So many subscribe to the topic on other nodes.
    Elsewhere { topic: &'a [u8], subscriptions: u64 },
    /// An event.
    Event { topic: &'a [u8], event: EventData },
    /// For all nodes.
    Order(Order),
    /// The inbox was cut.
    Cut,
}

impl<'a> Item<'a> {
    /// Reads an item. None: no script writes that.
    pub fn read(field: &'a [u8], value: &'a [u8]) -> Option<Self> {
        let (kind, topic) = field.split_first()?;
        match kind {
            b'J' => read_joined(topic, value),
            b'E' | b'R' => {
                let mut parts = Parts(value);
                let user_id = parts.next_text()?;
                let ticket = number(parts.0)?;
                Some(match kind {
                    b'E' => Self::Entered { topic, user_id, ticket },
                    _ => Self::Refused { topic, user_id, ticket },
                })
            }
            b'+' => {
                let mut parts = Parts(value);
                let user_id = parts.next_text()?;
                Some(Self::Added { topic, member: member(user_id, std::str::from_utf8(parts.0).ok()?) })
            }
            b'-' => Some(Self::Removed { topic, user_id: std::str::from_utf8(value).ok()? }),
            b'#' => Some(Self::Elsewhere { topic, subscriptions: number(value)? }),
            b'P' => Some(Self::Event { topic, event: decode_event(value)? }),
            b'A' if topic.is_empty() => Order::decode(value).map(Self::Order),
            b'!' if topic.is_empty() => Some(Self::Cut),
            _ => None,
        }
    }
}

fn read_joined<'a>(topic: &'a [u8], value: &[u8]) -> Option<Item<'a>> {
    let mut parts = Parts(value);
    let (link, elsewhere) = (parts.next_number()?, parts.next_number()?);
    let (ttl_ms, cached) = (parts.next_number()?, parts.next_part()?);
    let cached = match cached {
        [] => None,
        bytes => Some((decode_event(bytes)?, ttl_ms)),
    };
    let mut members = Vec::new();
    while !parts.is_empty() {
        members.push(member(parts.next_text()?, parts.next_text()?));
    }
    Some(Item::Joined { topic, link, elsewhere, members, cached })
}

fn member(user_id: &str, user_info: &str) -> Arc<Member> {
    let user_info = Some(user_info).filter(|info| !info.is_empty());
    Arc::new(Member { user_id: user_id.into(), user_info: user_info.map(Into::into) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::parts::push_part;

    fn parts(all: &[&str]) -> Vec<u8> {
        let mut value = Vec::new();
        all.iter().for_each(|part| push_part(&mut value, part.as_bytes()));
        value
    }

    #[test]
    fn the_answer_to_a_join_has_the_roster() {
        let value = parts(&["3", "5", "0", "", "a", "{}", "b", ""]);
        let Some(Item::Joined { topic, link, elsewhere, members, cached }) = Item::read(b"J1/cx", &value)
        else {
            panic!("it is one")
        };
        let names: Vec<_> = members.iter().map(|it| (&*it.user_id, it.user_info.as_deref())).collect();
        assert_eq!((topic, link, elsewhere, cached.is_none()), (&b"1/cx"[..], 3, 5, true));
        assert_eq!(names, [("a", Some("{}")), ("b", None)]);
    }

    #[test]
    fn answers_name_the_ticket() {
        let mut value = parts(&["u"]);
        value.extend_from_slice(b"12");
        let entered = Item::read(b"E1/cx", &value);
        assert!(matches!(entered, Some(Item::Entered { user_id: "u", ticket: 12, .. })), "{entered:?}");
        let refused = Item::read(b"R1/cx", &value);
        assert!(matches!(refused, Some(Item::Refused { user_id: "u", ticket: 12, .. })), "{refused:?}");
    }

    #[test]
    fn what_no_script_writes_is_no_item() {
        let garbage: [(&[u8], &[u8]); 10] = [
            (b"", b""),
            (b"?x", b""),
            (b"Jx", b"\0\0\0\x01"),
            (b"Ex", b"\xff\xff\xff\xffu1"),
            (b"+x", b"\0\0\0\x01\xff"),
            (b"-x", b"\xff"),
            (b"#x", b"many"),
            (b"Px", b"short"),
            (b"Ax", b"T"),
            (b"!x", b""),
        ];
        for (field, value) in garbage {
            assert!(Item::read(field, value).is_none(), "{field:?} {value:?}");
        }
        assert_eq!(Entry::number_of(b"0-7"), Some(7));
        for id in ["0-0", "1-1", "7", "0-", "0-x"] {
            assert_eq!(Entry::number_of(id.as_bytes()), None, "{id}");
        }
    }
}
