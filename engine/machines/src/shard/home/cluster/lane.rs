//! A home's side of one server: the session that both are in, and the batch of what the home says.

use crate::cluster::bus::{Said, ToBus};
use crate::limits::Limits;
use crate::mesh::Weigh;
use crate::shard::home::cluster::echoes::Echoes;

/// One server, as a home sees it.
#[derive(Debug)]
pub(super) struct Lane {
    /// The session that this home is in. None: it serves its subscribers alone.
    pub(super) session: Option<u64>,
    /// Events that have not come back.
    pub(super) echoes: Echoes,
    /// The place of the link that is to be told anew next, while not all are.
    pub(super) retells: Option<usize>,
    /// When what was heard of other nodes is to be forgotten, in `mono_ms`.
    pub(super) forgets_ms: Option<u64>,
    /// The place of the link of which that is to be forgotten next, while not all are.
    pub(super) forgets: Option<usize>,
    batch: Vec<ToBus>,
    batch_bytes: usize,
    messages_max: usize,
    bytes_max: usize,
}

impl Lane {
    /// In no session.
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            session: None,
            echoes: Echoes::default(),
            retells: None,
            forgets_ms: None,
            forgets: None,
            batch: Vec::new(),
            batch_bytes: 0,
            messages_max: limits.batch_messages_max,
            bytes_max: limits.batch_bytes_max,
        }
    }

    /// Says something in the session that goes on.
    pub(super) fn say(&mut self, said: Said) {
        let Some(session) = self.session else { return };
        let message = ToBus { session, said };
        self.batch_bytes += message.weight();
        self.batch.push(message);
    }

    /// True when nothing may be added by input that can wait.
    pub(super) fn is_full(&self) -> bool {
        self.batch.len() >= self.messages_max || self.batch_bytes >= self.bytes_max
    }

    /// True when there is nothing to send.
    pub(super) fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// The whole batch.
    pub(super) fn take(&mut self) -> Vec<ToBus> {
        self.batch_bytes = 0;
        std::mem::take(&mut self.batch)
    }

    /// What is left of an earlier session is delivered before anything else is heard.
    pub(super) fn is_draining(&self) -> bool {
        self.session.is_none() && !self.echoes.is_empty()
    }
}
