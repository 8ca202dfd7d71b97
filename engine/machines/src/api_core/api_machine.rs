//! The API core as the driver sees it: the order of its inputs, and what goes out.
//!
//! Answers, parts whose gate has opened, connections that go on, and sockets are taken in rotation, a quantum each. No
//! gate cuts a class off (each part waits at its own home, each connection for its own answer), so a phase ends only
//! when nothing is left or its rounds are used up. Who pipelines is read again in the same phase: what came meanwhile
//! shares its batch, its doorbell and its write with what came before.

use std::io::IoSlice;
use std::sync::Arc;

use api::answer::Manner;
use api::refused::{Refused, encode_refusal};
use protocol::address::Address;
use protocol::app::{AppQuestion, AppVerdict, Apps};
use protocol::hook_event::OpenEdges;

use super::ApiCore;
use super::connections::{Connection, Proxy};
use super::requests::Flow;
use crate::hook_port::HookPort;
use crate::invariant;
use crate::limits::SILENT_MS_MAX;
use crate::machine::{Door, Effect, Inputs, Machine, Mesh, Now, Socket, Token};
use crate::mesh::Leaf;
use crate::notices::Wanted;

impl Machine for ApiCore {
    fn handle_open(&mut self, token: Token, door: Door, secure: bool, now: Now) {
        if self.draining {
            let mut last = Vec::new();
            let refused = Refused::retry_later("The server is stopping");
            encode_refusal(
                &mut last,
                self.date.at(now.unix_ms),
                &refused,
                Manner { keep_alive: false, head_only: false },
            );
            self.give_away(token, Effect::Close { token, last: last.into() });
            return;
        }
        self.connections.insert(token, Connection::new(door, secure, now.mono_ms));
        self.sweep_by(now.mono_ms + SILENT_MS_MAX);
    }

    fn handle_peer(&mut self, token: Token, peer: Option<Address>) {
        if self.trusted_proxies.trust(peer)
            && let Some(connection) = self.connections.by_token(token)
        {
            connection.proxy = Some(Proxy { address: peer, client: peer });
        }
    }

    fn handle_no_descriptors(&mut self, now: Now) {
        if let Some(token) = self.longest_idle(now.mono_ms) {
            self.let_go(token);
        }
    }

    fn decide(&mut self, inputs: &mut impl Inputs, now: Now) -> bool {
        let mut took = false;
        self.pipelining.clear();
        for _ in 0..self.limits.rounds_max {
            let mut any = self.take_leaves(inputs, now);
            any |= self.let_parts_go(now);
            any |= self.take_ready_connections(now);
            any |= self.take_sockets(inputs, now);
            if !any {
                break;
            }
            took = true;
        }
        self.gates.note(now.mono_ms);
        took
    }

    fn seal(&mut self) {}

    fn tell_hooks(&mut self, _port: &mut impl HookPort, _now: Now) -> u64 {
        0
    }

    fn handle_open_edges(&mut self, _edges: &[OpenEdges], _now: Now) {}

    fn send_batches(&mut self, mesh: &mut impl Mesh) -> bool {
        let mut any = false;
        for to in self.roots.receivers() {
            if !self.roots.is_empty(to) && mesh.may_send_roots(to) {
                mesh.send_roots(to, self.roots.take(to));
                any = true;
            }
        }
        any
    }

    fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    fn poll_dirty(&mut self) -> Option<Token> {
        self.poll_dirty_connection()
    }

    fn outbox<'a>(&'a self, token: Token, slices: &mut [IoSlice<'a>]) -> usize {
        let unwritten = self.connections.view(token).map_or(&[][..], Connection::unwritten);
        match slices.first_mut() {
            Some(slice) if !unwritten.is_empty() => {
                *slice = IoSlice::new(unwritten);
                1
            }
            _ => 0,
        }
    }

    fn handle_written(&mut self, token: Token, bytes: usize, now: Now) -> bool {
        self.connection_wrote(token, bytes, now.mono_ms)
    }

    fn handle_blocked(&mut self, _token: Token, _now: Now) {
        // A client that does not read is judged by time alone: its requests wait meanwhile, so nothing grows.
    }

    fn handle_writable(&mut self, token: Token) {
        self.connection_writable(token);
    }

