//! Streams of what happens on a channel or a connection. The shard that sees it keeps a watch for a while, which is renewed
//! as long as the stream is read, so a shard forgets by itself what nobody watches any more.

use std::sync::Arc;

use api::answer::Manner;
use api::console::answer_json;
use api::console::excerpts::{EventExcerpt, message_text, name_of};
use api::console::object::Object;
use protocol::socket_id::SocketId;

use crate::api_core::ApiCore;
use crate::api_core::console::streams::Stream;
use crate::api_core::pending::console::{Wanted, Wish};
use crate::cores::CoreId;
use crate::limits::{TRACE_MS_MAX, WATCH_MS, WATCH_RENEWED_MS};
use crate::machine::{Effect, Now, Token};
use crate::mesh::{Ask, Query, Root};
use crate::notices::{Notice, Traced};
use crate::watching::{MessageKind, Seen, Side, Sight};

impl Wanted {
    /// What its shard is asked: that it be watched, under this name, for so many milliseconds.
    pub(super) fn ask(&self, watch: u64, for_ms: u64) -> Ask {
        match self {
            Self::Tail(topic) => Ask::Tail { topic: Arc::clone(topic), watch, for_ms },
            Self::Trace(socket_id) => Ask::Trace { socket_id: *socket_id, watch, for_ms },
        }
    }

    fn stream(&self) -> Stream {
        match self {
            Self::Tail(_) => Stream::Tail,
            Self::Trace(_) => Stream::Trace,
        }
    }
}

/// All watches.
#[derive(Debug, Default)]
pub(in crate::api_core) struct Watches {
    open: Vec<Open>,
    /// The last name that was given.
    last: u64,
}

#[derive(Debug)]
struct Open {
    name: u64,
    /// The stream; None: the log.
    token: Option<Token>,
    wanted: Wanted,
    /// The shard that watches.
    shard: CoreId,
    /// When it is renewed, in `mono_ms`.
    renew_ms: u64,
    /// When its stream ends; None: when it is closed.
    until_ms: Option<u64>,
}

impl Open {
    fn due_ms(&self) -> u64 {
        self.until_ms.map_or(self.renew_ms, |until_ms| until_ms.min(self.renew_ms))
    }
}

impl Watches {
    /// A name for a new watch.
    fn name(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// When something of them is due, in `mono_ms`.
    pub(in crate::api_core) fn due_ms(&self) -> Option<u64> {
        self.open.iter().map(Open::due_ms).min()
    }
}

impl ApiCore {
    /// A name for a new watch; None: there are as many streams as there may be.
    pub(super) fn name_watch(&mut self) -> Option<u64> {
        let console = self.console.as_mut().filter(|console| console.streams.has_room())?;
        Some(console.watches.name())
    }

    /// The shard watches: what it sees goes to this connection from now on.
    pub(in crate::api_core) fn begin_watch(&mut self, token: Token, manner: Manner, wish: Wish, now: Now) {
        let Wish { name, wanted, shard, session, logged_ms } = wish;
        if let Some(logged_ms) = logged_ms {
            return self.begin_logging(token, manner, name, wanted, shard, logged_ms, now);
        }
        let opened = self.open_stream(token, manner, wanted.stream(), session, now);
        if let Err(refused) = opened {
            self.end_watch_of_shard(shard, &wanted, name);
            return self.refuse(token, &refused, manner, now);
        }
        let until_ms = matches!(wanted, Wanted::Trace(_)).then(|| now.mono_ms + TRACE_MS_MAX);
        let renew_ms = now.mono_ms + WATCH_RENEWED_MS;
        if let Some(console) = &mut self.console {
            console.watches.open.push(Open { name, token: Some(token), wanted, shard, renew_ms, until_ms });
        }
    }

    #[expect(clippy::too_many_arguments, reason = "it is the rest of the function above")]
    fn begin_logging(
        &mut self,
        token: Token,
        manner: Manner,
        name: u64,
        wanted: Wanted,
        shard: CoreId,
        logged_ms: u64,
        now: Now,
    ) {
        if let Some(console) = &mut self.console {
            let (renew_ms, until_ms) = (now.mono_ms + WATCH_RENEWED_MS, Some(now.mono_ms + logged_ms));
            console.watches.open.push(Open { name, token: None, wanted, shard, renew_ms, until_ms });
        }
        let until = Object::default().plain("until", now.unix_ms + logged_ms).end();
        self.respond(token, &answer_json(until), manner, now);
    }

