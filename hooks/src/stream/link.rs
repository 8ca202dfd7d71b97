//! One connection to Redis that always ends: a time for connecting and one for every answer.
//!
//! Answers of a pipeline are taken one by one, since the client's own pipelines would wait for each missing one anew.
//! What must never happen here: a wait without an end, or a question over a connection that has lost its place.

use std::time::Duration;

use redis::{Client, Cmd, Connection, FromRedisValue, Value};

use super::trouble::{Trouble, TroubleKind};

const CONNECT_PATIENCE: Duration = Duration::from_secs(3);

/// How long Redis may take for an answer.
pub(super) const ANSWER_PATIENCE: Duration = Duration::from_secs(3);

/// A connection to Redis.
pub(super) struct Link {
    connection: Connection,
    /// The bytes of the questions that are being put together.
    out: Vec<u8>,
    asked: usize,
}

impl Link {
    /// Connects and logs in. The URL may hold user, password and database; `rediss://` is TLS.
    pub(super) fn open(url: &str) -> Result<Self, Trouble> {
        // The client's words for a URL that it does not understand do not repeat it.
        let client = Client::open(url)?;
        let connection = client.get_connection_with_timeout(CONNECT_PATIENCE)?;
        connection.set_read_timeout(Some(ANSWER_PATIENCE))?;
        connection.set_write_timeout(Some(ANSWER_PATIENCE))?;
        Ok(Self { connection, out: Vec::new(), asked: 0 })
    }

    /// Asks one thing.
    pub(super) fn ask<T: FromRedisValue>(&mut self, question: &Cmd) -> Result<T, Trouble> {
        self.put(question);
        let answer = self.flush()?.pop().unwrap_or(Value::Nil);
        into(answer)
    }

    /// Adds a question to those of the next `flush`.
    pub(super) fn put(&mut self, question: &Cmd) {
        question.write_packed_command(&mut self.out);
        self.asked += 1;
    }

    /// How many bytes of questions wait for `flush`.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.out.len()
    }

    /// Sends all questions and takes their answers, in order. An error among the answers is an answer.
    pub(super) fn flush(&mut self) -> Result<Vec<Value>, Trouble> {
        let mut answers = Vec::with_capacity(self.asked);
        let asked = std::mem::take(&mut self.asked);
        let sent = if asked > 0 { self.connection.send_packed_command(&self.out) } else { Ok(()) };
        self.out.clear();
        sent.map_err(lost)?;
        while answers.len() < asked {
            match self.connection.recv_response().map_err(lost)? {
                Value::Push { .. } => {}
                answer => answers.push(answer),
            }
        }
        Ok(answers)
    }

    /// Lets an answer take longer, for questions that wait on purpose.
    pub(super) fn be_patient(&self, more: Duration) -> Result<(), Trouble> {
        Ok(self.connection.set_read_timeout(Some(ANSWER_PATIENCE + more))?)
    }
}

/// The answer as a value of this type, or what Redis says is wrong.
pub(super) fn into<T: FromRedisValue>(answer: Value) -> Result<T, Trouble> {
    if let Value::ServerError(error) = &answer {
        return Err(Trouble::from(error));
    }
    T::from_redis_value(answer).map_err(|error| Trouble::new(TroubleKind::Else, error.to_string()))
}

/// Whatever goes wrong between question and answer, the connection has lost its place.
fn lost(error: redis::RedisError) -> Trouble {
    let trouble = Trouble::from(error);
    match trouble.ends_connection() {
        true => trouble,
        false => Trouble::new(TroubleKind::Unreachable, trouble.to_string()),
    }
}
