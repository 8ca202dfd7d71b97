//! Publishing: a call becomes one part for each channel of each event, and each part goes to its channel's home or
//! waits there. The caller gets 200 when the last part is in the batch to its home, and what it asked about the channels
//! once their homes have answered behind the event.

use std::rc::Rc;

use api::answer::{Answer, Manner};
use api::endpoints::events::{self, Event, Publish, Target, answer_batch, answer_event};
use api::info::Info;
use api::refused::Refused;
use protocol::channel::ChannelKind;

use super::{ChannelRow, counts_of};
use crate::api_core::ApiCore;
use crate::api_core::gate::{EventView, ParkedEvent, Part, Waiting};
use crate::api_core::open_call::{CallId, OpenCall};
use crate::invariant::Expected;
use crate::machine::{Now, Token};
use crate::mesh::Counts;
use crate::now::Moment;
use crate::topic::{Topic, TopicKey};

/// What was asked about the channels of the events.
#[derive(Debug)]
pub(in crate::api_core) struct Pending {
    form: Form,
    /// Empty where nothing was asked.
    rows: Vec<ChannelRow>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    /// Nothing was asked.
    Plain,
    /// The same, by the deprecated path of a channel.
    Accepted,
    Event,
    Batch,
}

impl Pending {
    fn of(publish: &Publish<'_>) -> Self {
        let is_plain = publish.events.iter().all(|event| !event.info.asked);
        let form = match publish.form {
            events::Form::Channel => Form::Accepted,
            _ if is_plain => Form::Plain,
            events::Form::Event => Form::Event,
            events::Form::Batch => Form::Batch,
        };
        Self { form, rows: Vec::new() }
    }

    /// Gives the channel its place in the answer. Returns which question must be asked about it.
    fn add_row(&mut self, topic: &Topic, kind: ChannelKind, info: Info) -> Option<u32> {
        if matches!(self.form, Form::Plain | Form::Accepted) {
            return None;
        }
        let index = self.rows.len() as u32;
        self.rows.push(ChannelRow::of(topic, kind, info));
        info.applies(kind).then_some(index)
    }

    pub(super) fn take(&mut self, index: usize, counts: Counts) {
        if let Some(row) = self.rows.get_mut(index).expected("each question is about a row") {
            row.counts = counts_of(counts);
        }
    }

    pub(super) fn respond(self) -> Answer<'static> {
        let rows = self.rows.iter().map(ChannelRow::view);
        match self.form {
            Form::Plain => Answer::done(),
            Form::Accepted => Answer::accepted(),
            Form::Event => answer_event(rows),
            Form::Batch => answer_batch(rows),
        }
    }
}

impl ApiCore {
    /// Publishes; answers at once when nothing has to wait.
    pub(in crate::api_core) fn publish(
        &mut self,
        token: Token,
        manner: Manner,
        publish: &Publish<'_>,
        now: Now,
    ) {
        if self.gates.is_over_capacity() && self.has_to_wait(publish) {
            self.stats.overloaded += 1;
            let refused = Refused::retry_later("Over capacity: too many events wait already");
            return self.respond_refusal(token, &refused, manner, now);
        }
        let (id, mut call) = (self.calls.name(), OpenCall::new(token, manner));
        let mut pending = Pending::of(publish);
        for event in &publish.events {
            self.publish_event(id, &mut call, &mut pending, publish, event, now);
        }
        self.gates.charge_bytes(call.parked_bytes);
        self.answer_now_or_later(id, call, super::Pending::Publish(pending), now);
    }

    fn publish_event(
        &mut self,
        id: CallId,
        call: &mut OpenCall,
        pending: &mut Pending,
        publish: &Publish<'_>,
        event: &Event<'_>,
        now: Now,
    ) {
        let (mut parked, received) = (None, now.moment());
        for channel in &event.channels {
            let topic = self.topics.topic(publish.app, key_of(channel));
            let question = pending.add_row(&topic, channel.kind, event.info).map(|index| id.question(index));
            call.answers_missing += usize::from(question.is_some());
            let home = self.topics.home(topic.hash);
            if self.gate_is_open(home) {
                let (name, data, except) = (&*event.name, &event.data, event.except);
                let view = EventView { name, data, except, received };
                self.send_event(home, topic, view, question);
                continue;
            }
            let event = Rc::clone(parked.get_or_insert_with(|| park(event, call, received)));
            self.park(home, call, Waiting { call: id, part: Part::Event { event, topic, question } });
        }
    }

    fn has_to_wait(&self, publish: &Publish<'_>) -> bool {
        let mut channels = publish.events.iter().flat_map(|event| &event.channels);
        channels
            .any(|channel| !self.gate_is_open(self.topics.home(self.topics.of(publish.app, key_of(channel)))))
    }
}

fn key_of<'a>(channel: &'a Target<'_>) -> TopicKey<&'a str> {
    TopicKey::of_kind(&channel.name, channel.kind)
}

fn park(event: &Event<'_>, call: &mut OpenCall, received: Moment) -> Rc<ParkedEvent> {
    let event = ParkedEvent {
        name: (&*event.name).into(),
        data: event.data.clone().into_owned(),
        except: event.except,
        received,
    };
    call.parked_bytes += event.bytes();
    Rc::new(event)
}
