//! What stands in the inbox goes to homes, as far as they have room.

use std::sync::Arc;

use crate::cluster::bus::{CachedFrame, Joined, News};
use crate::cluster::epoch::Epoch;
use crate::cluster::event_data::EventData;
use crate::cluster::item::{Entry, Item};
use crate::cluster::session::effect::Effect;
use crate::cluster::session::inbox::Next;
use crate::cluster::session::reading::Why;
use crate::cluster::session::{Session, State};
use crate::cores::CoreId;
use crate::mesh::Event;
use crate::now::Now;
use crate::topic::Topic;

impl Session {
    /// What was read from the inbox; nothing, if nothing came while the read waited.
    pub fn handle_entries(&mut self, number: u64, entries: Vec<Entry>, now: Now) {
        let Some(connection) = self.current(number) else { return };
        connection.end_read();
        self.inbox.push(entries);
        self.take_entries(now);
    }

    pub(super) fn take_entries(&mut self, now: Now) {
        while let State::Up(epoch) = self.state
            && !self.news.any_full()
        {
            match self.inbox.take(now.mono_ms) {
                Next::Entry(entry) => {
                    self.take_entry(epoch, &entry);
                    self.acknowledge_if_due(epoch, now);
                }
                Next::Nothing => return self.go_on_reading(epoch, now),
                Next::Jump => return self.lose(Why::Gap, now),
                Next::Cut => return self.lose(Why::Cut, now),
            }
        }
    }

    pub(super) fn go_on_reading(&mut self, epoch: Epoch, now: Now) {
        self.acknowledge_if_due(epoch, now);
        let Some(connection) = &mut self.connection else { return };
        if !connection.is_reading() && self.inbox.is_empty() {
            connection.begin_read(now.mono_ms);
            let (after, block_ms) = (self.inbox.taken(), self.pace.block_ms);
            self.effects.push_back(Effect::Read { epoch, after, block_ms });
        }
    }

    pub(super) fn acknowledge_if_due(&mut self, epoch: Epoch, now: Now) {
        if let Some(ack) = self.inbox.next_ack(epoch, now.mono_ms) {
            self.call(ack, now);
        }
    }

    fn take_entry(&mut self, epoch: Epoch, entry: &Entry) {
        for (field, value) in &entry.fields {
            let known = Item::read(field, value).and_then(|item| self.take_item(epoch, item));
            self.stats.items_unreadable += u64::from(known.is_none());
        }
    }

    /// None: no script of ours has said that to us.
    fn take_item(&mut self, epoch: Epoch, item: Item<'_>) -> Option<()> {
        match item {
            Item::Joined { topic: name, link, elsewhere, members, cached } => {
                let topic = self.commands.take_question(name)?;
                let cached = cached.map(|(event, ttl_ms)| CachedFrame { frame: event.frame, ttl_ms });
                let joined = Joined { topic: Arc::clone(&topic), link, elsewhere, members, cached };
                self.interest.note_roster(name, &joined);
                self.tell_home(&topic, News::Joined(Box::new(joined)));
            }
            Item::Entered { topic: name, user_id, ticket } => {
                let topic = self.commands.take_question(name)?;
                let about = Arc::clone(&topic);
                self.tell_home(&about, News::Entered { topic, user_id: user_id.into(), ticket });
            }
            Item::Refused { topic: name, user_id, ticket } => {
                let topic = self.commands.take_question(name)?;
                let about = Arc::clone(&topic);
                self.tell_home(&about, News::Refused { topic, user_id: user_id.into(), ticket });
            }
            Item::Added { topic: name, member } => {
                let Some(topic) = self.interest.get(name).cloned() else { return Some(()) };
                self.tell_home(&topic.clone(), News::Added { topic, member });
            }
            Item::Removed { topic: name, user_id } => {
                let Some(topic) = self.interest.get(name).cloned() else { return Some(()) };
                self.tell_home(&topic.clone(), News::Removed { topic, user_id: user_id.into() });
            }
            Item::Elsewhere { topic: name, subscriptions } => {
                let Some(topic) = self.interest.get(name).cloned() else { return Some(()) };
                self.tell_home(&topic.clone(), News::Elsewhere { topic, subscriptions });
            }
            Item::Event { topic: name, event } => self.take_event(epoch, name, event)?,
            Item::Order(order) => self.tell_all(|| News::Order(order.clone())),
            Item::Cut => return None,
        }
        Some(())
    }

    fn take_event(&mut self, epoch: Epoch, name: &[u8], event: EventData) -> Option<()> {
        let EventData { epoch: publisher, home, echo, except, origin, frame } = event;
        let is_ours = publisher == epoch;
        match self.interest.get(name).cloned() {
            Some(topic) => {
                let home = self.topics.home(topic.hash);
                let event = Box::new(Event { topic, frame, except, origin, received: None });
                self.tell(home, News::Event(event, if is_ours { echo } else { 0 }));
            }
            None if is_ours && echo > 0 => {
                let home: CoreId = self.topics.cores().shard(home)?;
                self.tell(home, News::Echoed(echo));
            }
            None => {}
        }
        Some(())
    }

    fn tell_home(&mut self, topic: &Topic, news: News) {
        self.tell(self.topics.home(topic.hash), news);
    }
}
