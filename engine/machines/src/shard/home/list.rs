//! Lists of channels. A home may have a million topics and may not stop for them, so a list is made in steps: each looks
//! at `walk_looks_max` places, and between two of them everything else has its turn. Lists are made one after another;
//! past `lists_max` a question is answered Busy. A list that is longer than its asker can use ends at once.
//!
//! Channels come and go meanwhile. A topic keeps its place while it is occupied, and one that is younger than the list
//! is passed over: so no channel is there twice, and every one that was occupied all the time is there.

use std::collections::VecDeque;
use std::sync::Arc;

use protocol::app::App;

use crate::cores::CoreId;
use crate::limits::Limits;
use crate::mesh::{Counts, Found, listed_bytes};
use crate::shard::home::Home;
use crate::shard::home::topics::{HomeTopic, HomeTopics};
use crate::topic::TopicKey;

/// Lists that are not ready, the first of them in the making.
#[derive(Debug)]
pub(super) struct Lists {
    queue: VecDeque<List>,
    lists_max: usize,
    looks_max: usize,
}

/// A list of channels in the making.
#[derive(Debug)]
struct List {
    asker: CoreId,
    id: u64,
    app: Arc<App>,
    prefix: Box<str>,
    extent: Extent,
    /// The place to be looked at next.
    next: usize,
    /// Topics from this birth on are younger than the list.
    births: u64,
    found: Vec<(Arc<str>, Counts)>,
}

/// How much of a list is wanted.
#[derive(Debug)]
pub(super) enum Extent {
    /// All of it, if that is not more than so many bytes.
    All {
        /// How many.
        bytes_max: usize,
    },
    /// The first channels behind a name, in the order of names.
    Page {
        /// The name.
        after: Box<str>,
        /// How many channels.
        count: usize,
    },
}

impl Lists {
    /// No list.
    pub(super) fn new(limits: &Limits) -> Self {
        Self { queue: VecDeque::new(), lists_max: limits.lists_max, looks_max: limits.walk_looks_max }
    }

    /// How many lists are not ready.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }
}

impl Home {
    /// Begins a list, or refuses it.
    pub(super) fn begin_list(
        &mut self,
        asker: CoreId,
        id: u64,
        app: Arc<App>,
        prefix: Box<str>,
        extent: Extent,
    ) {
        if self.lists.len() >= self.lists.lists_max {
            self.stats.lists_refused += 1;
            return self.answer(asker, id, Found::Busy);
        }
        self.stats.lists += 1;
        let (births, found) = (self.topics.births(), Vec::new());
        let list = List { asker, id, app, prefix, extent, next: 0, births, found };
        self.lists.queue.push_back(list);
    }

    /// One step of the first list. Returns whether there was one.
    pub(in crate::shard) fn continue_list(&mut self) -> bool {
        let Some(list) = self.lists.queue.front_mut() else { return false };
        self.stats.list_steps += 1;
        if let Some(found) = list.step(&self.topics, self.lists.looks_max) {
            let (asker, id) = (list.asker, list.id);
            self.lists.queue.pop_front();
            self.answer(asker, id, found);
        }
        true
    }
}

impl List {
    /// Looks at so many places; returns what was found when nothing is left to look at.
    fn step(&mut self, topics: &HomeTopics, looks_max: usize) -> Option<Found> {
        let places = topics.places();
        let end = places.min(self.next + looks_max);
        for topic in (self.next..end).filter_map(|place| topics.at(place)) {
            let Some(name) = self.name_of(topic) else { continue };
            match &mut self.extent {
                Extent::All { bytes_max } => {
                    let Some(bytes_left) = bytes_max.checked_sub(listed_bytes(name)) else {
                        return Some(Found::ChannelsTooLong);
                    };
                    *bytes_max = bytes_left;
                    self.found.push((Arc::clone(name), topic.counts()));
                }
                Extent::Page { after, count } => {
                    if **name > **after {
                        keep_first(&mut self.found, (Arc::clone(name), topic.counts()), *count);
                    }
                }
            }
        }
        self.next = end;
        (end == places).then(|| Found::Channels(std::mem::take(&mut self.found)))
    }

