//! What one delivery costs the pure shard: decide, seal and flush of a turn with 16 events of 200 bytes on one channel,
//! with a kernel that takes everything. No socket and no system call is in it.

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use corecast::limits::Limits;
use corecast::shard::drain::DrainPlan;
use corecast::shard::machine::{Door, Inputs, Machine, Now, Socket, Token};
use corecast::shard::mesh::{Leaf, Publish, Root};
use corecast::shard::topic::{Topic, TopicHash};
use corecast::shard::{Shard, ShardConfig};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use protocol::app::{App, Apps};
use protocol::channel::ChannelKind;
use protocol::json::EventData;
use protocol::server_event::encode_event;
use protocol::ws::Frame;

const FRAMES_PER_TURN: usize = 16;
const DATA_BYTES: usize = 200;
const NOW: Now = Now { mono_ms: 1, unix_ms: 1 };

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(3));
    targets = fan_out
}
criterion_main!(benches);

fn fan_out(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("deliveries of one turn");
    for subscribers in [1_000, 100_000] {
        let mut world = World::with_subscribers(subscribers);
        group.throughput(Throughput::Elements((subscribers * FRAMES_PER_TURN) as u64));
        group.bench_function(BenchmarkId::from_parameter(subscribers), |bencher| {
            bencher.iter(|| world.turn());
        });
    }
    group.finish();
}

/// A shard and the input of its next turn.
struct World {
    shard: Shard,
    topic: Arc<Topic>,
    frame: Frame,
}

/// Hands out one batch of roots, or the bytes of one socket.
#[derive(Default)]
struct Once {
    roots: Option<Vec<Root>>,
    socket: Option<(Token, Vec<u8>)>,
    bytes: Vec<u8>,
}

impl World {
    fn with_subscribers(subscribers: usize) -> Self {
        let apps = Arc::new(Apps::new(vec![App::new("1", "key", "secret")]).unwrap());
        let app = Arc::clone(apps.by_key("key").unwrap());
        let topics = TopicHash::new(1, 1);
        let topic = topics.topic(&app, "dashboard", ChannelKind::Public);
        // The flush gate would end the phase of so many subscribers' private frames; here only their number matters.
        let limits = Limits { batch_messages_max: 1 << 20, batch_bytes_max: 1 << 30, ..Limits::default() };
        let random = Box::new(|| 7);
        let shard = Shard::new(ShardConfig {
            index: 0,
            apps,
            topics,
            limits,
            client_event_hooks: false,
            drain: DrainPlan::default(),
            random,
        });
        let mut bytes = Vec::new();
        encode_event(&mut bytes, "update", "dashboard", &EventData::of_text(&"x".repeat(DATA_BYTES)), None);
        let mut world = Self { shard, topic, frame: Frame::from(bytes) };
        (0..subscribers).for_each(|slot| world.subscribe(slot as u32));
        world
    }

    fn subscribe(&mut self, slot: u32) {
        let token = Token { slot, generation: 1 };
        self.shard.handle_open(token, "127.0.0.1:1".parse().unwrap(), Door::Public, NOW);
        let mut bytes = b"GET /app/key HTTP/1.1\r\nHost: b\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            .to_vec();
        let message = br#"{"event":"pusher:subscribe","data":{"channel":"dashboard"}}"#;
        bytes.extend_from_slice(&[0x81, 0x80 | message.len() as u8, 0, 0, 0, 0]);
        bytes.extend_from_slice(message);
        self.shard.decide(&mut Once { socket: Some((token, bytes)), ..Once::default() }, NOW);
        self.flush();
    }

    fn turn(&mut self) {
        let publish = || {
            let (topic, frame) = (Arc::clone(&self.topic), self.frame.clone());
            Root::Publish(Box::new(Publish { topic, frame, except: None, hook: None }))
        };
        let roots = (0..FRAMES_PER_TURN).map(|_| publish()).collect();
        self.shard.decide(&mut Once { roots: Some(roots), ..Once::default() }, NOW);
        self.flush();
    }

    fn flush(&mut self) {
        self.shard.seal();
        while self.shard.poll_effect().is_some() {}
        while let Some(token) = self.shard.poll_dirty() {
            let mut slices = [IoSlice::new(&[]); 8];
            let filled = self.shard.outbox(token, &mut slices);
            let bytes = slices[..filled].iter().map(|slice| slice.len()).sum();
            assert!(!self.shard.handle_written(token, bytes, NOW), "eight slices hold all of a turn");
        }
    }
}

impl Inputs for Once {
    fn next_leaves(&mut self) -> Option<(usize, Vec<Leaf>)> {
        None
    }

    fn next_roots(&mut self) -> Option<(usize, Vec<Root>)> {
        self.roots.take().map(|roots| (1, roots))
    }

    fn release_leaves(&mut self, _: usize) {}

    fn release_roots(&mut self, _: usize) {}

    fn next_socket(&mut self) -> Option<Socket<'_>> {
        let (token, bytes) = self.socket.take()?;
        self.bytes = bytes;
        Some(Socket::Bytes(token, &mut self.bytes))
    }

    fn pause(&mut self, _: Token) {}
}
