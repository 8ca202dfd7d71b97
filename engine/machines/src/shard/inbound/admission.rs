//! What a complete HTTP head leads to: a connection, a refusal, or a hand-over.
//!
//! Admission is the cheap path: until a head is complete there is no record, and what an unknown key or a full app
//! gets is written from here. A plain HTTP request is handed over to the API core with what was read.

use std::sync::{Arc, LazyLock};

use protocol::address::Address;
use protocol::app::{Admission, App, AppQuestion, AppVerdict};
use protocol::close::Close;
use protocol::dialect::DataForm;
use protocol::http::{self, Head, HeadParse};
use protocol::object_form::in_form;
use protocol::server_event;
use protocol::socket_id::SocketId;
use protocol::ws::{self, Upgrade};

use crate::address_caps::AddressPlace;
use crate::cores::CoreId;
use crate::machine::{Effect, Now, Token};
use crate::outbox::run::Run;
use crate::shard::Shard;
use crate::shard::ending::encode_error_and_close;
use crate::shard::inbound::commands::Flow;
use crate::shard::inbound::told::agent;

/// What a complete head leads to.
enum Entry {
    Attach { admitted: Admitted, form: DataForm, response: Vec<u8>, agent: Option<Box<str>> },
    HandOver,
    Refuse { last: Vec<u8> },
    Look(AppQuestion),
}

/// The places of a client that may connect.
struct Admitted {
    admission: Admission,
    of_address: Option<AddressPlace>,
}

fn encode_refusal(date: &str, status: u16, text: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut last = Vec::new();
    http::encode_refusal(&mut last, date, status, text, false, headers);
    last
}

/// Room for the answer to an upgrade and the first frame behind it.
const GREETING_BYTES: usize = 288;

/// What a plain HTTP connection gets when the API core cannot take it.
static BUSY: LazyLock<Vec<u8>> =
    LazyLock::new(|| http::encode_busy("The REST API is over capacity, try again later"));

impl Shard {
    pub(super) fn encode_refusal(
        &mut self,
        status: u16,
        text: &str,
        headers: &[(&str, &str)],
        now: Now,
    ) -> Vec<u8> {
        encode_refusal(self.inbound.date.at(now.unix_ms), status, text, headers)
    }

    fn refuse_head(&mut self, token: Token, last: Vec<u8>) {
        self.inbound.stats.heads_refused += 1;
        self.inbound.lobby.leave(token);
        self.give_away(token, Effect::Close { token, last: last.into() });
    }

    /// Bytes of a connection whose head is not complete.
    pub(in crate::shard) fn handle_head_bytes(&mut self, token: Token, bytes: &mut [u8], now: Now) -> Flow {
        self.inbound.lobby.note_secured(token, now);
        let Some(mut begun) = self.inbound.lobby.take_begun(token) else { return Flow::Read };
        if begun.is_empty() {
            return self.handle_head(token, bytes, None, now);
        }
        begun.extend_from_slice(bytes);
        self.handle_head(token, &mut begun, None, now)
    }

    /// Of a head that has waited, the verdict on its app is known.
    pub(super) fn handle_head(
        &mut self,
        token: Token,
        bytes: &mut [u8],
        verdict: Option<AppVerdict>,
        now: Now,
    ) -> Flow {
        self.note_activity();
        let (entry, used) = match http::parse_head_within(bytes, &self.limits.http()) {
            HeadParse::Complete { head, bytes: used } => (self.route(token, &head, verdict, now), used),
            HeadParse::Partial => {
                self.inbound.lobby.keep_begun(token, bytes.to_vec());
                return Flow::Read;
            }
            HeadParse::Refused(error) => {
                self.tell_refused_head(token, None, error.text);
                (Entry::Refuse { last: self.encode_refusal(error.status, error.text, &[], now) }, 0)
            }
        };
        match entry {
            Entry::Attach { admitted, form, response, agent } => {
                self.attach(token, admitted, form, response, now);
                self.tell_opened(token, agent);
                let rest = bytes.get_mut(used..).unwrap_or(&mut []);
                self.handle_connection_bytes(token, rest, now)
            }
            Entry::HandOver => {
                self.inbound.lobby.leave(token);
                let (to, bytes) = (CoreId::Api, bytes.to_vec());
                self.give_away(token, Effect::HandOver { token, to, bytes, refusal: &BUSY });
                Flow::Read
            }
            Entry::Refuse { last } => {
                self.refuse_head(token, last);
                Flow::Read
            }
            Entry::Look(question) => {
                self.look_for_app(token, &question, bytes, now);
                Flow::Stalled
            }
        }
    }

