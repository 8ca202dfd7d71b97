//! What a client is told in answer to what it says, on its connection alone.

use std::rc::Rc;

use protocol::channel::ChannelNameError;
use protocol::dialect::DataForm;
use protocol::object_form::in_form;
use protocol::server_event;
use protocol::ws;

use crate::machine::Token;
use crate::outbox::run::Run;
use crate::shard::Shard;

/// The acknowledgement of a subscription, with its header, but for the channel's name.
const SUCCEEDED_BYTES: usize = 80;

impl Shard {
    /// The answer to a ping frame.
    pub(super) fn pong_frame(&mut self, id: Token, payload: &[u8]) {
        let mut bytes = Vec::new();
        ws::encode_pong_frame(&mut bytes, payload);
        self.fanout.push_urgent(id, Run::private(bytes));
    }

    /// The answer to a pusher:ping.
    pub(super) fn pong(&mut self, id: Token) {
        let mut bytes = Vec::new();
        server_event::encode_pong(&mut bytes);
        let bytes = in_form(bytes, self.fanout.form_of(id));
        self.fanout.push_urgent(id, Run::private(bytes));
    }

    /// A pusher:error.
    pub(super) fn error(&mut self, id: Token, code: Option<u16>, text: &str) {
        let mut bytes = Vec::new();
        server_event::encode_error(&mut bytes, code, text);
        self.fanout.reply(id, bytes);
    }

    /// A command that is no subscribe names what cannot be a channel.
    pub(super) fn report_name(&mut self, id: Token, _: &str, error: &ChannelNameError) {
        self.error(id, None, &error.to_string());
    }

    /// The acknowledgement of a subscription without a roster, for a connection that takes this form.
    pub(in crate::shard) fn succeeded(channel: &str, form: DataForm) -> Rc<Run> {
        let mut bytes = Vec::with_capacity(SUCCEEDED_BYTES + channel.len());
        server_event::encode_subscription_succeeded(&mut bytes, channel);
        Run::private(in_form(bytes, form))
    }

    /// The end of a subscription at the client's word. webman-push-server's clients wait for it; it is no part of Pusher's
    /// protocol.
    pub(super) fn acknowledge_unsubscribe(&mut self, id: Token, channel: &str) {
        if self.fanout.form_of(id) == DataForm::Object {
            let mut bytes = Vec::new();
            server_event::encode_unsubscription_succeeded(&mut bytes, channel);
            self.fanout.reply(id, bytes);
        }
    }
}
