//! What a server is for an operator who asks before a node joins or beside one: what it says of itself, how far away it is, and
//! what its nodes take it for.
//!
//! What must never happen here: a change to the server.

use std::time::{Duration, Instant};

use redis::{Cmd, Connection, FromRedisValue, Value, cmd, from_redis_value};
use vitals::Vitals;

use crate::caller::{connect, receive};
use crate::fault::Fault;
use crate::keys::Keys;
use crate::server::Server;

/// The shortest of so many round trips counts: the others have waited for something else.
const ROUND_TRIPS: usize = 5;

/// A server at one moment, as one that joins nodes.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ServerVitals {
    /// What it says of itself.
    pub itself: Vitals,
    /// How long an answer takes, in microseconds.
    pub round_trip_us: u64,
    /// Which server of how many its nodes take it for, as they say it. None: no node has joined by it.
    pub map: Option<String>,
}

impl ServerVitals {
    /// Asks this server. No answer may take longer than `patience`.
    pub fn take(server: &Server, keys: &Keys, patience: Duration) -> Result<Self, Fault> {
        let mut connection = connect(server, patience)?;
        let mut round_trips = Vec::with_capacity(ROUND_TRIPS);
        for _ in 0..ROUND_TRIPS {
            let began = Instant::now();
            // Not even a greeting may be refused.
            answered(&mut connection, &cmd("PING"))?;
            round_trips.push(began.elapsed().as_micros());
        }
        // Without it no node joins.
        let _: String = asked(&mut connection, cmd("INFO").arg("server"))?;
        let map: Option<String> =
            from_redis_value(answered(&mut connection, cmd("GET").arg(keys.map()))?).ok().flatten();
        Ok(Self {
            itself: Vitals::take(|question| answered(&mut connection, question))?,
            round_trip_us: round_trips.into_iter().min().unwrap_or_default() as u64,
            map,
        })
    }
}

/// What the server answers; that it refuses is a fault.
fn asked<T: FromRedisValue>(connection: &mut Connection, question: &Cmd) -> Result<T, Fault> {
    match answered(connection, question)? {
        Value::ServerError(error) => Err(Fault::answered(&error)),
        answer => from_redis_value(answer).map_err(|_| Fault::new("it answers what no Redis answers")),
    }
}

/// The same, and a refusal is an answer; a connection that is lost is a fault.
fn answered(connection: &mut Connection, question: &Cmd) -> Result<Value, Fault> {
    connection.send_packed_command(&question.get_packed_command())?;
    receive(connection)
}
