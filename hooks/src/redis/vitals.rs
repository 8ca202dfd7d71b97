//! What the Redis of the stream says of itself, for `corecast doctor`.

use redis::{Value, cmd};
use vitals::Vitals;

use super::connection::RedisConnection;
use super::fault::RedisFault;
use crate::settings::RedisServer;

/// Asks this server. Blocks while it does, with limits of time.
pub fn take(server: &RedisServer) -> Result<Vitals, RedisFault> {
    let mut connection = RedisConnection::open(server)?;
    let _: Value = connection.ask(&cmd("PING"))?;
    Vitals::take(|question| {
        connection.put(question);
        Ok(connection.flush()?.pop().unwrap_or(Value::Nil))
    })
}
