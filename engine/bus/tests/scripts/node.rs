//! A server with the scripts, and what nodes say to it and read of it, as text that a test can compare.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use bus::script::{Head, Script};
use redis::{Cmd, Connection, FromRedisValue, Value};

use crate::redis_server::RedisServer;

pub(crate) const P: &str = "{test}";

/// The fields of an entry with their values.
type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// A server, and the time as scripts are told it.
pub(crate) struct Bus {
    _server: RedisServer,
    connection: RefCell<Connection>,
    digests: Vec<(Script, String)>,
    pub(crate) now: Cell<u64>,
    pub(crate) inbox_max: Cell<u64>,
    pub(crate) edges_max: Cell<u64>,
    numbers: RefCell<BTreeMap<String, u64>>,
}

impl Bus {
    pub(crate) fn start() -> Self {
        let server = RedisServer::start(&[]);
        let mut connection = server.connection().unwrap();
        let load = |script: Script| {
            let digest = redis::cmd("SCRIPT").arg("LOAD").arg(script.text()).query(&mut connection).unwrap();
            (script, digest)
        };
        let digests = Script::ALL.into_iter().map(load).collect();
        Self {
            _server: server,
            connection: RefCell::new(connection),
            digests,
            now: Cell::new(1_000_000),
            inbox_max: Cell::new(1 << 26),
            edges_max: Cell::new(0),
            numbers: RefCell::default(),
        }
    }

    /// Runs a script with what comes after the common arguments.
    pub(crate) fn try_run(&self, script: Script, own: &[&str]) -> redis::RedisResult<Value> {
        let (_, digest) = self.digests.iter().find(|(known, _)| *known == script).unwrap();
        let mut command = redis::cmd("EVALSHA");
        command.arg(digest).arg(0).arg(P);
        if script.head() == Head::Full {
            command
                .arg(self.now.get())
                .arg(3_000)
                .arg(1_000)
                .arg(self.inbox_max.get())
                .arg(self.edges_max.get());
        }
        command.arg(own).query(&mut self.connection.borrow_mut())
    }

    pub(crate) fn run(&self, script: Script, own: &[&str]) -> Value {
        self.try_run(script, own).unwrap_or_else(|error| panic!("{script:?} {own:?}: {error}"))
    }

    /// What a script answers, as text.
    pub(crate) fn says(&self, script: Script, own: &[&str]) -> String {
        shown(&self.run(script, own))
    }

    pub(crate) fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = Cmd::new();
        command
            .arg(words)
            .query(&mut self.connection.borrow_mut())
            .unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    /// Begins the session of an epoch.
    pub(crate) fn register(&self, epoch: &str) {
        self.run(Script::Register, &[epoch, "", "servers", ""]);
    }

    /// The next numbered commands of an epoch, which are carried out.
    pub(crate) fn commands(&self, epoch: &str, commands: &[&[&str]]) {
        let first = self.numbers.borrow().get(epoch).copied().unwrap_or(0) + 1;
        let last = first + commands.len() as u64 - 1;
        let number = first.to_string();
        let words: Vec<&str> =
            [epoch, &number].into_iter().chain(commands.iter().copied().flatten().copied()).collect();
        assert_eq!(self.says(Script::Commands, &words), last.to_string());
        self.numbers.borrow_mut().insert(epoch.to_owned(), last);
    }

    pub(crate) fn command(&self, epoch: &str, command: &[&str]) {
        self.commands(epoch, &[command]);
    }

    /// What an inbox has gained since it was last asked for, without how many subscribe on other nodes.
    pub(crate) fn inbox(&self, epoch: &str) -> Vec<String> {
        let key = format!("{P}:in:{epoch}");
        let entries: Vec<(String, Fields)> = self.ask(&["XRANGE", &key, "-", "+"]);
        let last: u64 = self.ask::<Option<u64>>(&["GET", &format!("read:{epoch}")]).unwrap_or(0);
        let mut messages = Vec::new();
        let mut next = last + 1;
        for (id, fields) in entries {
            let number: u64 = id.strip_prefix("0-").unwrap().parse().unwrap();
            if number > last {
                assert_eq!(number, next, "ids are dense");
                next += 1;
                let told = fields.iter().filter(|(field, _)| field[0] != b'#');
                messages.extend(told.map(|(field, value)| message(field, value)));
            }
        }
        let () = self.ask(&["SET", &format!("read:{epoch}"), &(next - 1).to_string()]);
        messages
    }