    /// A shard has seen something.
    pub(in crate::api_core) fn handle_seen(&mut self, seen: Seen, now: Now) {
        let Some(console) = &self.console else { return };
        let Some(open) = console.watches.open.iter().find(|open| open.name == seen.watch) else { return };
        let left_out = seen.left_out;
        let Some(token) = open.token else {
            let Wanted::Trace(socket_id) = open.wanted else { return };
            return self.log_seen(socket_id, seen);
        };
        let at = Object::default().plain("at", now.unix_ms);
        let (name, told) = match seen.sight {
            None => {
                self.tell_stream(token, "left_out", &at.plain("left_out", left_out).end(), now);
                return;
            }
            Some(Sight::Gone(code)) => {
                let end = at
                    .text("reason", "the connection is closed")
                    .plain("code", code)
                    .plain("left_out", left_out);
                self.tell_stream(token, "end", &end.end(), now);
                return self.close(token);
            }
            Some(Sight::Event(excerpt)) => {
                let EventExcerpt { event, data, user_id } = EventExcerpt::of(&excerpt.start);
                let told = at
                    .text("event", &event)
                    .text("data", &data)
                    .plain("bytes", excerpt.bytes)
                    .maybe_text("user_id", user_id.as_deref())
                    .plain("left_out", left_out);
                ("event", told)
            }
            Some(Sight::Message { from, kind, excerpt }) => {
                let told = at
                    .text("from", if from == Side::Client { "client" } else { "server" })
                    .text("kind", kind_of(kind))
                    .text("data", &message_text(&excerpt.start))
                    .plain("bytes", excerpt.bytes)
                    .plain("left_out", left_out);
                ("message", told)
            }
        };
        self.tell_stream(token, name, &told.end(), now);
    }

    /// What is called what goes to the log, and nothing of what it says.
    fn log_seen(&mut self, socket_id: SocketId, seen: Seen) {
        let left_out = seen.left_out;
        match seen.sight {
            Some(Sight::Message { from, kind, excerpt }) => {
                let (event, channel) = name_of(&excerpt.start);
                let by = if from == Side::Client { "client" } else { "server" };
                let (kind, bytes) = (kind_of(kind), excerpt.bytes);
                let message = Traced { socket_id, by, kind, event, channel, bytes, left_out };
                self.effects.push_back(Effect::Notice(Box::new(Notice::Traced(message))));
            }
            Some(Sight::Gone(_)) => self.end_watches(|open| open.name == seen.watch),
            Some(Sight::Event(_)) | None => {}
        }
    }

    /// Renews watches that are due, and ends those whose time is over.
    pub(in crate::api_core) fn renew_watches(&mut self, now: Now) {
        let Some(console) = &mut self.console else { return };
        let due: Vec<(u64, Option<Token>, bool)> = console
            .watches
            .open
            .iter_mut()
            .filter(|open| open.due_ms() <= now.mono_ms)
            .map(|open| {
                open.renew_ms = now.mono_ms + WATCH_RENEWED_MS;
                (open.name, open.token, open.until_ms.is_some_and(|until_ms| until_ms <= now.mono_ms))
            })
            .collect();
        for (name, token, is_over) in due {
            let at = Object::default().plain("at", now.unix_ms);
            match (token, is_over) {
                (Some(token), true) => {
                    self.tell_stream(token, "end", &at.text("reason", "its time is over").end(), now);
                    self.close(token);
                }
                (None, true) => self.end_watches(|open| open.name == name),
                // Who is not there any more is noticed by what it does not read.
                (Some(token), false) => {
                    self.tell_stream(token, "alive", &at.end(), now);
                }
                (None, false) => {}
            }
            let watches = self.console.as_ref().map(|console| &console.watches.open);
            let open = watches.and_then(|open| open.iter().find(|open| open.name == name));
            if let Some(open) = open {
                let (shard, ask) = (open.shard, open.wanted.ask(open.name, WATCH_MS));
                self.roots.push(shard, Root::Query(Box::new(Query { id: 0, ask })));
            }
        }
    }

    /// A connection has gone: nobody reads what was watched for it.
    pub(in crate::api_core) fn end_watches_of(&mut self, token: Token) {
        self.end_watches(|open| open.token == Some(token));
    }

    fn end_watches(&mut self, is_over: impl Fn(&Open) -> bool) {
        let Some(console) = &mut self.console else { return };
        let ended: Vec<Open> = console.watches.open.extract_if(.., |open| is_over(open)).collect();
        for Open { shard, wanted, name, .. } in ended {
            self.end_watch_of_shard(shard, &wanted, name);
        }
    }

    fn end_watch_of_shard(&mut self, shard: CoreId, wanted: &Wanted, name: u64) {
        let ask = wanted.ask(name, 0);
        self.roots.push(shard, Root::Query(Box::new(Query { id: 0, ask })));
    }
}

fn kind_of(kind: MessageKind) -> &'static str {
    match kind {
        MessageKind::Text => "text",
        MessageKind::Ping => "ping",
        MessageKind::Pong => "pong",
        MessageKind::Close => "close",
    }
}
