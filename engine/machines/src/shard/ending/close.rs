//! The end of a connection. When it begins, the record goes with its place among the app's connections: nothing reaches
//! the peer any more, and its subscriptions are given up (`departed`). At the end of the phase, when no Run grows any
//! more, the driver gets what must still go out (`parting`), and only the descriptor lingers there.
//!
//! A peer that breaks the protocol or reads too slowly gets the rest of the frame that was begun; anybody else what
//! waits for it, up to a bound. Both then get a close frame, whose code says when to come back.

use std::sync::Arc;

use protocol::close::Close;
use protocol::dialect::DataForm;
use protocol::object_form::in_form;
use protocol::server_event;
use protocol::ws;

use crate::machine::{Effect, Token};
use crate::notices::{Ended, Notice};
use crate::outbox::Outbox;
use crate::outbox::parting::{Allowance, Parting};
use crate::shard::Shard;
use crate::shard::fanout::connections::Detached;

/// What stands for a code where no close frame came (RFC 6455 §7.4.1).
const NO_CLOSE_FRAME: u16 = 1006;

/// A connection that goes at the end of this phase.
#[derive(Debug)]
pub(super) struct Closing {
    id: Token,
    outbox: Outbox,
    /// The kernel has refused what waits in it.
    blocked: bool,
    last_words: LastWords,
    rest: Rest,
    /// How the data of its events looked.
    form: DataForm,
    /// What is told of it.
    ended: Option<Ended>,
}

#[derive(Debug)]
enum LastWords {
    /// An error frame where the code is Pusher's, then a close frame.
    Close(Close),
    /// A close frame in answer to the peer's.
    Answer(u16),
    /// The peer has gone.
    Nothing,
}

/// How much of an outbox still goes out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rest {
    /// All of it, as far as that may be kept.
    Outbox,
    /// The rest of the frame that was begun.
    Frame,
    /// Nothing.
    Nothing,
}

impl Shard {
    /// The peer's fault: cuts the outbox.
    pub(in crate::shard) fn close(&mut self, id: Token, close: Close) {
        self.begin_close(id, LastWords::Close(close), Rest::Frame);
    }

    /// Nobody's fault: what waits goes out first.
    pub(in crate::shard) fn close_after_outbox(&mut self, id: Token, close: Close) {
        self.begin_close(id, LastWords::Close(close), Rest::Outbox);
    }

    /// The peer has sent a close frame.
    pub(in crate::shard) fn close_in_answer(&mut self, id: Token, code: Option<u16>) {
        self.begin_close(id, LastWords::Answer(code.unwrap_or(Close::NORMAL.code)), Rest::Outbox);
    }

    /// The peer has gone without a word.
    pub(in crate::shard) fn vanish(&mut self, id: Token) {
        self.begin_close(id, LastWords::Nothing, Rest::Nothing);
    }

    fn begin_close(&mut self, id: Token, last_words: LastWords, rest: Rest) {
        let ended = self.ended(id, &last_words);
        let Some(Detached { mut outbox, blocked, form }) = self.fanout.detach(id) else { return };
        self.ending.stats.closed += 1;
        if self.traces_any() {
            self.end_traces_of(id, last_words.told().0);
        }
        match last_words {
            LastWords::Close(close) => self.ending.closes.by_server(close),
            LastWords::Answer(code) => self.ending.closes.by_peer(Some(code)),
            LastWords::Nothing => self.ending.closes.by_peer(None),
        }
        self.inbound.forget(id);
        self.users.sign_out(id);
        self.ending.unauthorized.cancel(id.slot);
        outbox.end_open_ranges();
        self.ending.closing.push(Closing { id, outbox, blocked, last_words, rest, form, ended });
        self.depart(id);
    }

    /// What is told of a connection that ends, if that is read.
    fn ended(&self, id: Token, last_words: &LastWords) -> Option<Ended> {
        if !self.notices.ends() {
            return None;
        }
        let (app, socket_id) = self.fanout.app_of(id).zip(self.fanout.socket_id(id))?;
        let subscriptions = self.fanout.subscriptions_of(id);
        let (code, by_server) = last_words.told();
        Some(Ended { app: Arc::clone(app), socket_id, subscriptions, code, by_server })
    }

    /// Tells something that is read.
    pub(in crate::shard) fn tell(&mut self, notice: Notice) {
        self.effects.push_back(Effect::Notice(Box::new(notice)));
    }

    /// Hands those who go over to the driver. All Runs are sealed.
    pub(in crate::shard) fn finish_closes(&mut self) {
        for mut closing in std::mem::take(&mut self.ending.closing) {
            let (token, ended) = (closing.id, closing.ended.take());
            let last = closing.part(&self.ending.allowance);
            if let Some(ended) = ended {
                let last_bytes = last.as_ref().map_or(0, Parting::bytes);
                self.tell(Notice::Closed { token, ended, last_bytes });
            }
            self.effects.push_back(match last {
                Some(last) => Effect::Close { token, last },
                None => Effect::Reset(token),
            });
            self.let_go(token.slot);
        }
        self.note_partings();
    }

    /// Something is done for which this slot was kept. After the last of it the driver may give the slot to another
    /// connection.
    pub(in crate::shard) fn let_go(&mut self, slot: u32) {
        if let Some(token) = self.fanout.let_go_slot(slot) {
            self.effects.push_back(Effect::Free(token));
        }
    }

    /// Counts those who did not get all that waited for them.
    pub(in crate::shard) fn note_partings(&mut self) {
        let (cut, reset) = self.ending.allowance.take_counts();
        self.ending.stats.partings_cut += cut;
        self.ending.stats.partings_reset += reset;
    }
}

impl Closing {
    /// What still goes out. None: a reset, since the frame that was begun cannot be ended.
    fn part(self, allowance: &Allowance) -> Option<Parting> {
        let Self { mut outbox, blocked, last_words, rest, form, .. } = self;
        let words = last_words.encode(form);
        match rest {
            Rest::Outbox => {}
            Rest::Frame => outbox.cut_to_frame(),
            Rest::Nothing => return Some(words.into()),
        }
        let mut parting = Parting::new(outbox, words, allowance);
        (!blocked || parting.handle_refused()).then_some(parting)
    }
}

impl LastWords {
    /// The code of the close frame, and whether it was the server who closed.
    fn told(&self) -> (u16, bool) {
        match self {
            Self::Close(close) => (close.code, true),
            Self::Answer(code) => (*code, false),
            Self::Nothing => (NO_CLOSE_FRAME, false),
        }
    }

    fn encode(&self, form: DataForm) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Close(close) => {
                // What webman-push-server's clients know it by.
                if *close == Close::TERMINATED && form == DataForm::Object {
                    server_event::encode_terminate_connection(&mut out);
                }
                encode_error_and_close(&mut out, *close);
            }
            Self::Answer(code) => ws::encode_close_frame(&mut out, *code, ""),
            Self::Nothing => {}
        }
        in_form(out, form)
    }
}

/// An error frame where the code is Pusher's (some clients show only that), then the close frame.
pub(in crate::shard) fn encode_error_and_close(out: &mut Vec<u8>, close: Close) {
    if close.code >= 4000 {
        server_event::encode_error(out, Some(close.code), close.reason);
    }
    ws::encode_close_frame(out, close.code, close.reason);
}
