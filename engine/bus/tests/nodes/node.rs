//! A node without clients: a bus on a thread of its own, and a home that says what a test wants and notes what it hears.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bus::bus::{Bus, Homes};
use bus::keys::Keys;
use bus::link::Link;
use bus::server::Server;
use machines::cluster::bus as said;
use machines::cluster::bus::{FromBus, News, Said, ToBus};
use machines::cluster::session::pace::Pace;
use machines::cluster::session::reading::Reading;
use machines::cluster::session::{Session, SessionConfig};
use machines::cores::CoreId;
use machines::limits::{ClusterLimits, Limits};
use machines::machine::Now;
use machines::mesh::{Event, Origin};
use machines::topic::{Topic, TopicHash, TopicKey};
use protocol::app::App;
use protocol::presence::Member;
use protocol::ws::Frame;

pub(crate) const LEASE_MS: u64 = 2_000;
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Node {
    shared: Arc<Shared>,
    topics: TopicHash,
    app: Arc<App>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    over: AtomicBool,
}

#[derive(Default)]
struct State {
    /// The session that the home is in.
    session: Option<u64>,
    out: VecDeque<ToBus>,
    heard: Vec<String>,
    /// What the home holds: topics, each with its users here.
    holds: BTreeMap<String, Vec<String>>,
    links: u64,
    reading: Option<Reading>,
    fault: Option<String>,
    elsewhere: Vec<(Box<str>, u64)>,
    connections: Option<(String, u64)>,
}

/// The bus thread's side.
struct Home(Arc<Shared>, Arc<App>, TopicHash);

impl Node {
    pub(crate) fn start(url: &str) -> Self {
        let (topics, app) = (TopicHash::new(1, 1), Arc::new(App::new("1", "key", "secret")));
        let shared = Arc::new(Shared::default());
        let config = SessionConfig {
            server: said::Server(0),
            topics: topics.clone(),
            lease_ms: LEASE_MS,
            limits: ClusterLimits::default(),
            batches: Limits::default(),
            digest: "digest".into(),
            random: Box::new(random),
        };
        let server = Server::parse(url).unwrap();
        let mut home = Home(Arc::clone(&shared), Arc::clone(&app), topics.clone());
        let thread = thread::spawn(move || run(&mut home, server, config));
        Self { shared, topics, app, thread: Some(thread) }
    }

    /// Ends it as SIGKILL does: nobody is told.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking());
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.shared.state.lock().unwrap());
        self.thread.as_ref().unwrap().thread().unpark();
        changed
    }

    fn topic(&self, channel: &str) -> Arc<Topic> {
        self.topics.topic(&self.app, TopicKey::of(channel))
    }

    /// The first subscriber of a channel comes; in a presence channel, as this user.
    pub(crate) fn join(&self, channel: &str, user: Option<&str>) {
        let topic = self.topic(channel);
        self.with(|state| {
            state.holds.entry(channel.to_owned()).or_default().extend(user.map(str::to_owned));
            state.links += 1;
            let link = state.links;
            if let Some(user) = user {
                state.say(enter(&topic, user, link, false));
            }
            state.say(Said::Join { topic, link, subscriptions: 1 });
        });
    }

    pub(crate) fn leave(&self, channel: &str, user: Option<&str>) {
        let topic = self.topic(channel);
        self.with(|state| {
            state.holds.remove(channel);
            if let Some(user) = user {
                state.say(Said::Exit { topic: Arc::clone(&topic), user_id: user.into() });
            }
            state.say(Said::Count { topic, subscriptions: 0 });
        });
    }

    pub(crate) fn publish(&self, channel: &str, text: &str) {
        let event = Event {
            topic: self.topic(channel),
            frame: Frame::from(text.as_bytes()),
            except: None,
            origin: Origin::BackEnd,
            received: None,
        };
        self.with(|state| state.say(Said::Publish(Box::new(event), 0)));
    }

    pub(crate) fn has_connections(&self, app: &str, count: u64) {
        self.with(|state| state.connections = Some((app.to_owned(), count)));
    }

    pub(crate) fn reading(&self) -> Reading {
        self.with(|state| state.reading).unwrap()
    }

    pub(crate) fn fault(&self) -> String {
        self.with(|state| state.fault.clone()).unwrap_or_default()
    }

    pub(crate) fn elsewhere(&self) -> Vec<(Box<str>, u64)> {
        self.with(|state| state.elsewhere.clone())
    }

    pub(crate) fn heard(&self) -> Vec<String> {
        self.with(|state| state.heard.clone())
    }

    /// Waits until something is so.
    pub(crate) fn await_that(&self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !is_so(self) {
            assert!(
                Instant::now() < end,
                "never: {what}: {:?} {} {:?}",
                self.heard(),
                self.fault(),
                self.with(|state| state.reading)
            );
            let state = self.shared.state.lock().unwrap();
            drop(self.shared.changed.wait_timeout(state, Duration::from_millis(10)).unwrap());
        }
    }

    pub(crate) fn await_heard(&self, what: &str) {
        self.await_that(what, |node| node.heard().iter().any(|heard| heard == what));
    }

    pub(crate) fn await_up(&self) {
        self.await_that("a session", |node| node.with(|state| state.reading).is_some_and(|it| it.is_up));
    }

    /// The events it has heard of.
    pub(crate) fn events(&self) -> Vec<String> {
        let heard = self.heard();
        heard.iter().filter_map(|heard| heard.strip_prefix("event ")).map(str::to_owned).collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.end();
    }
}

