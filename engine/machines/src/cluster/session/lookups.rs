//! What homes ask about all nodes: each question goes out behind the commands that were said before it, and what has no answer
//! when a connection breaks goes out again. How many there are is bounded by the homes.

use std::collections::VecDeque;

use crate::cluster::bus::News;
use crate::cluster::call::Call;
use crate::cluster::epoch::Epoch;
use crate::cluster::lookup::{LookedUp, Lookup};
use crate::cluster::session::Session;
use crate::cluster::topic_name::{app_name, topic_name};
use crate::cores::CoreId;
use crate::now::Now;

/// Questions without an answer, oldest first.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    queue: VecDeque<Asked>,
    /// How many of them were sent on this connection.
    sent: usize,
}

#[derive(Debug)]
struct Asked {
    home: CoreId,
    /// The home's number for it.
    number: u64,
    lookup: Lookup,
    /// The number of the command before it.
    behind: u64,
}

impl Lookups {
    /// A session begins, or is over.
    pub(super) fn begin_anew(&mut self) {
        self.queue.clear();
        self.sent = 0;
    }

    /// The connection is another: nothing was sent on it.
    pub(super) fn send_again(&mut self) {
        self.sent = 0;
    }

    fn next(&mut self, sent_to: u64) -> Option<&Lookup> {
        let next = self.queue.get(self.sent).filter(|next| next.behind <= sent_to)?;
        self.sent += 1;
        Some(&next.lookup)
    }

    fn take_answered(&mut self) -> Option<(CoreId, u64)> {
        let Asked { home, number, .. } = self.queue.pop_front()?;
        self.sent = self.sent.saturating_sub(1);
        Some((home, number))
    }
}

impl Session {
    pub(super) fn take_lookup(&mut self, home: CoreId, lookup: Lookup, number: u64) {
        let behind = self.commands.last();
        self.lookups.queue.push_back(Asked { home, number, lookup, behind });
    }

    /// Questions whose turn has come go out. Links of this node do not count, whichever of its sessions they are of: homes
    /// know them better.
    pub(super) fn send_lookups(&mut self, epoch: Epoch, now: Now) {
        let sent_to = self.commands.sent_to();
        while self.connection.as_ref().is_some_and(|it| it.lookups() < self.limits.lookups_in_flight_max)
            && let Some(lookup) = self.lookups.next(sent_to)
        {
            let except = || [epoch].into_iter().chain(self.retires).collect();
            let slice = self.limits.lookup_slice;
            let call = match lookup {
                Lookup::Channel { topic, cached } => {
                    Call::Counts { except: except(), topic: topic_name(topic).into(), cached: *cached }
                }
                Lookup::Channels { app, prefix, cursor } => Call::List {
                    except: except(),
                    app: app_name(app).into(),
                    prefix: prefix.clone(),
                    cursor: *cursor,
                    slice,
                },
                Lookup::Users { topic, cursor } => {
                    Call::Users { topic: topic_name(topic).into(), cursor: *cursor, slice }
                }
            };
            self.call(call, now);
        }
    }

