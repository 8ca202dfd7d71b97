//! Ten thousand who come back to a cache channel at once share one replay: none of them allocates.
#![forbid(unsafe_code)]

use std::alloc::System;

use corecast_benches::world::{Given, Place, Sent, client_frame, frame, publishes};
use machines::machine::Token;
use machines::mesh::{Leaf, Root};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SUBSCRIBERS: u32 = 10_000;

/// Queues double, and what comes in one phase shares a message: more than this would be an allocation for each.
const ALLOCATIONS_MAX: usize = SUBSCRIBERS as usize / 8;

/// Turns in which a shard takes all of a batch.
const TURNS: usize = 100;

/// The home takes a batch; returns what it has for the other shard.
fn at_home(home: &mut Place, roots: Vec<Root>) -> Vec<Vec<Leaf>> {
    let mut batches = Vec::with_capacity(TURNS);
    let mut given = Given::roots(roots);
    for _ in 0..TURNS {
        let mut sent = Sent::default();
        home.turn(std::mem::take(&mut given), &mut sent);
        batches.extend(sent.leaves);
    }
    batches
}

/// The other shard takes what its home has said; returns how many bytes it has written.
fn at_subscribers(near: &mut Place, batches: Vec<Vec<Leaf>>) -> usize {
    let turn = |batch| near.turn(Given::leaves(batch), &mut Sent::default());
    batches.into_iter().map(turn).sum()
}

#[test]
fn ten_thousand_who_come_back_at_once_share_one_replay() {
    let (mut home, mut near) = (Place::new(0, 2), Place::new(1, 2));
    let channel = (0..).map(|number| format!("cache-{number}")).find(|name| home.is_home(name, 0)).unwrap();
    let event = frame(&channel);
    let mut roots = publishes(&home.topic(&channel), &event, 1);
    for slot in 0..SUBSCRIBERS {
        let mut sent = Sent::default();
        near.subscribe(slot, &channel, &mut sent);
        roots.extend(sent.roots.unwrap_or_default());
    }
    let leaves = at_home(&mut home, roots);
    at_subscribers(&mut near, leaves);

    let again = [
        format!(r#"{{"event":"pusher:unsubscribe","data":{{"channel":"{channel}"}}}}"#),
        format!(r#"{{"event":"pusher:subscribe","data":{{"channel":"{channel}"}}}}"#),
    ];
    let again: Vec<u8> = again.iter().flat_map(|message| client_frame(message)).collect();
    let mut roots = Vec::new();
    for slot in 0..SUBSCRIBERS {
        let mut sent = Sent::default();
        near.turn(Given::socket(Token { slot, generation: 1 }, again.clone()), &mut sent);
        roots.extend(sent.roots.unwrap_or_default());
    }
    let region = Region::new(ALLOCATOR);
    let leaves = at_home(&mut home, roots);
    let written = at_subscribers(&mut near, leaves);
    let change = region.change();
    assert!(written > SUBSCRIBERS as usize * event.len(), "{written} bytes were written");
    let made = change.allocations + change.reallocations;
    println!("{made} allocations for {SUBSCRIBERS} replays");
    assert!(made <= ALLOCATIONS_MAX, "{made} allocations for {SUBSCRIBERS} replays");
}
