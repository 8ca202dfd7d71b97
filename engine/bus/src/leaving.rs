//! The last words of a node to a server: it stops in order, and its session need not be missed first.

use std::time::Duration;

use redis::{Connection, cmd};

use crate::caller::connect;
use crate::fault::Fault;
use crate::keys::Keys;
use crate::limits::{LEAVING_CALLS_MAX, LEAVING_SLICE};
use crate::script::Script;
use crate::server::Server;

/// Ends the session with this epoch: what it holds goes at once. No answer may take longer than `patience`.
pub fn leave(server: &Server, keys: &Keys, epoch: &str, patience: Duration) -> Result<(), Fault> {
    let mut connection = connect(server, patience)?;
    call(&mut connection, keys, Script::Retire, &[epoch])?;
    for _ in 0..LEAVING_CALLS_MAX {
        if call(&mut connection, keys, Script::Sweep, &[epoch, &LEAVING_SLICE.to_string()])? == 0 {
            break;
        }
    }
    Ok(())
}

fn call(connection: &mut Connection, keys: &Keys, script: Script, arguments: &[&str]) -> Result<u64, Fault> {
    let mut question = cmd("EVAL");
    question.arg(script.text()).arg(0);
    keys.write(script, &mut question);
    Ok(question.arg(arguments).query(connection)?)
}