    /// What an inbox was told in all of how many subscribe on other nodes: a topic and a number each time.
    pub(crate) fn elsewhere(&self, epoch: &str) -> Vec<String> {
        let entries: Vec<(String, Fields)> = self.ask(&["XRANGE", &format!("{P}:in:{epoch}"), "-", "+"]);
        let told = entries.iter().flat_map(|(_, fields)| fields).filter(|(field, _)| field[0] == b'#');
        told.map(|(field, value)| format!("{} {}", text(&field[1..]), text(value))).collect()
    }

    /// The edges that wait, oldest first.
    pub(crate) fn edges(&self) -> Vec<String> {
        let entries: Vec<(String, Vec<(String, String)>)> =
            self.ask(&["XRANGE", &format!("{P}:edges"), "-", "+"]);
        entries
            .into_iter()
            .filter_map(|(_, fields)| fields.into_iter().next())
            .map(|(way, name)| format!("{way} {}", plain(&name)))
            .collect()
    }

    pub(crate) fn set(&self, key: &str) -> BTreeSet<String> {
        let members: BTreeSet<String> = self.ask(&["SMEMBERS", &format!("{P}:{key}")]);
        members.iter().map(|member| plain(member)).collect()
    }

    pub(crate) fn hash(&self, key: &str) -> BTreeMap<String, String> {
        self.ask(&["HGETALL", &format!("{P}:{key}")])
    }

    /// A field of what is known of an epoch.
    pub(crate) fn state(&self, epoch: &str, field: &str) -> String {
        self.hash(&format!("n:{epoch}")).remove(field).unwrap_or_default()
    }

    /// All keys of the bus.
    pub(crate) fn keys(&self) -> BTreeSet<String> {
        let keys: BTreeSet<String> = self.ask(&["KEYS", "{test}*"]);
        keys.into_iter().map(|key| key[P.len() + 1..].to_owned()).collect()
    }

    /// Tells all levels that are due so much later.
    pub(crate) fn due_after(&self, ms: u64) -> String {
        self.now.set(self.now.get() + ms);
        self.says(Script::Due, &["100"])
    }
}

fn plain(name: &str) -> String {
    name.replace('\0', "|")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An answer in one line.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Int(number) => number.to_string(),
        Value::BulkString(bytes) => plain(&text(bytes)),
        Value::SimpleString(word) => word.clone(),
        Value::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join(" "),
        other => format!("{other:?}"),
    }
}

/// A message of an inbox in one line.
fn message(field: &[u8], value: &[u8]) -> String {
    let topic = text(&field[1..]);
    let (mut parts, mut rest) = (Vec::new(), value);
    let mut part = |rest: &mut &[u8]| {
        let (length, after) = rest.split_at(4);
        let (part, after) = after.split_at(u32::from_be_bytes(length.try_into().unwrap()) as usize);
        *rest = after;
        parts.push(text(part));
    };
    match field[0] {
        b'J' => {
            while !rest.is_empty() {
                part(&mut rest);
            }
            parts.remove(1);
            format!("joined {topic} {}", parts.join(" "))
        }
        sort @ (b'E' | b'R' | b'+') => {
            part(&mut rest);
            let what = match sort {
                b'E' => "entered",
                b'R' => "refused",
                _ => "added",
            };
            format!("{what} {topic} {} {}", parts[0], text(rest))
        }
        b'-' => format!("removed {topic} {}", text(value)),
        b'P' => format!("event {topic} {}", text(value)),
        b'A' => format!("order {}", text(value)),
        b'!' => "cut".to_owned(),
        other => panic!("a message of sort {other}"),
    }
}
