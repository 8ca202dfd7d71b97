//! Events on their way into outboxes. The cost of an event is one append to its topic's Run; the cost of a topic's first
//! event in a phase is one range per subscriber.
//!
//! Subscribers that take objects have a Run of their own, with the same events in the same order. It is there only where a
//! topic has such subscribers.

use protocol::dialect::DataForm;
use protocol::object_form::append_object_form;
use protocol::ws::Frame;

use crate::invariant::Expected;
use crate::machine::Token;
use crate::now::Moment;
use crate::outbox::Range;
use crate::outbox::run::OpenRun;
use crate::shard::fanout::Fanout;
use crate::shard::fanout::flush::{NO_RUN, Touched};
use crate::shard::fanout::topics::LocalTopic;

impl Fanout {
    /// An event for all acknowledged subscribers but one. One that was published is measured.
    pub(in crate::shard) fn deliver(
        &mut self,
        topic_slot: u32,
        frame: &Frame,
        except: Option<Token>,
        received: Option<Moment>,
    ) {
        let topic = self.topics.get_mut(topic_slot);
        let Some(topic) = topic.expected("its caller has found it") else { return };
        if topic.acknowledged.is_empty() {
            return;
        }
        self.stats.deliveries += topic.acknowledged.len() as u64;
        if topic.run == NO_RUN {
            topic.run = self.flush.open.len() as u32;
            let (open, interval_ms) = (OpenRun::new(topic_slot), topic.flush_interval_ms());
            let mut objects = None;
            self.flush.make_room(topic.acknowledged.len());
            for subscriber in &topic.acknowledged {
                // One that has gone stays listed until its subscription is given up.
                let Some((id, connection)) = self.connections.at(subscriber.slot) else { continue };
                let (its, run) = match connection.form {
                    DataForm::String => (&open, topic.run),
                    DataForm::Object => {
                        (&*objects.get_or_insert_with(|| OpenRun::new(topic_slot)), topic.run + 1)
                    }
                };
                connection.outbox.push(Range::open(its.run(), 0), &mut self.flush.tails);
                self.flush.gain.taken_by(connection.subscriptions.len());
                if connection.blocked {
                    self.flush.touched.push(Touched { id, run, from: 0 });
                } else {
                    self.stats.held += u64::from(self.flush.mark_or_hold(id, connection, interval_ms));
                }
            }
            self.flush.open.push(open);
            if let Some(objects) = objects {
                topic.object_run = self.flush.open.len() as u32;
                self.flush.open.push(objects);
            }
            self.flush.gain.opened(&mut topic.gain);
        }
        let (run, object_run) = (topic.run, topic.object_run);
        let excluded = except.filter(|id| self.acknowledged(*id, topic_slot).is_some());
        if let Some(id) = excluded {
            self.close_range(id, topic_slot);
        }
        if let Some(open) = self.flush.open.get_mut(run as usize).expected("a topic's Run is open") {
            open.append(frame);
        }
        if let Some(objects) = self.flush.open.get_mut(object_run as usize) {
            objects.append_with(|bytes| append_object_form(bytes, frame));
        }
        if let Some(topic) = self.topics.get_mut(topic_slot) {
            let hearing = topic.acknowledged.len() - usize::from(excluded.is_some());
            self.traffic.of(&topic.topic.app).sent += hearing as u64;
            self.flush.decided(&mut topic.gain, frame.len());
            if let Some(received) = received {
                self.timing.note_decided(received, topic.flush_interval_ms(), self.flush.run_bytes());
            }
        }
        if let Some(id) = excluded {
            self.stats.deliveries -= 1;
            self.stats.excluded += 1;
            if let Some(topic) = self.topics.get_mut(topic_slot) {
                self.flush.gain.opened(&mut topic.gain);
            }
            self.open_range(id, topic_slot);
        }
    }

    /// The Run of this phase that the connection has its part of. One that takes objects may be the first on its topic.
    fn run_for(&mut self, id: Token, topic_slot: u32) -> u32 {
        let form = self.form_of(id);
        let Some(topic) = self.topics.get_mut(topic_slot) else { return NO_RUN };
        if form == DataForm::String {
            return topic.run;
        }
        if topic.run != NO_RUN && topic.object_run == NO_RUN {
            topic.object_run = self.flush.open.len() as u32;
            self.flush.open.push(OpenRun::new(topic_slot));
        }
        topic.object_run
    }

    /// A range of the topic's open Run, from its present end on.
    pub(super) fn open_range(&mut self, id: Token, topic_slot: u32) {
        let run = self.run_for(id, topic_slot);
        // A topic without an event in this phase has no Run.
        let Some(open) = self.flush.open.get(run as usize) else { return };
        let (range, from) = (Range::open(open.run(), open.end()), open.end());
        let interval_ms = self.topics.get(topic_slot).map_or(0, LocalTopic::flush_interval_ms);
        let connection = self.connections.by_id(id);
        let Some(connection) = connection.expected("a subscriber is connected") else { return };
        connection.outbox.push(range, &mut self.flush.tails);
        self.flush.gain.taken_by(connection.subscriptions.len());
        if connection.blocked {
            self.flush.touched.push(Touched { id, run, from });
        } else {
            self.stats.held += u64::from(self.flush.mark_or_hold(id, connection, interval_ms));
        }
    }

