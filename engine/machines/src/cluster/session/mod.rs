//! The session of a node with one server: `Down → Registering → Up ⇄ Holding → Down`, `Holding → Hello → Up`.
//!
//! * *Down*: there is none. It connects after a pause and registers under a new epoch.
//! * *Up*: what homes say is numbered and sent, the inbox is read, and the session beats.
//! * *Holding*: a connection has broken, or a script has failed. Nothing is lost yet: what homes say waits.
//! * *Hello*: connected again, it asks whether it goes on, and how far the server has come.
//!
//! It is lost when holding takes too long, when the server says that it is over or is another, when its inbox was cut or has
//! a gap, or when too much waits. The next session has another epoch, always. What must never happen here: a command that is
//! carried out twice or not at all in a session that goes on, an entry of the inbox that is taken twice or skipped, or
//! anything of one session in another.
//!
//! Pure: the driver tells what comes, with the time, and does what [`Session::poll_effect`] asks for.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use crate::cluster::bus::{FromBus, News, Server, ToBus};
use crate::cluster::call::{Call, Since};
use crate::cluster::epoch::Epoch;
use crate::cores::CoreId;
use crate::limits::{ClusterLimits, Limits};
use crate::now::Now;
use crate::outgoing::Outgoing;
use crate::readings::latencies::Latencies;
use crate::topic::TopicHash;

mod answers;
mod backoff;
mod commands;
mod connection;
pub mod effect;
mod entries;
mod inbox;
mod interest;
mod lookups;
pub mod pace;
pub mod reading;
mod said;
mod watch;

use backoff::Backoff;
use commands::Commands;
use connection::Connection;
use effect::Effect;
use inbox::Inbox;
use interest::Interest;
use lookups::Lookups;
use pace::Pace;
use reading::{Reading, Shown, Stats, Why};
use watch::Watch;

/// How long a session that holds waits between two attempts to connect, in milliseconds.
const AGAIN_MS: u64 = 50;

/// What a session is made of.
pub struct SessionConfig {
    /// Which server.
    pub server: Server,
    /// Where topics have their homes.
    pub topics: TopicHash,
    /// The lease, in milliseconds.
    pub lease_ms: u64,
    /// The bounds of the session.
    pub limits: ClusterLimits,
    /// The bounds of batches.
    pub batches: Limits,
    /// Of the list of servers.
    pub digest: Arc<str>,
    /// Random bits.
    pub random: Box<dyn FnMut() -> u64 + Send>,
}

/// The session with one server.
pub struct Session {
    server: Server,
    topics: TopicHash,
    pace: Pace,
    limits: ClusterLimits,
    digest: Arc<str>,
    random: Box<dyn FnMut() -> u64 + Send>,
    state: State,
    /// When its node began, in `mono_ms`.
    born_ms: u64,
    /// Since when it is Up, or is not.
    since_ms: u64,
    connection: Option<Connection>,
    /// How many connections there were.
    connections: u64,
    /// When to connect, while there is no connection.
    connect_ms: u64,
    /// It went on after it had held since then, in `mono_ms`, and nothing was carried out yet.
    held_since: Option<u64>,
    backoff: Backoff,
    /// The number of the session, for homes.
    number: u64,
    /// The session that began last. The next one closes it.
    last: Option<Epoch>,
    /// The one before that, until all homes have told what they hold.
    retires: Option<Epoch>,
    /// How many homes have.
    retold: usize,
    /// What the server's memory is called.
    identity: Arc<[u8]>,
    /// The server's clock, when it was read last.
    server_ms: Option<u64>,
    commands: Commands,
    lookups: Lookups,
    inbox: Inbox,
    interest: Interest,
    watch: Watch,
    shown: Shown,
    /// When others were last judged by their beats, in `mono_ms`.
    judged_ms: Option<u64>,
    /// The node stops soon.
    leaves: bool,
    /// When to beat, unless a beat is without an answer.
    beat_ms: Option<u64>,
    /// When the last sign of life went out that the server has taken, in `mono_ms`.
    alive_ms: u64,
    /// What waited in the inbox then.
    inbox_bytes: u64,
    round_trips: Latencies,
    /// How many connections each app has here, and whether the server must be told.
    apps: Vec<(Box<str>, u64, bool)>,
    news: Outgoing<FromBus>,
    effects: VecDeque<Effect>,
    stats: Stats,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Down,
    Registering(Epoch),
    Up(Epoch),
    /// Since when, in `mono_ms`, nothing was carried out.
    Holding(Epoch, u64),
    Hello(Epoch, u64),
}

impl State {
    /// The session that goes on.
    fn epoch(self) -> Option<Epoch> {
        match self {
            Self::Up(epoch) | Self::Holding(epoch, _) | Self::Hello(epoch, _) => Some(epoch),
            Self::Down | Self::Registering(_) => None,
        }
    }
}

