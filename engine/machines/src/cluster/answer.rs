//! What scripts answer on the command connection.
//!
//! | script | answers |
//! |---|---|
//! | REGISTER | `MAP`, or an array: identity, milliseconds of the server's clock, then each order that is wanted |
//! | HELLO | the number of the last command done, or `GONE` |
//! | OPS, PUB | the number of the last command done, or `FENCED`, or `GAP` |
//! | BEAT | `FENCED`, or an array of four: milliseconds of the server's clock; bytes in the session's inbox; an array of epoch, beat, `1` if dead, `2` if its node stops soon, else `0`, of each session; an array of app, connections in all other living sessions, of each app that has any |
//! | COUNTS | an array: subscriptions, users; and if they were asked for and are there, the cached event and the milliseconds that are left of it |
//! | LIST | an array: the next cursor, then name, subscriptions, users of each channel |
//! | USERS | an array: the next cursor, then each user |
//! | all others | a number |
//!
//! Anything else is an error reply: the session goes on only if HELLO says so.

use std::sync::Arc;

use crate::cluster::call::Script;
use crate::cluster::epoch::Epoch;
use crate::cluster::lookup::LookedUp;
use crate::cluster::parts::number;
use crate::mesh::Counts;

/// A reply as it stands in the server's protocol.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// Nothing.
    Nil,
    /// A number.
    Number(i64),
    /// A string.
    Bytes(Vec<u8>),
    /// Several.
    Array(Vec<Self>),
    /// An error reply. `NOSCRIPT` never comes here: the driver loads the script and sends the call again.
    Error(Box<str>),
}

/// A session that is registered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Registered {
    /// Its epoch.
    pub epoch: Epoch,
    /// How often it has beaten.
    pub beat: u64,
    /// It is dead, and to be swept.
    pub dead: bool,
    /// Its node stops soon.
    pub leaves: bool,
}

/// What a script has answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The session begins.
    Registered {
        /// The memory of the server: another identity has other data.
        identity: Arc<[u8]>,
        /// The server's clock, in milliseconds.
        time_ms: u64,
        /// Orders that came meanwhile.
        orders: Vec<Vec<u8>>,
    },
    /// Other nodes have another list of servers.
    MapRefused,
    /// Commands up to this number are done.
    Done(u64),
    /// The session is over, or its server is another.
    Gone,
    /// The session was closed, killed or cut.
    Fenced,
    /// Commands between those that are done and these are missing.
    Gap,
    /// All sessions.
    Beats {
        /// The server's clock, in milliseconds.
        time_ms: u64,
        /// What waits in the inbox of the session that has beaten.
        inbox_bytes: u64,
        /// Each of them.
        all: Vec<Registered>,
        /// How many connections apps have on all other nodes.
        connections: Vec<(Box<str>, u64)>,
    },
    /// A number.
    Count(u64),
    /// What a reader has found.
    LookedUp(LookedUp),
    /// An error reply, or what no script answers.
    Failed(Box<str>),
}

impl Answer {
    /// Reads what a script has answered.
    pub fn read(script: Script, value: Value) -> Self {
        if let Value::Error(error) = value {
            return Self::Failed(error);
        }
        let read = match script {
            Script::Register => read_registered(&value),
            Script::Hello => as_number(&value).map(Self::Done).or_else(|| is(&value, b"GONE", Self::Gone)),
            Script::Ops | Script::Pub => as_number(&value)
                .map(Self::Done)
                .or_else(|| is(&value, b"FENCED", Self::Fenced))
                .or_else(|| is(&value, b"GAP", Self::Gap)),
            Script::Beat => read_beats(&value).or_else(|| is(&value, b"FENCED", Self::Fenced)),
            Script::Kill | Script::Sweep | Script::Due | Script::Ack => as_number(&value).map(Self::Count),
            Script::Counts => read_counts(&value).map(Self::LookedUp),
            Script::List => read_list(&value).map(Self::LookedUp),
            Script::Users => read_users(&value).map(Self::LookedUp),
        };
        read.unwrap_or_else(|| Self::Failed(format!("{script:?} has answered {value:?}").into()))
    }
}

