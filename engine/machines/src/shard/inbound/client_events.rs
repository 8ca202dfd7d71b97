//! Client events: what one client tells the other subscribers of a private or presence channel.
//!
//! Checked against the app, the channel, the sender's own subscription and its rate; a refused one costs the sender an
//! error frame and never its connection. An accepted one goes to the channel's home like any other event.

use std::sync::Arc;

use protocol::close::TOO_FAST;
use protocol::hook_event::HookEvent;
use protocol::hook_kind::HookKind;
use protocol::json::EventData;
use protocol::limits::characters_beyond;
use protocol::server_event;
use protocol::ws::Frame;

use crate::invariant::Expected;
use crate::machine::{Now, Token};
use crate::mesh::{Event, Origin, Publish};
use crate::notices::What;
use crate::shard::Shard;
use crate::shard::fanout::connection::Subscription;
use crate::shard::inbound::commands::Target;
use crate::topic::TopicKey;

/// Why a client event is refused: the code of the error frame, if it has one, and its text.
type Refusal = (Option<u16>, String);

impl Shard {
    pub(in crate::shard) fn client_event(
        &mut self,
        id: Token,
        target: &Target<'_>,
        event: &str,
        data: &EventData<'_>,
        now: Now,
    ) {
        if let Err((code, why)) = self.check_client_event(id, target, event, data, now) {
            self.tell_refused(id, What::ClientEvent, Some(target.channel), &why);
            self.error(id, code, &format!("Client event rejected - {why}"));
            return;
        }
        let found = self.acknowledged_subscription(id, target);
        let Some((at, subscription)) = found.expected("its caller has found it") else { return };
        let member = subscription.member().cloned();
        let topic = self.fanout.topic(at).cloned();
        let Some(topic) = topic.expected("a subscription has its topic") else { return };
        let socket_id = self.fanout.socket_id(id);
        let Some(socket_id) = socket_id.expected("only a connection sends events") else { return };
        let user_id = member.as_ref().map(|member| &*member.user_id);
        let mut bytes = Vec::new();
        server_event::encode_event(&mut bytes, event, target.channel, data, user_id);
        let hook = target.app.hooks.has(HookKind::ClientEvent).then(|| HookEvent::ClientEvent {
            app: Arc::clone(target.app),
            channel: topic.shared_name(),
            event: Box::from(event),
            data_literal: Box::from(&*data.literal),
            socket_id,
            user_id: user_id.map(Box::from),
        });
        let (frame, except) = (Frame::from(bytes).holding_json(data.is_json), Some(socket_id));
        let event = Event { topic, frame, except, origin: Origin::Client, received: Some(now.moment()) };
        self.links.publish(self.hash.home(target.hash), Publish { event, hook });
    }

    fn check_client_event(
        &mut self,
        id: Token,
        target: &Target<'_>,
        event: &str,
        data: &EventData<'_>,
        now: Now,
    ) -> Result<(), Refusal> {
        let app = target.app;
        let refuse = |why: String| Err((None, why));
        if !app.client_events {
            return refuse("client events are not enabled for this app".into());
        }
        if !matches!(target.key, TopicKey::Channel { kind, .. } if kind.allows_client_events()) {
            return refuse("only supported on private and presence channels".into());
        }
        let characters_max = app.limits.event_name_characters_max;
        if characters_beyond(event, characters_max).is_some() {
            return refuse(format!(
                "the event name is longer than {characters_max} characters (event_name_characters_max)"
            ));
        }
        let bytes_max = app.limits.client_event_data_bytes_max;
        if data.decoded_bytes > bytes_max {
            return refuse(format!(
                "the data content of this event exceeds the allowed maximum ({bytes_max} bytes). \
                 It has {} bytes (client_event_data_bytes_max)",
                data.decoded_bytes
            ));
        }
        if self.acknowledged_subscription(id, target).is_none() {
            return refuse("you didn't subscribe this channel".into());
        }
        let per_second = app.limits.client_events_per_second;
        if !self.fanout.take_client_event(id, per_second, now.mono_ms) {
            self.inbound.stats.client_events_limited += 1;
            let why = format!("rate limit of {per_second} per second exceeded (client_events_per_second)");
            return Err((Some(TOO_FAST), why));
        }
        Ok(())
    }

    fn acknowledged_subscription(&self, id: Token, target: &Target<'_>) -> Option<(u32, &Subscription)> {
        let at = self.fanout.find(target.hash, target.app, target.key)?;
        let subscription = self.fanout.acknowledged(id, at)?;
        Some((at, subscription))
    }
}
