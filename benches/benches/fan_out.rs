//! What one delivery costs the pure shard, and what one connection keeps in memory.
//!
//! A turn with 16 events of 200 bytes on one channel: the whole of it, with a kernel that takes everything. No
//! socket and no system call is in it. Memory is what the shard has asked for, per subscribed connection.

use std::alloc::System;

use corecast_benches::world::{Given, Place, Sent, frame, publishes};
use corecast_benches::{criterion, legend};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const FRAMES_PER_TURN: usize = 16;
const CHANNEL: &str = "dashboard";

criterion_group! {
    name = benches;
    config = criterion();
    targets = fan_out
}
criterion_main!(benches);

fn fan_out(criterion: &mut Criterion) {
    legend(
        "Fan-out: one turn of a shard, 16 events to all subscribers of a channel. One elem is one delivery: 500 Melem/s are 2 ns \
         for each.\n  Beside it, the memory that one subscribed connection keeps in the shard.",
    );
    let mut group = criterion.benchmark_group("fan-out, deliveries of one turn");
    group.sample_size(10);
    for subscribers in [1_000, 100_000, 1_000_000] {
        let mut place = gather(subscribers);
        let (topic, frame) = (place.topic(CHANNEL), frame(CHANNEL));
        group.throughput(Throughput::Elements(u64::from(subscribers) * FRAMES_PER_TURN as u64));
        group.bench_function(BenchmarkId::new("subscribers", subscribers), |bencher| {
            bencher.iter(|| {
                let roots = publishes(&topic, &frame, FRAMES_PER_TURN);
                place.turn(Given::roots(roots), &mut Sent::default())
            });
        });
    }
    group.finish();
}

fn gather(subscribers: u32) -> Place {
    let region = Region::new(ALLOCATOR);
    let mut place = Place::new(0, 1);
    for slot in 0..subscribers {
        place.subscribe(slot, CHANNEL, &mut Sent::default());
    }
    let change = region.change();
    // What grew by reallocation is among what was allocated.
    let kept = change.bytes_allocated.saturating_sub(change.bytes_deallocated);
    println!("memory of {subscribers} subscribed connections: {} bytes each", kept / subscribers as usize);
    place
}
