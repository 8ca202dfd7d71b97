//! What homes say to this shard: a link is up (Joined), subscriptions are let into a presence or cache channel or not
//! (Granted, Refused), an event for local subscribers (Deliver).

use std::rc::Rc;

use protocol::dialect::DataForm;
use protocol::object_form::append_object_form;
use protocol::socket_id::SocketId;
use protocol::ws::Frame;

use crate::invariant;
use crate::machine::Token;
use crate::mesh::{Granted, Leaf, Refusal, SubRef};
use crate::now::Moment;
use crate::outbox::run::Run;
use crate::shard::Shard;
use crate::shard::fanout::connection::Needs;
use crate::shard::inbound::refuse::Grounds;
use crate::topic::Topic;

/// What several connections get, in the forms that they take. Each is made when it is first asked for.
#[derive(Default)]
struct RunByForm {
    strings: Option<Rc<Run>>,
    objects: Option<Rc<Run>>,
}

impl RunByForm {
    fn get_or_make(&mut self, form: DataForm, make: impl FnOnce() -> Rc<Run>) -> Rc<Run> {
        let run = match form {
            DataForm::String => &mut self.strings,
            DataForm::Object => &mut self.objects,
        };
        Rc::clone(run.get_or_insert_with(make))
    }
}

/// Both in one Run: a second range would take memory of each outbox.
fn granted_run(succeeded: &Frame, replay: Option<&Frame>, form: DataForm) -> Rc<Run> {
    let formed = |frame: &Frame| match form {
        DataForm::String => frame.clone(),
        DataForm::Object => {
            let mut bytes = Vec::with_capacity(frame.len());
            append_object_form(&mut bytes, frame);
            Frame::from(bytes)
        }
    };
    match replay {
        Some(replay) => Run::shared_in_order(&[formed(succeeded), formed(replay)]),
        None => Run::shared(formed(succeeded)),
    }
}

impl Shard {
    /// One message from the home of a topic.
    pub(in crate::shard) fn handle_leaf(&mut self, leaf: Leaf) {
        match leaf {
            Leaf::Joined { topic, epoch } => self.handle_joined(&topic, epoch),
            Leaf::Granted(granted) => self.handle_granted(*granted),
            Leaf::Refused { topic, sub, why } => self.handle_refused(&topic, sub, why),
            Leaf::Deliver { topic, frame, except, received } => {
                self.handle_event(&topic, &frame, except, received);
            }
            Leaf::User { topic, epoch, online } => self.users.hear(&topic, epoch, online),
            Leaf::Answer(_) | Leaf::Seen(_) | Leaf::Relay(_) => {
                invariant::violated("shards ask no questions");
            }
        }
    }

    fn handle_joined(&mut self, topic: &Topic, epoch: u64) {
        let topic_slot = self.fanout.find_topic(topic);
        let joiners = self.links.join(topic_slot, epoch);
        let Some(topic_slot) = topic_slot.filter(|_| !joiners.is_empty()) else { return };
        let (name, mut succeeded) = (topic.name(), RunByForm::default());
        for joiner in joiners {
            if let Some((id, index)) = self.fanout.waiting(topic_slot, joiner) {
                let form = self.fanout.form_of(id);
                let run = succeeded.get_or_make(form, || Self::succeeded(&name, form));
                self.fanout.acknowledge(id, index, run);
            }
        }
    }

    fn handle_granted(&mut self, granted: Granted) {
        let Granted { topic, subs, succeeded, replay } = granted;
        let mut granted = RunByForm::default();
        for sub in subs {
            match self.waiting_for(&topic, sub) {
                Some((id, at)) => {
                    let form = self.fanout.form_of(id);
                    let run = granted.get_or_make(form, || granted_run(&succeeded, replay.as_ref(), form));
                    self.fanout.acknowledge(id, at, run);
                }
                None => self.links.stats.granted_stale += 1,
            }
        }
    }

    fn handle_refused(&mut self, topic: &Topic, sub: SubRef, why: Refusal) {
        let Some((id, at)) = self.waiting_for(topic, sub) else {
            self.links.stats.granted_stale += 1;
            return;
        };
        let full = format!("The presence channel {} is full", topic.name());
        let text = match why {
            Refusal::MembersMax(members) => {
                format!("{full}: it has {members} members (presence_members_max)")
            }
            Refusal::RosterMax(bytes) => {
                format!("{full}: its roster would have more than {bytes} bytes (roster_bytes_max)")
            }
        };
        self.refuse_subscription(id, &topic.name(), Grounds::Full, &text);
        if let Some(mut gone) = self.fanout.remove_subscription(id, at) {
            // Home has no entry of it, so there is nothing to exit from.
            gone.needs = Needs::Nothing;
            self.tell_gone(gone, true);
        }
    }

    fn waiting_for(&mut self, topic: &Topic, sub: SubRef) -> Option<(Token, usize)> {
        let at = self.fanout.find_topic(topic)?;
        self.fanout.waiting(at, sub)
    }

    /// What the server itself has to say to the subscribers of a topic.
    pub(in crate::shard) fn handle_deliver(&mut self, topic: &Topic, frame: &Frame) {
        self.handle_event(topic, frame, None, None);
    }

    pub(in crate::shard) fn handle_event(
        &mut self,
        topic: &Topic,
        frame: &Frame,
        except: Option<SocketId>,
        received: Option<Moment>,
    ) {
        let Some(at) = self.fanout.find_topic(topic) else { return };
        let except = except.and_then(|socket_id| self.fanout.by_socket_id(socket_id));
        self.fanout.deliver(at, frame, except, received);
    }
}
