//! What has happened that an operator may read in the log. A machine writes no line: it says what there is to say, and the
//! driver makes a line of it.
//!
//! Nothing is made while nobody would read it, and no more refusals than a log is good for: a flood of them costs a count
//! each. What must never happen here: a secret, a signature, or a payload.

use std::borrow::Cow;
use std::sync::Arc;

use protocol::app::App;
use protocol::socket_id::SocketId;

use crate::limits::REFUSALS_TOLD_MAX;
use crate::remedy::remedy_of;
use crate::token::Token;

/// How much is read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub enum Wanted {
    /// Nothing.
    #[default]
    Nothing,
    /// How connections end, and what is refused.
    Ends,
    /// Each call as well.
    Calls,
}

/// Something that has happened.
#[derive(Debug)]
pub enum Notice {
    /// A client has connected.
    Opened {
        /// Its connection.
        token: Token,
        /// Whose client it is.
        app: Arc<App>,
        /// What clients know it by.
        socket_id: SocketId,
        /// What it says that it is.
        agent: Option<Box<str>>,
    },
    /// A client's connection ends. Told just before the driver is told to close it.
    Closed {
        /// The connection.
        token: Token,
        /// What it was.
        ended: Ended,
        /// How many bytes still go out.
        last_bytes: usize,
    },
    /// Something was not done.
    Refused {
        /// Whose wish it was.
        token: Token,
        /// What and why.
        refusal: Refusal,
    },
    /// An operator has done something at the console.
    Operated {
        /// Their connection.
        token: Token,
        /// What, by the name of the call.
        action: &'static str,
        /// On what, in words; may be empty.
        about: String,
    },
    /// A connection that is logged has said or heard something.
    Traced(Traced),
    /// A REST call was answered.
    Called {
        /// Its connection.
        token: Token,
        /// What was asked for.
        asked: Asked,
        /// The status of the answer.
        status: u16,
        /// How long it took, in milliseconds.
        ms: u64,
    },
}

/// A message of a connection that is logged: what it is called, and nothing of what it says.
#[derive(Debug)]
pub struct Traced {
    /// The connection.
    pub socket_id: SocketId,
    /// Who sends it: `client` or `server`.
    pub by: &'static str,
    /// Which kind of WebSocket message it is.
    pub kind: &'static str,
    /// The name of the event.
    pub event: Option<String>,
    /// The channel, if it is about one.
    pub channel: Option<String>,
    /// How long it is, in bytes.
    pub bytes: usize,
    /// How many messages were not told since the last one.
    pub left_out: u64,
}

/// A connection at its end.
#[derive(Debug)]
pub struct Ended {
    /// Whose client it was.
    pub app: Arc<App>,
    /// What clients knew it by.
    pub socket_id: SocketId,
    /// How many subscriptions it had.
    pub subscriptions: usize,
    /// The code of the close frame; 1006 where none came.
    pub code: u16,
    /// Whether it was the server who closed.
    pub by_server: bool,
}

/// What was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// A connection, or a client's wish to sign in on it.
    Connection,
    /// A subscription.
    Subscription,
    /// A client event.
    ClientEvent,
    /// A REST call.
    Rest,
}

/// What was refused, and what its author must do.
#[derive(Debug)]
pub struct Refusal {
    /// The kind of thing.
    pub what: What,
    /// The app, if it is known.
    pub app: Option<Box<str>>,
    /// A key that no app has.
    pub key: Option<Box<str>>,
    /// The channel, if it is about one.
    pub channel: Option<Box<str>>,
    /// The path, if it is about one.
    pub path: Option<Box<str>>,
    /// What was wrong.
    pub reason: Box<str>,
    /// How to mend it, where the reason does not say it.
    pub remedy: Option<Cow<'static, str>>,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
}

impl Refusal {
    /// A refusal for this reason, of no channel and no path.
    pub(crate) fn new(what: What, app: Option<&App>, reason: impl Into<Box<str>>) -> Self {
        let (app, reason) = (app.map(|app| app.id.as_ref().into()), reason.into());
        let remedy = remedy_of(&reason).map(Cow::Borrowed);
        Self { what, app, key: None, channel: None, path: None, reason, remedy, status: None }
    }

    /// Why, and how to mend it, in one line.
    pub fn told(&self) -> String {
        let remedy = self.remedy.as_ref().map_or_else(String::new, |remedy| format!(": {remedy}"));
        let status = self.status.map_or_else(String::new, |status| format!(" ({status})"));
        format!("{}{remedy}{status}", self.reason)
    }
}

/// Why something was refused, and how to mend it.
#[derive(Debug)]
pub(crate) struct Explanation<'a> {
    /// A key that is none of the app's.
    pub(crate) key: Option<Box<str>>,
    /// What was wrong.
    pub(crate) reason: Cow<'a, str>,
    /// What to do about it in this case, rather than what is told of the reason in general.
    pub(crate) remedy: Option<Cow<'static, str>>,
}

impl<'a> Explanation<'a> {
    /// A reason that stands for itself.
    pub(crate) fn of(reason: impl Into<Cow<'a, str>>) -> Self {
        Self { key: None, reason: reason.into(), remedy: None }
    }
}

/// A REST call: its room is used again for the next of its connection.
#[derive(Clone, Default, Debug)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The path without the query, where signatures are.
    pub path: String,
    /// When it came, in `mono_ms`.
    pub(crate) since_ms: u64,
}

/// What a machine is asked to tell.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Notices {
    wanted: Wanted,
    /// How many more refusals may be told in this turn.
    refusals: usize,
    untold: u64,
}

impl Notices {
    /// A turn begins, in which this much is read. Returns how many refusals were not told in the turn before.
    pub(crate) fn want(&mut self, wanted: Wanted) -> u64 {
        (self.wanted, self.refusals) = (wanted, REFUSALS_TOLD_MAX);
        std::mem::take(&mut self.untold)
    }

    /// Whether anything is told at all.
    pub(crate) fn ends(&self) -> bool {
        self.wanted >= Wanted::Ends
    }

    /// Whether calls are told.
    pub(crate) fn calls(&self) -> bool {
        self.wanted >= Wanted::Calls
    }

    /// Whether one more refusal may be told.
    pub(crate) fn takes_refusal(&mut self) -> bool {
        if !self.ends() {
            return false;
        }
        let room = self.refusals.checked_sub(1);
        self.untold += u64::from(room.is_none());
        self.refusals = room.unwrap_or(0);
        room.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_a_turn_are_told_up_to_a_bound_and_the_rest_is_counted() {
        let mut notices = Notices::default();
        assert!(!notices.takes_refusal(), "nobody reads it");
        assert_eq!(notices.want(Wanted::Ends), 0);
        let told = (0..REFUSALS_TOLD_MAX + 3).filter(|_| notices.takes_refusal()).count();
        assert_eq!((told, notices.want(Wanted::Ends)), (REFUSALS_TOLD_MAX, 3));
        assert!(notices.takes_refusal() && !notices.calls());
    }
}
