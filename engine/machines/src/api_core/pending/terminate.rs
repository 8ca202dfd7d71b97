//! Terminating a user: one part for every shard, since any of them may have connections of it. The caller gets 200 when
//! the last part is in the batch to its shard; what is closed then is the shards' affair. In a cluster the caller gets 200
//! only if the other nodes hear of it, too.

use std::sync::Arc;

use api::answer::Manner;
use api::endpoints::terminate::Terminate;

use super::Pending;
use crate::api_core::ApiCore;
use crate::api_core::gate::{Part, Waiting};
use crate::api_core::open_call::OpenCall;
use crate::machine::{Now, Token};
use crate::mesh::{self, Ask};
use crate::topic::TopicKey;

impl ApiCore {
    /// Tells every shard; answers at once when nothing has to wait.
    pub(in crate::api_core) fn terminate(
        &mut self,
        token: Token,
        manner: Manner,
        terminate: &Terminate<'_>,
        now: Now,
    ) {
        let (id, mut call) = (self.calls.name(), OpenCall::new(token, manner));
        for shard in self.topics.cores().each_shard() {
            let (app, user_id) = (Arc::clone(terminate.app), terminate.user_id.clone());
            let part = Box::new(mesh::Terminate { app, user_id });
            if self.gate_is_open(shard) {
                self.send_terminate(shard, part);
            } else {
                self.park(shard, &mut call, Waiting { call: id, part: Part::Terminate(part) });
            }
        }
        if self.servers.is_some() {
            // Behind what the shard was told that tells the other nodes.
            let teller = self.topics.cores().shard_for(0);
            let topic = self.topics.topic(terminate.app, TopicKey::User { id: &*terminate.user_id });
            self.ask(id, &mut call, teller, 0, Ask::IsJoined { topic });
        }
        self.answer_now_or_later(id, call, Pending::Terminate, now);
    }
}
