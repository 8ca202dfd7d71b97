//! Calls of the scripts on a server, as a session asks its driver for them. They go out on the command connection in their
//! order, and their answers come back in the same order ([`answer`](super::answer)).
//!
//! The driver puts what all scripts share before these arguments: the prefix of all keys, the bounds, and whatever else the
//! scripts' head reads.
//!
//! | script | arguments |
//! |---|---|
//! | REGISTER | epoch, earlier epoch or nothing, digest of the list of servers, since when orders are wanted: milliseconds of the server's clock, or of the time that has passed since with a minus before it |
//! | HELLO | epoch, identity |
//! | OPS | epoch, number of the first command, [commands](super::command) |
//! | PUB | epoch, number of the first command, then `P` and topic, event, cache milliseconds of each |
//! | BEAT | epoch, 1 if its node stops soon or 0, then app and connections of each app whose number has changed |
//! | KILL | epoch, beat |
//! | SWEEP | epoch, how many to remove |
//! | DUE | how many to look at |
//! | ACK | epoch, number of the last entry taken, bytes taken in all |
//! | COUNTS | epochs that do not count, topic, 1 if its cached event is wanted or 0 |
//! | LIST | epochs that do not count, app, what names begin with, cursor, how many at a time |
//! | USERS | topic, cursor, how many at a time |
//!
//! Several epochs stand behind one another with spaces between them.

use std::sync::Arc;

use crate::cluster::command::Command;
use crate::cluster::epoch::Epoch;

/// Which script.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Script {
    /// A session begins; the one before it ends.
    Register,
    /// Whether a session goes on, after a connection has broken.
    Hello,
    /// Commands of all kinds.
    Ops,
    /// Commands that publish: the hot one.
    Pub,
    /// A sign of life, for those of all others.
    Beat,
    /// A node whose beat does not change is dead.
    Kill,
    /// Takes out what a dead session holds, in steps.
    Sweep,
    /// Tells hooks what is due.
    Due,
    /// Entries of the inbox were taken.
    Ack,
    /// How many are in a topic.
    Counts,
    /// A slice of the channels of an app.
    List,
    /// A slice of the users of a topic.
    Users,
}

impl Script {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Register,
        Self::Hello,
        Self::Ops,
        Self::Pub,
        Self::Beat,
        Self::Kill,
        Self::Sweep,
        Self::Due,
        Self::Ack,
        Self::Counts,
        Self::List,
        Self::Users,
    ];
}

/// A moment, for a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Since {
    /// In milliseconds of its clock.
    Clock(u64),
    /// So many milliseconds ago: its clock was never read.
    Ago(u64),
}

/// A call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Call {
    /// Answered `Registered` or `MapRefused`.
    Register {
        /// The new session.
        epoch: Epoch,
        /// The one before it.
        old: Option<Epoch>,
        /// Of the list of servers and the number of this protocol.
        digest: Arc<str>,
        /// Orders since then are wanted.
        since: Since,
    },
    /// Answered `Done` or `Gone`.
    Hello {
        /// The session.
        epoch: Epoch,
        /// What REGISTER answered.
        identity: Arc<[u8]>,
    },
    /// Answered `Done`, `Fenced` or `Gap`. As PUB where all of them publish.
    Commands {
        /// The session.
        epoch: Epoch,
        /// The number of the first.
        first: u64,
        /// One after another.
        commands: Vec<Command>,
    },
    /// Answered `Beats` or `Fenced`.
    Beat {
        /// The session.
        epoch: Epoch,
        /// Its node stops soon.
        leaves: bool,
        /// How many connections apps have here, as far as that has changed since it was told.
        connections: Vec<(Box<str>, u64)>,
    },
    /// Answered `Count`: 1 if it was killed.
    Kill {
        /// Whose beat.
        epoch: Epoch,
        /// The beat that has not changed.
        beat: u64,
    },
    /// Answered `Count`: what is left.
    Sweep {
        /// The dead session.
        epoch: Epoch,
        /// How many to remove.
        slice: u64,
    },
    /// Answered `Count`: what is still due.
    Due {
        /// How many to look at.
        slice: u64,
    },
    /// Answered `Count`, which says nothing.
    Ack {
        /// The session.
        epoch: Epoch,
        /// The number of the last entry that was taken.
        entry: u64,
        /// What all entries of this session came to ([`item`](super::item)).
        bytes: u64,
    },
    /// Answered `LookedUp`.
    Counts {
        /// Whose subscriptions do not count: those of this node.
        except: Vec<Epoch>,
        /// The topic.
        topic: Arc<[u8]>,
        /// What it remembers is wanted, too.
        cached: bool,
    },
    /// Answered `LookedUp`.
    List {
        /// Whose subscriptions do not count: those of this node.
        except: Vec<Epoch>,
        /// The app.
        app: Box<[u8]>,
        /// What names begin with.
        prefix: Arc<str>,
        /// Where the slice begins.
        cursor: u64,
        /// How many to look at.
        slice: u64,
    },
    /// Answered `LookedUp`.
    Users {
        /// The topic.
        topic: Arc<[u8]>,
        /// Where the slice begins.
        cursor: u64,
        /// How many to look at.
        slice: u64,
    },
}

impl Call {
    /// Its script.
    pub fn script(&self) -> Script {
        match self {
            Self::Register { .. } => Script::Register,
            Self::Hello { .. } => Script::Hello,
            Self::Commands { commands, .. } if commands.iter().all(Command::is_publish) => Script::Pub,
            Self::Commands { .. } => Script::Ops,
            Self::Beat { .. } => Script::Beat,
            Self::Kill { .. } => Script::Kill,
            Self::Sweep { .. } => Script::Sweep,
            Self::Due { .. } => Script::Due,
            Self::Ack { .. } => Script::Ack,
            Self::Counts { .. } => Script::Counts,
            Self::List { .. } => Script::List,
            Self::Users { .. } => Script::Users,
        }
    }