    pub(super) fn close_range(&mut self, id: Token, topic_slot: u32) {
        let run = self.run_for(id, topic_slot);
        let Some(open) = self.flush.open.get(run as usize) else { return };
        let connection = self.connections.by_id(id);
        let Some(connection) = connection.expected("its caller has found it") else { return };
        connection.outbox.close_range(open.run(), open.end());
    }

    /// Ends the decide phase: no Run grows any more, and blocked connections are charged with what they have gained.
    pub(in crate::shard) fn seal(&mut self) {
        for touched in std::mem::take(&mut self.flush.touched) {
            let open = self.flush.open.get(touched.run as usize);
            let Some(open) = open.expected("Runs are open until they are sealed") else { continue };
            let bytes = open.end().saturating_sub(touched.from) as usize;
            let frames = open.frames_from(touched.from);
            self.charge(touched.id, bytes, frames);
        }
        for open in self.flush.open.drain(..) {
            if let Some(topic) = self.topics.get_mut(open.topic_slot) {
                (topic.run, topic.object_run) = (NO_RUN, NO_RUN);
            }
            open.seal(&self.held);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;
    use std::sync::Arc;

    use protocol::app::App;
    use protocol::json::EventData;
    use protocol::server_event::encode_event;
    use protocol::socket_id::Place;

    use super::*;
    use crate::limits::Limits;
    use crate::mesh::SubRef;
    use crate::outbox::run::Run;
    use crate::shard::fanout::connection::{Heard, Needs};
    use crate::topic::{TopicHash, TopicKey};

    struct Rig {
        fanout: Fanout,
        app: Arc<App>,
        topic_slot: u32,
        clients: u32,
    }

    impl Rig {
        fn new() -> Self {
            let app = Arc::new(App::new("1", "key", "secret"));
            let mut fanout = Fanout::new(Place { node: 0, shard: 0 }, &Limits::default());
            let topic_slot = fanout.add_topic(TopicHash::new(7, 1).topic(&app, TopicKey::of("a")));
            Self { fanout, app, topic_slot, clients: 0 }
        }

        /// A connection that is subscribed.
        fn join(&mut self, form: DataForm) -> Token {
            let id = Token { slot: self.clients, generation: 1 };
            let heard = Heard { second: [0; 2], pinged: false };
            let second = u64::from(self.clients);
            self.clients += 1;
            self.fanout.attach(id, self.app.admit().unwrap(), second, heard, form);
            let sub = SubRef { connection: id, ticket: 1 };
            self.fanout.add_waiting(self.topic_slot, sub, Needs::Nothing);
            self.fanout.acknowledge(id, 0, Run::private(b"ok ".to_vec()));
            id
        }

        fn publish(&mut self, number: u64, except: Option<Token>) {
            let mut bytes = Vec::new();
            let data = EventData { is_json: true, ..EventData::of_text(&format!("[{number}]")) };
            encode_event(&mut bytes, "e", "a", &data, None);
            self.fanout.deliver(self.topic_slot, &Frame::from(bytes).holding_json(true), except, None);
        }

        /// What each of them has in its outbox, as far as it is data.
        fn heard(&mut self, ids: &[Token]) -> Vec<Vec<String>> {
            self.fanout.seal();
            let heard = |id: &Token| {
                let mut slices = [IoSlice::new(&[]); 8];
                let filled = self.fanout.slices_of(*id, &mut slices);
                let bytes: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
                let text = String::from_utf8_lossy(&bytes).into_owned();
                text.split("\"data\":")
                    .skip(1)
                    .map(|data| data[..data.find('}').unwrap()].to_owned())
                    .collect()
            };
            ids.iter().map(heard).collect()
        }
    }

    #[test]
    fn a_topic_has_a_run_for_objects_only_while_one_of_its_subscribers_takes_them() {
        let mut rig = Rig::new();
        let string = rig.join(DataForm::String);
        rig.publish(1, None);
        rig.publish(2, None);
        assert_eq!(rig.fanout.flush.open.len(), 1);
        assert_eq!(rig.heard(&[string]), [[r#""[1]""#, r#""[2]""#]]);
        let object = rig.join(DataForm::Object);
        rig.publish(3, None);
        rig.publish(4, None);
        assert_eq!(rig.fanout.flush.open.len(), 2);
        assert_eq!(rig.heard(&[object]), [["[3]", "[4]"]]);
        assert!(rig.fanout.remove_subscription(object, 0).is_some());
        rig.publish(5, None);
        assert_eq!(rig.fanout.flush.open.len(), 1);
    }

    #[test]
    fn who_comes_in_the_middle_of_a_phase_hears_the_rest_of_it_in_its_form() {
        let mut rig = Rig::new();
        let string = rig.join(DataForm::String);
        rig.publish(1, None);
        let object = rig.join(DataForm::Object);
        let late = rig.join(DataForm::String);
        rig.publish(2, Some(object));
        rig.publish(3, Some(string));
        let expected = [vec![r#""[1]""#, r#""[2]""#], vec!["[3]"], vec![r#""[2]""#, r#""[3]""#]];
        assert_eq!(rig.heard(&[string, object, late]), expected);
    }
}
