//! From a connection's bytes to its requests, one after the other, and each to its answer.
//!
//! The next request of a connection is taken when the one before is answered and its answers are being read; until then
//! the connection is paused and keeps what was read. A request is judged by its head as soon as that has come, so that a
//! body is kept for those alone who may send it. A request for an upgrade is none of ours: the connection goes to a shard,
//! with that request's bytes, once every answer before it is written.

use std::sync::{Arc, LazyLock};

use api::admin::{AdminCall, answer_usage, parse_admin_call};
use api::answer::{Answer, Manner, encode_answer};
use api::assets::Asset;
use api::call::{Arrival, Call, Options, check_head, parse_call};
use api::endpoints::health::{Condition, Probe, answer_probe, probed_app};
use api::page::answer_page;
use api::refused::{Refused, encode_refusal};
use api::samples::Sample;
use protocol::address::Address;
use protocol::app::App;
use protocol::http::{
    Head, HttpError, Request, RequestParse, RequestProgress, encode_busy, parse_request_on,
};

use super::connections::Proxy;
use super::unknown_apps::Known;
use super::{ApiCore, Health};
use crate::invariant::Expected;
use crate::limits::SCRATCH_BYTES;
use crate::machine::{Effect, Now, Token};

/// What to do with a connection's socket after its bytes were looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flow {
    /// Read on.
    Read,
    /// Stop reading: its next request must wait.
    Pause,
    /// It is not ours any more.
    Gone,
}

/// What a look at the beginning of a connection's bytes came to.
enum Step {
    /// A request of so many bytes was taken.
    Took(usize),
    /// The request is not complete.
    Unfinished,
    /// It must wait until the answers before it are written.
    Wait,
    Gone,
}

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What the peer of an upgrade gets when the shard cannot take it.
static BUSY: LazyLock<Vec<u8>> = LazyLock::new(|| encode_busy("Over capacity, try again later."));

impl ApiCore {
    /// Bytes of a connection.
    pub(super) fn handle_bytes(&mut self, token: Token, bytes: &[u8], now: Now) -> Flow {
        self.stats.bytes_received += bytes.len() as u64;
        let Some(connection) = self.connections.by_token(token) else { return Flow::Gone };
        if connection.is_stream {
            self.close(token);
            return Flow::Gone;
        }
        if connection.kept.is_empty() && connection.may_take() {
            let (used, flow) = self.take_requests(token, bytes, now);
            return self.keep(token, bytes.get(used..).unwrap_or_default().to_vec(), flow, now);
        }
        connection.kept.extend_from_slice(bytes);
        if !connection.may_take() {
            connection.paused = true;
            self.connections.recount(token);
            return Flow::Pause;
        }
        if connection.kept.len() < connection.kept_min {
            return self.keep_within_bounds(token, Flow::Read, now);
        }
        self.take_kept(token, now)
    }

    /// A connection that was ready goes on. Returns whether there was one.
    pub(super) fn take_ready(&mut self, now: Now) -> bool {
        let Some(token) = self.ready.pop_front() else { return false };
        let Some(connection) = self.connections.by_token(token) else { return true };
        connection.queued = false;
        if !connection.may_take() || self.take_kept(token, now) != Flow::Read {
            return true;
        }
        let Some(connection) = self.connections.by_token(token) else { return true };
        if connection.ended || self.draining {
            self.close(token);
        } else if std::mem::take(&mut connection.paused) {
            self.effects.push_back(Effect::Resume(token));
        }
        true
    }

    /// The peer sends nothing more. What it has asked for is still done, and answered if it listens.
    pub(super) fn handle_hangup(&mut self, token: Token) {
        let Some(connection) = self.connections.by_token(token) else { return };
        connection.ended = true;
        if connection.pending.is_none() && !connection.queued && !connection.paused {
            self.close(token);
        }
    }

    fn take_kept(&mut self, token: Token, now: Now) -> Flow {
        let connection = self.connections.by_token(token);
        let Some(connection) = connection.expected("its caller has found it") else { return Flow::Gone };
        let mut kept = std::mem::take(&mut connection.kept);
        let (used, flow) = self.take_requests(token, &kept, now);
        kept.drain(..used);
        if used > SCRATCH_BYTES {
            kept.shrink_to_fit();
        }
        self.keep(token, kept, flow, now)
    }

