//! Calls that are not answered yet: parts of them wait at a gate, or answers of home shards are missing.
//!
//! A call outlives its connection: what was asked for is done whether or not somebody still listens. All calls have the
//! same time, so those that are due stand in a queue. A late answer finds no call and is dropped.

use std::collections::VecDeque;
use std::sync::Arc;

use api::answer::{Answer, Manner, Row};
use api::info::{Counts, Info};
use api::refused::Refused;
use hashbrown::HashMap;
use protocol::channel::ChannelKind;

use super::{ApiCore, CALL_MS_MAX, CHANNELS_BYTES_MAX};
use crate::machine::{Now, Token};
use crate::mesh::{self, Found, listed_bytes};
use crate::readings::Reading;

/// Names a call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct CallId(u64);

/// A question is named by its call and by which of the call's questions it is, in the low bits.
const QUESTION_BITS: u32 = 24;

impl CallId {
    /// The id of a query.
    pub(super) fn question(self, index: u32) -> u64 {
        self.0 << QUESTION_BITS | u64::from(index) & ((1 << QUESTION_BITS) - 1)
    }

    fn of_question(id: u64) -> (Self, usize) {
        (Self(id >> QUESTION_BITS), (id & ((1 << QUESTION_BITS) - 1)) as usize)
    }
}

/// A call that is not answered yet.
#[derive(Debug)]
pub(super) struct PendingCall {
    /// Whose it is; None when that connection is gone.
    pub(super) connection: Option<Token>,
    /// How it will be answered.
    pub(super) manner: Manner,
    /// What it will be answered with.
    pub(super) form: Form,
    /// Parts that wait at a gate.
    pub(super) parts_waiting: usize,
    /// Answers of home shards that have not come.
    pub(super) answers_missing: usize,
    /// What its waiting events keep in memory, in bytes.
    pub(super) parked_bytes: usize,
    /// What is known so far of the channels asked for.
    pub(super) rows: Vec<CallRow>,
    /// What the channels of a list count for, in bytes.
    listed_bytes: usize,
    /// What is known so far of the members asked for.
    pub(super) users: Vec<Box<str>>,
    /// Why it cannot be answered as it was asked.
    refused: Option<Refused>,
    /// How shards stand that have answered so far, each with its number.
    pub(super) readings: Vec<(usize, Reading)>,
}

/// What a call is answered with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    Published,
    Event,
    Batch,
    /// The list of channels, each with these attributes.
    Channels(Info),
    Channel,
    Users,
    Terminated,
    Metrics,
}

/// A channel in an answer.
#[derive(Debug)]
pub(super) struct CallRow {
    pub(super) name: Arc<str>,
    pub(super) kind: ChannelKind,
    pub(super) info: Info,
    pub(super) counts: Counts,
}

impl PendingCall {
    /// A call that nothing is waited for so far.
    pub(super) fn new(connection: Token, manner: Manner, form: Form) -> Self {
        Self {
            connection: Some(connection),
            manner,
            form,
            parts_waiting: 0,
            answers_missing: 0,
            parked_bytes: 0,
            rows: Vec::new(),
            listed_bytes: 0,
            users: Vec::new(),
            refused: None,
            readings: Vec::new(),
        }
    }

    /// True when it can be answered.
    pub(super) fn is_complete(&self) -> bool {
        self.refused.is_some() || (self.parts_waiting == 0 && self.answers_missing == 0)
    }

    fn take_found(&mut self, question: usize, found: Found) {
        match (found, self.form) {
            (Found::Channels(channels), Form::Channels(info)) => self.take_channels(channels, info),
            (Found::ChannelsTooLong, _) => self.refused = Some(too_long()),
            (Found::Busy, _) => {
                self.refused =
                    Some(Refused::retry_later("Over capacity: too many lists are being made already"));
            }
            (Found::Channel(counts), _) => {
                if let Some(row) = self.rows.get_mut(question) {
                    row.counts = counts_of(counts);
                }
            }
            (Found::Users(users), _) => self.users = users,
            (Found::Reading(reading), _) => self.readings.push((question, *reading)),
            (Found::Channels(_), form) => debug_assert!(false, "channels were not asked for by {form:?}"),
        }
    }

    fn take_channels(&mut self, channels: Vec<(Arc<str>, mesh::Counts)>, info: Info) {
        self.listed_bytes += channels.iter().map(|(name, _)| listed_bytes(name)).sum::<usize>();
        if self.listed_bytes > CHANNELS_BYTES_MAX {
            self.refused = Some(too_long());
            return;
        }
        let row = |(name, counts): (Arc<str>, mesh::Counts)| CallRow {
            kind: ChannelKind::of(&name),
            name,
            info,
            counts: counts_of(counts),
        };
        self.rows.extend(channels.into_iter().map(row));
    }

    fn rows(&self) -> Vec<Row<'_>> {
        let row = |row: &CallRow| (row.kind, row.info, row.counts);
        let rows = self.rows.iter().map(|it| (&*it.name, row(it)));
        rows.map(|(name, (kind, info, counts))| Row { name, kind, info, counts }).collect()
    }
}

