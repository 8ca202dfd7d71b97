//! A schedule: what happens, by a seed, then an end to all faults, and time for everything to heal.

use crate::rng::Rng;
use crate::server::{Data, Rule};
use crate::world::{Coverage, USERS, World};

const STEPS: usize = 500;

/// How often what happens.
#[derive(Clone, Copy)]
struct Weights {
    net: usize,
    parted: usize,
    frozen: usize,
    killed: usize,
    paused: usize,
    restarted: usize,
    emptied: usize,
    restored: usize,
}

const NET: Weights =
    Weights { net: 8, parted: 2, frozen: 1, killed: 0, paused: 0, restarted: 0, emptied: 0, restored: 0 };
const KILLS: Weights = Weights { net: 5, parted: 2, frozen: 1, killed: 4, paused: 4, ..NET };
const LOSSY: Weights =
    Weights { net: 3, parted: 0, frozen: 0, killed: 2, paused: 2, restarted: 3, emptied: 4, restored: 4 };
const ALL: Weights =
    Weights { net: 6, parted: 2, frozen: 1, killed: 3, paused: 3, restarted: 2, emptied: 1, restored: 1 };

/// Nodes that stand still for long and come back: who calls whom dead, and when.
const PAUSES: Weights = Weights { net: 2, parted: 1, paused: 30, ..NET };

/// Runs the schedule of this seed.
pub fn run(seed: u64) -> Result<Coverage, String> {
    let mut world = World::new(seed, false);
    play(&mut world, seed);
    world.fault.take().map_or(Ok(world.coverage), Err)
}

/// The same with a server that breaks a rule. Returns what went wrong.
pub fn run_broken(seed: u64, rule: Rule) -> Option<String> {
    let mut world = World::new(seed, false);
    world.server.broken = Some(rule);
    play(&mut world, seed);
    world.fault
}

/// The same, and what has happened.
pub fn trace(seed: u64) -> (Option<String>, Vec<String>) {
    let mut world = World::new(seed, true);
    play(&mut world, seed);
    (world.fault.take(), world.trace.take().unwrap_or_default())
}

fn play(world: &mut World, seed: u64) {
    let weights = [ALL, KILLS, NET, LOSSY, PAUSES][seed as usize % 5];
    let pick = |rng: &mut Rng, of: &[usize]| of[rng.below(of.len())];
    let faults = pick(&mut world.rng, &[0, 1, 2, 4]);
    let ticks = pick(&mut world.rng, &[2, 4, 8, 12]);
    let ends = pick(&mut world.rng, &[5, 12, 30]);
    let clients = pick(&mut world.rng, &[8, 15, 25, 40]);
    let skew = world.rng.below(70);
    world.late = pick(&mut world.rng, &[0, 50, 90, 98]);
    for number in 0..STEPS {
        if seed % 4 == 3 && number == STEPS / 8 {
            world.leave(0);
        }
        let step = world.rng.below(100 + ticks + 6);
        if step < clients {
            client_step(world, skew);
        } else if step < clients + 25 {
            server_step(world);
        } else if step < 100 {
            node_step(world);
        } else if step < 100 + ticks {
            let ms = world.rng.between(1, 1500) as u64;
            world.advance(ms);
            end_faults(world, ends);
        } else {
            world.take_edge();
        }
        if world.questions.rng.below(20) == 0 {
            world.ask_something();
        }
        if world.rng.below(100) < faults {
            fault(world, weights);
        }
        if world.fault.is_some() {
            return;
        }
    }
    if seed % 4 == 1 {
        be_alone(world);
    }
    if seed % 12 == 2 {
        lose_sight(world);
    }
    settle(world);
    if world.fault.is_none() {
        world.check_end();
    }
    if world.fault.is_none() {
        world.ask_everything();
        while do_all(world) {}
        world.check_answers();
    }
    for node in 0..world.nodes.len() {
        world.note_stats(node);
    }
    world.coverage.killed += world.server.killed;
    world.coverage.cuts += world.server.cuts;
}

