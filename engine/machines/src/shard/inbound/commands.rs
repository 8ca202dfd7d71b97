//! What a connection's bytes ask for: frames are decoded, messages parsed, and each becomes a command that is taken
//! at once, or waits for its gate.
//!
//! A connection whose next message must wait stands in that home's list, first in first out, with that message and the
//! bytes behind it kept; so does one that has used up its messages of this turn. Nothing of it is read meanwhile, and
//! none of its messages overtakes another. A ping is answered under any gate.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;
use protocol::app::App;
use protocol::channel::{ChannelNameError, parse_channel_name};
use protocol::message::{ClientMessage, parse_client_message};
use protocol::ws::Message;

use crate::cores::{CoreId, Cores, PerCore};
use crate::invariant::Expected;
use crate::machine::{Effect, Now, Token};
use crate::shard::Shard;
use crate::shard::inbound::refuse::Grounds;
use crate::topic::TopicKey;

/// Connections whose next message waits.
#[derive(Debug)]
pub(super) struct Stalled {
    kept: HashMap<Token, Kept>,
    /// By home, those that wait for room in its open batch.
    gated: PerCore<VecDeque<Token>>,
    /// Those that have had their messages of this turn.
    budgeted: VecDeque<Token>,
}

#[derive(Debug, Default)]
struct Kept {
    message: Option<Vec<u8>>,
    rest: Vec<u8>,
}

impl Stalled {
    /// Nothing waits.
    pub(super) fn new(cores: Cores) -> Self {
        Self {
            kept: HashMap::new(),
            gated: PerCore::of_shards(cores, |_| VecDeque::new()),
            budgeted: VecDeque::new(),
        }
    }

    /// Gives back what nothing needs now.
    pub(in crate::shard) fn give_back_room(&mut self) {
        self.kept.shrink_to_fit();
        self.gated.entries_mut().for_each(VecDeque::shrink_to_fit);
        self.budgeted.shrink_to_fit();
    }

    /// The connection has gone: nothing of it waits any more (its place in a line is skipped).
    pub(super) fn forget(&mut self, id: Token) {
        self.kept.remove(&id);
    }

    /// Whether somebody waits for room in the batch to some home.
    pub(in crate::shard) fn any_gated(&self) -> bool {
        self.gated.entries().any(|line| !line.is_empty())
    }

    fn is_first_in_line(&self, home: CoreId) -> bool {
        self.gated.get(home).is_none_or(VecDeque::is_empty)
    }
}

/// What a message names as its channel, looked at once.
#[derive(Clone, Copy, Debug)]
pub(in crate::shard) struct Target<'a> {
    pub app: &'a Arc<App>,
    pub channel: &'a str,
    pub key: TopicKey<&'a str>,
    /// Its hash as a topic.
    pub hash: u64,
}

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::shard) enum Verdict {
    /// It is dealt with.
    Taken,
    /// It must wait for room in the batch to this home.
    Gated(CoreId),
}

/// What became of the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::shard) enum Flow {
    /// All of them are used.
    Read,
    /// The rest is kept; read no more.
    Stalled,
}

impl Shard {
    /// Bytes of a connection, which may be changed in place.
    pub(in crate::shard) fn handle_connection_bytes(
        &mut self,
        id: Token,
        bytes: &mut [u8],
        now: Now,
    ) -> Flow {
        self.note_heard(id);
        let mut rest = bytes;
        let mut budget = self.limits.commands_per_turn_max;
        loop {
            let Some(mut decoder) = self.fanout.lend_decoder(id) else {
                return Flow::Read;
            };
            // Answers may be long: a sign-in's has what was signed.
            if !rest.is_empty() && (budget == 0 || self.flush_gate_is_closed()) {
                self.fanout.give_back_decoder(id, decoder);
                self.inbound.stats.commands_budgeted += 1;
                self.inbound.stalled.budgeted.push_back(id);
                return self.stall(id, None, rest);
            }
            budget = budget.saturating_sub(1);
            // Asked until it has nothing more to give: that frees what it kept of a message.
            let used = match decoder.decode(rest, self.limits.message_bytes_max) {
                Ok((_, None)) => {
                    self.fanout.give_back_decoder(id, decoder);
                    return Flow::Read;
                }
                Ok((used, Some(Message::Text(text)))) => {
                    if let Verdict::Gated(home) = self.handle_text(id, text, false, now) {
                        let text = text.to_vec();
                        self.fanout.give_back_decoder(id, decoder);
                        self.wait_in_line(id, home);
                        let behind = rest.get(used..).unwrap_or(&[]);
                        return self.stall(id, Some(text), behind);
                    }
                    used
                }
                Ok((used, Some(control))) => {
                    if self.traces_any() {
                        self.trace_message(id, &control);
                    }
                    self.handle_control(id, &control);
                    used
                }
                Err(close) => {
                    self.close(id, close);
                    return Flow::Read;
                }
            };
            self.fanout.give_back_decoder(id, decoder);
            rest = std::mem::take(&mut rest).get_mut(used..).unwrap_or(&mut []);
        }
    }

    fn wait_in_line(&mut self, id: Token, home: CoreId) {
        self.inbound.stats.commands_gated += 1;
        if let Some(line) = self.inbound.stalled.gated.get_mut(home).expected("each home has a line") {
            line.push_back(id);
        }
    }

    fn stall(&mut self, id: Token, message: Option<Vec<u8>>, rest: &[u8]) -> Flow {
        if self.fanout.stall(id) {
            self.inbound.stalled.kept.insert(id, Kept { message, rest: rest.to_vec() });
        }
        Flow::Stalled
    }