    fn keep(&mut self, token: Token, rest: Vec<u8>, flow: Flow, now: Now) -> Flow {
        let Some(connection) = self.connections.by_token(token) else { return flow };
        connection.kept = if rest.is_empty() { Vec::new() } else { rest };
        connection.paused |= flow == Flow::Pause;
        self.keep_within_bounds(token, flow, now)
    }

    /// Counts what a connection keeps. Where all of them keep too much, the one whose request is still on its way, and
    /// which has just made it more, does not get it through.
    fn keep_within_bounds(&mut self, token: Token, flow: Flow, now: Now) -> Flow {
        self.connections.recount(token);
        let is_full = self.connections.kept_bytes() > self.limits.http_bodies_bytes_max;
        if !is_full || !self.connections.view(token).is_some_and(|connection| connection.unfinished) {
            return flow;
        }
        self.stats.bodies_refused += 1;
        self.stats.overloaded += 1;
        let refused =
            Refused::retry_later("Over capacity: too many requests are on their way (http_bodies_bytes_max)");
        self.respond_refusal(token, &refused, Manner { keep_alive: false, head_only: false }, now);
        Flow::Gone
    }

    /// Takes as many requests as may be taken now. Returns how many bytes they had.
    fn take_requests(&mut self, token: Token, bytes: &[u8], now: Now) -> (usize, Flow) {
        let mut used = 0;
        for _ in 0..self.limits.commands_per_turn_max {
            let rest = bytes.get(used..).unwrap_or_default();
            if rest.is_empty() {
                return (used, Flow::Read);
            }
            match self.take_request(token, rest, now) {
                Step::Took(bytes) => used += bytes,
                Step::Unfinished => return (used, Flow::Read),
                Step::Wait => return (used, Flow::Pause),
                Step::Gone => return (used, Flow::Gone),
            }
            match self.connections.view(token) {
                None => return (used, Flow::Gone),
                Some(connection) if connection.is_stream => return (bytes.len(), Flow::Read),
                Some(connection) if !connection.may_take() => return (used, Flow::Pause),
                Some(_) => {}
            }
        }
        if used == bytes.len() {
            return (used, Flow::Read);
        }
        // Others have their turn first.
        self.queue_ready(token);
        (used, Flow::Pause)
    }

    fn take_request(&mut self, token: Token, bytes: &[u8], now: Now) -> Step {
        let connection = self.connections.by_token(token);
        let Some(connection) = connection.expected("its caller has found it") else { return Step::Gone };
        let mut progress = std::mem::take(&mut connection.progress);
        match parse_request_on(&mut progress, bytes, &self.limits.http()) {
            RequestParse::Complete { request, .. } if self.is_upgrade(token, &request.head) => {
                self.hand_over(token, bytes)
            }
            RequestParse::Complete { request, bytes: used } => {
                self.note_client(token, &request.head);
                match self.look_for_app(token, &request.head, now) {
                    Known::Enough => self.handle_request(token, &request, used, now),
                    Known::Asked => return Step::Wait,
                    Known::Unanswered(refused) => self.refuse_request(token, &refused, &request.head, now),
                }
                Step::Took(used)
            }
            RequestParse::Partial { head: Some(head), .. } if self.is_upgrade(token, &head) => {
                self.hand_over(token, bytes)
            }
            RequestParse::Partial { head, continue_expected, bytes_min } => {
                if let Some(head) = head {
                    self.note_client(token, &head);
                    let refused = match self.look_for_app(token, &head, now) {
                        Known::Enough => self.check_head(token, &head, now).err(),
                        Known::Asked => return Step::Wait,
                        Known::Unanswered(refused) => Some(refused),
                    };
                    if let Some(refused) = refused {
                        self.refuse_body(token, &refused, &head, now);
                        return Step::Gone;
                    }
                }
                self.expect_more(token, progress, bytes_min, now);
                if continue_expected {
                    self.write(token, now, |out, _| out.extend_from_slice(CONTINUE));
                }
                Step::Unfinished
            }
            RequestParse::Refused(error) => {
                self.refuse_malformed(token, error, now);
                Step::Gone
            }
        }
    }