fn client_step(world: &mut World, skew: usize) {
    let running: Vec<usize> = (0..world.nodes.len()).filter(|node| world.runs(*node)).collect();
    if running.is_empty() {
        return;
    }
    let node = running[world.rng.below(running.len())];
    let channel = if world.rng.chance(skew) { 0 } else { world.rng.below(world.channels.len()) };
    let channel = world.channels[channel].clone();
    let alive: Vec<usize> = (0..world.clients.len())
        .filter(|at| world.clients[*at].alive && world.runs(world.clients[*at].node))
        .collect();
    let client = (!alive.is_empty()).then(|| alive[world.rng.below(alive.len())]);
    let app = std::sync::Arc::clone(&world.app);
    let step = world.rng.below(40);
    if step == 0 && world.rng.chance(30) {
        let user = format!("u{}", world.rng.below(USERS));
        return world.terminate(node, user);
    }
    // Events for users go to those who are signed in.
    let channel = match client {
        Some(at) if step.is_multiple_of(5) && world.clients[at].signed_in => world.clients[at].own_channel(),
        _ => channel,
    };
    match (step / 2, client) {
        (0..=2, _) if alive.len() < 9 => world.open_client(node),
        (3 | 4, Some(at)) if world.clients[at].may_sign_in() && world.rng.chance(60) => {
            let watched = (0..USERS).filter(|_| world.rng.chance(30)).map(|it| format!("u{it}")).collect();
            world.sign_in(at, watched);
        }
        (3..=8, Some(at)) if world.clients[at].may_subscribe(&channel) => {
            world.tell(|| format!("c{at} subscribes to {channel}"));
            world.clients[at].subscribe(&app, &channel);
        }
        (9 | 10, Some(at)) if world.clients[at].subs.contains_key(&channel) => {
            world.tell(|| format!("c{at} unsubscribes from {channel}"));
            world.clients[at].unsubscribe(&channel);
            if world.rng.chance(50) && world.clients[at].may_subscribe(&channel) {
                world.clients[at].subscribe(&app, &channel);
            }
        }
        (11, Some(at)) => {
            world.tell(|| format!("c{at} goes"));
            world.clients[at].alive = false;
        }
        (12..=14, Some(at)) => {
            let of = world.clients[at].node;
            let except = Some(at).filter(|_| !channel.contains("cache-"));
            world.publish(of, &channel, except);
        }
        (15.., _) => {
            let except = client.filter(|_| world.rng.chance(30) && !channel.contains("cache-"));
            world.publish(node, &channel, except);
        }
        _ => {}
    }
}

fn node_step(world: &mut World) {
    let node = world.rng.below(world.nodes.len());
    match world.rng.below(4) {
        0 => drop(world.turn_bus(node)),
        1 => {
            let Some((_, at)) = world.nodes[node].connection else { return };
            for _ in 0..=world.rng.below(3) {
                world.take_answer(at);
            }
        }
        _ => {
            let shard = world.rng.below(world.plan.shards);
            world.turn_shard(node, shard);
        }
    }
}

/// A connection for which the server can do something.
fn server_step(world: &mut World) {
    if !world.server_up || world.frozen {
        return;
    }
    let first = world.connections.len().saturating_sub(12);
    if first == world.connections.len() {
        return;
    }
    let at = world.rng.between(first, world.connections.len() - 1);
    let (node, open) = (world.connections[at].node, world.connections[at].open);
    if world.nodes[node].parted || (!open && world.rng.chance(world.late)) {
        return;
    }
    if world.rng.chance(35) {
        let count = world.rng.between(1, 4);
        world.serve_read(at, count);
        return;
    }
    for _ in 0..=world.rng.below(3) {
        world.carry_out(at);
    }
}

fn end_faults(world: &mut World, ends: usize) {
    world.server_up |= world.rng.chance(40);
    world.frozen &= !world.rng.chance(ends);
    for node in 0..world.nodes.len() {
        let begins = world.rng.chance(40);
        world.nodes[node].up |= begins;
        let ends_now = world.rng.chance(ends);
        world.nodes[node].paused &= !ends_now;
        let ends_now = world.rng.chance(ends);
        world.nodes[node].parted &= !ends_now;
    }
}

