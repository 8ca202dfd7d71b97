//! A member comes to a presence channel and goes: what its home does, with the roster for the newcomer and the news for
//! the others, encoded once each. Signature and JSON of the subscription are in `subscribe_auth`.

use std::sync::Arc;

use corecast_benches::world::{Given, Place, Sent};
use corecast_benches::{criterion, legend};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use machines::machine::Token;
use machines::mesh::{Leaf, Root, SubRef};
use machines::topic::Topic;
use protocol::presence::Member;

const CHANNEL: &str = "presence-room";

criterion_group! {
    name = benches;
    config = criterion();
    targets = presence_join
}
criterion_main!(benches);

fn presence_join(criterion: &mut Criterion) {
    legend(
        "Presence: one member joins and leaves at the channel's home. One elem is one join with its leave; most of it \
         is the roster that the newcomer is sent, so it grows with the members who are there.",
    );
    let mut group = criterion.benchmark_group("presence join and leave");
    group.throughput(Throughput::Elements(1));
    for members in [0, 10, 99] {
        let mut place = Place::new(0, 2);
        let topic = place.topic(CHANNEL);
        let join = Root::Join { topic: Arc::clone(&topic), epoch: 1 };
        tell(
            &mut place,
            std::iter::once(join).chain((0..members).map(|number| enter(&topic, number))).collect(),
        );
        group.bench_function(BenchmarkId::new("members there", members), |bencher| {
            bencher.iter(|| {
                let leaves = tell(&mut place, vec![enter(&topic, 1000)]);
                assert!(leaves.iter().any(|leaf| matches!(leaf, Leaf::Granted { .. })), "in the roster");
                tell(&mut place, vec![Root::Exit { topic: Arc::clone(&topic), sub: sub(1000) }])
            });
        });
    }
    group.finish();
}

fn tell(place: &mut Place, roots: Vec<Root>) -> Vec<Leaf> {
    let mut sent = Sent::default();
    place.turn(Given::roots(roots), &mut sent);
    sent.leaves.unwrap_or_default()
}

fn enter(topic: &Arc<Topic>, number: u32) -> Root {
    let member = Member {
        user_id: format!("user-{number}").into(),
        user_info: Some(format!(r#"{{"name":"Number {number}"}}"#).into()),
    };
    Root::Enter { topic: Arc::clone(topic), epoch: 1, sub: sub(number), member: Arc::new(member) }
}

fn sub(slot: u32) -> SubRef {
    SubRef { connection: Token { slot, generation: 1 }, ticket: 1 }
}