    fn is_upgrade(&self, token: Token, head: &Head<'_>) -> bool {
        head.is_upgrade() && !self.is_admin(token)
    }

    /// Whether the body behind this head is wanted.
    fn check_head(&mut self, token: Token, head: &Head<'_>, now: Now) -> Result<(), Refused> {
        if self.is_admin(token) {
            if self.is_for_console(head) {
                return self.check_console_head(head, now);
            }
            return parse_admin_call(head, &self.admin_hosts).map(drop);
        }
        if let Some(sample) = self.sample(head) {
            return sample.check_head(head);
        }
        if let Some(asset) = self.asset(head) {
            return asset.check_method(head);
        }
        check_head(&self.apps, &self.path_prefix, head, self.arrival(token, head, now))
    }

    /// How a request has come: a trusted proxy says so for its client.
    pub(super) fn arrival(&self, token: Token, head: &Head<'_>, now: Now) -> Arrival {
        let secure = self.connections.view(token).is_some_and(|connection| {
            let said = connection.proxy.and_then(|_| self.trusted_proxies.client_is_secure(head));
            said.unwrap_or(connection.secure)
        });
        Arrival { secure, unix_s: now.unix_ms / 1_000 }
    }

    /// The sample endpoint that is asked, if there are any.
    fn sample(&self, head: &Head<'_>) -> Option<Sample> {
        if self.sample_endpoints { Sample::of(self.path_prefix.strip(head.path)) } else { None }
    }

