//! The order in which a shard takes its input: leaves, roots from other cores, its own roots, commands, steps of long
//! walks, in rotation, a quantum each, of walks a step. A phase ends when nothing is left, when the flush gate closes, or after `rounds_max` rounds; the next
//! begins with the class whose turn it would have been. Any fixed order starves the last class for ever.
//!
//! The gates: commands wait for room in the open root batch to their home; roots for room in all open leaf batches,
//! never for root batches (two shards full of roots for each other would wait for ever); leaves, like everything, for
//! the flush gate alone, which waits for the kernel only. A list of channels ends in a leaf and waits like a root; the
//! walk for users who must go adds to no batch and waits like a leaf, and roots for it when too many are named. Numbers of
//! subscriptions that must be told wait for room in the leaf batches, and roots for them when too many must be.

use std::collections::VecDeque;

use crate::cluster::bus::{FromBus, Server};
use crate::cores::CoreId;
use crate::machine::{Effect, Inputs, Now, Socket, Token};
use crate::mesh::{Leaf, Root};
use crate::outbox::parting::Parting;
use crate::shard::Shard;
use crate::shard::inbound::commands::Flow;

/// Where the rotation stands, and the batches that are being used up.
#[derive(Debug, Default)]
pub(super) struct Rotation {
    next: Class,
    source: Source,
    leaves: Option<Batch<Leaf>>,
    roots: Option<Batch<Root>>,
    news: Option<(Server, VecDeque<FromBus>)>,
}

#[derive(Debug)]
struct Batch<M> {
    from: CoreId,
    messages: VecDeque<M>,
}

/// A class of input.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Class {
    #[default]
    Leaves,
    Roots,
    OwnRoots,
    Commands,
    Walks,
}

impl Class {
    const COUNT: usize = 5;

    fn next(self) -> Self {
        match self {
            Self::Leaves => Self::Roots,
            Self::Roots => Self::OwnRoots,
            Self::OwnRoots => Self::Commands,
            Self::Commands => Self::Walks,
            Self::Walks => Self::Leaves,
        }
    }
}

/// Where a command comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Source {
    #[default]
    Gated,
    Budgeted,
    Sockets,
    LookedUp,
}

impl Source {
    const COUNT: usize = 4;

    fn next(self) -> Self {
        match self {
            Self::Gated => Self::Budgeted,
            Self::Budgeted => Self::Sockets,
            Self::Sockets => Self::LookedUp,
            Self::LookedUp => Self::Gated,
        }
    }
}

impl Shard {
    /// One decide phase.
    pub(in crate::shard) fn take_in_rotation(&mut self, inputs: &mut impl Inputs, now: Now) -> bool {
        self.fanout.begin_phase(now);
        self.home.begin_phase(now);
        self.users.begin_phase(now.mono_ms);
        self.look_at_traces(now.mono_ms);
        self.begin_giving_up();
        self.note_partings();
        let mut took = self.bring_in_outside();
        let (mut idle, mut class) = (0, self.inbound.rotation.next);
        let mut turns_left = self.limits.rounds_max * Class::COUNT;
        // Those that are in line now have one turn in this phase; who stalls again waits for the next phase.
        let mut budgeted = self.budgeted();
        while idle < Class::COUNT && turns_left > 0 && !self.flush_gate_is_closed() {
            let any = match class {
                Class::Leaves => self.take_leaves(inputs),
                Class::Roots => self.take_roots(inputs),
                Class::OwnRoots => self.take_own_roots(),
                Class::Commands => self.take_commands(inputs, &mut budgeted, now),
                Class::Walks => self.take_walks(),
            };
            took |= any;
            idle = if any { 0 } else { idle + 1 };
            class = class.next();
            turns_left -= 1;
        }
        self.inbound.rotation.next = class;
        self.inbound.stats.grants_gated +=
            u64::from(self.home.grants_gain_bytes_max() > 0 && self.flush_gate_is_closed());
        self.grant_all();
        if idle == Class::COUNT {
            self.inbound.lobby.note_heard(now);
            self.count_half_open(now);
        }
        let gated = self.flush_gate_is_closed();
        let (roots_gated, commands_gated) = (self.home.is_backed_up(), self.inbound.stalled.any_gated());
        self.inbound.gates.note(gated, roots_gated, commands_gated, now);
        self.note_quiet(now);
        if gated {
            self.inbound.stats.flush_gated += 1;
            self.inbound.stats.flush_gated_by_all += u64::from(self.fanout.all_have_gained_too_much());
        }
        // What the flush gate holds back, and connections that have had their share, go on in the next turn: it must
        // come even if nothing was left to write, for who stood first in the FIFO may have gone.
        // The same holds for what is measured when that was written.
        took || gated || self.budgeted() > 0 || self.home.has_counts_to_tell() || self.fanout.is_timing()
    }

