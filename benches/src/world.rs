//! Shards without sockets: bytes go in, and every write is taken at once.
//!
//! Owns the smallest driver there can be, and what one app and its channels are called. It decides nothing and checks
//! nothing; the simulation does that.

use std::convert::Infallible;
use std::io::IoSlice;
use std::sync::Arc;

use machines::cores::CoreId;
use machines::limits::Limits;
use machines::machine::{Door, Inputs, Machine, Mesh, Now, Socket, Token};
use machines::mesh::{Event, Leaf, Origin, Publish, Root};
use machines::shard::ending::drain::DrainPlan;
use machines::shard::{Shard, ShardConfig};
use machines::topic::{Topic, TopicHash, TopicKey};
use machines::turn::{Core, turn};
use protocol::app::{App, Apps};
use protocol::json::EventData;
use protocol::server_event::encode_event;
use protocol::ws::Frame;

/// The time at which everything happens.
pub const NOW: Now = Now::at(1, 1);

/// The data of events, as in the load test.
pub const DATA_BYTES: usize = 200;

/// All shards place channels alike.
const SEED: u64 = 1;

/// The only app.
pub fn app() -> App {
    App::new("1", "key", "secret")
}

/// An event of the usual size, encoded.
pub fn frame(channel: &str) -> Frame {
    let mut bytes = Vec::new();
    encode_event(&mut bytes, "update", channel, &EventData::of_text(&"x".repeat(DATA_BYTES)), None);
    Frame::from(bytes)
}

/// A client's text frame. Its mask is zero: unmasking costs the same, and the bytes can be read.
pub fn client_frame(message: &str) -> Vec<u8> {
    let mut bytes = vec![0x81];
    match u8::try_from(message.len()) {
        Ok(short) if short < 126 => bytes.push(0x80 | short),
        _ => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(message.len() as u16).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(message.as_bytes());
    bytes
}

/// One shard of several, with the names that all share.
pub struct Place {
    /// The shard.
    pub shard: Shard,
    apps: Arc<Apps>,
    topics: TopicHash,
}

impl Place {
    /// Shard `number` of `shards`.
    pub fn new(number: u16, shards: usize) -> Self {
        let apps = Arc::new(Apps::new(vec![app()]).expect("one app has no twin"));
        // The gates would end the phase of so many subscribers' private frames; here only their number matters.
        let limits = Limits { batch_messages_max: 1 << 20, batch_bytes_max: 1 << 30, ..Limits::default() };
        let shard = Shard::new(ShardConfig {
            number,
            node: 0,
            apps: Arc::clone(&apps),
            path_prefix: Default::default(),
            trusted_proxies: Default::default(),
            address_caps: Default::default(),
            topics: TopicHash::new(SEED, shards),
            limits,
            hook_grace_ms: 0,
            witness: None,
            drain: DrainPlan::default(),
            random: Box::new(|| 7),
        });
        Self { shard, apps, topics: TopicHash::new(SEED, shards) }
    }

    /// A channel of the app.
    pub fn topic(&self, name: &str) -> Arc<Topic> {
        let app = self.apps.by_key("key").expect("the app is there");
        self.topics.topic(app, TopicKey::of(name))
    }

    /// Whether this channel is at home on shard `number`.
    pub fn is_home(&self, name: &str, number: u16) -> bool {
        let app = self.apps.by_key("key").expect("the app is there");
        self.topics.home(self.topics.of(app, TopicKey::of(name))) == CoreId::Shard(number)
    }

    /// A connection comes, upgrades and subscribes.
    pub fn subscribe(&mut self, slot: u32, channel: &str, sent: &mut Sent) {
        let token = Token { slot, generation: 1 };
        self.shard.handle_open(token, Door::Public, false, NOW);
        let mut bytes = b"GET /app/key HTTP/1.1\r\nHost: b\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            .to_vec();
        let message = format!(r#"{{"event":"pusher:subscribe","data":{{"channel":"{channel}"}}}}"#);
        bytes.extend(client_frame(&message));
        self.turn(Given::socket(token, bytes), sent);
    }

    /// One turn: the kernel takes all that is written, and what goes to other shards is put into `sent`. Returns how many
    /// bytes were written.
    pub fn turn(&mut self, given: Given, sent: &mut Sent) -> usize {
        let mut turning = Turning { shard: &mut self.shard, given, sent, written: 0 };
        match turn(&mut turning, NOW) {
            Ok(_) => turning.written,
        }
    }
}

/// A shard in its turn, with the smallest driver there can be.
struct Turning<'a> {
    shard: &'a mut Shard,
    given: Given,
    sent: &'a mut Sent,
    written: usize,
}

impl Core for Turning<'_> {
    type Machine = Shard;
    type Inputs<'a>
        = &'a mut Given
    where
        Self: 'a;
    type Mesh<'a>
        = &'a mut Sent
    where
        Self: 'a;
    type Error = Infallible;

    fn inputs(&mut self) -> (&mut Shard, &mut Given) {
        (self.shard, &mut self.given)
    }

    fn mesh(&mut self) -> (&mut Shard, &mut Sent) {
        (self.shard, self.sent)
    }

    fn clear_doorbell(&mut self) {}

    fn gather(&mut self, _: Now) -> Result<bool, Infallible> {
        Ok(false)
    }

    fn tell_hooks(&mut self, _: Now) -> Result<(), Infallible> {
        Ok(())
    }

    fn perform(&mut self, _: Now) -> Result<bool, Infallible> {
        Ok(std::iter::from_fn(|| self.shard.poll_effect()).count() > 0)
    }

    fn flush(&mut self, now: Now) -> Result<bool, Infallible> {
        while let Some(token) = self.shard.poll_dirty() {
            let mut slices = [IoSlice::new(&[]); 8];
            let filled = self.shard.outbox(token, &mut slices);
            let bytes = slices[..filled].iter().map(|slice| slice.len()).sum();
            self.written += bytes;
            assert!(!self.shard.handle_written(token, bytes, now), "eight slices hold all of a turn");
        }
        Ok(self.written > 0)
    }

    fn finish(&mut self, _: Now) -> Result<bool, Infallible> {
        Ok(false)
    }
}