impl Session {
    /// There is no session. It connects at once.
    pub fn new(config: SessionConfig, now: Now) -> Self {
        let cores = config.topics.cores();
        Self {
            server: config.server,
            pace: Pace::of_lease(config.lease_ms),
            digest: config.digest,
            random: config.random,
            state: State::Down,
            born_ms: now.mono_ms,
            since_ms: now.mono_ms,
            connection: None,
            connections: 0,
            connect_ms: now.mono_ms,
            held_since: None,
            backoff: Backoff::default(),
            number: 0,
            last: None,
            retires: None,
            retold: 0,
            identity: Arc::from([]),
            server_ms: None,
            commands: Commands::new(&config.limits),
            lookups: Lookups::default(),
            inbox: Inbox::new(&config.limits),
            interest: Interest::default(),
            watch: Watch::default(),
            shown: Shown::default(),
            judged_ms: None,
            leaves: false,
            beat_ms: None,
            alive_ms: now.mono_ms,
            inbox_bytes: 0,
            round_trips: Latencies::default(),
            apps: Vec::new(),
            news: Outgoing::to_shards(cores, &config.batches),
            effects: VecDeque::new(),
            stats: Stats::default(),
            topics: config.topics,
            limits: config.limits,
        }
    }

    /// True when nothing may be taken from homes. What was taken is handed over whole.
    pub fn is_full(&self) -> bool {
        matches!(self.state, State::Up(_)) && self.commands.is_full()
    }

    /// A home has said something.
    pub fn handle_home(&mut self, home: CoreId, said: ToBus, now: Now) {
        let goes_on = self.state.epoch().filter(|_| said.session == self.number);
        let Some(epoch) = goes_on else {
            self.stats.said_stale += 1;
            return;
        };
        if !matches!(self.state, State::Up(_)) && self.commands.is_full() {
            return self.lose(Why::Full, now);
        }
        self.take_said(home, epoch, said.said);
    }

    /// How many connections an app has on this node.
    pub fn handle_connections(&mut self, app_id: &str, connections: u64) {
        match self.apps.iter_mut().find(|(id, ..)| **id == *app_id) {
            Some((_, count, untold)) => {
                *untold |= *count != connections;
                *count = connections;
            }
            None => self.apps.push((app_id.into(), connections, connections > 0)),
        }
    }

    /// The node stops soon: the others must know that it is nowhere for clients to go, and it must know the same of them.
    pub fn handle_leaving(&mut self, now: Now) {
        if !std::mem::replace(&mut self.leaves, true) {
            self.beat_ms = self.beat_ms.map(|_| now.mono_ms);
        }
    }

    /// Both connections of this number are open.
    pub fn handle_connected(&mut self, number: u64, now: Now) {
        let Some(connection) = self.current(number) else { return };
        if !connection.open() {
            return;
        }
        match self.state {
            State::Holding(epoch, since_ms) => {
                self.state = State::Hello(epoch, since_ms);
                let identity = Arc::clone(&self.identity);
                self.call(Call::Hello { epoch, identity }, now);
            }
            _ => self.register(now),
        }
    }

    /// One of the connections of this number has broken, or could not be opened.
    pub fn handle_broken(&mut self, number: u64, now: Now) {
        if self.current(number).is_some() {
            self.break_connection(now);
        }
    }

    /// When [`Session::handle_deadline`] must be called next, in `mono_ms`.
    pub fn poll_deadline(&self) -> Option<u64> {
        let silent = self.connection.as_ref().and_then(Connection::silent_since);
        let holds = match self.state {
            State::Holding(_, since_ms) | State::Hello(_, since_ms) => Some(since_ms + self.pace.holding_ms),
            _ => None,
        };
        let is_up = matches!(self.state, State::Up(_));
        let connect = self.connection.is_none().then_some(self.connect_ms);
        let beat = self.beat_ms.filter(|_| is_up);
        let ack = self.inbox.deadline().filter(|_| is_up);
        [silent.map(|since_ms| since_ms + self.pace.silence_ms), holds, connect, beat, ack]
            .into_iter()
            .flatten()
            .min()
    }

    /// Time has come for what waits for it.
    pub fn handle_deadline(&mut self, now: Now) {
        if let State::Holding(_, since_ms) | State::Hello(_, since_ms) = self.state
            && now.mono_ms >= since_ms + self.pace.holding_ms
        {
            self.lose(Why::Held, now);
        }
        let silent = self.connection.as_ref().and_then(Connection::silent_since);
        if silent.is_some_and(|since_ms| now.mono_ms >= since_ms + self.pace.silence_ms) {
            self.break_connection(now);
        }
        if self.connection.is_none() && now.mono_ms >= self.connect_ms {
            self.connect(now);
        }
        if let State::Up(epoch) = self.state {
            self.beat_if_due(epoch, now);
            self.acknowledge_if_due(epoch, now);
        }
    }

    /// The next thing that the driver must do.
    pub fn poll_effect(&mut self, now: Now) -> Option<Effect> {
        if self.effects.is_empty()
            && let State::Up(epoch) = self.state
        {
            self.send_commands(epoch, now);
            self.send_lookups(epoch, now);
        }
        self.effects.pop_front()
    }