    fn poll_deadline(&self) -> Option<u64> {
        let sweep = (self.sweep_ms != u64::MAX).then_some(self.sweep_ms);
        let sample = self.console.as_ref().filter(|_| !self.draining).map(|console| console.sampler.due_ms());
        let of_console = self
            .console
            .as_ref()
            .and_then(|console| console.watches.due_ms().into_iter().chain(console.hooks.due_ms()).min());
        let all = self.calls.due_ms().into_iter().chain(of_console);
        all.chain(sweep).chain(sample).chain(self.app_waits.deadline()).min()
    }

    fn handle_deadline(&mut self, now: Now) {
        self.give_up_late_calls(now);
        self.end_late_questions(now);
        self.sample_if_due(now);
        self.renew_watches(now);
        self.look_for_hooks_answers(now);
        if self.sweep_ms <= now.mono_ms {
            for token in self.late_connections(now.mono_ms) {
                self.give_up(token, now);
            }
        }
    }

    fn want_notices(&mut self, wanted: Wanted) -> u64 {
        self.notices.want(wanted)
    }

    fn handle_apps(&mut self, apps: Arc<Apps>, _now: Now) {
        self.rates.keep(&apps);
        self.apps = apps;
        self.end_answered_questions();
    }

    fn handle_app_verdict(&mut self, question: &AppQuestion, verdict: AppVerdict, _now: Now) {
        self.end_app_question(question, verdict);
    }

    fn handle_drain(&mut self, _now: Now) {
        self.draining = true;
        self.end_all_questions();
        let idle = |it: &Connection| it.pending.is_none() && !it.queued && !it.paused;
        let tokens: Vec<_> =
            self.connections.iter().filter(|(_, it)| idle(it)).map(|(token, _)| token).collect();
        for token in tokens {
            self.close(token);
        }
    }

    fn give_back_room(&mut self) {
        self.ready.shrink_to_fit();
        self.pipelining.shrink_to_fit();
        self.dirty.shrink_to_fit();
        self.effects.shrink_to_fit();
    }

    fn has_sent_all(&self) -> bool {
        self.roots.all_empty()
    }

    fn connections(&self) -> usize {
        self.connections.len()
    }
}

impl ApiCore {
    fn take_leaves(&mut self, inputs: &mut impl Inputs, now: Now) -> bool {
        let mut any = false;
        for _ in 0..self.limits.quantum {
            let Some(leaf) = self.next_leaf(inputs) else { break };
            match leaf {
                Leaf::Answer(answer) => self.handle_answer(*answer, now),
                Leaf::Seen(seen) => self.handle_seen(*seen, now),
                _ => invariant::violated("the API core has no subscribers"),
            }
            any = true;
        }
        any
    }

    fn next_leaf(&mut self, inputs: &mut impl Inputs) -> Option<Leaf> {
        if self.leaves.is_none() {
            let (from, leaves) = inputs.next_leaves()?;
            self.leaves = Some((from, leaves.into()));
        }
        let (from, leaves) = self.leaves.as_mut()?;
        let leaf = leaves.pop_front();
        if leaves.is_empty() {
            inputs.release_leaves(*from);
            self.leaves = None;
        }
        leaf
    }

    fn take_ready_connections(&mut self, now: Now) -> bool {
        let mut any = false;
        // Those that line up again meanwhile wait for the next round.
        for _ in 0..self.limits.quantum.min(self.ready.len()) {
            any |= self.take_ready(now);
        }
        any
    }

    fn take_sockets(&mut self, inputs: &mut impl Inputs, now: Now) -> bool {
        self.read_pipelining_again(inputs);
        for taken in 0..self.limits.quantum {
            let before = self.stats.requests;
            let (token, flow) = match inputs.next_socket() {
                None => return taken > 0,
                Some(Socket::Bytes(token, bytes)) => (token, self.handle_bytes(token, bytes, now)),
                // Its time runs from its first byte in any case.
                Some(Socket::Secured(_)) => continue,
                Some(Socket::Hangup(token)) => {
                    self.handle_hangup(token);
                    continue;
                }
            };
            match flow {
                Flow::Pause => inputs.pause(token),
                Flow::Read if self.stats.requests - before > 1 => self.pipelining.push(token),
                Flow::Read | Flow::Gone => {}
            }
        }
        true
    }

    fn read_pipelining_again(&mut self, inputs: &mut impl Inputs) {
        for token in self.pipelining.drain(..) {
            if self.connections.view(token).is_some() {
                inputs.read_again(token);
            }
        }
    }
}
