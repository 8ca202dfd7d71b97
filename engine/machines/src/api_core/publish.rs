//! Publishing: a call becomes one part for each channel of each event, and each part goes to its channel's home or
//! waits there. The caller gets 200 when the last part is in the batch to its home, and what it asked about the channels
//! once their homes have answered behind the event.

use std::rc::Rc;
use std::sync::Arc;

use api::answer::Manner;
use api::endpoints::events::{Event, Publish};
use api::info::{Counts, Info};
use api::refused::Refused;

use super::ApiCore;
use super::calls::{CallId, CallRow, Form, PendingCall};
use super::gate::{EventView, ParkedEvent, Part, Waiting};
use crate::machine::{Now, Token};
use crate::topic::Topic;

impl ApiCore {
    /// Publishes; answers at once when nothing has to wait.
    pub(super) fn publish(&mut self, token: Token, manner: Manner, publish: &Publish<'_>, now: Now) {
        if self.gates.is_over_capacity() && self.has_to_wait(publish) {
            self.stats.overloaded += 1;
            let refused = Refused::retry_later("Over capacity: too many events wait already");
            return self.respond_refusal(token, &refused, manner, now);
        }
        let id = self.calls.name();
        let mut call = PendingCall::new(token, manner, form_of(publish));
        for event in &publish.events {
            self.publish_event(id, &mut call, publish, event);
        }
        self.gates.charge_bytes(call.parked_bytes);
        self.answer_now_or_later(id, call, now);
    }

    fn publish_event(
        &mut self,
        id: CallId,
        call: &mut PendingCall,
        publish: &Publish<'_>,
        event: &Event<'_>,
    ) {
        let mut parked = None;
        for channel in &event.channels {
            let topic = self.topics.topic(publish.app, &channel.name, channel.kind);
            let question = self.add_row(id, call, &topic, event.info);
            let home = self.topics.home(topic.hash);
            if self.gate_is_open(home) {
                let view = EventView { name: &event.name, data: &event.data, except: event.except };
                self.send_event(home, topic, view, question);
                continue;
            }
            let event = Rc::clone(parked.get_or_insert_with(|| park(event, call)));
            self.park(home, call, Waiting { call: id, part: Part::Event { event, topic, question } });
        }
    }

    /// The channel's place in the answer, if the call is answered with channels. Returns the question to ask about it.
    fn add_row(&self, id: CallId, call: &mut PendingCall, topic: &Topic, info: Info) -> Option<u64> {
        if call.form == Form::Published {
            return None;
        }
        let index = call.rows.len() as u32;
        let row =
            CallRow { name: Arc::clone(&topic.name), kind: topic.kind, info, counts: Counts::default() };
        call.rows.push(row);
        let asks = info.applies(topic.kind);
        call.answers_missing += usize::from(asks);
        asks.then(|| id.question(index))
    }

    /// The part waits at its home.
    pub(super) fn park(&mut self, home: usize, call: &mut PendingCall, waiting: Waiting) {
        self.stats.gated += 1;
        call.parts_waiting += 1;
        self.gates.park(home, waiting);
    }

    /// Answers the call if nothing of it is missing, or else keeps it.
    pub(super) fn answer_now_or_later(&mut self, id: CallId, call: PendingCall, now: Now) {
        if call.is_complete() {
            return self.answer_call(&call, now);
        }
        if let Some(connection) = call.connection.and_then(|token| self.connections.by_token(token)) {
            connection.pending = Some(id);
        }
        self.calls.insert(id, call, now.mono_ms);
    }

    fn has_to_wait(&self, publish: &Publish<'_>) -> bool {
        let mut channels = publish.events.iter().flat_map(|event| &event.channels);
        channels
            .any(|channel| !self.gate_is_open(self.topics.home(self.topics.of(publish.app, &channel.name))))
    }
}

fn form_of(publish: &Publish<'_>) -> Form {
    match (publish.events.iter().all(|event| !event.info.asked), publish.is_batch) {
        (true, _) => Form::Published,
        (false, false) => Form::Event,
        (false, true) => Form::Batch,
    }
}

fn park(event: &Event<'_>, call: &mut PendingCall) -> Rc<ParkedEvent> {
    let event = ParkedEvent {
        name: (&*event.name).into(),
        data: event.data.clone().into_owned(),
        except: event.except,
    };
    call.parked_bytes += event.bytes();
    Rc::new(event)
}
