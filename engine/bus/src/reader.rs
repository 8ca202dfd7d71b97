//! The connection that reads the inbox of a node.

use std::time::Duration;

use machines::cluster::item::Entry;
use redis::{Connection, Value, cmd};

use crate::caller::{connect, receive};
use crate::fault::Fault;
use crate::keys::Keys;
use crate::limits::ENTRIES_MAX;
use crate::server::Server;

/// A number that no entry of ours has: the inbox is not what we left there.
const FOREIGN: u64 = u64::MAX;

/// A connection to a server.
pub(crate) struct Reader {
    connection: Connection,
    keys: Keys,
}

impl Reader {
    /// Connects and logs in. No answer may take longer than `patience`.
    pub(crate) fn open(server: &Server, keys: &Keys, patience: Duration) -> Result<Self, Fault> {
        Ok(Self { connection: connect(server, patience)?, keys: keys.clone() })
    }

    /// What stands in the inbox of an epoch behind this entry; waits for it so long.
    pub(crate) fn read(&mut self, epoch: &str, after: u64, block_ms: u64) -> Result<Vec<Entry>, Fault> {
        let mut question = cmd("XREAD");
        question.arg("COUNT").arg(ENTRIES_MAX).arg("BLOCK").arg(block_ms.max(1));
        question.arg("STREAMS").arg(self.keys.inbox(epoch)).arg(format!("0-{after}"));
        self.connection.send_packed_command(&question.get_packed_command())?;
        match receive(&mut self.connection)? {
            Value::ServerError(error) if error.code() == "WRONGTYPE" => {
                Ok(vec![Entry { number: FOREIGN, fields: Vec::new() }])
            }
            Value::ServerError(error) => Err(Fault::answered(&error)),
            answer => Ok(entries(answer)),
        }
    }
}

/// The entries of the one stream that was read. Nothing: it has no more.
fn entries(answer: Value) -> Vec<Entry> {
    let streams = array(answer);
    let all = streams.into_iter().flat_map(|stream| array(stream).into_iter().skip(1)).flat_map(array);
    all.map(entry).collect()
}

fn entry(value: Value) -> Entry {
    let mut parts = array(value).into_iter();
    let number = parts.next().map(bytes).and_then(|id| Entry::number_of(&id)).unwrap_or(FOREIGN);
    let mut words = parts.next().map(array).unwrap_or_default().into_iter().map(bytes);
    let mut fields = Vec::with_capacity(words.len() / 2);
    while let (Some(field), Some(value)) = (words.next(), words.next()) {
        fields.push((field, value));
    }
    Entry { number, fields }
}

fn array(value: Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values,
        _ => Vec::new(),
    }
}

fn bytes(value: Value) -> Vec<u8> {
    match value {
        Value::BulkString(bytes) => bytes,
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn entries_come_with_their_numbers_and_what_is_not_ours_with_none_of_ours() {
        let entry = |id: &str, words: &[&str]| {
            Value::Array(vec![text(id), Value::Array(words.iter().map(|word| text(word)).collect())])
        };
        let all = vec![entry("0-7", &["P1/ca", "x", "!", ""]), entry("7-7", &["who", "me"])];
        let answer = Value::Array(vec![Value::Array(vec![text("{p}:in:e"), Value::Array(all)])]);
        let read = entries(answer);
        let fields = vec![(b"P1/ca".to_vec(), b"x".to_vec()), (b"!".to_vec(), Vec::new())];
        assert_eq!(read[0], Entry { number: 7, fields });
        assert_eq!((read[1].number, read.len()), (FOREIGN, 2));
        assert!(entries(Value::Nil).is_empty());
    }
}