fn too_long() -> Refused {
    Refused::new(413, "The list of channels is too long: ask for a part of it with filter_by_prefix")
}

fn counts_of(counts: mesh::Counts) -> Counts {
    Counts { subscriptions: counts.subscriptions, users: counts.users }
}

/// All calls that are not answered yet.
#[derive(Debug, Default)]
pub(super) struct Calls {
    pending: HashMap<CallId, PendingCall>,
    /// In order of their time; those that were answered are skipped.
    due: VecDeque<(u64, CallId)>,
    next: u64,
}

impl Calls {
    /// A name for a new call.
    pub(super) fn name(&mut self) -> CallId {
        self.next += 1;
        CallId(self.next & (u64::MAX >> QUESTION_BITS))
    }

    /// The call will be answered later.
    pub(super) fn insert(&mut self, id: CallId, call: PendingCall, now_ms: u64) {
        self.pending.insert(id, call);
        self.due.push_back((now_ms + CALL_MS_MAX, id));
    }

    pub(super) fn by_id(&mut self, id: CallId) -> Option<&mut PendingCall> {
        self.pending.get_mut(&id)
    }

    /// Its answer will be dropped.
    pub(super) fn forget_connection(&mut self, id: CallId) {
        if let Some(call) = self.pending.get_mut(&id) {
            call.connection = None;
        }
    }

    /// True when every call is answered.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.due.is_empty()
    }

    /// When the next call is due, on the monotonic clock.
    pub(super) fn due_ms(&self) -> Option<u64> {
        self.due.front().map(|(due, _)| *due)
    }

    fn remove(&mut self, id: CallId) -> Option<PendingCall> {
        let call = self.pending.remove(&id);
        while self.due.front().is_some_and(|(_, id)| !self.pending.contains_key(id)) {
            self.due.pop_front();
        }
        call
    }

    fn late(&self, now_ms: u64) -> Vec<CallId> {
        let late = self.due.iter().take_while(|(due, _)| *due <= now_ms);
        late.map(|(_, id)| *id).filter(|id| self.pending.contains_key(id)).collect()
    }
}

impl ApiCore {
    /// An answer of a home shard.
    pub(super) fn handle_answer(&mut self, answer: mesh::Answer, now: Now) {
        let (id, question) = CallId::of_question(answer.id);
        let Some(call) = self.calls.by_id(id) else { return };
        call.take_found(question, answer.found);
        call.answers_missing = call.answers_missing.saturating_sub(1);
        self.finish_if_complete(id, now);
    }

    /// Answers the call when nothing of it is missing any more.
    pub(super) fn finish_if_complete(&mut self, id: CallId, now: Now) {
        if self.calls.by_id(id).is_some_and(|call| call.is_complete())
            && let Some(call) = self.calls.remove(id)
        {
            self.gates.release_bytes(call.parked_bytes);
            self.answer_call(&call, now);
            self.go_on_after(&call);
        }
    }

    /// Answers a call that is complete.
    pub(super) fn answer_call(&mut self, call: &PendingCall, now: Now) {
        let Some(token) = call.connection else { return };
        if let Some(refused) = &call.refused {
            let count =
                if refused.status == 503 { &mut self.stats.overloaded } else { &mut self.stats.refused };
            *count += 1;
            return self.respond_refusal(token, refused, call.manner, now);
        }
        let rows = call.rows();
        let metrics =
            if call.form == Form::Metrics { self.encode_metrics(&call.readings, now) } else { String::new() };
        let answer = match (call.form, rows.first()) {
            (Form::Event, _) => Answer::Event(&rows),
            (Form::Batch, _) => Answer::Batch(&rows),
            (Form::Channels(_), _) => Answer::Channels(&rows),
            (Form::Channel, Some(row)) => Answer::Channel(*row),
            (Form::Users, _) => Answer::Users(&call.users),
            (Form::Terminated, _) => Answer::Terminated,
            (Form::Metrics, _) => Answer::Metrics(&metrics),
            (Form::Published | Form::Channel, _) => Answer::Published,
        };
        self.respond(token, &answer, call.manner, now);
    }

    /// Gives up calls whose time is up: 503, never a part of the answer.
    pub(super) fn give_up_late_calls(&mut self, now: Now) {
        let late = self.calls.late(now.mono_ms);
        if late.is_empty() {
            return;
        }
        for id in &late {
            let Some(call) = self.calls.remove(*id) else { continue };
            self.gates.release_bytes(call.parked_bytes);
            self.stats.overloaded += 1;
            if let Some(token) = call.connection {
                let refused = Refused::retry_later("Over capacity: not every shard could be reached in time");
                self.respond_refusal(token, &refused, call.manner, now);
            }
            self.go_on_after(&call);
        }
        self.gates.drop_parts_of(|id| self.calls.pending.contains_key(&id));
    }

    fn go_on_after(&mut self, call: &PendingCall) {
        let Some(token) = call.connection else { return };
        if let Some(connection) = self.connections.by_token(token) {
            connection.pending = None;
            self.queue_ready(token);
        }
    }
}
