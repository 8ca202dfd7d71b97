//! Which connections are being written: a look at the lobby for each is spared.

use crate::machine::Token;
use crate::shard::fanout::connection::ConnectionId;

/// Who was polled last, and is about to be written: with a million connections each look into the lobby is one into memory
/// that no cache holds. A token names one connection for ever, so what stands here may be old and is never wrong.
#[derive(Debug)]
pub(super) struct Polled([(Token, ConnectionId); POLLED]);

/// As many as are written together.
const POLLED: usize = 128;

impl Default for Polled {
    fn default() -> Self {
        let nobody = u32::MAX;
        let entry =
            (Token { slot: nobody, generation: nobody }, ConnectionId { slot: nobody, generation: nobody });
        Self([entry; POLLED])
    }
}

impl Polled {
    pub(super) fn note(&mut self, token: Token, id: ConnectionId) {
        if let Some(entry) = self.0.get_mut(token.slot as usize % POLLED) {
            *entry = (token, id);
        }
    }

    pub(super) fn find(&self, token: Token) -> Option<ConnectionId> {
        self.0.get(token.slot as usize % POLLED).filter(|(polled, _)| *polled == token).map(|(_, id)| *id)
    }
}
