//! A shard as the driver sees it. Only forwards: what is decided is decided in the other files of this folder.

use std::io::IoSlice;
use std::sync::Arc;

use protocol::address::Address;
use protocol::app::{AppQuestion, AppVerdict, Apps};
use protocol::close::Close;
use protocol::hook_event::OpenEdges;

use super::Shard;
use crate::hook_port::HookPort;
use crate::machine::{Door, Effect, Inputs, Machine, Mesh, Now, Token};
use crate::notices::Wanted;
use crate::readings::GatedMs;
use crate::watching::Introduction;

impl Machine for Shard {
    fn handle_open(&mut self, token: Token, _door: Door, secure: bool, now: Now) {
        self.enter_lobby(token, secure, now);
    }

    fn handle_peer(&mut self, token: Token, peer: Option<Address>) {
        self.note_peer(token, peer);
    }

    fn handle_no_descriptors(&mut self, now: Now) {
        self.give_up_head_for_descriptors(now);
    }

    fn decide(&mut self, inputs: &mut impl Inputs, now: Now) -> bool {
        self.take_in_rotation(inputs, now)
    }

    fn seal(&mut self) {
        self.fanout.seal();
        self.fanout.end_holds_early();
        self.finish_closes();
        self.keep_to_budget();
    }

    fn send_batches(&mut self, mesh: &mut impl Mesh) -> bool {
        let mut any = self.home.send_to_servers(mesh);
        for to in self.home.cores().all() {
            if to != self.me() && self.links.send(to, mesh) {
                self.border_stats.batches_sent += 1;
                any = true;
            }
            if self.home.send(to, mesh) {
                self.border_stats.batches_sent += 1;
                any = true;
            }
        }
        any
    }

    fn tell_hooks(&mut self, port: &mut impl HookPort, now: Now) -> u64 {
        self.home.tell_hooks(port, now)
    }

    fn handle_open_edges(&mut self, edges: &[OpenEdges], now: Now) {
        self.home.take_open_edges(edges, now);
    }

    fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    fn poll_dirty(&mut self) -> Option<Token> {
        self.fanout.poll_dirty()
    }

    fn outbox<'a>(&'a self, token: Token, slices: &mut [IoSlice<'a>]) -> usize {
        self.fanout.slices_of(token, slices)
    }

    fn handle_written(&mut self, token: Token, bytes: usize, _now: Now) -> bool {
        self.border_stats.bytes_sent += bytes as u64;
        if self.traces_any() {
            self.trace_written(token, bytes);
        }
        self.fanout.handle_written(token, bytes)
    }

    fn handle_blocked(&mut self, token: Token, _now: Now) {
        if let Some(close) = self.fanout.handle_blocked(token) {
            self.close_slow(token, close);
        }
        self.keep_to_budget();
    }

    fn handle_writable(&mut self, token: Token) {
        self.fanout.handle_writable(token);
    }

    fn poll_deadline(&self) -> Option<u64> {
        let holds = self.fanout.next_tick_ms();
        let of_connections = [
            self.head_deadline(),
            self.inbound.question_deadline(),
            self.idle_deadline(),
            self.drain_deadline(),
            self.authorization_deadline(),
        ];
        let of_users = [self.users.deadline(), self.home.gone_deadline()];
        let others = [
            holds,
            self.home.deadline(),
            self.inbound.hearing_deadline(),
            self.departure_deadline(),
            self.watching.deadline(),
        ];
        of_connections.into_iter().chain(of_users).chain(others).flatten().min()
    }

    fn handle_deadline(&mut self, now: Now) {
        self.give_up_late_heads(now);
        self.inbound.end_late_questions(now);
        self.check_silence(now);
        self.check_authorization(now);
        self.fanout.end_due_holds(now.mono_ms);
        self.home.expire_cache(now);
        self.continue_drain(now);
    }

    fn want_notices(&mut self, wanted: Wanted) -> u64 {
        self.notices.want(wanted)
    }

    fn handle_apps(&mut self, apps: Arc<Apps>, _now: Now) {
        // Nobody has an app that is only added now.
        let concerns_those_here = self.inbound.apps().revision() != apps.revision();
        self.inbound.change_apps(apps);
        self.fanout.settle_traffic();
        self.inbound.end_answered_questions();
        if concerns_those_here {
            self.ending.begin_app_walk();
        }
    }

    fn handle_app_verdict(&mut self, question: &AppQuestion, verdict: AppVerdict, _now: Now) {
        self.inbound.end_question(question, verdict);
    }

    fn handle_introduced(&mut self, introduction: Introduction) {
        self.answer_introduced(introduction);
    }

    fn handle_memory_shortage(&mut self, is_short: bool) {
        self.inbound.note_memory_shortage(is_short);
    }

    fn gated_ms(&self) -> u64 {
        let GatedMs { flush, roots, commands } = self.inbound.gated_ms();
        flush.max(roots).max(commands)
    }

    fn handle_drain(&mut self, now: Now) {
        self.inbound.end_all_questions();
        self.begin_drain(now);
    }

    fn give_back_room(&mut self) {
        self.fanout.give_back_room();
        self.inbound.give_back_room();
        self.home.give_back_room();
        self.ending.give_back_room();
        self.effects.shrink_to_fit();
        self.links.give_back_room();
        self.users.give_back_room();
    }

    fn nap_ms_max(&self, now: Now) -> u64 {
        if self.has_been_quiet(now) { self.limits.nap_ms_max } else { 0 }
    }

    fn connections(&self) -> usize {
        let without_record = self.inbound.half_open() + self.inbound.looking();
        self.fanout.connections() + self.fanout.departed() + without_record
    }
}

impl Shard {
    /// What remained after EAGAIN was too much.
    fn close_slow(&mut self, id: Token, close: Close) {
        self.close(id, close);
        self.finish_closes();
    }
}