    /// Says its arguments, one after another.
    pub fn write(&self, push: &mut impl FnMut(&[u8])) {
        match self {
            Self::Register { epoch, old, digest, since } => {
                push(epoch.to_string().as_bytes());
                push(old.map_or_else(String::new, |old| old.to_string()).as_bytes());
                push(digest.as_bytes());
                match since {
                    Since::Clock(ms) => push(ms.to_string().as_bytes()),
                    Since::Ago(ms) => push(format!("-{ms}").as_bytes()),
                }
            }
            Self::Hello { epoch, identity } => {
                push(epoch.to_string().as_bytes());
                push(identity);
            }
            Self::Commands { epoch, first, commands } => {
                push(epoch.to_string().as_bytes());
                push(first.to_string().as_bytes());
                match self.script() {
                    Script::Pub => commands.iter().for_each(|command| write_publish(command, push)),
                    _ => commands.iter().for_each(|command| command.write(push)),
                }
            }
            Self::Beat { epoch, leaves, connections } => {
                push(epoch.to_string().as_bytes());
                push(if *leaves { b"1" } else { b"0" });
                for (app, count) in connections {
                    push(app.as_bytes());
                    push(count.to_string().as_bytes());
                }
            }
            Self::Kill { epoch, beat: number } | Self::Sweep { epoch, slice: number } => {
                push(epoch.to_string().as_bytes());
                push(number.to_string().as_bytes());
            }
            Self::Due { slice } => push(slice.to_string().as_bytes()),
            Self::Ack { epoch, entry, bytes } => {
                push(epoch.to_string().as_bytes());
                push(entry.to_string().as_bytes());
                push(bytes.to_string().as_bytes());
            }
            Self::Counts { except, topic, cached } => {
                push(joined(except).as_bytes());
                push(topic);
                push(if *cached { b"1" } else { b"0" });
            }
            Self::List { except, app, prefix, cursor, slice } => {
                push(joined(except).as_bytes());
                push(app);
                push(prefix.as_bytes());
                push(cursor.to_string().as_bytes());
                push(slice.to_string().as_bytes());
            }
            Self::Users { topic, cursor, slice } => {
                push(topic);
                push(cursor.to_string().as_bytes());
                push(slice.to_string().as_bytes());
            }
        }
    }
}

fn joined(epochs: &[Epoch]) -> String {
    epochs.iter().map(Epoch::to_string).collect::<Vec<_>>().join(" ")
}

/// What PUB takes in one argument is the key of the field that each inbox gets.
fn write_publish(command: &Command, push: &mut impl FnMut(&[u8])) {
    let Command::Publish { topic, data, cache_ms } = command else { return };
    push(&[b"P", &**topic].concat());
    push(data);
    push(cache_ms.to_string().as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(call: &Call) -> (Script, String) {
        let mut all = Vec::new();
        call.write(&mut |argument| all.push(String::from_utf8_lossy(argument).into_owned()));
        (call.script(), all.join(" "))
    }

    #[test]
    fn commands_that_all_publish_go_by_the_script_that_does_nothing_else() {
        let (epoch, topic): (_, Arc<[u8]>) = (Epoch(1), (&b"1/cx"[..]).into());
        let publish = Command::Publish { topic: Arc::clone(&topic), data: (&b"e"[..]).into(), cache_ms: 0 };
        let exit = Command::Exit { topic, user_id: "u".into() };
        let call = |commands: &[&Command]| Call::Commands {
            epoch,
            first: 4,
            commands: commands.iter().map(|command| (*command).clone()).collect(),
        };
        let of_publishes = written(&call(&[&publish, &publish]));
        assert_eq!(of_publishes, (Script::Pub, "0000000000000001 4 P1/cx e 0 P1/cx e 0".into()));
        let mixed = written(&call(&[&publish, &exit]));
        assert_eq!(mixed, (Script::Ops, "0000000000000001 4 P 1/cx e 0 X 1/cx u".into()));
    }

    #[test]
    fn readers_name_the_sessions_that_do_not_count() {
        let (except, topic) = (vec![Epoch(1), Epoch(2)], (&b"1/cx"[..]).into());
        let counts = written(&Call::Counts { except: except.clone(), topic, cached: true });
        assert_eq!(counts, (Script::Counts, "0000000000000001 0000000000000002 1/cx 1".into()));
        let list =
            Call::List { except, app: b"1".as_slice().into(), prefix: "pre".into(), cursor: 7, slice: 9 };
        assert_eq!(written(&list).1, "0000000000000001 0000000000000002 1 pre 7 9");
        let users = Call::Users { topic: (&b"1/cx"[..]).into(), cursor: 0, slice: 9 };
        assert_eq!(written(&users), (Script::Users, "1/cx 0 9".into()));
    }

    #[test]
    fn a_first_session_has_none_before_it_and_wants_the_orders_of_its_node_s_life() {
        let register = |old, since| Call::Register { epoch: Epoch(2), old, digest: "d".into(), since };
        assert_eq!(written(&register(None, Since::Ago(7))).1, "0000000000000002  d -7");
        assert_eq!(
            written(&register(Some(Epoch(1)), Since::Clock(5))).1,
            "0000000000000002 0000000000000001 d 5"
        );
    }
}