    /// What waits for this home, if it may be sent.
    pub fn take_news(&mut self, home: CoreId) -> Option<Vec<FromBus>> {
        (!self.news.is_empty(home)).then(|| self.news.take(home))
    }

    /// Batches have gone to homes: what had no room may have some now.
    pub fn handle_room(&mut self, now: Now) {
        self.take_entries(now);
    }

    /// All sessions, as far as beats have shown them.
    pub fn shown(&self) -> &Shown {
        &self.shown
    }

    /// How it stands.
    pub fn reading(&self) -> Reading {
        let (commands, command_bytes) = self.commands.size();
        Reading {
            server: self.server,
            is_up: matches!(self.state, State::Up(_)),
            has_session: self.state.epoch().is_some(),
            since_ms: self.since_ms,
            epoch: self.state.epoch(),
            topics: self.interest.len(),
            commands,
            command_bytes,
            alive_ms: self.alive_ms,
            inbox_bytes: self.inbox_bytes,
            round_trips: self.round_trips,
            stats: self.stats,
        }
    }

    fn current(&mut self, number: u64) -> Option<&mut Connection> {
        self.connection.as_mut().filter(|connection| connection.number == number)
    }

    fn connect(&mut self, now: Now) {
        // Whoever does not take what was said must not be told of sessions without end.
        if self.state == State::Down && self.news.any_full() {
            self.connect_ms = now.mono_ms + AGAIN_MS;
            return;
        }
        self.connections += 1;
        self.connection = Some(Connection::new(self.connections, now.mono_ms));
        self.effects.push_back(Effect::Connect(self.connections));
    }

    fn close_connection(&mut self) {
        if let Some(connection) = self.connection.take() {
            // What was to go out on it does not.
            self.effects.retain(|effect| !matches!(effect, Effect::Call(_) | Effect::Read { .. }));
            self.effects.push_back(Effect::Close(connection.number));
        }
        self.inbox.read_again();
        self.commands.send_again();
        self.lookups.send_again();
    }

    /// The connection is of no use any more: the session holds, if there is one.
    fn break_connection(&mut self, now: Now) {
        self.close_connection();
        match self.state {
            State::Up(epoch) => {
                let since_ms = self.held_since(now);
                self.state = State::Holding(epoch, since_ms);
                self.since_ms = now.mono_ms;
                self.connect_ms = now.mono_ms;
            }
            State::Holding(epoch, since_ms) | State::Hello(epoch, since_ms) => {
                self.state = State::Holding(epoch, since_ms);
                self.connect_ms = now.mono_ms + AGAIN_MS;
            }
            State::Down | State::Registering(_) => {
                self.state = State::Down;
                self.connect_ms = now.mono_ms + self.backoff.next(false, (self.random)());
            }
        }
    }

    fn register(&mut self, now: Now) {
        let epoch = Epoch((self.random)());
        self.state = State::Registering(epoch);
        let (old, digest) = (self.last, Arc::clone(&self.digest));
        // Before a first session there may have been clients. The server has its time when the call arrives, a little later.
        let life_ms = now.mono_ms.saturating_sub(self.born_ms) + self.pace.silence_ms;
        let since = match self.server_ms {
            Some(server_ms) => Since::Clock(server_ms),
            None => Since::Ago(life_ms),
        };
        self.call(Call::Register { epoch, old, digest, since }, now);
    }

    /// The session is over.
    fn lose(&mut self, why: Why, now: Now) {
        if self.state.epoch().is_none() {
            return;
        }
        self.stats.count_lost(why);
        self.close_connection();
        if now.mono_ms >= self.since_ms + 4 * self.pace.beat_ms && why != Why::Cut {
            self.backoff.reset();
        }
        self.state = State::Down;
        self.since_ms = now.mono_ms;
        self.connect_ms = now.mono_ms + self.backoff.next(why == Why::Cut, (self.random)());
        self.commands.begin_anew();
        self.lookups.begin_anew();
        self.inbox.begin_anew();
        self.inbox_bytes = 0;
        self.beat_ms = None;
        self.tell_all(|| News::Lost);
    }

    /// A call goes out.
    fn call(&mut self, call: Call, now: Now) {
        if let Some(connection) = &mut self.connection {
            connection.note_call(&call, now);
            self.effects.push_back(Effect::Call(call));
        }
    }

    /// Commands that have room go out, as many as one script may carry out in each call.
    fn send_commands(&mut self, epoch: Epoch, now: Now) {
        while self.calls_with_commands() < self.limits.calls_in_flight_max
            && let Some((first, commands)) = self.commands.next_call()
        {
            self.call(Call::Commands { epoch, first, commands }, now);
        }
    }

    fn calls_with_commands(&self) -> usize {
        self.connection.as_ref().map_or(usize::MAX, Connection::calls_with_commands)
    }

    fn tell(&mut self, home: CoreId, news: News) {
        self.news.push(home, FromBus { session: self.number, news });
    }

    fn tell_all(&mut self, news: impl Fn() -> News) {
        for home in self.topics.cores().each_shard() {
            self.tell(home, news());
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Session").field("reading", &self.reading()).finish_non_exhaustive()
    }
}
