//! What scripts answer: a session begins, goes on or is over, commands are done, and others are seen to live or not.

use crate::cluster::answer::{Answer, Value};
use crate::cluster::bus::News;
use crate::cluster::call::{Call, Script};
use crate::cluster::epoch::Epoch;
use crate::cluster::order::Order;
use crate::cluster::session::connection::Asked;
use crate::cluster::session::effect::Effect;
use crate::cluster::session::reading::Why;
use crate::cluster::session::watch::Verdict;
use crate::cluster::session::{Session, State};
use crate::now::Now;

impl Session {
    /// The answer to the oldest call without one.
    pub fn handle_value(&mut self, number: u64, value: Value, now: Now) {
        let Some(connection) = self.current(number) else { return };
        let Some(asked) = connection.take_asked() else { return };
        let answer = Answer::read(asked.script, value);
        if asked.has_commands() || asked.script == Script::Beat {
            self.round_trips.note(asked.sent.moment().elapsed_us(now), 1);
        }
        match (self.state, answer) {
            (_, Answer::Failed(_)) => {
                self.stats.failed += 1;
                self.break_connection(now);
            }
            (State::Registering(epoch), Answer::Registered { identity, time_ms, orders }) => {
                self.identity = identity;
                self.server_ms = Some(time_ms);
                self.alive_ms = asked.sent.mono_ms;
                self.begin(epoch, &orders, now);
            }
            (State::Registering(_), Answer::MapRefused) => {
                self.stats.map_refused += 1;
                self.break_connection(now);
            }
            (State::Hello(epoch, since_ms), Answer::Done(done)) => self.resume(epoch, since_ms, done, now),
            (State::Hello(..), Answer::Gone) => self.lose(Why::Gone, now),
            (State::Up(_), Answer::Done(done)) => {
                self.commands.acknowledge(done);
                self.held_since = None;
            }
            (State::Up(_), Answer::Fenced) => self.lose(Why::Fenced, now),
            (State::Up(_), Answer::Gap) => self.lose(Why::Gap, now),
            (State::Up(epoch), Answer::Beats { time_ms, inbox_bytes, all, connections }) => {
                self.server_ms = Some(time_ms);
                (self.alive_ms, self.inbox_bytes) = (asked.sent.mono_ms, inbox_bytes);
                let pause_ms = if self.leaves { self.pace.leaving_beat_ms } else { self.pace.beat_ms };
                self.beat_ms = Some(now.mono_ms + pause_ms);
                self.held_since = self.held_since.filter(|_| self.commands.size().0 > 0);
                self.shown.all = all;
                self.shown.beats += 1;
                self.judge_if_due(epoch, asked, now);
                self.effects.push_back(Effect::Elsewhere(connections));
            }
            (State::Up(_), Answer::Count(count)) => self.note_count(asked, count, now),
            (State::Up(_), Answer::LookedUp(found)) => self.answer_lookup(found),
            _ => {}
        }
    }

    fn begin(&mut self, epoch: Epoch, orders: &[Vec<u8>], now: Now) {
        self.state = State::Up(epoch);
        self.since_ms = now.mono_ms;
        self.held_since = None;
        self.number += 1;
        self.stats.begun += 1;
        self.retires = self.last.replace(epoch);
        self.retold = 0;
        self.commands.begin_anew();
        self.inbox.begin_anew();
        self.watch.begin_anew();
        self.judged_ms = None;
        self.beat_ms = Some(now.mono_ms);
        self.apps.iter_mut().for_each(|(_, count, untold)| *untold = *count > 0);
        self.tell_all(|| News::Begun);
        for order in orders.iter().filter_map(|order| Order::decode(order)) {
            self.tell_all(|| News::Order(order.clone()));
        }
        self.go_on_reading(epoch, now);
    }

    /// The session goes on: what was done is done, the rest is sent again, and the inbox is read from where it was left.
    fn resume(&mut self, epoch: Epoch, since_ms: u64, done: u64, now: Now) {
        self.state = State::Up(epoch);
        self.since_ms = now.mono_ms;
        self.stats.resumed += 1;
        self.watch.begin_anew();
        self.judged_ms = None;
        self.beat_ms = Some(now.mono_ms);
        self.apps.iter_mut().for_each(|(.., untold)| *untold = true);
        let before = self.commands.size();
        self.commands.acknowledge(done);
        self.held_since = Some(since_ms).filter(|_| self.commands.size() == before);
        self.go_on_reading(epoch, now);
    }

    /// Since when the session holds if its connection breaks now: a script that fails again and again must not keep it for
    /// ever.
    pub(super) fn held_since(&mut self, now: Now) -> u64 {
        self.held_since.take().unwrap_or(now.mono_ms)
    }

    pub(super) fn beat_if_due(&mut self, epoch: Epoch, now: Now) {
        if self.beat_ms.is_none_or(|beat_ms| beat_ms > now.mono_ms) {
            return;
        }
        // The next one is after its answer.
        self.beat_ms = None;
        let untold = self.apps.iter_mut().filter(|(.., untold)| *untold);
        let connections = untold
            .map(|(id, count, untold)| {
                *untold = false;
                (id.clone(), *count)
            })
            .collect();
        self.apps.retain(|(_, count, untold)| *count > 0 || *untold);
        self.call(Call::Beat { epoch, leaves: self.leaves, connections }, now);
    }

    /// Others are judged by what is seen at the pace of beats, however often this node beats.
    fn judge_if_due(&mut self, epoch: Epoch, asked: Asked, now: Now) {
        if self.judged_ms.is_some_and(|judged_ms| asked.sent.mono_ms < judged_ms + self.pace.beat_ms) {
            return;
        }
        self.judged_ms = Some(now.mono_ms);
        self.shown.judged += 1;
        for verdict in self.watch.see(epoch, &self.shown.all) {
            match verdict {
                Verdict::Kill(epoch, beat) => self.call(Call::Kill { epoch, beat }, now),
                Verdict::Sweep(epoch) => self.sweep(epoch, now),
            }
        }
        self.call(Call::Due { slice: self.limits.due_slice }, now);
    }

    fn sweep(&mut self, epoch: Epoch, now: Now) {
        self.stats.swept += 1;
        self.call(Call::Sweep { epoch, slice: self.limits.sweep_slice }, now);
    }

    fn note_count(&mut self, asked: Asked, count: u64, now: Now) {
        match (asked.script, asked.epoch) {
            (Script::Kill, _) => self.stats.killed += count,
            (Script::Sweep, Some(epoch)) if count > 0 => self.sweep(epoch, now),
            _ => {}
        }
    }
}
