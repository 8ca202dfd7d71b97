//! What back ends ask a node about all nodes: each question is answered once, and in the end with what is so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use corecast_machines::cores::CoreId;
use corecast_machines::mesh::{Ask, Counts, Found, Query, Root};
use corecast_machines::topic::TopicKey;

use crate::rng::Rng;
use crate::world::World;

/// Questions that are not answered.
pub struct Questions {
    /// Of their own, so that they change nothing else in a schedule.
    pub rng: Rng,
    open: BTreeMap<u64, Question>,
    next: u64,
}

struct Question {
    node: usize,
    process: u64,
    /// What must come, where nothing changes any more.
    expected: Option<String>,
}

impl Questions {
    pub fn new(seed: u64) -> Self {
        Self { rng: Rng(seed ^ 0x9e37_79b9_7f4a_7c15), open: BTreeMap::new(), next: 0 }
    }
}

fn shown(found: &Found) -> String {
    match found {
        Found::Channel(counts, _) => format!("{counts:?}"),
        Found::Users(ids) => format!("{:?}", ids.iter().map(|id| &**id).collect::<BTreeSet<_>>()),
        Found::ChannelsElsewhere(all) => {
            let all = all.iter().map(|(name, counts)| (&**name, counts));
            format!("{:?}", all.collect::<BTreeMap<_, _>>())
        }
        other => format!("{other:?}"),
    }
}

impl World {
    /// A back end asks a node something.
    pub fn ask_something(&mut self) {
        let node = self.questions.rng.below(self.nodes.len());
        let channel = self.questions.rng.below(self.channels.len());
        if self.runs(node) {
            let channel = self.channels[channel].clone();
            let kind = self.questions.rng.below(3);
            self.ask(node, &channel, kind, None);
        }
    }

    /// A back end asks each node everything. Nothing changes meanwhile.
    pub fn ask_everything(&mut self) {
        for node in 0..self.nodes.len() {
            for channel in self.channels.clone() {
                let expected = shown(&Found::Channel(self.counts(&channel, None), None));
                self.ask(node, &channel, 0, Some(expected));
                let users = self.users(&channel);
                self.ask(node, &channel, 1, Some(format!("{users:?}")));
            }
            let elsewhere = self.channels.iter().map(|name| (&**name, self.counts(name, Some(node))));
            let elsewhere: BTreeMap<_, _> = elsewhere.filter(|(_, it)| it.subscriptions > 0).collect();
            let expected = format!("{elsewhere:?}");
            self.ask(node, "", 2, Some(expected));
        }
    }

    fn users(&self, channel: &str) -> BTreeSet<String> {
        let is_there = |channel: &str| channel.starts_with("presence-");
        let there = self.clients.iter().filter(|it| it.alive && it.subs.contains_key(channel));
        there.filter(|_| is_there(channel)).map(|it| it.user.clone()).collect()
    }

    fn counts(&self, channel: &str, but: Option<usize>) -> Counts {
        let there = self.clients.iter().filter(|it| it.alive && it.subs.contains_key(channel));
        let subscriptions = there.filter(|it| Some(it.node) != but).count() as u64;
        Counts { subscriptions, users: self.users(channel).len() as u32 }
    }

    fn ask(&mut self, node: usize, channel: &str, kind: usize, expected: Option<String>) {
        let it = &self.nodes[node];
        let topic = it.topics.topic(&self.app, TopicKey::of(channel));
        let (home, ask) = match kind {
            0 => (it.topics.home(topic.hash), Ask::Channel { topic }),
            1 => (it.topics.home(topic.hash), Ask::Users { topic }),
            _ => {
                let (server, app, prefix) = (0, Arc::clone(&self.app), "".into());
                (CoreId::Shard(0), Ask::ChannelsElsewhere { server, app, prefix, bytes_max: 10_000 })
            }
        };
        self.questions.next += 1;
        let (id, process) = (self.questions.next, it.process);
        if self.nodes[node].send_root(home, Root::Query(Box::new(Query { id, ask }))) {
            self.tell(|| format!("n{node} is asked {kind} of {channel}: {id}"));
            self.questions.open.insert(id, Question { node, process, expected });
        } else if expected.is_some() {
            while self.turn_shard(node, home_number(home)) {}
            self.ask(node, channel, kind, expected);
        }
    }

    /// What homes have answered.
    pub fn hear_answers(&mut self, node: usize) {
        for answer in self.nodes[node].take_answers() {
            let found = shown(&answer.found);
            self.tell(|| format!("n{node} answers {}: {found}", answer.id));
            let Some(question) = self.questions.open.remove(&answer.id) else {
                return self.bad(format!("n{node} answers question {} again", answer.id));
            };
            if let Some(expected) = question.expected.filter(|expected| *expected != found) {
                self.bad(format!("n{node} says {found}, and there is {expected}"));
            }
        }
    }

    /// Nobody waits for an answer any more, but of processes that are gone.
    pub fn check_answers(&mut self) {
        let is_there = |it: &&Question| self.nodes[it.node].process == it.process;
        if let Some(question) = self.questions.open.values().find(is_there) {
            let why = format!("n{} never answers a question", question.node);
            self.bad(why);
        }
    }
}

fn home_number(home: CoreId) -> usize {
    match home {
        CoreId::Shard(number) => usize::from(number),
        _ => panic!("a home is a shard"),
    }
}
