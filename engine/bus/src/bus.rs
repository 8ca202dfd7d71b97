//! A node's side of one server: the session, which decides, and the link, which has the sockets.
//!
//! A thread gives it turns. What must never happen here: a wait.

use machines::cluster::answer::Value;
use machines::cluster::bus::{FromBus, ToBus};
use machines::cluster::call::Call;
use machines::cluster::session::Session;
use machines::cluster::session::effect::Effect;
use machines::cores::CoreId;
use machines::machine::Now;

use crate::fault::Fault;
use crate::link::{Link, News};

/// What a bus draws from and sends to: the homes of its node.
pub trait Homes {
    /// The next batch of what homes say, with the home that said it.
    fn next_said(&mut self) -> Option<(CoreId, Vec<ToBus>)>;
    /// A batch of this home is used up.
    fn release(&mut self, home: CoreId);
    /// The homes that may be sent a batch now.
    fn open(&self) -> impl Iterator<Item = CoreId>;
    /// Sends a batch to a home that may be sent one.
    fn send(&mut self, home: CoreId, news: Vec<FromBus>);
    /// How many connections apps have on all other nodes.
    fn elsewhere(&mut self, connections: Vec<(Box<str>, u64)>);
}

/// A node's side of one server.
pub struct Bus {
    session: Session,
    link: Link,
    /// Why the server cannot be used, as far as that is known.
    fault: Option<Fault>,
    calls: Vec<Call>,
}

impl Bus {
    /// A session that has not begun, over a link that has not either.
    pub fn new(session: Session, link: Link) -> Self {
        Self { session, link, fault: None, calls: Vec::new() }
    }

    /// The session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The same, to be told of connections.
    pub fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    /// The link.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Why the server cannot be used, as far as that is known. None: it has answered since.
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// Takes what has come, decides and sends. Returns whether it did anything: if it did not, nothing is to be done before
    /// the next wake or [`Session::poll_deadline`].
    pub fn turn(&mut self, homes: &mut impl Homes, now: Now) -> bool {
        let mut any = self.take_news(now);
        any |= self.take_said(homes, now);
        if self.session.poll_deadline().is_some_and(|deadline| deadline <= now.mono_ms) {
            self.session.handle_deadline(now);
            any = true;
        }
        any |= self.send(homes);
        // A home that has used up a batch has room again, and says nothing else.
        self.session.handle_room(now);
        any | self.carry_out(homes, now) | self.send(homes)
    }

    fn take_news(&mut self, now: Now) -> bool {
        let mut any = false;
        while let Some(news) = self.link.next_news() {
            any = true;
            match news {
                News::Connected(number) => self.session.handle_connected(number, now),
                News::Broken(number, fault) => {
                    self.fault = Some(fault);
                    self.session.handle_broken(number, now);
                }
                News::Answer(number, value) => {
                    self.fault = fault_of(&value);
                    self.session.handle_value(number, value, now);
                }
                News::Entries(number, entries) => self.session.handle_entries(number, entries, now),
            }
        }
        any
    }

    fn take_said(&mut self, homes: &mut impl Homes, now: Now) -> bool {
        let mut any = false;
        while !self.session.is_full()
            && let Some((home, batch)) = homes.next_said()
        {
            any = true;
            batch.into_iter().for_each(|said| self.session.handle_home(home, said, now));
            homes.release(home);
        }
        any
    }

    fn send(&mut self, homes: &mut impl Homes) -> bool {
        let mut any = false;
        let open: Vec<CoreId> = homes.open().collect();
        for home in open {
            if let Some(news) = self.session.take_news(home) {
                any = true;
                homes.send(home, news);
            }
        }
        any
    }

    fn carry_out(&mut self, homes: &mut impl Homes, now: Now) -> bool {
        let mut any = false;
        while let Some(effect) = self.session.poll_effect(now) {
            any = true;
            match effect {
                Effect::Call(call) => self.calls.push(call),
                Effect::Read { epoch, after, block_ms } => self.link.read(epoch, after, block_ms),
                Effect::Elsewhere(connections) => homes.elsewhere(connections),
                Effect::Connect(number) => self.link.connect(number),
                Effect::Close(number) => {
                    self.calls.clear();
                    self.link.close(number);
                }
            }
        }
        self.link.call(std::mem::take(&mut self.calls));
        any
    }
}

/// What is wrong where a script answers like this.
fn fault_of(value: &Value) -> Option<Fault> {
    match value {
        Value::Error(text) => Some(Fault::new(&**text)),
        Value::Bytes(word) if word == b"MAP" => Some(Fault::new(
            "the other nodes have another list of servers, or another version: give all nodes the same servers in the same \
             order; to change them, stop all nodes first",
        )),
        _ => None,
    }
}
