//! The last words of a node to a server: it stops in order, and its session need not be missed first.

use std::time::Duration;

use crate::caller::connect;
use crate::digests::Digests;
use crate::fault::Fault;
use crate::keys::Keys;
use crate::limits::{LEAVING_CALLS_MAX, LEAVING_SLICE};
use crate::script::Script;
use crate::server::Server;

/// Ends the session with this epoch: what it holds goes at once. No answer may take longer than `patience`.
pub fn leave(server: &Server, keys: &Keys, epoch: &str, patience: Duration) -> Result<(), Fault> {
    let mut connection = connect(server, patience)?;
    let mut digests = Digests::default();
    digests.call(&mut connection, keys, Script::Retire, |question| {
        question.arg(epoch);
    })?;
    for _ in 0..LEAVING_CALLS_MAX {
        let left = digests.call(&mut connection, keys, Script::Sweep, |question| {
            question.arg(epoch).arg(LEAVING_SLICE);
        })?;
        if redis::from_redis_value::<u64>(left).is_ok_and(|left| left == 0) {
            break;
        }
    }
    Ok(())
}
