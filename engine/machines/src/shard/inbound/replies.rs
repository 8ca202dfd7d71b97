//! What a client is told in answer to what it says, on its connection alone.

use std::rc::Rc;

use protocol::channel::ChannelNameError;
use protocol::server_event;
use protocol::ws;

use crate::outbox::run::Run;
use crate::shard::Shard;
use crate::shard::fanout::connection::ConnectionId;

impl Shard {
    /// The answer to a ping frame.
    pub(super) fn pong_frame(&mut self, id: ConnectionId, payload: &[u8]) {
        let mut bytes = Vec::new();
        ws::encode_pong_frame(&mut bytes, payload);
        self.fanout.push_urgent(id, Run::private(bytes));
    }

    /// The answer to a pusher:ping.
    pub(super) fn pong(&mut self, id: ConnectionId) {
        let mut bytes = Vec::new();
        server_event::encode_pong(&mut bytes);
        self.fanout.push_urgent(id, Run::private(bytes));
    }

    /// A pusher:error.
    pub(super) fn error(&mut self, id: ConnectionId, code: Option<u16>, text: &str) {
        let mut bytes = Vec::new();
        server_event::encode_error(&mut bytes, code, text);
        self.fanout.push_private(id, Run::private(bytes));
    }

    /// A command that is no subscribe names what cannot be a channel.
    pub(super) fn report_name(&mut self, id: ConnectionId, _: &str, error: &ChannelNameError) {
        self.error(id, None, &error.to_string());
    }

    /// The acknowledgement of a subscription without a roster.
    pub(in crate::shard) fn succeeded(channel: &str) -> Rc<Run> {
        let mut bytes = Vec::new();
        server_event::encode_subscription_succeeded(&mut bytes, channel);
        Run::private(bytes)
    }
}