fn fault(world: &mut World, weights: Weights) {
    let Weights { net, parted, frozen, killed, paused, restarted, emptied, restored } = weights;
    let all = [net, killed, paused, restarted, emptied, restored, 3, parted, frozen];
    let mut left = world.rng.below(all.iter().sum());
    let mut kind = 0;
    while left >= all[kind] {
        left -= all[kind];
        kind += 1;
    }
    let node = world.rng.below(world.nodes.len());
    world.tell(|| format!("** fault {kind} n{node}"));
    match kind {
        0 => world.break_connection(node),
        1 if world.nodes[node].up => world.kill(node),
        2 if world.nodes[node].up => world.nodes[node].paused ^= true,
        3 => {
            let data = world.server.data.clone();
            world.restart_server(data);
            world.server_up = world.rng.chance(50);
        }
        4 => world.restart_server(Data::default()),
        5 if !world.snapshots.is_empty() => {
            let at = world.rng.below(world.snapshots.len());
            let data = world.snapshots[at].clone();
            world.restart_server(data);
        }
        6 => world.snapshot(),
        7 => world.nodes[node].parted = true,
        8 => world.frozen = true,
        _ => {}
    }
}

/// How long all nodes are alone, in milliseconds.
const ALONE_MS: u64 = 20_000;

/// How long a subscription may wait for a session that is being lost, in milliseconds.
const WAIT_MS: u64 = 3_500;

/// The server is away for long. On each node a client goes meanwhile.
fn be_alone(world: &mut World) {
    world.tell(|| "== everybody is alone".into());
    (world.server_up, world.frozen) = (false, false);
    for node in 0..world.nodes.len() {
        let it = &mut world.nodes[node];
        (it.up, it.paused, it.parted) = (true, false, false);
        world.break_connection(node);
    }
    let begin_ms = world.now.mono_ms;
    // Those who subscribe now wait for a session that will not go on.
    let channel = world.channels[0].clone();
    let app = std::sync::Arc::clone(&world.app);
    for client in world.clients.iter_mut().filter(|client| client.alive && client.may_subscribe(&channel)) {
        client.subscribe(&app, &channel);
    }
    let (mut gone, mut looked) = (Vec::new(), false);
    while world.now.mono_ms < begin_ms + ALONE_MS && world.fault.is_none() {
        while turn_all(world) {}
        if world.now.mono_ms > begin_ms + WAIT_MS && !std::mem::replace(&mut looked, true) {
            world.check_waits();
        }
        if gone.is_empty() && world.now.mono_ms > begin_ms + ALONE_MS / 2 {
            for node in 0..world.nodes.len() {
                let mut clients = world.clients.iter();
                if let Some(at) = clients.position(|client| client.alive && client.node == node) {
                    world.clients[at].alive = false;
                    gone.push(at);
                }
            }
        }
        let ms = next_ms(world);
        world.advance(ms);
    }
    if world.fault.is_none() {
        world.check_alone(&gone);
    }
}

/// How long a server that answers nothing is not given up, in milliseconds.
const SILENCE_MS: u64 = 4_500;

/// A user goes from a node that has not heard yet that the user is on another one, too.
fn lose_sight(world: &mut World) {
    world.tell(|| "== a user is on two nodes, and goes from one".into());
    end_all_faults(world);
    let shards = world.plan.shards;
    let [stays, goes, watches] = [(1, "elsewhere"), (0, "elsewhere"), (0, "watcher")]
        .map(|(node, user)| (node, world.rng.below(shards), user))
        .map(|(node, shard, user)| world.open_client_of(node, shard, user.to_owned()));
    while do_all(world) && world.fault.is_none() {}
    for at in [stays, goes] {
        world.sign_in(at, Vec::new());
    }
    while do_all(world) && world.fault.is_none() {}
    world.sign_in(watches, vec!["elsewhere".into()]);
    while turn_all(world) {}
    world.clients[goes].alive = false;
    let end_ms = world.now.mono_ms + SILENCE_MS;
    while world.now.mono_ms < end_ms && world.fault.is_none() {
        while turn_all(world) {}
        let ms = next_ms(world);
        world.advance(ms);
    }
}

