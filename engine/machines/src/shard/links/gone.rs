//! Subscriptions that have gone: their homes are told, by Exit and Count. What closes have to say when the open batch is
//! full waits *outside*: Exits in order, Counts as a mark per topic that is read when sent; both go before any command
//! that waits for the same home, Exits before Counts.

use std::sync::Arc;

use crate::cores::CoreId;
use crate::invariant::Expected;
use crate::mesh::{Root, SubRef};
use crate::shard::Shard;
use crate::shard::fanout::connection::Needs;
use crate::shard::fanout::topics::Gone;
use crate::shard::links::{LINKED, Link, Links};
use crate::topic::Topic;

/// What has found room in an open batch.
#[derive(Debug)]
enum BroughtIn {
    /// An Exit is in it.
    Exit(SubRef),
    /// The Count of the topic in this slot may be said.
    Count(u32),
}

impl Links {
    /// A subscription has gone: says so to home, if it is a member or asked to be one. Returns whether that must wait
    /// outside, which only what a close has to say may.
    #[must_use]
    fn leave(&mut self, gone: Gone, by_close: bool) -> bool {
        let Some(link) = self.get_mut(gone.topic_slot).expected(LINKED) else { return false };
        let home = link.home;
        if gone.waited {
            link.joiners.retain(|joiner| *joiner != gone.sub);
        }
        let wait = by_close && !self.is_open(home);
        match gone.needs {
            Needs::Presence(_) if gone.waited && self.strike_enter(home, gone.entered, gone.sub) => false,
            Needs::Presence(_) => self.exit(home, gone.topic, gone.sub, wait),
            Needs::Nothing => {
                if gone.waited && gone.topic.key.is_cached() {
                    self.strike_enter(home, gone.entered, gone.sub);
                }
                false
            }
        }
    }

    /// Takes back an Enter or a Replay that home was not sent. Returns whether it was.
    fn strike_enter(&mut self, home: CoreId, entered: u32, sub: SubRef) -> bool {
        let sequence = self.roots.sequence(home, entered);
        match self.roots.unsent(home, sequence) {
            Some(Root::Enter { sub: of, .. } | Root::Replay { sub: of, .. }) if *of == sub => {
                self.roots.replace(home, sequence, Root::Struck);
                self.stats.enters_struck += 1;
                true
            }
            _ => false,
        }
    }

    fn exit(&mut self, home: CoreId, topic: Arc<Topic>, sub: SubRef, wait: bool) -> bool {
        if !wait {
            self.roots.push(home, Root::Exit { topic, sub });
        } else if let Some(outside) = self.outside.get_mut(home).expected("each home has its own") {
            outside.exits.push_back((topic, sub));
            self.stats.exits_outside += 1;
        }
        wait
    }

    /// The number of a topic's subscribers has changed. Returns whether home may be told now; else that waits outside,
    /// which only what a close has to say may.
    fn may_count(&mut self, topic_slot: u32, by_close: bool) -> bool {
        let Some(home) = self.get_mut(topic_slot).expected(LINKED).map(|link| link.home) else {
            return false;
        };
        if !by_close || self.is_open(home) {
            return true;
        }
        if let Some(link) = self.get_mut(topic_slot)
            && !std::mem::replace(&mut link.count_outside, true)
        {
            self.outside.get_mut(home).into_iter().for_each(|outside| outside.counts.push_back(topic_slot));
            self.stats.counts_outside += 1;
        }
        false
    }

    /// Tells home how many subscribers there are; with none, the link is no more. Strikes out the last Count of this link if
    /// that was not sent.
    fn count(&mut self, topic_slot: u32, topic: Arc<Topic>, n: u32) {
        let link = self.by_topic.get_mut(topic_slot as usize).and_then(Option::as_mut);
        let Some(link) = link.expected(LINKED) else { return };
        link.count_outside = false;
        let Link { home, epoch, counted, live, .. } = *link;
        if n == 0 && !live {
            self.stats.joining_abandoned += 1;
        }
        if let Some(earlier) = self.roots.unsent(home, counted)
            && matches!(earlier, Root::Count { epoch: of, .. } if *of == epoch)
        {
            *earlier = Root::Struck;
            self.stats.counts_struck += 1;
        }
        link.counted = self.roots.push(home, Root::Count { topic, epoch, n });
        self.close_without_subscribers(topic_slot, n);
    }

    fn close_without_subscribers(&mut self, topic_slot: u32, n: u32) {
        if n == 0
            && let Some(link) = self.by_topic.get_mut(topic_slot as usize)
        {
            *link = None;
        }
    }

    /// The next of what waits outside for this home, if there is room for it.
    fn bring_in(&mut self, home: CoreId) -> Option<BroughtIn> {
        if self.roots.is_full(home) {
            return None;
        }
        let outside = self.outside.get_mut(home).expected("each home has its own")?;
        if let Some((topic, sub)) = outside.exits.pop_front() {
            self.roots.push(home, Root::Exit { topic, sub });
            return Some(BroughtIn::Exit(sub));
        }
        outside.counts.pop_front().map(BroughtIn::Count)
    }
}

impl Shard {
    /// A subscription has gone: says so to its home, Exit before Count. What a close has to say may wait outside.
    pub(in crate::shard) fn tell_gone(&mut self, gone: Gone, by_close: bool) {
        let (topic_slot, slot) = (gone.topic_slot, gone.sub.connection.slot);
        if self.links.leave(gone, by_close) {
            self.fanout.keep_slot(slot);
        }
        if self.links.may_count(topic_slot, by_close) {
            self.send_count(topic_slot);
        }
    }

    /// Tells home how many subscribers there are, and with none forgets the topic.
    pub(in crate::shard) fn send_count(&mut self, topic_slot: u32) {
        let topic = self.fanout.topic(topic_slot).cloned();
        let Some(topic) = topic.expected("a topic stays until its home is told") else { return };
        let n = self.fanout.subscribers_to(topic_slot);
        self.links.count(topic_slot, topic, n);
        if n == 0 {
            self.fanout.remove_topic(topic_slot);
        }
    }

    /// What waits outside goes into the open batches as far as there is room. Returns whether anything did.
    pub(in crate::shard) fn bring_in_outside(&mut self) -> bool {
        let mut any = false;
        for home in self.hash.cores().each_shard() {
            while let Some(brought_in) = self.links.bring_in(home) {
                match brought_in {
                    BroughtIn::Exit(sub) => self.let_go(sub.connection.slot),
                    BroughtIn::Count(topic_slot) => self.send_count(topic_slot),
                }
                any = true;
            }
            while self.links.has_room(home)
                && let Some(word) = self.users.next_word(home)
            {
                self.links.tell_of_user(home, word);
                any = true;
            }
        }
        any
    }
}