    pub(in crate::shard) fn flush_gate_is_closed(&self) -> bool {
        self.fanout.gate_is_closed(self.home.grants_gain_bytes_max())
    }

    fn roots_gate_is_closed(&mut self) -> bool {
        let closed =
            self.home.is_backed_up() || self.ending.has_too_many_terminations(self.limits.terminations_max);
        if closed {
            self.inbound.stats.roots_gated += 1;
        }
        closed
    }

    fn take_leaves(&mut self, inputs: &mut impl Inputs) -> bool {
        let mut any = false;
        for _ in 0..self.limits.quantum {
            if self.flush_gate_is_closed() {
                break;
            }
            let Some(leaf) = self.next_leaf(inputs) else { break };
            self.handle_leaf(leaf);
            self.note_activity();
            any = true;
        }
        any
    }

    fn next_leaf(&mut self, inputs: &mut impl Inputs) -> Option<Leaf> {
        if self.inbound.rotation.leaves.is_none() {
            let (from, messages) = inputs.next_leaves()?;
            self.inbound.stats.batches_taken += 1;
            self.inbound.rotation.leaves = Some(Batch { from, messages: messages.into() });
        }
        let batch = self.inbound.rotation.leaves.as_mut()?;
        let leaf = batch.messages.pop_front();
        if batch.messages.is_empty() {
            inputs.release_leaves(batch.from);
            self.inbound.rotation.leaves = None;
        }
        leaf
    }

    fn take_roots(&mut self, inputs: &mut impl Inputs) -> bool {
        let mut any = self.home.is_clustered() && self.take_news(inputs);
        for _ in 0..self.limits.quantum {
            if self.flush_gate_is_closed() || self.roots_gate_is_closed() {
                break;
            }
            let Some((from, root)) = self.next_root(inputs) else { break };
            self.handle_root(from, root);
            self.note_activity();
            any = true;
        }
        any
    }

    /// What servers of a cluster say waits for room in the leaf batches alone: what they are told may be full until it is taken.
    fn take_news(&mut self, inputs: &mut impl Inputs) -> bool {
        let mut any = false;
        for _ in 0..self.limits.quantum {
            if self.flush_gate_is_closed() || !self.home.may_take_news() {
                break;
            }
            let Some((server, news)) = self.next_news(inputs) else { break };
            self.handle_news(server, news);
            self.note_activity();
            any = true;
        }
        any
    }

    fn next_news(&mut self, inputs: &mut impl Inputs) -> Option<(Server, FromBus)> {
        if self.inbound.rotation.news.is_none() {
            let (server, messages) = inputs.next_news()?;
            self.inbound.stats.batches_taken += 1;
            self.inbound.rotation.news = Some((server, messages.into()));
        }
        let (server, messages) = self.inbound.rotation.news.as_mut()?;
        let (server, news) = (*server, messages.pop_front());
        if messages.is_empty() {
            inputs.release_news(server);
            self.inbound.rotation.news = None;
        }
        news.map(|news| (server, news))
    }

    fn next_root(&mut self, inputs: &mut impl Inputs) -> Option<(CoreId, Root)> {
        if self.inbound.rotation.roots.is_none() {
            let (from, messages) = inputs.next_roots()?;
            self.inbound.stats.batches_taken += 1;
            self.inbound.rotation.roots = Some(Batch { from, messages: messages.into() });
        }
        let batch = self.inbound.rotation.roots.as_mut()?;
        let (from, root) = (batch.from, batch.messages.pop_front());
        if batch.messages.is_empty() {
            inputs.release_roots(from);
            self.inbound.rotation.roots = None;
        }
        root.map(|root| (from, root))
    }