    pub(super) fn answer_lookup(&mut self, found: LookedUp) {
        if let Some((home, number)) = self.lookups.take_answered() {
            self.tell(home, News::LookedUp(Box::new(found), number));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use protocol::app::App;

    use super::*;
    use crate::cluster::answer::Value;
    use crate::cluster::bus::{Said, Server, ToBus};
    use crate::cluster::session::SessionConfig;
    use crate::cluster::session::effect::Effect;
    use crate::limits::{ClusterLimits, Limits};
    use crate::mesh::Counts;
    use crate::topic::{Topic, TopicHash, TopicKey};

    const HOME: CoreId = CoreId::Shard(0);

    struct Rig {
        session: Session,
        now: Now,
        topic: Arc<Topic>,
        connection: u64,
    }

    impl Rig {
        /// A session that is up.
        fn new(limits: ClusterLimits) -> Self {
            let (now, topics) = (Now::at(1, 1), TopicHash::new(1, 1));
            let topic = topics.topic(&Arc::new(App::new("1", "k", "s")), TopicKey::of("c"));
            let config = SessionConfig {
                server: Server(0),
                topics,
                lease_ms: 10_000,
                limits,
                batches: Limits::default(),
                digest: "d".into(),
                random: Box::new(|| 7),
            };
            let mut rig = Self { session: Session::new(config, now), now, topic, connection: 0 };
            rig.session.handle_deadline(now);
            rig.connect();
            let registered = [Value::Bytes(b"id".to_vec()), Value::Number(1)];
            rig.answer(Value::Array(registered.to_vec()));
            rig.calls();
            rig
        }

        fn connect(&mut self) {
            while let Some(effect) = self.session.poll_effect(self.now) {
                if let Effect::Connect(number) = effect {
                    self.connection = number;
                }
            }
            self.session.handle_connected(self.connection, self.now);
            self.calls();
        }

        fn answer(&mut self, value: Value) {
            self.session.handle_value(self.connection, value, self.now);
        }

        fn say(&mut self, said: Said) {
            self.session.handle_home(HOME, ToBus { session: 1, said }, self.now);
        }

        fn look_up(&mut self, number: u64) {
            let topic = Arc::clone(&self.topic);
            self.say(Said::LookUp(Box::new(Lookup::Channel { topic, cached: false }), number));
        }

        fn calls(&mut self) -> Vec<Call> {
            let mut calls = Vec::new();
            while let Some(effect) = self.session.poll_effect(self.now) {
                if let Effect::Call(call) = effect {
                    calls.push(call);
                }
            }
            calls.retain(|call| !matches!(call, Call::Beat { .. } | Call::Ack { .. }));
            calls
        }

        fn answers(&mut self) -> Vec<(u64, u64)> {
            let news = self.session.take_news(HOME).unwrap_or_default();
            let answers = news.into_iter().filter_map(|it| match it.news {
                News::LookedUp(found, number) => match *found {
                    LookedUp::Channel { counts: Counts { subscriptions, .. }, .. } => {
                        Some((number, subscriptions))
                    }
                    _ => None,
                },
                _ => None,
            });
            answers.collect()
        }
    }

    fn counts(subscriptions: i64) -> Value {
        Value::Array(vec![Value::Number(subscriptions), Value::Number(0)])
    }

    fn is_counts(call: &Call) -> bool {
        matches!(call, Call::Counts { .. })
    }

    #[test]
    fn a_question_goes_out_behind_the_commands_before_it() {
        let mut rig = Rig::new(ClusterLimits {
            call_commands_max: 1,
            calls_in_flight_max: 1,
            ..ClusterLimits::default()
        });
        for _ in 0..2 {
            let topic = Arc::clone(&rig.topic);
            rig.say(Said::Count { topic, subscriptions: 1 });
        }
        rig.look_up(1);
        assert!(matches!(rig.calls()[..], [Call::Commands { first: 1, .. }]));
        rig.answer(Value::Number(1));
        assert!(matches!(rig.calls()[..], [Call::Commands { first: 2, .. }, Call::Counts { .. }]));
    }

    #[test]
    fn what_has_no_answer_when_a_connection_breaks_is_asked_again_and_each_answer_is_told_once() {
        let mut rig = Rig::new(ClusterLimits::default());
        (1..=3).for_each(|number| rig.look_up(number));
        assert_eq!(rig.calls().iter().filter(|call| is_counts(call)).count(), 3);
        rig.answer(counts(5));
        assert_eq!(rig.answers(), [(1, 5)]);
        rig.session.handle_broken(rig.connection, rig.now);
        rig.session.handle_deadline(rig.now);
        rig.connect();
        rig.answer(Value::Number(0));
        assert_eq!(rig.calls().iter().filter(|call| is_counts(call)).count(), 2);
        rig.answer(counts(6));
        rig.answer(counts(7));
        rig.answer(counts(8));
        assert_eq!(rig.answers(), [(2, 6), (3, 7)]);
    }

    #[test]
    fn only_so_many_questions_wait_for_the_server_and_none_outlives_its_session() {
        let mut rig = Rig::new(ClusterLimits { lookups_in_flight_max: 2, ..ClusterLimits::default() });
        (1..=3).for_each(|number| rig.look_up(number));
        assert_eq!(rig.calls().iter().filter(|call| is_counts(call)).count(), 2);
        rig.answer(counts(1));
        assert_eq!(rig.calls().iter().filter(|call| is_counts(call)).count(), 1);
        rig.session.lose(crate::cluster::session::reading::Why::Fenced, rig.now);
        assert!(rig.session.lookups.queue.is_empty());
    }
}