fn is(value: &Value, word: &[u8], answer: Answer) -> Option<Answer> {
    as_bytes(value).is_some_and(|bytes| bytes == word).then_some(answer)
}

fn as_bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}

fn as_number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(value) => u64::try_from(*value).ok(),
        Value::Bytes(bytes) => number(bytes),
        _ => None,
    }
}

fn as_array(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

fn as_text(value: &Value) -> Option<Box<str>> {
    std::str::from_utf8(as_bytes(value)?).ok().map(Into::into)
}

fn read_registered(value: &Value) -> Option<Answer> {
    if let Some(refused) = is(value, b"MAP", Answer::MapRefused) {
        return Some(refused);
    }
    let [identity, time_ms, orders @ ..] = as_array(value)? else { return None };
    let orders = orders.iter().map(|order| as_bytes(order).map(<[u8]>::to_vec)).collect::<Option<_>>()?;
    Some(Answer::Registered { identity: as_bytes(identity)?.into(), time_ms: as_number(time_ms)?, orders })
}

fn read_beats(value: &Value) -> Option<Answer> {
    let [time_ms, inbox_bytes, all, connections] = as_array(value)? else { return None };
    let all = as_array(all)?.chunks(3).map(read_session).collect::<Option<_>>()?;
    let of_app = |pair: &[Value]| {
        let [app, count] = pair else { return None };
        Some((as_text(app)?, as_number(count)?))
    };
    let connections = as_array(connections)?.chunks(2).map(of_app).collect::<Option<_>>()?;
    let (time_ms, inbox_bytes) = (as_number(time_ms)?, as_number(inbox_bytes)?);
    Some(Answer::Beats { time_ms, inbox_bytes, all, connections })
}

fn read_session(fields: &[Value]) -> Option<Registered> {
    let [epoch, beat, state] = fields else { return None };
    let (epoch, state) = (Epoch::parse(as_bytes(epoch)?)?, as_number(state)?);
    Some(Registered { epoch, beat: as_number(beat)?, dead: state == 1, leaves: state == 2 })
}

/// Others may have written what they like into the counts and names of a topic: what is no number is none, and what is no
/// name is left out.
fn counts_of(subscriptions: &Value, users: &Value) -> Counts {
    let number = |value| as_number(value).unwrap_or_default();
    Counts { subscriptions: number(subscriptions), users: u32::try_from(number(users)).unwrap_or(u32::MAX) }
}

fn read_counts(value: &Value) -> Option<LookedUp> {
    let (counts, cached) = match as_array(value)? {
        [subscriptions, users] => (counts_of(subscriptions, users), None),
        [subscriptions, users, event, left_ms] => {
            (counts_of(subscriptions, users), Some((as_bytes(event)?.to_vec(), as_number(left_ms)?)))
        }
        _ => return None,
    };
    Some(LookedUp::Channel { counts, cached })
}

fn read_list(value: &Value) -> Option<LookedUp> {
    let [next, all @ ..] = as_array(value)? else { return None };
    let of_channel = |fields: &[Value]| match fields {
        [name, subscriptions, users] => Some((as_text(name)?, counts_of(subscriptions, users))),
        _ => None,
    };
    let found = all.chunks(3).filter_map(of_channel).collect();
    (all.len() % 3 == 0).then_some(LookedUp::Channels { next: as_number(next)?, found })
}

fn read_users(value: &Value) -> Option<LookedUp> {
    let [next, all @ ..] = as_array(value)? else { return None };
    let is_list = all.iter().all(|id| matches!(id, Value::Bytes(_)));
    is_list
        .then_some(LookedUp::Users { next: as_number(next)?, ids: all.iter().filter_map(as_text).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Value {
        Value::Bytes(text.as_bytes().to_vec())
    }

    #[test]
    fn what_scripts_answer_is_read() {
        let registered = Value::Array(vec![bytes("id"), Value::Number(7), bytes("T")]);
        let (identity, orders) = ((&b"id"[..]).into(), vec![b"T".to_vec()]);
        let expected = Answer::Registered { identity, time_ms: 7, orders };
        assert_eq!(Answer::read(Script::Register, registered), expected);
        assert_eq!(Answer::read(Script::Register, bytes("MAP")), Answer::MapRefused);
        assert_eq!(Answer::read(Script::Hello, Value::Number(3)), Answer::Done(3));
        assert_eq!(Answer::read(Script::Hello, bytes("GONE")), Answer::Gone);
        assert_eq!(Answer::read(Script::Ops, bytes("FENCED")), Answer::Fenced);
        assert_eq!(Answer::read(Script::Pub, bytes("GAP")), Answer::Gap);
        assert_eq!(Answer::read(Script::Sweep, Value::Number(0)), Answer::Count(0));
        let sessions = vec![bytes("000000000000000b"), bytes("4"), Value::Number(1)];
        let leaving = [bytes("000000000000000c"), bytes("5"), Value::Number(2)];
        let sessions = Value::Array([sessions, leaving.to_vec()].concat());
        let apps = Value::Array(vec![bytes("1"), bytes("9")]);
        let beats = Value::Array(vec![Value::Number(8), Value::Number(70), sessions, apps]);
        let expected = Answer::Beats {
            time_ms: 8,
            inbox_bytes: 70,
            all: vec![
                Registered { epoch: Epoch(11), beat: 4, dead: true, leaves: false },
                Registered { epoch: Epoch(12), beat: 5, dead: false, leaves: true },
            ],
            connections: vec![("1".into(), 9)],
        };
        assert_eq!(Answer::read(Script::Beat, beats), expected);
    }

    #[test]
    fn what_readers_find_is_read_and_what_others_wrote_there_is_left_out() {
        let counts = |subscriptions, users| Counts { subscriptions, users };
        let looked_up = |script, values| match Answer::read(script, Value::Array(values)) {
            Answer::LookedUp(looked_up) => looked_up,
            other => panic!("{other:?}"),
        };
        let three = || vec![Value::Number(3), Value::Number(-1)];
        let expected = LookedUp::Channel { counts: counts(3, 0), cached: None };
        assert_eq!(looked_up(Script::Counts, three()), expected);
        let cached = [three(), vec![bytes("event"), Value::Number(70)]].concat();
        let expected = LookedUp::Channel { counts: counts(3, 0), cached: Some((b"event".to_vec(), 70)) };
        assert_eq!(looked_up(Script::Counts, cached), expected);
        let garbage = || Value::Bytes(vec![0xff]);
        let list = [
            vec![bytes("9"), bytes("a"), Value::Number(2), Value::Number(1)],
            vec![garbage(), Value::Number(2), Value::Number(1)],
        ];
        let expected = LookedUp::Channels { next: 9, found: vec![("a".into(), counts(2, 1))] };
        assert_eq!(looked_up(Script::List, list.concat()), expected);
        let expected = LookedUp::Users { next: 0, ids: vec!["ann".into()] };
        assert_eq!(looked_up(Script::Users, vec![bytes("0"), garbage(), bytes("ann")]), expected);
    }

    #[test]
    fn anything_else_has_failed() {
        let others = [
            Value::Nil,
            Value::Number(-1),
            bytes("OK"),
            Value::Error("READONLY".into()),
            Value::Array(vec![Value::Number(1), Value::Array(vec![bytes("1")]), Value::Array(vec![])]),
        ];
        for script in Script::ALL {
            for other in &others {
                assert!(
                    matches!(Answer::read(script, other.clone()), Answer::Failed(_)),
                    "{script:?} {other:?}"
                );
            }
        }
    }
}
