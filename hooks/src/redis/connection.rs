//! A connection to Redis with a time limit for connecting and one for every answer.
//!
//! Answers of a pipeline are read one by one: the client's own pipelines would begin a new wait for each missing one. What
//! must never happen here: an endless wait, or a question over a connection whose answers no longer match.

use std::fs;
use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::{Client, Cmd, Connection, FromRedisValue, IntoConnectionInfo, TlsCertificates, Value};

use super::fault::{RedisFault, RedisFaultKind};
use crate::settings::RedisServer;

const CONNECT_PATIENCE: Duration = Duration::from_secs(3);

/// How long Redis may take for an answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(3);

/// A connection to Redis.
pub(crate) struct RedisConnection {
    connection: Connection,
    /// The encoded questions that are not sent yet.
    out: Vec<u8>,
    asked: usize,
    /// How many answers are on their way.
    awaited: usize,
}

impl RedisConnection {
    /// Connects and logs in. The URL may hold user, password and database; `rediss://` is TLS.
    pub(crate) fn open(server: &RedisServer) -> Result<Self, RedisFault> {
        let client = client(server)?;
        let connection = client.get_connection_with_timeout(CONNECT_PATIENCE)?;
        connection.set_read_timeout(Some(ANSWER_PATIENCE))?;
        connection.set_write_timeout(Some(ANSWER_PATIENCE))?;
        Ok(Self { connection, out: Vec::new(), asked: 0, awaited: 0 })
    }

    /// Asks one thing.
    pub(crate) fn ask<T: FromRedisValue>(&mut self, question: &Cmd) -> Result<T, RedisFault> {
        self.put(question);
        let answer = self.flush()?.pop().unwrap_or(Value::Nil);
        into(answer)
    }

    /// Adds a question to those of the next `flush`.
    pub(crate) fn put(&mut self, question: &Cmd) {
        question.write_packed_command(&mut self.out);
        self.asked += 1;
    }

    /// How many bytes of questions wait for `flush`.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.out.len()
    }

    /// Sends all questions and takes their answers, in order. An error among the answers is an answer.
    pub(crate) fn flush(&mut self) -> Result<Vec<Value>, RedisFault> {
        self.send()?;
        self.receive()
    }

    /// Sends all questions. Their answers are for the next `receive` or `flush`.
    pub(crate) fn send(&mut self) -> Result<(), RedisFault> {
        let asked = std::mem::take(&mut self.asked);
        let sent = if asked > 0 { self.connection.send_packed_command(&self.out) } else { Ok(()) };
        self.out.clear();
        self.awaited += asked;
        sent.map_err(lost)
    }

    /// True while answers are on their way.
    pub(crate) fn is_awaiting(&self) -> bool {
        self.awaited > 0
    }

    /// Takes the answers to all that was sent.
    pub(crate) fn receive(&mut self) -> Result<Vec<Value>, RedisFault> {
        let awaited = std::mem::take(&mut self.awaited);
        let mut answers = Vec::with_capacity(awaited);
        while answers.len() < awaited {
            match self.connection.recv_response().map_err(lost)? {
                Value::Push { .. } => {}
                answer => answers.push(answer),
            }
        }
        Ok(answers)
    }

    /// Lets an answer take longer, for questions that block on purpose.
    pub(crate) fn be_patient(&self, more: Duration) -> Result<(), RedisFault> {
        Ok(self.connection.set_read_timeout(Some(ANSWER_PATIENCE + more))?)
    }
}

/// The client's words for a URL that it does not understand do not repeat it.
fn client(server: &RedisServer) -> Result<Client, RedisFault> {
    let address = server.url.0.as_str().into_connection_info()?;
    // The end of a long question must not wait until its beginning is acknowledged.
    let tcp = TcpSettings::default().set_nodelay(true);
    let address = address.set_tcp_settings(tcp);
    let Some(path) = &server.ca_file else { return Ok(Client::open(address)?) };
    // Read each time, so that a new one needs no restart.
    let root_cert = fs::read(path).map_err(|error| {
        RedisFault::new(RedisFaultKind::Unreachable, format!("redis_ca_file {}: {error}", path.display()))
    })?;
    Ok(Client::build_with_tls(address, TlsCertificates { client_tls: None, root_cert: Some(root_cert) })?)
}

/// The answer as a value of this type, or what Redis says is wrong.
pub(crate) fn into<T: FromRedisValue>(answer: Value) -> Result<T, RedisFault> {
    if let Value::ServerError(error) = &answer {
        return Err(RedisFault::from(error));
    }
    T::from_redis_value(answer).map_err(|error| RedisFault::new(RedisFaultKind::Else, error.to_string()))
}

/// Whatever goes wrong between question and answer, the connection has lost its place.
fn lost(error: redis::RedisError) -> RedisFault {
    let fault = RedisFault::from(error);
    match fault.ends_connection() {
        true => fault,
        false => RedisFault::new(RedisFaultKind::Unreachable, fault.to_string()),
    }
}
