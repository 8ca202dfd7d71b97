//! The gates: a part of a call is put into the open batch to its home shard while that is not full, and otherwise waits
//! at that home, first-in first-out. Nobody overtakes those who wait for the same home, and nobody waits for another
//! home's gate.
//!
//! Events that wait own their bytes, one copy for all their channels, and are encoded when they go. Bounded by
//! `PARKED_BYTES_MAX` and by one call per connection; a part whose call was given up is dropped, and its caller knows.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use protocol::hook_event::HookEvent;
use protocol::hook_kind::HookKind;
use protocol::json::EventData;
use protocol::server_event::encode_event;
use protocol::socket_id::SocketId;
use protocol::ws::Frame;

use super::ApiCore;
use super::open_call::CallId;
use crate::cores::{CoreId, Cores, PerCore};
use crate::invariant::{self, Expected};
use crate::limits::PARKED_BYTES_MAX;
use crate::machine::Now;
use crate::mesh::{Ask, Event, Origin, Publish, Query, Root, Terminate};
use crate::now::Moment;
use crate::readings::gated::GatedTime;
use crate::topic::{Topic, TopicKey};

/// What waits, for each home.
#[derive(Debug)]
pub(super) struct Gates {
    homes: PerCore<VecDeque<Waiting>>,
    bytes: usize,
    time: GatedTime,
}

/// A part of a call that waits for its home.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) call: CallId,
    pub(super) part: Part,
}

/// What a call wants of one home.
#[derive(Debug)]
pub(super) enum Part {
    /// Take an event, and answer the question, if there is one, right after it.
    Event { event: Rc<ParkedEvent>, topic: Arc<Topic>, question: Option<u64> },
    /// Answer a question.
    Ask(Query),
    /// Close the connections of a user.
    Terminate(Box<Terminate>),
}

/// An event that waits.
#[derive(Debug)]
pub(super) struct ParkedEvent {
    pub(super) name: Box<str>,
    pub(super) data: EventData<'static>,
    pub(super) except: Option<SocketId>,
    pub(super) received: Moment,
}

impl ParkedEvent {
    /// What it keeps in memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.name.len() + self.data.literal.len()
    }
}

/// An event, wherever its bytes are.
#[derive(Clone, Copy, Debug)]
pub(super) struct EventView<'a> {
    pub(super) name: &'a str,
    pub(super) data: &'a EventData<'a>,
    pub(super) except: Option<SocketId>,
    pub(super) received: Moment,
}

impl Gates {
    /// Nothing waits.
    pub(super) fn new(cores: Cores) -> Self {
        let homes = PerCore::of_shards(cores, |_| VecDeque::new());
        Self { homes, bytes: 0, time: GatedTime::default() }
    }

    /// Whether anything waits, at the end of a phase.
    pub(super) fn note(&mut self, mono_ms: u64) {
        self.time.note(self.homes.entries().any(|parts| !parts.is_empty()), mono_ms);
    }

    /// For how long something has waited, in milliseconds.
    pub(super) fn ms(&self) -> u64 {
        self.time.ms()
    }

    /// What waits, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// True when no more events may wait.
    pub(super) fn is_over_capacity(&self) -> bool {
        self.bytes >= PARKED_BYTES_MAX
    }

    /// The part waits at this home.
    pub(super) fn park(&mut self, home: CoreId, waiting: Waiting) {
        if let Some(parts) = self.homes.get_mut(home).expected("each home has a gate") {
            parts.push_back(waiting);
        }
    }

    /// Events that wait keep so many more bytes.
    pub(super) fn charge_bytes(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// Events that kept so many bytes wait no more.
    pub(super) fn release_bytes(&mut self, bytes: usize) {
        invariant::check(self.bytes >= bytes, "no more is released than was charged");
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Drops parts of calls that are gone.
    pub(super) fn drop_parts_of(&mut self, is_pending: impl Fn(CallId) -> bool) {
        for parts in self.homes.entries_mut() {
            parts.retain(|waiting| is_pending(waiting.call));
        }
    }

    /// True when nothing waits and nothing is charged.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0 && self.homes.entries().all(VecDeque::is_empty)
    }

    fn has_waiting(&self, home: CoreId) -> bool {
        self.homes.get(home).is_some_and(|parts| !parts.is_empty())
    }

    fn pop(&mut self, home: CoreId) -> Option<Waiting> {
        self.homes.get_mut(home)?.pop_front()
    }
}

impl ApiCore {
    /// True when a part for this home may go now.
    pub(super) fn gate_is_open(&self, home: CoreId) -> bool {
        !self.roots.is_full(home) && !self.gates.has_waiting(home)
    }

    /// Lets parts go whose gate has opened, a quantum of each home, since no home may live on another's share. Returns
    /// whether any went.
    pub(super) fn let_parts_go(&mut self, now: Now) -> bool {
        let mut any = false;
        for home in self.topics.cores().each_shard() {
            for _ in 0..self.limits.quantum {
                if self.roots.is_full(home) {
                    break;
                }
                let Some(waiting) = self.gates.pop(home) else { break };
                self.let_part_go(home, waiting, now);
                any = true;
            }
        }
        any
    }

    fn let_part_go(&mut self, home: CoreId, waiting: Waiting, now: Now) {
        match waiting.part {
            Part::Event { event, topic, question } => {
                let ParkedEvent { name, data, except, received } = &*event;
                let view = EventView { name, data, except: *except, received: *received };
                self.send_event(home, topic, view, question);
            }
            Part::Ask(query) => self.send_query(home, query),
            Part::Terminate(terminate) => self.send_terminate(home, terminate),
        }
        self.calls.note_part_gone(waiting.call);
        self.finish_if_complete(waiting.call, now);
    }

    /// Puts an event into the open batch to its home, with a question about its channel behind it.
    pub(super) fn send_event(
        &mut self,
        home: CoreId,
        topic: Arc<Topic>,
        event: EventView<'_>,
        question: Option<u64>,
    ) {
        self.scratch.clear();
        encode_event(&mut self.scratch, event.name, &topic.name(), event.data, None);
        let publish = Publish {
            event: Event {
                topic: Arc::clone(&topic),
                frame: Frame::from(self.scratch.as_slice()).holding_json(event.data.is_json),
                except: event.except,
                origin: Origin::BackEnd,
                received: Some(event.received),
            },
            hook: is_told_of(&topic).then(|| HookEvent::ServerEvent {
                app: Arc::clone(&topic.app),
                channel: topic.shared_name(),
                event: event.name.into(),
                recipients: 0,
            }),
        };
        self.stats.published += 1;
        self.roots.push(home, Root::Publish(Box::new(publish)));
        if let Some(id) = question {
            self.send_query(home, Query { id, ask: Ask::Channel { topic } });
        }
    }

    /// Puts a question into the open batch to a home.
    pub(super) fn send_query(&mut self, home: CoreId, query: Query) {
        self.roots.push(home, Root::Query(Box::new(query)));
    }

    /// Puts a user whose connections must go into the open batch to a shard.
    pub(super) fn send_terminate(&mut self, shard: CoreId, terminate: Box<Terminate>) {
        self.roots.push(shard, Root::Terminate(terminate));
    }
}

/// Whether the hooks want to know of an event. What a user is told is not for them.
fn is_told_of(topic: &Topic) -> bool {
    matches!(topic.key, TopicKey::Channel { .. }) && topic.app.hooks.has(HookKind::ServerEvent)
}
