//! The connection over which the one node that has hooks' edges takes them, and over which the others ask for them.
//!
//! It waits for the server, so it has a thread of its own, and its faults end no session.

use std::time::Duration;

use redis::{Cmd, Connection, RedisResult, Value, cmd};

use crate::caller::connect;
use crate::digests::Digests;
use crate::fault::Fault;
use crate::keys::Keys;
use crate::limits::{EDGES_TAKEN_MAX, LEVELS_SLICE};
use crate::script::Script;
use crate::server::Server;

/// A connection to a server.
pub struct Taker {
    connection: Connection,
    digests: Digests,
    keys: Keys,
    patience: Duration,
    identity: Box<str>,
}

/// An edge as a server keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamEdge {
    /// Where it stands: when it was told, in milliseconds of the server's clock, and its number then.
    pub id: Box<str>,
    /// Whether it rises.
    pub up: bool,
    /// Of what.
    pub name: Box<[u8]>,
    /// What is known of a member, or nothing.
    pub info: Box<[u8]>,
}

impl StreamEdge {
    /// When it was told, in milliseconds of the server's clock.
    pub fn time_ms(&self) -> u64 {
        self.id.split_once('-').and_then(|(ms, _)| ms.parse().ok()).unwrap_or(0)
    }
}

/// What a node wants of edges.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// To have them, also where nobody has had them.
    Begin,
    /// To have them after somebody else.
    Follow,
    /// To have them no more.
    Leave,
}

impl Wish {
    fn word(self) -> &'static str {
        match self {
            Self::Begin => "1",
            Self::Follow => "0",
            Self::Leave => "leave",
        }
    }
}

/// What an attempt to take edges has come to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Taken {
    /// The session is over.
    Fenced,
    /// Another node has them.
    Other,
    /// Nobody has had them, and this node may not begin.
    Nobody,
    /// This node has had them, and these come next.
    Held {
        /// They.
        edges: Vec<StreamEdge>,
        /// There are more.
        more: bool,
    },
    /// This node has them from now on, and asks again.
    Taken {
        /// Who has had them before in this memory, if anybody has.
        before: Option<Box<str>>,
    },
}

/// A slice of levels that are up.
#[derive(Debug)]
pub struct Slice {
    /// Where to go on. None: that was all.
    pub next: Option<(Box<str>, Box<str>)>,
    /// Their names.
    pub names: Vec<Box<[u8]>>,
}

impl Taker {
    /// Connects and logs in. No answer may take longer than `patience`.
    pub fn open(server: &Server, keys: &Keys, patience: Duration) -> Result<Self, Fault> {
        let mut connection = connect(server, patience)?;
        let mut of = |section: &str, field: &str| -> Result<String, Fault> {
            let info: String = cmd("INFO").arg(section).query(&mut connection)?;
            let line = info.lines().find_map(|line| line.strip_prefix(field));
            Ok(line.unwrap_or_default().trim().to_owned())
        };
        let identity = [of("server", "run_id:")?, of("replication", "master_replid:")?].concat().into();
        Ok(Self { connection, digests: Digests::default(), keys: keys.clone(), patience, identity })
    }

    /// Whose memory it is.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Takes what comes behind the edge with this id, which is in the journal with all before it. `passed` are the levels that
    /// were passed on since it was last told.
    pub fn take(
        &mut self,
        epoch: &str,
        journaled: &str,
        wish: Wish,
        passed: &[(Box<[u8]>, bool)],
    ) -> Result<Taken, Fault> {
        let value = self.call(Script::Edges, |question| {
            question.arg(epoch).arg(journaled).arg(EDGES_TAKEN_MAX).arg(wish.word());
            for (name, up) in passed {
                question.arg(&**name).arg(if *up { "up" } else { "down" });
            }
        })?;
        let mut words = words(value);
        let (word, before) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        match &*word {
            b"FENCED" => Ok(Taken::Fenced),
            b"OTHER" => Ok(Taken::Other),
            b"NONE" => Ok(Taken::Nobody),
            // They are asked for again: what was told before must be known first.
            b"TAKEN" => {
                let before = String::from_utf8_lossy(&before).into_owned().into_boxed_str();
                Ok(Taken::Taken { before: Some(before).filter(|before| !before.is_empty()) })
            }
            b"HELD" => {
                let edges = edges(words);
                let more = edges.len() >= EDGES_TAKEN_MAX;
                Ok(Taken::Held { edges, more })
            }
            _ => Err(Fault::new("it answers nothing that our scripts do")),
        }
    }