    /// What a topic is called in this list, if it belongs there. A user is not shown.
    fn name_of<'a>(&self, home: &'a HomeTopic) -> Option<&'a Arc<str>> {
        let HomeTopic { topic, birth, .. } = home;
        let TopicKey::Channel { name, .. } = &topic.key else { return None };
        let belongs = home.is_occupied()
            && *birth < self.births
            && topic.app.id == self.app.id
            && name.starts_with(&*self.prefix);
        belongs.then_some(name)
    }
}

/// Adds a channel to those that come first, in the order of their names, and lets go of the last if there are too many.
fn keep_first(first: &mut Vec<(Arc<str>, Counts)>, channel: (Arc<str>, Counts), count: usize) {
    let at = first.partition_point(|(name, _)| *name < channel.0);
    if at < count {
        first.insert(at, channel);
        first.truncate(count);
    }
}

#[cfg(test)]
mod tests {
    use protocol::app::Apps;

    use super::*;
    use crate::mesh::{Ask, Leaf, Query, Root};
    use crate::shard::ending::drain::DrainPlan;
    use crate::shard::{Shard, ShardConfig};
    use crate::topic::TopicHash;

    /// The core that asks.
    const ASKER: CoreId = CoreId::Api;

    struct Rig {
        shard: Shard,
        apps: Arc<Apps>,
        topics: TopicHash,
    }

    impl Rig {
        fn new(walk_looks_max: usize) -> Self {
            let apps = Arc::new(Apps::new(vec![App::new("1", "a", "s"), App::new("2", "b", "s")]).unwrap());
            let topics = TopicHash::new(7, 1);
            let shard = Shard::new(ShardConfig {
                number: 0,
                node: 0,
                apps: Arc::clone(&apps),
                path_prefix: Default::default(),
                trusted_proxies: Default::default(),
                address_caps: Default::default(),
                topics: topics.clone(),
                limits: Limits { walk_looks_max, lists_max: 2, ..Limits::default() },
                hook_grace_ms: 0,
                witness: None,
                drain: DrainPlan::default(),
                random: Box::new(|| 0),
            });
            Self { shard, apps, topics }
        }

        fn app(&self, id: &str) -> Arc<App> {
            Arc::clone(self.apps.by_id(id).unwrap())
        }

        fn join_in(&mut self, app: &str, name: &str) {
            let topic = self.topics.topic(&self.app(app), TopicKey::of(name));
            self.shard.handle_root(CoreId::Shard(0), Root::Join { topic, epoch: 1 });
        }

        fn join(&mut self, names: &[&str]) {
            names.iter().for_each(|name| self.join_in("1", name));
        }

        fn leave(&mut self, name: &str) {
            let topic = self.topics.topic(&self.app("1"), TopicKey::of(name));
            self.shard.handle_root(CoreId::Shard(0), Root::Count { topic, epoch: 1, n: 0 });
        }

        fn ask(&mut self, id: u64, prefix: &str, bytes_max: usize) {
            let ask = Ask::Channels { app: self.app("1"), prefix: prefix.into(), bytes_max };
            self.shard.handle_root(ASKER, Root::Query(Box::new(Query { id, ask })));
        }

        fn answer(&mut self) -> Option<(u64, Found)> {
            let Leaf::Answer(answer) = self.shard.home.leaves.pop(ASKER)? else { panic!("no answer") };
            Some((answer.id, answer.found))
        }

        /// The names of the only list, in the order of the alphabet, and the steps that it took.
        fn finish(&mut self) -> (Vec<String>, usize) {
            let mut steps = 0;
            while self.shard.home.continue_list() {
                steps += 1;
            }
            let Some((_, Found::Channels(channels))) = self.answer() else { panic!("no list") };
            let mut names: Vec<_> = channels.into_iter().map(|(name, _)| name.to_string()).collect();
            names.sort();
            (names, steps)
        }
    }