    fn route(&mut self, token: Token, head: &Head<'_>, verdict: Option<AppVerdict>, now: Now) -> Entry {
        if !head.is_upgrade() {
            return Entry::HandOver;
        }
        let client = self.note_client(token, head);
        let upgrade = match ws::parse_upgrade(head) {
            Ok(upgrade) => upgrade,
            Err(refusal) => {
                self.tell_refused_head(token, Some(head.path), refusal.body);
                let last = self.encode_refusal(refusal.status, refusal.body, refusal.headers, now);
                return Entry::Refuse { last };
            }
        };
        let mut last = Vec::with_capacity(GREETING_BYTES);
        ws::encode_upgrade_response(&mut last, upgrade.sec_key);
        match self.admit(token, head, &upgrade, client, now) {
            Ok(admitted) => {
                let form = admitted.admission.dialect.data_form(&upgrade.query);
                let agent = if self.notices.ends() { agent(head, &upgrade.query) } else { None };
                Entry::Attach { admitted, form, response: last, agent }
            }
            Err(close) => {
                let close = match self.look_or_close(&upgrade, close, verdict) {
                    Ok(question) => return Entry::Look(question),
                    Err(close) => close,
                };
                self.ending.count_refused(close);
                self.tell_refused_upgrade(token, &upgrade, close);
                encode_error_and_close(&mut last, close);
                Entry::Refuse { last }
            }
        }
    }

    /// Where the client is, if that matters. Tells the driver what a trusted proxy says of it.
    fn note_client(&mut self, token: Token, head: &Head<'_>) -> Option<Address> {
        let peer = self.inbound.lobby.peer(token)?;
        if !peer.is_proxy {
            return peer.address;
        }
        let address = self.inbound.trusted_proxies.client(head, peer.address);
        if address != peer.address {
            self.effects.push_back(Effect::Client { token, address });
        }
        address
    }

    /// Whether nobody on the way can read what this client says: a trusted proxy says so for its clients.
    fn is_secure(&self, token: Token, head: &Head<'_>) -> bool {
        let lobby = &self.inbound.lobby;
        let is_proxy = lobby.peer(token).is_some_and(|peer| peer.is_proxy);
        let said = is_proxy.then(|| self.inbound.trusted_proxies.client_is_secure(head)).flatten();
        said.unwrap_or_else(|| lobby.is_secure(token))
    }

    /// An upgrade always succeeds; what is wrong with it is said by close code, the only thing that browsers show.
    fn admit(
        &mut self,
        token: Token,
        head: &Head<'_>,
        upgrade: &Upgrade<'_>,
        client: Option<Address>,
        now: Now,
    ) -> Result<Admitted, Close> {
        let key = ws::route_app(self.inbound.path_prefix.strip(upgrade.path))?;
        ws::parse_protocol_version(&upgrade.query)?;
        let app: &Arc<App> = self.inbound.apps.by_key(key).ok_or(Close::APP_UNKNOWN)?;
        if !app.enabled {
            return Err(Close::APP_DISABLED);
        }
        if app.tls_only && !self.is_secure(token, head) {
            return Err(Close::TLS_ONLY);
        }
        app.check_origin(upgrade.origin)?;
        if self.ending.is_draining() {
            return Err(Close::DRAINING);
        }
        if !self.fanout.has_room() {
            return Err(Close::OVER_CAPACITY);
        }
        if self.inbound.memory_is_short {
            return Err(Close::MEMORY);
        }
        if app.is_full() {
            return Err(app.over_quota_close);
        }
        let of_address = self.inbound.addresses.admit(client).inspect_err(|_| {
            self.inbound.stats.connects_refused_for_address += 1;
        })?;
        if !app.take_newcomer(now.mono_ms) {
            self.inbound.stats.connects_refused_for_rate += 1;
            return Err(Close::APP_TOO_FAST);
        }
        let admission = app.admit().ok_or(app.over_quota_close)?;
        Ok(Admitted { admission, of_address })
    }

    fn attach(&mut self, id: Token, admitted: Admitted, form: DataForm, mut response: Vec<u8>, now: Now) {
        let Admitted { admission, of_address } = admitted;
        self.inbound.lobby.leave(id);
        self.inbound.addresses.attach(id, of_address);
        let socket_id = SocketId::new(self.place, (self.inbound.random)(), id.slot);
        let timeout_s = u32::from(self.limits.activity_timeout_s);
        let begin = response.len();
        server_event::encode_connection_established(&mut response, socket_id, timeout_s);
        if form == DataForm::Object {
            let established = response.split_off(begin);
            response.extend(in_form(established, form));
        }
        let is_reused = self.fanout.attach(id, admission, socket_id.second, self.ending.heard(), form);
        self.inbound.stats.attached += 1;
        self.inbound.stats.slots_reused += u64::from(is_reused);
        self.watch(id, now);
        self.await_authorization(id, now);
        self.fanout.push_private(id, Run::private(response));
    }
}
