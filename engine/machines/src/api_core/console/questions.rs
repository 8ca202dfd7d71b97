//! What the console asks of shards, and what an operator has them do.

use std::collections::BTreeMap;

use api::answer::Manner;
use api::console::ConsoleCall;
use api::console::questions::{
    ChannelPage, OneChannel, parse_app, parse_channel_page, parse_disconnect, parse_log, parse_one_channel,
    parse_one_connection, parse_publish, parse_terminate,
};
use api::refused::Refused;
use protocol::close::Close;
use protocol::http::Request;
use protocol::socket_id::SocketId;

use crate::api_core::ApiCore;
use crate::api_core::open_call::OpenCall;
use crate::api_core::pending::Pending;
use crate::api_core::pending::console::{self, Channel, Wanted, Wish};
use crate::cores::CoreId;
use crate::limits::{CONSOLE_CHANNELS_PER_PAGE, CONSOLE_MEMBERS_MAX, LOGGED_S_MAX, WATCH_MS};
use crate::machine::{Now, Token};
use crate::mesh::{Ask, Counts};
use crate::topic::TopicKey;

impl ApiCore {
    /// A call that concerns shards. `session`: that of the operator, if it has one.
    pub(super) fn take_call_to_shards(
        &mut self,
        token: Token,
        manner: Manner,
        call: ConsoleCall,
        request: &Request<'_>,
        session: Option<u64>,
        now: Now,
    ) -> Result<(), Refused> {
        let (query, body) = (request.head.query, &*request.body);
        let apps = self.apps.clone();
        match call {
            ConsoleCall::Channels => self.ask_page(token, manner, parse_channel_page(&apps, query)?, now),
            ConsoleCall::Channel => {
                self.ask_one_channel(token, manner, parse_one_channel(&apps, query)?, now);
            }
            ConsoleCall::Slow => self.ask_slowest(token, manner, now),
            ConsoleCall::Connection => {
                let socket_id = parse_one_connection(query)?;
                let pending = console::Pending::Connection(socket_id, None);
                self.ask_shard_of(token, manner, socket_id, Ask::Connection { socket_id }, pending, now)?;
            }
            ConsoleCall::Tail => {
                let OneChannel { app, name, kind } = parse_one_channel(&apps, query)?;
                let topic = self.topics.topic(&app, TopicKey::of_kind(&name, kind));
                let shard = self.topics.home(topic.hash);
                self.wish_to_watch(token, manner, Wanted::Tail(topic), shard, (session, None), now)?;
            }
            ConsoleCall::Trace => {
                let socket_id = parse_one_connection(query)?;
                let shard = self.shard_of(socket_id)?;
                self.wish_to_watch(token, manner, Wanted::Trace(socket_id), shard, (session, None), now)?;
            }
            ConsoleCall::Log => {
                let (socket_id, seconds) = parse_log(body, LOGGED_S_MAX)?;
                let shard = self.shard_of(socket_id)?;
                self.tell_operated(
                    token,
                    "log",
                    format!("messages of connection {socket_id} for {seconds} s"),
                );
                let by = (session, Some(seconds * 1_000));
                self.wish_to_watch(token, manner, Wanted::Trace(socket_id), shard, by, now)?;
            }
            ConsoleCall::Publish => {
                let app = parse_app(&apps, body)?;
                let publish = parse_publish(&app, body)?;
                let event = publish.events.first();
                let channels = event.into_iter().flat_map(|event| &event.channels);
                let about = channels.map(|channel| format!("channel {:?} of app {}", channel.name, app.id));
                self.tell_operated(token, "publish", about.collect::<Vec<_>>().join(", "));
                self.publish(token, manner, &publish, now);
            }
            ConsoleCall::Disconnect => {
                let (socket_id, comes_back) = parse_disconnect(body)?;
                let close = if comes_back { Close::RECONNECT } else { Close::OPERATOR };
                self.tell_operated(
                    token,
                    "disconnect",
                    format!("connection {socket_id} with {}", close.code),
                );
                let pending = console::Pending::Done(socket_id);
                self.ask_shard_of(
                    token,
                    manner,
                    socket_id,
                    Ask::Disconnect { socket_id, close },
                    pending,
                    now,
                )?;
            }
            ConsoleCall::Terminate => {
                let app = parse_app(&apps, body)?;
                let terminate = parse_terminate(&app, body)?;
                self.tell_operated(
                    token,
                    "terminate",
                    format!("user {:?} of app {}", terminate.user_id, app.id),
                );
                self.terminate(token, manner, &terminate, now);
            }
            _ => return Err(Refused::new(404, "The console has no such path")),
        }
        Ok(())
    }