    /// The file for pages that is asked for, if there are any.
    fn asset(&self, head: &Head<'_>) -> Option<&'static Asset> {
        if self.assets { Asset::of(self.path_prefix.strip(head.path)) } else { None }
    }

    /// The body is not waited for: the connection ends with the answer, and what still comes is thrown away.
    fn refuse_body(&mut self, token: Token, refused: &Refused, head: &Head<'_>, now: Now) {
        self.stats.requests += 1;
        self.note_asked(token, head, now);
        self.refuse(token, refused, Manner { keep_alive: false, ..Manner::of(head) }, now);
    }

    /// A connection to the operator's door never becomes a client.
    fn is_admin(&self, token: Token) -> bool {
        self.connections.view(token).is_some_and(|connection| connection.admin)
    }

    /// An unfinished request has its time from when it began.
    fn expect_more(&mut self, token: Token, progress: RequestProgress, bytes_min: usize, now: Now) {
        let head_ms_max = self.limits.head_ms_max;
        let connection = self.connections.by_token(token);
        let Some(connection) = connection.expected("its caller has found it") else { return };
        (connection.progress, connection.kept_min) = (progress, bytes_min);
        if !connection.unfinished {
            (connection.unfinished, connection.since_ms) = (true, now.mono_ms);
        }
        self.sweep_by(now.mono_ms + head_ms_max);
    }

    /// Tells the driver what a trusted proxy says of its client.
    fn note_client(&mut self, token: Token, head: &Head<'_>) {
        let proxy = self.connections.view(token).and_then(|connection| connection.proxy);
        if let Some(proxy) = proxy {
            self.tell_client(token, proxy, self.trusted_proxies.client(head, proxy.address));
        }
    }

    /// The shard hears of the proxy itself.
    fn forget_client(&mut self, token: Token) {
        if let Some(proxy) = self.connections.view(token).and_then(|connection| connection.proxy) {
            self.tell_client(token, proxy, proxy.address);
        }
    }

    fn tell_client(&mut self, token: Token, proxy: Proxy, client: Option<Address>) {
        if client == proxy.client {
            return;
        }
        if let Some(connection) = self.connections.by_token(token) {
            connection.proxy = Some(Proxy { client, ..proxy });
        }
        self.effects.push_back(Effect::Client { token, address: client });
    }

    fn hand_over(&mut self, token: Token, bytes: &[u8]) -> Step {
        if self.connections.view(token).is_some_and(|connection| !connection.unwritten().is_empty()) {
            return Step::Wait;
        }
        self.forget_client(token);
        self.connections.remove(token);
        let to = self.topics.cores().shard_for(self.next_shard);
        self.next_shard = self.next_shard.wrapping_add(1);
        self.stats.handed_over += 1;
        self.give_away(token, Effect::HandOver { token, to, bytes: bytes.to_vec(), refusal: &BUSY });
        Step::Gone
    }

    fn handle_request(&mut self, token: Token, request: &Request<'_>, bytes: usize, now: Now) {
        self.stats.requests += 1;
        self.note_asked(token, &request.head, now);
        let connection = self.connections.by_token(token);
        let Some(connection) = connection.expected("its caller has found it") else { return };
        (connection.unfinished, connection.asked) = (false, true);
        let manner = Manner::of(&request.head);
        if connection.admin {
            return self.handle_admin_request(token, manner, request, now);
        }
        let apps = Arc::clone(&self.apps);
        if let Some(sample) = self.sample(&request.head) {
            return match sample.answer(&apps, request) {
                Ok(answer) => self.respond(token, &answer, manner, now),
                Err(refused) => self.refuse(token, &refused, manner, now),
            };
        }
        if let Some(asset) = self.asset(&request.head) {
            return match asset.answer(&request.head) {
                Ok(answer) => self.respond(token, &answer, manner, now),
                Err(refused) => self.refuse(token, &refused, manner, now),
            };
        }
        let arrival = self.arrival(token, &request.head, now);
        let call = parse_call(&apps, &self.path_prefix, request, arrival);
        if let Some(app) = call.as_ref().ok().and_then(Call::app) {
            self.note_caller(token, app, bytes);
        }
        if let Ok(call) = &call
            && let Err(refused) = self.rates.charge(call, now)
        {
            self.stats.rate_limited += 1;
            return self.refuse(token, &refused, manner, now);
        }
        match call {
            Ok(Call::Publish(publish)) => self.publish(token, manner, &publish, now),
            Ok(Call::Channels(channels)) => self.ask_channels(token, manner, &channels, now),
            Ok(Call::Channel(channel)) => self.ask_channel(token, manner, &channel, now),
            Ok(Call::Users(users)) => self.ask_users(token, manner, &users, now),
            Ok(Call::Connections(asked)) => self.respond(token, &asked.answer(), manner, now),
            Ok(Call::Terminate(terminate)) => self.terminate(token, manner, &terminate, now),
            Ok(Call::Health(Probe::Index)) => match self.page.clone() {
                Some(page) => self.respond(token, &answer_page(&page), manner, now),
                None => self.respond(token, &self.probe(Probe::Index), manner, now),
            },
            Ok(Call::Health(probe)) => self.respond(token, &self.probe(probe), manner, now),
            Ok(Call::AppHealth(app)) => {
                self.respond(token, &self.condition_of(app).answer(), manner, now);
            }
            Ok(Call::Options(options)) => self.respond(token, &self.options(options), manner, now),
            Err(refused) => self.refuse(token, &refused, manner, now),
        }
    }

    fn note_caller(&mut self, token: Token, app: &Arc<App>, bytes: usize) {
        let traffic = self.traffic.of(app);
        traffic.calls += 1;
        traffic.calls_bytes += bytes as u64;
        if let Some(connection) = self.connections.by_token(token) {
            connection.caller = Some(Arc::clone(app));
        }
    }

    /// The request has come whole and is not looked at.
    fn refuse_request(&mut self, token: Token, refused: &Refused, head: &Head<'_>, now: Now) {
        self.stats.requests += 1;
        self.note_asked(token, head, now);
        if let Some(connection) = self.connections.by_token(token) {
            (connection.unfinished, connection.asked) = (false, true);
        }
        self.refuse(token, refused, Manner::of(head), now);
    }

    fn handle_admin_request(&mut self, token: Token, manner: Manner, request: &Request<'_>, now: Now) {
        if self.is_for_console(&request.head) {
            return self.handle_console_request(token, manner, request, now);
        }
        match parse_admin_call(&request.head, &self.admin_hosts) {
            Ok(AdminCall::Metrics) => self.ask_readings(token, manner, now),
            Ok(AdminCall::Usage) => {
                let (used, total) = (self.usage)();
                self.respond(token, &answer_usage(used, total), manner, now);
            }
            Ok(AdminCall::AppHealth) => {
                let app = probed_app(request.head.path).and_then(|id| self.apps.by_id(&id));
                self.respond(token, &self.condition_of(app).answer(), manner, now);
            }
            Ok(AdminCall::Health(probe)) => self.respond(token, &self.probe(probe), manner, now),
            Ok(AdminCall::Options(options)) => self.respond(token, &self.options(options), manner, now),
            Err(refused) => self.refuse(token, &refused, manner, now),
        }
    }

    fn probe(&self, probe: Probe) -> Answer<'static> {
        let degraded = if probe == Probe::Ready { (self.health)().degraded } else { None };
        answer_probe(probe, self.is_well(probe), degraded.as_deref(), self.condition())
    }

