//! The way of an event between shards: a batch of roots reaches the home, leaves go to the shard that has subscribers,
//! and there they meet one subscriber. What the doorbell and the sleeping core cost is not in it.

use corecast_benches::world::{Given, Place, Sent, frame, publishes};
use corecast_benches::{criterion, legend};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

criterion_group! {
    name = benches;
    config = criterion();
    targets = mesh_hop
}
criterion_main!(benches);

fn mesh_hop(criterion: &mut Criterion) {
    legend(
        "Mesh hop: root batch -> home shard -> leaf batch -> the subscriber's shard -> its outbox. One elem is one event.",
    );
    let (mut home, mut away) = (Place::new(0, 2), Place::new(1, 2));
    let channel = channel_at_home(&home);
    join(&mut home, &mut away, &channel);
    let (topic, frame) = (home.topic(&channel), frame(&channel));
    let mut group = criterion.benchmark_group("mesh hop, events of one batch");
    for events in [1, 16, 64] {
        group.throughput(Throughput::Elements(events as u64));
        group.bench_function(BenchmarkId::new("events", events), |bencher| {
            bencher.iter(|| {
                let mut sent = Sent::default();
                home.turn(Given::roots(publishes(&topic, &frame, events)), &mut sent);
                let arrived = Given::leaves(sent.leaves.unwrap_or_default());
                let written = away.turn(arrived, &mut Sent::default());
                assert_eq!(written, events * frame.len(), "every event has arrived");
            });
        });
    }
    group.finish();
}

fn channel_at_home(home: &Place) -> String {
    (0..).map(|number| format!("dashboard-{number}")).find(|name| home.is_home(name, 0)).expect("one of many")
}

/// The first subscriber's shard makes itself known, and its subscriber is acknowledged.
fn join(home: &mut Place, away: &mut Place, channel: &str) {
    let (mut there, mut back) = (Sent::default(), Sent::default());
    away.subscribe(0, channel, &mut there);
    home.turn(Given::roots(there.roots.unwrap_or_default()), &mut back);
    let written = away.turn(Given::leaves(back.leaves.unwrap_or_default()), &mut Sent::default());
    assert!(written > 0, "the acknowledgement");
}