    /// Goes on with one connection whose gate is open or whose turn has come. Returns whether there was one.
    pub(in crate::shard) fn take_stalled(&mut self, now: Now) -> bool {
        for home in self.inbound.stalled.gated.cores() {
            if !self.links.is_open(home) {
                continue;
            }
            if let Some(id) = self.inbound.stalled.gated.get_mut(home).and_then(VecDeque::pop_front) {
                self.go_on(id, now);
                return true;
            }
        }
        false
    }

    /// Connections that had used up their messages of the last turn have their next.
    pub(in crate::shard) fn take_budgeted(&mut self, now: Now) -> bool {
        let Some(id) = self.inbound.stalled.budgeted.pop_front() else { return false };
        self.go_on(id, now);
        true
    }

    /// How many connections wait for their next turn.
    pub(in crate::shard) fn budgeted(&self) -> usize {
        self.inbound.stalled.budgeted.len()
    }

    fn go_on(&mut self, id: Token, now: Now) {
        // Closed since it lined up.
        let Some(mut kept) = self.inbound.stalled.kept.remove(&id) else { return };
        if let Some(message) = kept.message.take()
            && let Verdict::Gated(home) = self.handle_text(id, &message, true, now)
        {
            // Another command filled the batch since the gate was looked at; the connection stays first in line.
            self.inbound.stalled.kept.insert(id, Kept { message: Some(message), rest: kept.rest });
            if let Some(line) = self.inbound.stalled.gated.get_mut(home).expected("each home has a line") {
                line.push_front(id);
            }
            return;
        }
        if self.handle_connection_bytes(id, &mut kept.rest, now) == Flow::Read && self.fanout.resume(id) {
            self.effects.push_back(Effect::Resume(id));
        }
    }

    fn handle_control(&mut self, id: Token, message: &Message<'_>) {
        match message {
            Message::Ping(payload) => {
                self.pong_frame(id, payload);
            }
            Message::Close(code) => self.close_in_answer(id, *code),
            Message::Pong | Message::Text(_) => {}
        }
    }

    /// One text message. `first_in_line`: it has waited for its gate and nobody waits before it.
    fn handle_text(&mut self, id: Token, text: &[u8], first_in_line: bool, now: Now) -> Verdict {
        // One that has waited was told before.
        if self.traces_any() && !first_in_line {
            self.trace_message(id, &Message::Text(text));
        }
        let message = match parse_client_message(text) {
            Ok(message) => message,
            Err(error) => {
                self.error(id, None, &error.to_string());
                return Verdict::Taken;
            }
        };
        if !matches!(message, ClientMessage::Ping | ClientMessage::Pong) {
            self.note_activity();
        }
        let verdict = match message {
            ClientMessage::Ping => {
                self.pong(id);
                Verdict::Taken
            }
            ClientMessage::Pong => Verdict::Taken,
            ClientMessage::Subscribe { channel, auth, channel_data } => {
                self.gated(id, &channel, first_in_line, Self::refuse_name, |shard, target| {
                    shard.subscribe(id, target, &auth, channel_data.as_deref(), now);
                })
            }
            ClientMessage::BadSubscribe { channel, error } => {
                self.refuse_subscription(id, &channel, Grounds::Auth, &error.to_string());
                Verdict::Taken
            }
            ClientMessage::Unsubscribe { channel } => {
                self.gated(id, &channel, first_in_line, Self::report_name, |shard, target| {
                    shard.unsubscribe(id, target, now);
                })
            }
            ClientMessage::ClientEvent { event, channel, data } => {
                self.gated(id, &channel, first_in_line, Self::report_name, |shard, target| {
                    shard.client_event(id, target, &event, &data, now);
                })
            }
            ClientMessage::Signin { auth, user_data } => {
                self.signin(id, &user_data, &auth);
                Verdict::Taken
            }
            ClientMessage::BadSignin { error } => {
                self.refuse_bad_signin(id, &error);
                Verdict::Taken
            }
            ClientMessage::Unknown { event } => {
                let shown: String = event.chars().take(64).collect();
                self.error(id, None, &format!("Unknown event '{shown}'"));
                Verdict::Taken
            }
        };
        if verdict == Verdict::Taken {
            self.inbound.stats.commands += 1;
            self.fanout.note_command(id);
        }
        verdict
    }

    /// Takes a command on a channel when the gate to its home is open and nobody waits there already.
    fn gated(
        &mut self,
        id: Token,
        channel: &str,
        first_in_line: bool,
        on_bad_name: impl FnOnce(&mut Self, Token, &str, &ChannelNameError),
        take: impl FnOnce(&mut Self, &Target<'_>),
    ) -> Verdict {
        let app = self.fanout.app_of(id).cloned();
        let Some(app) = app.expected("only a connection sends commands") else { return Verdict::Taken };
        let kind = match parse_channel_name(channel, app.limits.channel_name_bytes_max) {
            Ok(kind) => kind,
            Err(error) => {
                on_bad_name(self, id, channel, &error);
                return Verdict::Taken;
            }
        };
        let key = TopicKey::of_kind(channel, kind);
        let hash = self.hash.of(&app, key);
        let home = self.hash.home(hash);
        let in_line = first_in_line || self.inbound.stalled.is_first_in_line(home);
        if !in_line || !self.links.is_open(home) {
            return Verdict::Gated(home);
        }
        take(self, &Target { app: &app, channel, key, hash });
        Verdict::Taken
    }
}
