//! What homes say becomes commands.

use std::sync::Arc;

use crate::cluster::bus::Said;
use crate::cluster::command::{COMMAND_BYTES, Command};
use crate::cluster::epoch::Epoch;
use crate::cluster::event_data::encode_event;
use crate::cluster::session::Session;
use crate::cluster::session::commands::Question;
use crate::cluster::topic_name::topic_name;
use crate::cores::CoreId;
use crate::mesh::{Event, Origin};
use crate::topic::Topic;

fn name_of(topic: &Topic) -> Arc<[u8]> {
    topic_name(topic).into()
}

/// For how long a topic remembers an event, in milliseconds. 0: it does not.
fn cache_ms(event: &Event) -> u64 {
    let remembers = event.topic.key.is_cached() && event.origin == Origin::BackEnd;
    if remembers { 1000 * u64::from(event.topic.app.cache_ttl_s) } else { 0 }
}

impl Session {
    pub(super) fn take_said(&mut self, home: CoreId, epoch: Epoch, said: Said) {
        match said {
            Said::Join { topic, link, subscriptions } => self.take_join(topic, link, subscriptions),
            Said::Count { topic, subscriptions } => {
                let topic = name_of(&topic);
                if subscriptions == 0 {
                    self.interest.leave(&topic);
                }
                self.commands.push(Command::Count { topic, subscriptions }, None);
            }
            Said::Enter { topic: about, member, ticket, force } => {
                let topic = name_of(&about);
                let answer_bytes = (COMMAND_BYTES + topic.len() + member.user_id.len()) as u64;
                let name = Arc::clone(&topic);
                let members_max = about.app.limits.presence_members_max as u64;
                let command = Command::Enter { topic, member, ticket, force, members_max };
                self.commands.push(command, Some(Question { topic: about, name, answer_bytes }));
            }
            Said::Exit { topic, user_id } => {
                self.commands.push(Command::Exit { topic: name_of(&topic), user_id }, None);
            }
            Said::Publish(event, echo) => {
                let CoreId::Shard(shard) = home else { return };
                let data = encode_event(&event, epoch, shard, echo).into();
                let (topic, cache_ms) = (name_of(&event.topic), cache_ms(&event));
                self.commands.push(Command::Publish { topic, data, cache_ms }, None);
            }
            Said::LookUp(lookup, number) => self.take_lookup(home, *lookup, number),
            Said::Order(order) => self.commands.push(Command::Order(order.encode().into()), None),
            Said::Retold => self.note_retold(),
        }
    }

    fn take_join(&mut self, about: Arc<Topic>, link: u64, subscriptions: u64) {
        let topic = name_of(&about);
        let answer_bytes = self.interest.join(&topic, &about, self.number);
        let question = Question { topic: about, name: Arc::clone(&topic), answer_bytes };
        self.commands.push(Command::Join { topic, link, subscriptions }, Some(question));
    }

    /// When all homes have told what they hold, nothing of an earlier session is needed any more. The command is numbered:
    /// it cannot come when it is late.
    fn note_retold(&mut self) {
        self.retold += 1;
        if self.retold < self.topics.shards() {
            return;
        }
        self.interest.forget_before(self.number);
        if let Some(epoch) = self.retires.take() {
            self.commands.push(Command::Retire { epoch }, None);
        }
    }
}
