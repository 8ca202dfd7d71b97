//! Commands that change something on a server. Each has a number within its epoch, which the server counts up: one that
//! comes again does nothing.
//!
//! Their arguments in a call of OPS, one after another:
//!
//! | command | arguments |
//! |---|---|
//! | `J` | topic, link, subscriptions |
//! | `C` | topic, subscriptions |
//! | `E` | topic, user, user_info or nothing, ticket, `1` if it must not be refused or `0`, most members |
//! | `X` | topic, user |
//! | `P` | topic, event ([`event_data`](super::event_data)), for how many milliseconds it is remembered or `0` |
//! | `R` | epoch |
//! | `A` | order ([`order`](super::order)) |

use std::sync::Arc;

use protocol::presence::Member;

use crate::cluster::epoch::Epoch;

/// A command. Topics are named as servers know them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// This node has subscribers of the topic: from now on its inbox gets what happens there, beginning with
    /// [`Joined`](super::item::Item::Joined).
    Join {
        /// The topic.
        topic: Arc<[u8]>,
        /// Comes back in the answer.
        link: u64,
        /// How many subscribers.
        subscriptions: u64,
    },
    /// How many subscribers this node has; 0 ends the link. Nothing if there is no link.
    Count {
        /// The topic.
        topic: Arc<[u8]>,
        /// How many.
        subscriptions: u64,
    },
    /// A user has a first connection here: [`Entered`](super::item::Item::Entered) or
    /// [`Refused`](super::item::Item::Refused).
    Enter {
        /// The topic.
        topic: Arc<[u8]>,
        /// The user. Its `user_info` holds if it is nowhere else.
        member: Arc<Member>,
        /// Comes back in the answer.
        ticket: u64,
        /// It was there already: it is not refused.
        force: bool,
        /// How many users there may be.
        members_max: u64,
    },
    /// A user has no connection here any more.
    Exit {
        /// The topic.
        topic: Arc<[u8]>,
        /// The user.
        user_id: Box<str>,
    },
    /// An event for all nodes with a link to the topic.
    Publish {
        /// The topic.
        topic: Arc<[u8]>,
        /// The event.
        data: Arc<[u8]>,
        /// For how long the topic remembers it, in milliseconds. 0: it does not.
        cache_ms: u64,
    },
    /// All that this node holds is told in its session of now: an earlier one is dead.
    Retire {
        /// The earlier one.
        epoch: Epoch,
    },
    /// For all nodes, whatever they have links to.
    Order(Arc<[u8]>),
}

/// What a command counts for without its own bytes: in batches, in queues and in inboxes.
pub const COMMAND_BYTES: usize = 64;

impl Command {
    /// Says its arguments, one after another.
    pub fn write(&self, push: &mut impl FnMut(&[u8])) {
        match self {
            Self::Join { topic, link, subscriptions } => {
                push(b"J");
                push(topic);
                push(link.to_string().as_bytes());
                push(subscriptions.to_string().as_bytes());
            }
            Self::Count { topic, subscriptions } => {
                push(b"C");
                push(topic);
                push(subscriptions.to_string().as_bytes());
            }
            Self::Enter { topic, member, ticket, force, members_max } => {
                push(b"E");
                push(topic);
                push(member.user_id.as_bytes());
                push(member.user_info.as_deref().unwrap_or("").as_bytes());
                push(ticket.to_string().as_bytes());
                push(if *force { b"1" } else { b"0" });
                push(members_max.to_string().as_bytes());
            }
            Self::Exit { topic, user_id } => {
                push(b"X");
                push(topic);
                push(user_id.as_bytes());
            }
            Self::Publish { topic, data, cache_ms } => {
                push(b"P");
                push(topic);
                push(data);
                push(cache_ms.to_string().as_bytes());
            }
            Self::Retire { epoch } => {
                push(b"R");
                push(epoch.to_string().as_bytes());
            }
            Self::Order(order) => {
                push(b"A");
                push(order);
            }
        }
    }

    /// What it counts for, in bytes.
    pub fn bytes(&self) -> usize {
        COMMAND_BYTES
            + match self {
                Self::Join { topic, .. } | Self::Count { topic, .. } => topic.len(),
                Self::Enter { topic, member, .. } => {
                    topic.len() + member.user_id.len() + member.user_info.as_deref().map_or(0, str::len)
                }
                Self::Exit { topic, user_id } => topic.len() + user_id.len(),
                Self::Publish { topic, data, .. } => topic.len() + data.len(),
                Self::Retire { .. } => 0,
                Self::Order(order) => order.len(),
            }
    }

    /// True for what the script PUB takes.
    pub fn is_publish(&self) -> bool {
        matches!(self, Self::Publish { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(command: &Command) -> Vec<String> {
        let mut all = Vec::new();
        command.write(&mut |argument| all.push(String::from_utf8_lossy(argument).into_owned()));
        all
    }

    #[test]
    fn each_command_says_its_arguments_as_the_scripts_read_them() {
        let topic: Arc<[u8]> = (&b"1/cx"[..]).into();
        let member =
            |info: Option<&str>| Arc::new(Member { user_id: "u".into(), user_info: info.map(Into::into) });
        let enter = |info, force| Command::Enter {
            topic: Arc::clone(&topic),
            member: member(info),
            ticket: 7,
            force,
            members_max: 100,
        };
        let all = [
            (Command::Join { topic: Arc::clone(&topic), link: 3, subscriptions: 2 }, "J 1/cx 3 2"),
            (Command::Count { topic: Arc::clone(&topic), subscriptions: 0 }, "C 1/cx 0"),
            (enter(Some("{}"), false), "E 1/cx u {} 7 0 100"),
            (enter(None, true), "E 1/cx u  7 1 100"),
            (Command::Exit { topic: Arc::clone(&topic), user_id: "u".into() }, "X 1/cx u"),
            (
                Command::Publish { topic: Arc::clone(&topic), data: (&b"e"[..]).into(), cache_ms: 9 },
                "P 1/cx e 9",
            ),
            (Command::Retire { epoch: Epoch(10) }, "R 000000000000000a"),
            (Command::Order((&b"T"[..]).into()), "A T"),
        ];
        for (command, arguments) in all {
            assert_eq!(written(&command).join(" "), arguments);
        }
    }
}