/// A node stands still until another one wants to call it dead and sweep it, and has beaten again when that is carried out.
pub fn run_late_kill(rule: Option<Rule>) -> Option<String> {
    let mut world = World::new(1, false);
    settle(&mut world);
    world.server.broken = rule;
    let late = world.nodes[1].session.reading().epoch?;
    world.nodes[1].paused = true;
    let mut killer = None;
    for _ in 0..200 {
        do_all_but_kills(&mut world);
        killer = killer.or_else(|| world.next_kill(late));
        if killer.is_some() {
            world.nodes[1].paused = false;
        }
        if killer.is_some() && world.beats(late) > world.killed_beat(killer?) {
            break;
        }
        world.advance(200);
    }
    let at = killer.expect("it stood still for long enough");
    assert!(world.beats(late) > world.killed_beat(at), "it beats again");
    while world.carry_out(at) {}
    settle(&mut world);
    if world.fault.is_none() {
        world.check_end();
    }
    let stays = world.nodes[1].session.reading().epoch == Some(late);
    world.fault.or_else(|| (!stays).then(|| "a node that beats has lost its session".into()))
}

fn do_all_but_kills(world: &mut World) {
    let mut any = true;
    while any {
        any = turn_all(world);
        for at in 0..world.connections() {
            while world.kill_of(at).is_none() && world.carry_out(at) {
                any = true;
            }
            any |= world.serve_read(at, 20);
            while world.take_answer(at) {
                any = true;
            }
        }
    }
}

/// How long everything has to heal, in milliseconds.
const HEALING_MS: u64 = 120_000;

/// In how many rounds everything must come to rest, if no time passes.
const ROUNDS_MAX: usize = 3_000;

fn end_all_faults(world: &mut World) {
    (world.server_up, world.frozen) = (true, false);
    for node in &mut world.nodes {
        (node.up, node.paused, node.parted) = (true, false, false);
    }
}

fn settle(world: &mut World) {
    world.tell(|| "== no more faults".into());
    end_all_faults(world);
    let end_ms = world.now.mono_ms + HEALING_MS;
    let mut quiet_ms = 0;
    while world.now.mono_ms < end_ms && quiet_ms < 16_000 {
        let mut rounds = 0;
        while do_all(world) {
            rounds += 1;
            if rounds > ROUNDS_MAX {
                world.bad("it never rests".into());
            }
            if world.fault.is_some() {
                return;
            }
        }
        let ms = next_ms(world);
        quiet_ms = if is_quiet(world) { quiet_ms + ms } else { 0 };
        world.advance(ms);
    }
}

/// Everything that can go on does. Returns whether anything did.
fn do_all(world: &mut World) -> bool {
    let mut any = turn_all(world);
    let first = world.connections.len().saturating_sub(40);
    for at in first..world.connections.len() {
        while world.carry_out(at) {
            any = true;
        }
        any |= world.serve_read(at, 20);
        while world.take_answer(at) {
            any = true;
        }
    }
    any |= world.take_edge();
    any
}

/// Everything within nodes that can go on does. Returns whether anything did.
fn turn_all(world: &mut World) -> bool {
    let mut any = false;
    for node in 0..world.nodes.len() {
        for shard in 0..world.plan.shards {
            any |= world.turn_shard(node, shard);
        }
        any |= world.turn_bus(node);
    }
    any
}

fn is_quiet(world: &World) -> bool {
    let epochs: Vec<_> = world.nodes.iter().filter_map(|node| node.session.reading().epoch).collect();
    let all_up = world.nodes.iter().all(|node| node.session.reading().is_up && node.is_idle());
    all_up && epochs.len() == world.server.data.nodes.len() && world.server.data.due.is_empty()
}

/// Until something is due.
fn next_ms(world: &World) -> u64 {
    let now_ms = world.now.mono_ms;
    let sessions = world.nodes.iter().filter_map(|node| node.session.poll_deadline());
    let next = sessions.min().map_or(1000, |due_ms| due_ms.saturating_sub(now_ms));
    next.clamp(1, 400)
}