    fn condition(&self) -> Condition {
        let Health { live, ready, draining, degraded } = (self.health)();
        if !live {
            Condition::Error
        } else if draining || self.draining {
            Condition::Draining
        } else if !ready || degraded.is_some() {
            Condition::Degraded
        } else {
            Condition::Ok
        }
    }

    fn condition_of(&self, app: Option<&Arc<App>>) -> Condition {
        match app {
            None => Condition::NotFound,
            Some(app) if app.enabled => self.condition(),
            Some(_) => Condition::Error,
        }
    }

    fn options(&self, options: Options) -> Answer<'static> {
        options.answer(options.probe.is_none_or(|probe| self.is_well(probe)))
    }

    fn is_well(&self, probe: Probe) -> bool {
        match probe {
            Probe::Index | Probe::Hello => true,
            Probe::Health => matches!(self.condition(), Condition::Ok | Condition::Degraded),
            Probe::Live | Probe::Up => (self.health)().live,
            Probe::Ready | Probe::AcceptTraffic => (self.health)().ready && !self.draining,
        }
    }

    pub(super) fn refuse(&mut self, token: Token, refused: &Refused, manner: Manner, now: Now) {
        let count = if refused.status == 503 { &mut self.stats.overloaded } else { &mut self.stats.refused };
        *count += 1;
        self.respond_refusal(token, refused, manner, now);
    }

    /// What is no request is answered, and its connection closed: where the next one begins is unknown.
    fn refuse_malformed(&mut self, token: Token, error: HttpError, now: Now) {
        self.note_malformed(token);
        self.refuse(token, &Refused::from(error), Manner { keep_alive: false, head_only: false }, now);
    }

    /// Ends a connection whose time is up; an unfinished request is answered first.
    pub(super) fn give_up(&mut self, token: Token, now: Now) {
        let connection = self.connections.view(token);
        let Some(connection) = connection.expected("a late connection is there") else { return };
        if !connection.unwritten().is_empty() {
            return self.reset(token);
        }
        if connection.unfinished {
            let text = if connection.progress.has_head() {
                "The request did not come whole in time"
            } else {
                "No complete HTTP head came in time (head_ms_max)"
            };
            let error = HttpError { status: 408, text };
            return self.refuse_malformed(token, error, now);
        }
        self.close(token);
    }

    /// Writes an answer, and closes if the connection ends with it.
    pub(super) fn respond(&mut self, token: Token, answer: &Answer<'_>, manner: Manner, now: Now) {
        let manner = self.ending(manner);
        self.tell_answered(token, answer.status(), now);
        self.write(token, now, |out, date| encode_answer(out, date, answer, manner));
        self.close_unless(token, manner.keep_alive);
    }

    /// Writes a refusal, and closes if the connection ends with it.
    pub(super) fn respond_refusal(&mut self, token: Token, refused: &Refused, manner: Manner, now: Now) {
        let manner = self.ending(manner);
        self.tell_refused(token, refused);
        self.tell_answered(token, refused.status, now);
        self.write(token, now, |out, date| encode_refusal(out, date, refused, manner));
        self.close_unless(token, manner.keep_alive);
    }

    /// A server that stops says so with the answer.
    fn ending(&self, manner: Manner) -> Manner {
        Manner { keep_alive: manner.keep_alive && !self.draining, ..manner }
    }

    fn close_unless(&mut self, token: Token, keep_alive: bool) {
        if !keep_alive {
            self.close(token);
        }
    }
}