    /// What this shard says to itself as a home: the same open batch, but no inbox.
    fn take_own_roots(&mut self) -> bool {
        let mut any = false;
        for _ in 0..self.limits.quantum {
            if self.flush_gate_is_closed() || self.roots_gate_is_closed() {
                break;
            }
            let Some(root) = self.links.take_own(self.me()) else { break };
            self.handle_root(self.me(), root);
            self.note_activity();
            any = true;
        }
        any | self.bring_in_outside()
    }

    /// A step of each kind of walk.
    fn take_walks(&mut self) -> bool {
        let any = self.continue_departures() | self.continue_terminations() | self.continue_app_walk();
        let any = any | self.tell_counts() | self.tell_of_users() | self.continue_slow_walk();
        let any = any | (self.home.is_clustered() && self.continue_cluster());
        any | (self.home.open_lists() > 0 && !self.roots_gate_is_closed() && self.home.continue_list())
    }

    /// Some of those who must be told how many they are.
    fn tell_counts(&mut self) -> bool {
        let mut any = false;
        for _ in 0..self.limits.quantum {
            if self.flush_gate_is_closed() || !self.home.has_room() || !self.tell_next_count() {
                break;
            }
            any = true;
        }
        any
    }

    /// Tells connections what has changed on their watchlists, and shards who has gone.
    fn tell_of_users(&mut self) -> bool {
        let mut any = false;
        for _ in 0..self.limits.quantum {
            if self.flush_gate_is_closed() || !self.tell_next_watcher() {
                break;
            }
            any = true;
        }
        for _ in 0..self.limits.quantum {
            if self.flush_gate_is_closed() || self.home.is_backed_up() {
                break;
            }
            let Some(here) = self.home.tell_next_gone() else { break };
            here.into_iter().for_each(|leaf| self.handle_leaf(leaf));
            any = true;
        }
        any
    }

    fn take_commands(&mut self, inputs: &mut impl Inputs, budgeted: &mut usize, now: Now) -> bool {
        let mut any = false;
        for _ in 0..self.limits.quantum {
            if self.flush_gate_is_closed() || !self.take_command(inputs, budgeted, now) {
                break;
            }
            any = true;
        }
        any
    }

    /// One connection, by turns from those that waited for a gate, those that have had their share of the last turn, the
    /// sockets, and those whose app was looked up: a socket that is always busy must not keep the others waiting.
    fn take_command(&mut self, inputs: &mut impl Inputs, budgeted: &mut usize, now: Now) -> bool {
        for _ in 0..Source::COUNT {
            let source = self.inbound.rotation.source;
            self.inbound.rotation.source = source.next();
            let took = match source {
                Source::Gated => self.take_stalled(now),
                Source::Budgeted => *budgeted > 0 && self.take_budgeted(now),
                Source::Sockets => self.take_socket(inputs, now),
                Source::LookedUp => self.take_looked_up(now),
            };
            if took {
                *budgeted -= usize::from(source == Source::Budgeted);
                return true;
            }
        }
        false
    }

    fn take_socket(&mut self, inputs: &mut impl Inputs, now: Now) -> bool {
        let (token, flow) = match inputs.next_socket() {
            None => return false,
            Some(Socket::Bytes(token, bytes)) => (token, self.handle_socket_bytes(token, bytes, now)),
            Some(Socket::Secured(token)) => {
                self.handle_secured(token, now);
                return true;
            }
            Some(Socket::Hangup(token)) => {
                self.handle_hangup(token);
                return true;
            }
        };
        if flow == Flow::Stalled {
            inputs.pause(token);
        }
        true
    }

    fn handle_socket_bytes(&mut self, token: Token, bytes: &mut [u8], now: Now) -> Flow {
        self.inbound.stats.bytes_received += bytes.len() as u64;
        if !self.fanout.has(token) {
            return self.handle_head_bytes(token, bytes, now);
        }
        debug_assert!(
            !self.fanout.is_stalled(token),
            "nothing is read from a connection whose last message waits"
        );
        self.fanout.note_received(token, bytes.len());
        self.handle_connection_bytes(token, bytes, now)
    }

    fn handle_hangup(&mut self, token: Token) {
        if self.inbound.lobby.leave(token) {
            self.give_away(token, Effect::Close { token, last: Parting::default() });
        } else {
            self.vanish(token);
        }
    }
}
