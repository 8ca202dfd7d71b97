//! The channels of a connection: which are wanted, how far each has come, and who is in them.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;

use super::event::{Refusal, SubscribeError};
use crate::limits::SUBSCRIPTIONS_MAX;
use crate::member::{Member, Members, id_of};

#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    all: BTreeMap<String, Subscription>,
    /// Channels that wait to be asked for, in order. One that is not waiting any more is passed over.
    waiting: VecDeque<String>,
}

#[derive(Debug)]
struct Subscription {
    state: State,
    /// The id that this client has shown for a presence channel.
    me: Option<String>,
    members: Members,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Authorizing,
    Asked,
    Subscribed,
    Refused(Refusal),
}

/// Whether a subscription needs an authorization.
pub(super) fn is_guarded(channel: &str) -> bool {
    channel.starts_with("private-") || is_presence(channel)
}

pub(super) fn is_presence(channel: &str) -> bool {
    channel.starts_with("presence-")
}

impl Subscriptions {
    /// A channel is wanted. One that was refused is asked for again; one that is there already stays as it is.
    pub(super) fn want(&mut self, channel: &str) -> Result<(), SubscribeError> {
        let is_new = match self.all.get(channel) {
            Some(known) => matches!(known.state, State::Refused(_)),
            None if self.all.len() >= SUBSCRIPTIONS_MAX => return Err(SubscribeError::TooMany),
            None => true,
        };
        if is_new {
            let wanted = Subscription { state: State::Waiting, me: None, members: Members::default() };
            self.all.insert(channel.to_owned(), wanted);
            self.waiting.push_back(channel.to_owned());
        }
        Ok(())
    }

    /// A channel is wanted no more. Says whether the server has been asked for it.
    pub(super) fn forget(&mut self, channel: &str) -> bool {
        let forgotten = self.all.remove(channel);
        self.waiting.retain(|waiting| waiting != channel);
        forgotten.is_some_and(|known| matches!(known.state, State::Asked | State::Subscribed))
    }

    /// The connection is lost: all that is wanted waits for the next one.
    pub(super) fn restart(&mut self) {
        self.waiting = self.all.keys().cloned().collect();
        for known in self.all.values_mut() {
            *known = Subscription { state: State::Waiting, me: None, members: Members::default() };
        }
    }

    /// Takes the next channel that waits and is not held back.
    pub(super) fn next_waiting(&mut self, is_held: impl Fn(&str) -> bool) -> Option<String> {
        let index = self.waiting.iter().position(|channel| !is_held(channel))?;
        self.waiting.remove(index)
    }

    pub(super) fn authorizing(&mut self, channel: &str) {
        self.set(channel, State::Authorizing);
    }

    /// Whether an authorization of this channel is waited for.
    pub(super) fn is_authorizing(&self, channel: &str) -> bool {
        self.all.get(channel).is_some_and(|known| known.state == State::Authorizing)
    }

    /// The server is asked. `channel_data` says who this client is.
    pub(super) fn ask(&mut self, channel: &str, channel_data: Option<&str>) {
        self.set(channel, State::Asked);
        let data: Option<Value> = channel_data.and_then(|data| serde_json::from_str(data).ok());
        if let Some(known) = self.all.get_mut(channel) {
            known.me = data.as_ref().and_then(|data| data.get("user_id")).and_then(id_of);
        }
    }

    /// The server has said yes. `signed_in` is the user whom the connection is signed in as.
    pub(super) fn succeed(&mut self, channel: &str, data: &Value, signed_in: Option<&str>) -> bool {
        let Some(known) = self.all.get_mut(channel) else { return false };
        known.state = State::Subscribed;
        if is_presence(channel) {
            let me = known.me.clone().or_else(|| signed_in.map(str::to_owned));
            known.members = Members::read(data, me);
        }
        true
    }

    /// It was refused. Says whether it was wanted.
    pub(super) fn refuse(&mut self, channel: &str, refusal: Refusal) -> bool {
        self.set(channel, State::Refused(refusal))
    }

    fn set(&mut self, channel: &str, state: State) -> bool {
        self.all.get_mut(channel).map(|known| known.state = state).is_some()
    }

    pub(super) fn is_wanted(&self, channel: &str) -> bool {
        self.all.contains_key(channel)
    }

    pub(super) fn is_subscribed(&self, channel: &str) -> bool {
        self.all.get(channel).is_some_and(|known| known.state == State::Subscribed)
    }

    /// Whether the server has been asked for any and has not answered yet.
    pub(super) fn awaits_answer(&self) -> bool {
        self.all.values().any(|known| known.state == State::Asked)
    }

    /// What has become of it; nothing yet, while an answer is awaited.
    pub(super) fn outcome(&self, channel: &str) -> Option<Result<(), SubscribeError>> {
        match self.all.get(channel).map(|known| &known.state) {
            None => Some(Err(SubscribeError::NotAsked)),
            Some(State::Subscribed) => Some(Ok(())),
            Some(State::Refused(refusal)) => Some(Err(SubscribeError::Refused(refusal.clone()))),
            Some(_) => None,
        }
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.all.keys().cloned().collect()
    }

    pub(super) fn members(&self, channel: &str) -> Members {
        self.all.get(channel).map(|known| known.members.clone()).unwrap_or_default()
    }

    /// A user has entered. Says who, if the channel is wanted.
    pub(super) fn enter(&mut self, channel: &str, data: &Value) -> Option<Member> {
        let known = self.all.get_mut(channel)?;
        let info = data.get("user_info").cloned().unwrap_or_default();
        let member = Member::with_info(data.get("user_id").and_then(id_of)?, info);
        known.members.add(&member);
        Some(member)
    }

    /// A user has left.
    pub(super) fn leave(&mut self, channel: &str, data: &Value) -> Option<Member> {
        let known = self.all.get_mut(channel)?;
        Some(known.members.remove(data.get("user_id").and_then(id_of)?))
    }
}