/// `count` times this event, for its home.
pub fn publishes(topic: &Arc<Topic>, frame: &Frame, count: usize) -> Vec<Root> {
    let publish = || {
        let (topic, frame) = (Arc::clone(topic), frame.clone());
        let received = Some(NOW.moment());
        let event = Event { topic, frame, except: None, origin: Origin::BackEnd, received };
        Root::Publish(Box::new(Publish { event, hook: None }))
    };
    (0..count).map(|_| publish()).collect()
}

/// What a shard is given in one phase: one batch from another core, or the bytes of one socket.
#[derive(Default)]
pub struct Given {
    roots: Option<Vec<Root>>,
    leaves: Option<Vec<Leaf>>,
    socket: Option<(Token, Vec<u8>)>,
    bytes: Vec<u8>,
}

impl Given {
    /// A batch from core 1.
    pub fn roots(batch: Vec<Root>) -> Self {
        Self { roots: Some(batch), ..Self::default() }
    }

    /// The bytes of a socket.
    pub fn socket(token: Token, bytes: Vec<u8>) -> Self {
        Self { socket: Some((token, bytes)), ..Self::default() }
    }

    /// A batch from shard 0.
    pub fn leaves(batch: Vec<Leaf>) -> Self {
        Self { leaves: Some(batch), ..Self::default() }
    }
}

impl Inputs for Given {
    fn next_leaves(&mut self) -> Option<(CoreId, Vec<Leaf>)> {
        self.leaves.take().map(|leaves| (CoreId::Shard(0), leaves))
    }

    fn next_roots(&mut self) -> Option<(CoreId, Vec<Root>)> {
        self.roots.take().map(|roots| (CoreId::Shard(1), roots))
    }

    fn release_leaves(&mut self, _: CoreId) {}

    fn release_roots(&mut self, _: CoreId) {}

    fn next_socket(&mut self) -> Option<Socket<'_>> {
        let (token, bytes) = self.socket.take()?;
        self.bytes = bytes;
        Some(Socket::Bytes(token, &mut self.bytes))
    }

    fn pause(&mut self, _: Token) {}
}

/// What a shard has sent to others: the last batch of each kind.
#[derive(Default)]
pub struct Sent {
    /// To a home.
    pub roots: Option<Vec<Root>>,
    /// From a home.
    pub leaves: Option<Vec<Leaf>>,
}

impl Mesh for Sent {
    fn may_send_roots(&self, _: CoreId) -> bool {
        self.roots.is_none()
    }

    fn may_send_leaves(&self, _: CoreId) -> bool {
        self.leaves.is_none()
    }

    fn send_roots(&mut self, _: CoreId, batch: Vec<Root>) {
        self.roots = Some(batch);
    }

    fn send_leaves(&mut self, _: CoreId, batch: Vec<Leaf>) {
        self.leaves = Some(batch);
    }
}
