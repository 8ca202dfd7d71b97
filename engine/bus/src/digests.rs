//! Scripts one at a time, by their digests: a server is given the text of a script only where it does not have it.

use redis::{Cmd, Connection, RedisError, Value, cmd};

use crate::fault::Fault;
use crate::keys::Keys;
use crate::limits::LOADS_MAX;
use crate::script::Script;

/// The digests that a server has told over one connection.
#[derive(Debug, Default)]
pub(crate) struct Digests {
    known: Vec<(Script, String)>,
}

impl Digests {
    /// What this script answers. `write` puts its own arguments behind those that all scripts have.
    pub(crate) fn call(
        &mut self,
        connection: &mut Connection,
        keys: &Keys,
        script: Script,
        write: impl Fn(&mut Cmd),
    ) -> Result<Value, Fault> {
        for _ in 0..LOADS_MAX {
            let mut question = cmd("EVALSHA");
            question.arg(self.digest(connection, script)?).arg(0);
            keys.write(script, &mut question);
            write(&mut question);
            match question.query(connection) {
                Err(error) if is_forgotten(&error) => self.known.retain(|(known, _)| *known != script),
                answer => return Ok(answer?),
            }
        }
        Err(Fault::forgets())
    }

    fn digest(&mut self, connection: &mut Connection, script: Script) -> Result<String, Fault> {
        if let Some((_, digest)) = self.known.iter().find(|(known, _)| *known == script) {
            return Ok(digest.clone());
        }
        let digest: String = cmd("SCRIPT").arg("LOAD").arg(script.text()).query(connection)?;
        self.known.push((script, digest.clone()));
        Ok(digest)
    }
}

fn is_forgotten(error: &RedisError) -> bool {
    error.code() == Some("NOSCRIPT")
}
