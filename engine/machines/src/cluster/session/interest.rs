//! The topics that this node has links to, by what servers call them, and how long their rosters were last.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::cluster::bus::Joined;
use crate::cluster::command::COMMAND_BYTES;
use crate::limits::CACHED_EVENT_BYTES;
use crate::topic::Topic;

/// The topics.
#[derive(Debug, Default)]
pub(super) struct Interest {
    topics: HashMap<Arc<[u8]>, Linked>,
}

#[derive(Debug)]
struct Linked {
    topic: Arc<Topic>,
    /// In which session it was told last.
    session: u64,
    /// What its roster came to in the answer to the last Join.
    roster_bytes: Option<usize>,
}

impl Interest {
    /// The topic has a link, or will have one. Returns what the answer to its Join may come to.
    pub(super) fn join(&mut self, name: &Arc<[u8]>, topic: &Arc<Topic>, session: u64) -> u64 {
        let linked = Linked { topic: Arc::clone(topic), session, roster_bytes: None };
        let linked = self.topics.entry(Arc::clone(name)).or_insert(linked);
        linked.session = session;
        let limits = &topic.app.limits;
        let roster = if topic.key.is_presence() { limits.roster_bytes_max } else { 0 };
        let cached = if topic.key.is_cached() { limits.event_data_bytes_max + CACHED_EVENT_BYTES } else { 0 };
        (COMMAND_BYTES + name.len() + linked.roster_bytes.unwrap_or(roster) + cached) as u64
    }

    /// The link has ended.
    pub(super) fn leave(&mut self, name: &[u8]) {
        self.topics.remove(name);
    }

    /// The answer to a Join.
    pub(super) fn note_roster(&mut self, name: &[u8], joined: &Joined) {
        if let Some(linked) = self.topics.get_mut(name) {
            let of_member = |user_id: &str, info: Option<&str>| 8 + user_id.len() + info.map_or(0, str::len);
            let all = joined.members.iter().map(|it| of_member(&it.user_id, it.user_info.as_deref()));
            linked.roster_bytes = Some(all.sum());
        }
    }

    /// The topic of this name, if it has a link.
    pub(super) fn get(&self, name: &[u8]) -> Option<&Arc<Topic>> {
        self.topics.get(name).map(|linked| &linked.topic)
    }

    /// Everything was told in this session: the links of others are no more.
    pub(super) fn forget_before(&mut self, session: u64) {
        self.topics.retain(|_, linked| linked.session == session);
        self.topics.shrink_to_fit();
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.topics.len()
    }
}
