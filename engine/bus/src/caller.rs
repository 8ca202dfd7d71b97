//! The connection for calls of scripts: they go out together and their answers come back one by one.
//!
//! What must never happen here: an endless wait, a call that is carried out before one that was asked for earlier, or an
//! answer that is taken for another's.

use std::time::Duration;

use machines::cluster::answer::Value as Answer;
use machines::cluster::call::Call;
use redis::{Client, Cmd, Connection, Value, cmd};

use crate::fault::Fault;
use crate::fitness;
use crate::keys::Keys;
use crate::limits::LOADS_MAX;
use crate::script::Script;
use crate::server::Server;

/// A connection to a server that has our scripts.
pub(crate) struct Caller {
    connection: Connection,
    keys: Keys,
    /// By the place of each script in [`Script::ALL`].
    digests: Vec<String>,
    out: Vec<u8>,
}

impl Caller {
    /// Connects, logs in, looks at what the server is, and gives it the scripts. No answer may take longer than `patience`.
    pub(crate) fn open(server: &Server, keys: &Keys, patience: Duration) -> Result<Self, Fault> {
        let mut connection = connect(server, patience)?;
        let info = |section: &str| {
            let mut question = cmd("INFO");
            question.arg(section);
            question
        };
        let about_server: String = info("server").query(&mut connection)?;
        let about_memory: String = info("memory").query(&mut connection)?;
        fitness::check(&about_server, &about_memory)?;
        let mut caller = Self { connection, keys: keys.clone(), digests: Vec::new(), out: Vec::new() };
        caller.load()?;
        Ok(caller)
    }

    fn load(&mut self) -> Result<(), Fault> {
        self.digests.clear();
        for script in Script::ALL {
            let digest = cmd("SCRIPT").arg("LOAD").arg(script.text()).query(&mut self.connection)?;
            self.digests.push(digest);
        }
        Ok(())
    }

    /// Makes these calls and tells each answer, in order. An error among the answers is an answer.
    pub(crate) fn call(&mut self, calls: &[Call], mut answered: impl FnMut(Answer)) -> Result<(), Fault> {
        let mut left = calls;
        for _ in 0..LOADS_MAX {
            left = self.call_once(left, &mut answered)?;
            if left.is_empty() {
                return Ok(());
            }
            self.load()?;
        }
        Err(Fault::forgets())
    }

    /// Returns the calls from the first one on that the server has no script for. What it has answered to those behind does
    /// not count: they were carried out too early, which the numbers of commands make harmless, and are sent again.
    fn call_once<'a>(
        &mut self,
        calls: &'a [Call],
        answered: &mut impl FnMut(Answer),
    ) -> Result<&'a [Call], Fault> {
        self.out.clear();
        let mut question = Cmd::new();
        for call in calls {
            self.write(&mut question, call);
        }
        self.connection.send_packed_command(&self.out)?;
        let mut left: &[Call] = &[];
        for (place, _) in calls.iter().enumerate() {
            let answer = receive(&mut self.connection)?;
            if !left.is_empty() {
                continue;
            }
            match answer {
                Value::ServerError(error) if error.code() == "NOSCRIPT" => {
                    left = calls.get(place..).unwrap_or_default();
                }
                answer => answered(plain(answer)),
            }
        }
        Ok(left)
    }

    fn write(&mut self, question: &mut Cmd, call: &Call) {
        let script = Script::of(call.script());
        question.clear();
        question.arg("EVALSHA").arg(self.digests.get(script as usize)).arg(0);
        self.keys.write(script, question);
        call.write(&mut |argument| {
            question.arg(argument);
        });
        question.write_packed_command(&mut self.out);
    }
}

/// Connects and logs in, within about `patience`, and lets no later read or write take longer.
pub(crate) fn connect(server: &Server, patience: Duration) -> Result<Connection, Fault> {
    let connection = Client::open(server.info().clone())?.get_connection_with_timeout(patience)?;
    connection.set_read_timeout(Some(patience))?;
    connection.set_write_timeout(Some(patience))?;
    Ok(connection)
}

/// The next answer. An error that the server answers is one.
pub(crate) fn receive(connection: &mut Connection) -> Result<Value, Fault> {
    loop {
        match connection.recv_response()? {
            Value::Push { .. } => {}
            answer => return Ok(answer),
        }
    }
}

/// The answer without what only the client library knows of.
fn plain(value: Value) -> Answer {
    match value {
        Value::Nil => Answer::Nil,
        Value::Int(number) => Answer::Number(number),
        Value::BulkString(bytes) => Answer::Bytes(bytes),
        Value::SimpleString(text) => Answer::Bytes(text.into_bytes()),
        Value::Okay => Answer::Bytes(b"OK".to_vec()),
        Value::Array(values) => Answer::Array(values.into_iter().map(plain).collect()),
        Value::ServerError(error) => Answer::Error(Fault::answered(&error).to_string().into()),
        _ => Answer::Error("an answer of no kind that scripts have".into()),
    }
}