    fn ask_page(&mut self, token: Token, manner: Manner, page: ChannelPage, now: Now) {
        let (id, mut call) = (self.calls.name(), OpenCall::new(token, manner));
        for (number, home) in self.topics.cores().each_shard().enumerate() {
            let ChannelPage { app, prefix, after } = page.clone();
            // One more than are shown: whether there is another page.
            let ask = Ask::ChannelPage { app, prefix, after, count: CONSOLE_CHANNELS_PER_PAGE + 1 };
            self.ask(id, &mut call, home, number as u32, ask);
        }
        let pending = console::Pending::Page(BTreeMap::new());
        self.answer_now_or_later(id, call, Pending::Console(pending), now);
    }

    fn ask_one_channel(&mut self, token: Token, manner: Manner, channel: OneChannel, now: Now) {
        let (id, mut call) = (self.calls.name(), OpenCall::new(token, manner));
        let OneChannel { app, name, kind } = channel;
        let topic = self.topics.topic(&app, TopicKey::of_kind(&name, kind));
        let home = self.topics.home(topic.hash);
        self.ask(id, &mut call, home, 0, Ask::Channel { topic: topic.clone() });
        if kind.is_presence() {
            self.ask(id, &mut call, home, 1, Ask::Members { topic, count: CONSOLE_MEMBERS_MAX });
        }
        let (counts, members) = (Counts::default(), Vec::new());
        let channel = Channel { name, kind, counts, cached: None, members, members_in_all: 0 };
        let pending = console::Pending::Channel(channel);
        self.answer_now_or_later(id, call, Pending::Console(pending), now);
    }

    fn ask_slowest(&mut self, token: Token, manner: Manner, now: Now) {
        let (id, mut call) = (self.calls.name(), OpenCall::new(token, manner));
        for (number, shard) in self.topics.cores().each_shard().enumerate() {
            self.ask(id, &mut call, shard, number as u32, Ask::Slowest);
        }
        let pending = console::Pending::Slowest(Vec::new());
        self.answer_now_or_later(id, call, Pending::Console(pending), now);
    }

    fn ask_shard_of(
        &mut self,
        token: Token,
        manner: Manner,
        socket_id: SocketId,
        ask: Ask,
        pending: console::Pending,
        now: Now,
    ) -> Result<(), Refused> {
        let shard = self.shard_of(socket_id)?;
        let (id, mut call) = (self.calls.name(), OpenCall::new(token, manner));
        self.ask(id, &mut call, shard, 0, ask);
        self.answer_now_or_later(id, call, Pending::Console(pending), now);
        Ok(())
    }

    fn wish_to_watch(
        &mut self,
        token: Token,
        manner: Manner,
        wanted: Wanted,
        shard: CoreId,
        by: (Option<u64>, Option<u64>),
        now: Now,
    ) -> Result<(), Refused> {
        let Some(name) = self.name_watch() else { return Err(api::console::access::refuse_stream()) };
        let (id, mut call) = (self.calls.name(), OpenCall::new(token, manner));
        self.ask(id, &mut call, shard, 0, wanted.ask(name, WATCH_MS));
        let (session, logged_ms) = by;
        let wish = Wish { name, wanted, shard, session, logged_ms };
        self.answer_now_or_later(id, call, Pending::Console(console::Pending::Watch(wish)), now);
        Ok(())
    }

    /// The shard where a connection would live.
    fn shard_of(&self, socket_id: SocketId) -> Result<CoreId, Refused> {
        let shard = socket_id.place().and_then(|place| self.topics.cores().shard(place.shard));
        shard.ok_or_else(|| Refused::new(404, format!("There is no connection {socket_id} on this server")))
    }
}