impl State {
    /// Who is in no session says nothing, as a home that serves alone.
    fn say(&mut self, said: Said) {
        if let Some(session) = self.session {
            self.out.push_back(ToBus { session, said });
        }
    }

    fn hear(&mut self, from: FromBus, topic: impl Fn(&str) -> Arc<Topic>) {
        let heard = match from.news {
            News::Begun => {
                self.session = Some(from.session);
                for (channel, users) in self.holds.clone() {
                    self.links += 1;
                    let link = self.links;
                    users.iter().for_each(|user| self.say(enter(&topic(&channel), user, link, true)));
                    self.say(Said::Join { topic: topic(&channel), link, subscriptions: 1 });
                }
                self.say(Said::Retold);
                "begun".to_owned()
            }
            News::Lost => {
                self.session = None;
                "lost".to_owned()
            }
            News::Joined(joined) => {
                let mut users: Vec<&str> = joined.members.iter().map(|member| &*member.user_id).collect();
                users.sort_unstable();
                format!("joined {} {}", joined.topic.name(), users.join(","))
            }
            News::Entered { topic, user_id, .. } => format!("entered {} {user_id}", topic.name()),
            News::Refused { topic, user_id, .. } => format!("refused {} {user_id}", topic.name()),
            News::Added { topic, member } => format!("added {} {}", topic.name(), member.user_id),
            News::Removed { topic, user_id } => format!("removed {} {user_id}", topic.name()),
            News::Event(event, _) => format!("event {}", String::from_utf8_lossy(event.frame.as_bytes())),
            News::Echoed(_) | News::Order(_) | News::LookedUp(..) | News::Elsewhere { .. } => return,
        };
        self.heard.push(heard);
    }
}

fn enter(topic: &Arc<Topic>, user: &str, ticket: u64, force: bool) -> Said {
    let member = Arc::new(Member { user_id: user.into(), user_info: None });
    Said::Enter { topic: Arc::clone(topic), member, ticket, force }
}

fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

impl Homes for Home {
    fn next_said(&mut self) -> Option<(CoreId, Vec<ToBus>)> {
        let said: Vec<ToBus> = self.0.state.lock().unwrap().out.drain(..).collect();
        (!said.is_empty()).then_some((CoreId::Shard(0), said))
    }

    fn release(&mut self, _home: CoreId) {}

    fn open(&self) -> impl Iterator<Item = CoreId> {
        [CoreId::Shard(0)].into_iter()
    }

    fn send(&mut self, _home: CoreId, news: Vec<FromBus>) {
        let mut state = self.0.state.lock().unwrap();
        for from in news {
            state.hear(from, |channel| self.2.topic(&self.1, TopicKey::of(channel)));
        }
        self.0.changed.notify_all();
    }

    fn elsewhere(&mut self, connections: Vec<(Box<str>, u64)>) {
        self.0.state.lock().unwrap().elsewhere = connections;
    }
}

fn run(home: &mut Home, server: Server, config: SessionConfig) {
    let thread = thread::current();
    let patience = Duration::from_millis(Pace::of_lease(LEASE_MS).silence_ms);
    let keys = Keys::new("test", 100, config.limits.inbox_bytes_max, 1_000);
    let link = Link::new(server, keys, patience, Arc::new(move || thread.unpark()));
    let start = Instant::now();
    let now = || Now::at(start.elapsed().as_millis() as u64, 0);
    let mut bus = Bus::new(Session::new(config, now()), link);
    while !home.0.over.load(Ordering::SeqCst) {
        if let Some((app, count)) = home.0.state.lock().unwrap().connections.take() {
            bus.session_mut().handle_connections(&app, count);
        }
        let did_anything = bus.turn(home, now());
        {
            let mut state = home.0.state.lock().unwrap();
            state.reading = Some(bus.session().reading());
            state.fault = bus.fault().map(ToString::to_string);
        }
        home.0.changed.notify_all();
        if !did_anything {
            let left = bus.session().poll_deadline().map_or(100, |it| it.saturating_sub(now().mono_ms));
            thread::park_timeout(Duration::from_millis(left.min(100)));
        }
    }
}
