//! Calls that are not answered yet: parts of them wait at a gate, or answers of home shards are missing.
//!
//! A call outlives its connection: what was asked for is done whether or not somebody still listens. All calls have the
//! same time, so those that are due stand in a queue. A late answer finds no call and is dropped.

use std::collections::VecDeque;

use api::refused::Refused;
use hashbrown::HashMap;

use super::ApiCore;
use super::console::HooksAnswer;
use super::gate::{Part, Waiting};
use super::open_call::{CallId, OpenCall};
use super::pending::{Pending, console};
use crate::cores::CoreId;
use crate::invariant::{self, Expected};
use crate::limits::CALL_MS_MAX;
use crate::machine::Now;
use crate::mesh::{Answer, Ask, Query};

/// All calls that are not answered yet.
#[derive(Debug, Default)]
pub(super) struct Calls {
    open: HashMap<CallId, (OpenCall, Pending)>,
    /// In order of their time; those that were answered are skipped.
    due: VecDeque<(u64, CallId)>,
    next: u64,
}

impl Calls {
    /// A name for a new call.
    pub(super) fn name(&mut self) -> CallId {
        self.next += 1;
        CallId::new(self.next)
    }

    /// One of the parts of a call has gone.
    pub(super) fn note_part_gone(&mut self, id: CallId) {
        if let Some((call, _)) = self.open.get_mut(&id) {
            invariant::check(call.parts_waiting > 0, "no more parts go than have waited");
            call.parts_waiting = call.parts_waiting.saturating_sub(1);
        }
    }

    /// Its answer will be dropped.
    pub(super) fn forget_connection(&mut self, id: CallId) {
        if let Some((call, _)) = self.open.get_mut(&id) {
            call.connection = None;
        }
    }

    /// True when every call is answered.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.due.is_empty()
    }

    /// When the next call is due, on the monotonic clock.
    pub(super) fn due_ms(&self) -> Option<u64> {
        self.due.front().map(|(due, _)| *due)
    }

    // The call will be answered later.
    fn insert(&mut self, id: CallId, call: OpenCall, pending: Pending, now_ms: u64) {
        self.open.insert(id, (call, pending));
        self.due.push_back((now_ms + CALL_MS_MAX, id));
    }

    fn remove(&mut self, id: CallId) -> Option<(OpenCall, Pending)> {
        let call = self.open.remove(&id);
        while self.due.front().is_some_and(|(_, id)| !self.open.contains_key(id)) {
            self.due.pop_front();
        }
        call
    }

    fn late(&self, now_ms: u64) -> Vec<CallId> {
        let late = self.due.iter().take_while(|(due, _)| *due <= now_ms);
        late.map(|(_, id)| *id).filter(|id| self.open.contains_key(id)).collect()
    }
}

impl ApiCore {
    /// Asks a home shard; the question waits where its home's gate is closed.
    pub(super) fn ask(&mut self, id: CallId, call: &mut OpenCall, home: CoreId, index: u32, ask: Ask) {
        let query = Query { id: id.question(index), ask };
        call.answers_missing += 1;
        if self.gate_is_open(home) {
            return self.send_query(home, query);
        }
        self.park(home, call, Waiting { call: id, part: Part::Ask(query) });
    }

    /// The part waits at its home.
    pub(super) fn park(&mut self, home: CoreId, call: &mut OpenCall, waiting: Waiting) {
        self.stats.gated += 1;
        call.parts_waiting += 1;
        self.gates.park(home, waiting);
    }

    /// Answers the call if nothing of it is missing, or else keeps it.
    pub(super) fn answer_now_or_later(&mut self, id: CallId, call: OpenCall, pending: Pending, now: Now) {
        if call.is_complete() {
            return self.answer_call(&call, pending, now);
        }
        if let Some(connection) = call.connection.and_then(|token| self.connections.by_token(token)) {
            connection.pending = Some(id);
        }
        self.calls.insert(id, call, pending, now.mono_ms);
    }

    /// An answer of a home shard.
    pub(super) fn handle_answer(&mut self, answer: Answer, now: Now) {
        let (id, question) = CallId::of_question(answer.id);
        let Some((call, pending)) = self.calls.open.get_mut(&id) else { return };
        if let Err(refused) = pending.take(question, answer.found) {
            call.refused = Some(refused);
        }
        invariant::check(call.answers_missing > 0, "no more answers come than are missing");
        call.answers_missing = call.answers_missing.saturating_sub(1);
        self.finish_if_complete(id, now);
    }

    /// What hooks have said to a question of the console.
    pub(super) fn handle_hooks_answer(&mut self, question: u64, answer: HooksAnswer, now: Now) {
        let (id, _) = CallId::of_question(question);
        let Some((call, pending)) = self.calls.open.get_mut(&id) else { return };
        match answer {
            Ok(json) => *pending = Pending::Json(json),
            Err((status, text)) => call.refused = Some(Refused::new(status, text)),
        }
        call.answers_missing = 0;
        self.finish_if_complete(id, now);
    }

    /// Answers the call when nothing of it is missing any more.
    pub(super) fn finish_if_complete(&mut self, id: CallId, now: Now) {
        if self.calls.open.get(&id).is_some_and(|(call, _)| call.is_complete())
            && let Some((call, pending)) = self.calls.remove(id)
        {
            self.gates.release_bytes(call.parked_bytes);
            self.answer_call(&call, pending, now);
            self.go_on_after(&call);
        }
    }

    // Answers a call that is complete.
    fn answer_call(&mut self, call: &OpenCall, pending: Pending, now: Now) {
        let pending = match pending {
            Pending::Sample(readings) => return self.take_sample(readings.into_all(), now),
            pending => pending,
        };
        let Some(token) = call.connection else { return };
        if let Some(refused) = &call.refused {
            let count =
                if refused.status == 503 { &mut self.stats.overloaded } else { &mut self.stats.refused };
            *count += 1;
            return self.respond_refusal(token, refused, call.manner, now);
        }
        if let Pending::Console(console::Pending::Watch(wish)) = pending {
            return self.begin_watch(token, call.manner, wish, now);
        }
        let answer = pending.respond(self, now);
        self.respond(token, &answer, call.manner, now);
    }

    /// Gives up calls whose time is up: 503, never a part of the answer.
    pub(super) fn give_up_late_calls(&mut self, now: Now) {
        let late = self.calls.late(now.mono_ms);
        if late.is_empty() {
            return;
        }
        for id in &late {
            let removed = self.calls.remove(*id).expected("what is late is open");
            let Some((call, pending)) = removed else { continue };
            self.gates.release_bytes(call.parked_bytes);
            if let (Pending::Sample(_), Some(console)) = (&pending, &mut self.console) {
                console.sampler.give_up();
                continue;
            }
            self.stats.overloaded += 1;
            if let Some(token) = call.connection {
                let refused = Refused::retry_later("Over capacity: not every shard could be reached in time");
                self.respond_refusal(token, &refused, call.manner, now);
            }
            self.go_on_after(&call);
        }
        self.gates.drop_parts_of(|id| self.calls.open.contains_key(&id));
    }

    fn go_on_after(&mut self, call: &OpenCall) {
        let Some(token) = call.connection else { return };
        if let Some(connection) = self.connections.by_token(token) {
            connection.pending = None;
            self.queue_ready(token);
        }
    }
}