    #[test]
    fn a_channel_that_goes_and_comes_back_meanwhile_is_there_once() {
        let mut rig = Rig::new(1);
        rig.join(&["a", "b", "c", "d"]);
        rig.ask(1, "", 1000);
        assert!(rig.shard.home.continue_list());
        rig.leave("a");
        rig.leave("c");
        rig.join(&["a", "e"]);
        assert_eq!(rig.finish().0, ["a", "b", "d"]);
    }

    #[test]
    fn a_step_looks_at_so_many_places_and_no_more() {
        let mut rig = Rig::new(256);
        let mut names: Vec<String> = (0..5_000).map(|number| format!("c{number}")).collect();
        names.iter().for_each(|name| rig.join_in("1", name));
        rig.ask(1, "", usize::MAX);
        let places = rig.shard.home.topics.places();
        let (found, steps) = rig.finish();
        names.sort();
        assert!(found == names && steps == places.div_ceil(256), "{} in {steps} steps", found.len());
    }

    #[test]
    fn only_channels_of_the_app_with_the_prefix_are_named_and_never_those_of_users() {
        let mut rig = Rig::new(2);
        rig.join(&["presence-a", "presence-b", "private-a", "#server-to-user-1"]);
        rig.join_in("2", "presence-c");
        rig.ask(1, "presence-", 1000);
        assert_eq!(rig.finish().0, ["presence-a", "presence-b"]);
        rig.ask(1, "", 1000);
        assert_eq!(rig.finish().0, ["presence-a", "presence-b", "private-a"]);
        rig.ask(1, "#", 1000);
        assert!(rig.finish().0.is_empty());
    }

    #[test]
    fn a_page_has_the_first_names_behind_the_one_before_in_their_order() {
        let mut rig = Rig::new(2);
        rig.join(&["c", "presence-b", "a", "e", "presence-a", "b", "d"]);
        rig.join_in("2", "aa");
        let mut page = |prefix: &str, after: &str, count| {
            let (app, prefix, after) = (rig.app("1"), prefix.into(), after.into());
            let ask = Ask::ChannelPage { app, prefix, after, count };
            rig.shard.handle_root(ASKER, Root::Query(Box::new(Query { id: 1, ask })));
            while rig.shard.home.continue_list() {}
            let Some((1, Found::Channels(channels))) = rig.answer() else { panic!("no page") };
            channels.into_iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(page("", "", 3), ["a", "b", "c"]);
        assert_eq!(page("", "c", 3), ["d", "e", "presence-a"]);
        assert_eq!(page("", "presence-a", 3), ["presence-b"]);
        assert_eq!(page("presence-", "", 9), ["presence-a", "presence-b"]);
        assert!(page("", "presence-b", 3).is_empty());
    }

    #[test]
    fn a_list_that_is_too_long_ends_where_that_is_known() {
        let mut rig = Rig::new(1);
        rig.join(&["a", "b", "c", "d"]);
        rig.ask(1, "", 2 * listed_bytes("a"));
        let steps = std::iter::from_fn(|| rig.shard.home.continue_list().then_some(())).count();
        assert!(steps == 3 && matches!(rig.answer(), Some((1, Found::ChannelsTooLong))), "{steps} steps");
    }

    #[test]
    fn lists_are_made_one_after_another_and_past_their_number_refused() {
        let mut rig = Rig::new(1);
        rig.join(&["a", "b"]);
        (1..=3).for_each(|id| rig.ask(id, "", 1000));
        assert!(matches!(rig.answer(), Some((3, Found::Busy))));
        while rig.shard.home.continue_list() {}
        for id in [1, 2] {
            assert!(matches!(rig.answer(), Some((of, Found::Channels(two))) if of == id && two.len() == 2));
        }
        assert_eq!((rig.shard.stats().lists, rig.shard.stats().lists_refused), (2, 1));
    }
}