    /// Waits for an edge behind the one with this id.
    pub fn wait(&mut self, after: &str, patience: Duration) -> Result<(), Fault> {
        self.connection.set_read_timeout(Some(patience + self.patience))?;
        let after = if after.is_empty() { "0-0" } else { after };
        let mut question = cmd("XREAD");
        question.arg("COUNT").arg(1).arg("BLOCK").arg(patience.as_millis().max(1) as u64);
        question.arg("STREAMS").arg(self.keys.edges()).arg(after);
        let waited: RedisResult<Value> = question.query(&mut self.connection);
        self.connection.set_read_timeout(Some(self.patience))?;
        waited.map(drop).map_err(Fault::from)
    }

    /// Tells levels that are due. Returns how many are left.
    pub fn tell_due(&mut self) -> Result<u64, Fault> {
        let value = self.call(Script::Due, |question| {
            question.arg(LEVELS_SLICE);
        })?;
        Ok(redis::from_redis_value(value).unwrap_or(0))
    }

    /// A slice of what was passed on.
    pub fn passed(&mut self, cursor: &str) -> Result<Slice, Fault> {
        let value = self.call(Script::Passed, |question| {
            question.arg(cursor).arg(LEVELS_SLICE);
        })?;
        let mut words = words(value);
        let cursor = text(&words.next().unwrap_or_default());
        let next = (!matches!(&*cursor, "0" | "")).then(|| ("".into(), cursor));
        Ok(Slice { next, names: words.collect() })
    }

    /// A slice of what is up, which is told if it was not.
    pub fn there(&mut self, (epoch, cursor): (&str, &str)) -> Result<Slice, Fault> {
        let value = self.call(Script::There, |question| {
            question.arg(epoch).arg(cursor).arg(LEVELS_SLICE);
        })?;
        let mut words = words(value);
        let (epoch, cursor) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let next = (!epoch.is_empty()).then(|| (text(&epoch), text(&cursor)));
        Ok(Slice { next, names: words.collect() })
    }

    /// Those of these levels that are down, and that nobody will tell of.
    pub fn compare(&mut self, names: &[Box<[u8]>]) -> Result<Vec<Box<[u8]>>, Fault> {
        let value = self.call(Script::Compare, |question| {
            for name in names {
                question.arg(&**name);
            }
        })?;
        Ok(words(value).collect())
    }

    fn call(&mut self, script: Script, arguments: impl Fn(&mut Cmd)) -> Result<Value, Fault> {
        self.digests.call(&mut self.connection, &self.keys, script, arguments)
    }
}

fn edges(mut words: impl Iterator<Item = Box<[u8]>>) -> Vec<StreamEdge> {
    let mut edges = Vec::new();
    while let (Some(id), Some(way), Some(name), Some(info)) =
        (words.next(), words.next(), words.next(), words.next())
    {
        edges.push(StreamEdge { id: text(&id), up: &*way == b"up", name, info });
    }
    edges
}

fn words(value: Value) -> impl Iterator<Item = Box<[u8]>> {
    let values = match value {
        Value::Array(values) => values,
        _ => Vec::new(),
    };
    values.into_iter().map(|value| match value {
        Value::BulkString(bytes) => bytes.into(),
        Value::SimpleString(text) => text.into_bytes().into(),
        _ => Box::default(),
    })
}

fn text(bytes: &[u8]) -> Box<str> {
    String::from_utf8_lossy(bytes).into()
}
