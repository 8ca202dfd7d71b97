//! What must be so when all faults are over and nothing is on its way any more.

use std::collections::{BTreeMap, BTreeSet};

use crate::client::{Client, user_channel};
use crate::world::{USERS, World, name_of};

pub fn faults(world: &mut World) -> Vec<String> {
    let mut faults = Vec::new();
    nodes(world, &mut faults);
    if faults.is_empty() {
        rosters(world, &mut faults);
        counts(world, &mut faults);
        users(world, &mut faults);
        terminated(world, &mut faults);
        server(world, &mut faults);
        events(world, &mut faults);
    }
    faults
}

/// What must be so on nodes that have been alone for long: they know of nobody else, or, if they keep what they have heard, of
/// nobody who has gone from them since.
pub fn faults_alone(world: &World, gone: &[usize]) -> Vec<String> {
    let mut faults = Vec::new();
    let keeps = world.plan.limits.cluster_members_kept_ms > 1_000_000;
    for (at, client) in world.clients.iter().enumerate().filter(|(_, client)| client.alive) {
        let here = || world.clients.iter().filter(|it| it.alive && it.node == client.node);
        let of_node = || gone.iter().map(|at| &world.clients[*at]).filter(|it| it.node == client.node);
        for (channel, sub) in client.subs.iter().filter(|(channel, _)| channel.starts_with("presence-")) {
            let there: BTreeSet<&str> =
                here().filter(|it| it.subs.contains_key(channel)).map(|it| &*it.user).collect();
            let has_left = |user: &str| {
                let of_user = |it: &&Client| it.user == user;
                of_node()
                    .filter(of_user)
                    .any(|it| it.subs.get(channel).is_some_and(|sub| sub.acked.is_some()))
            };
            let mut others = sub.members.keys().filter(|user| !there.contains(&***user));
            let wrong = others.find(|user| !keeps || has_left(user));
            if let Some(user) = wrong.filter(|_| sub.acked.is_some()) {
                faults.push(format!("c{at} is alone, and believes that {user} is on {channel}"));
            }
        }
        for (user, watched) in client.watched.iter().filter(|_| client.signed_in) {
            if keeps && !of_node().any(|it| it.signed_in && it.user == *user) {
                continue;
            }
            let online = here().any(|it| it.signed_in && it.user == *user);
            if watched.online != Some(online) {
                faults.push(format!("c{at} is alone, and told {:?} of {user}", watched.online));
            }
        }
        for (channel, sub) in client.subs.iter().filter(|(_, sub)| sub.acked.is_some() && !keeps) {
            let count = here().filter(|it| it.subs.contains_key(channel)).count() as u64;
            let tells = !channel.starts_with("presence-") && !channel.starts_with('#');
            if tells && sub.count != Some(count) {
                faults.push(format!("c{at} is alone, and told that {:?} are on {channel}", sub.count));
            }
        }
    }
    faults
}

fn nodes(world: &World, faults: &mut Vec<String>) {
    let mut epochs = BTreeSet::new();
    for (number, node) in world.nodes.iter().enumerate() {
        let reading = node.session.reading();
        if !reading.is_up || reading.commands > 0 || !node.is_idle() {
            faults.push(format!("n{number} is not quiet: {reading:?}"));
        }
        epochs.extend(reading.epoch);
        for shard in &node.shards {
            if shard.home().cluster_waits() > 0 {
                faults.push(format!("something waits on n{number} for ever"));
            }
        }
    }
    let registered: BTreeSet<_> = world.server.data.nodes.keys().copied().collect();
    if registered != epochs {
        faults.push(format!("registered are {registered:?}, alive {epochs:?}"));
    }
}

fn subscribed<'a>(world: &'a World, channel: &'a str) -> impl Iterator<Item = (usize, &'a Client)> {
    let all = world.clients.iter().enumerate();
    all.filter(|(_, client)| client.alive && client.subs.contains_key(channel))
}

fn rosters(world: &World, faults: &mut Vec<String>) {
    for channel in &world.channels {
        let truth: BTreeSet<&str> = subscribed(world, channel).map(|(_, client)| &*client.user).collect();
        for (at, client) in subscribed(world, channel) {
            let sub = &client.subs[channel];
            if sub.acked.is_none() {
                faults.push(format!("c{at} still waits on {channel}"));
            } else if channel.starts_with("presence-") {
                let told: BTreeSet<&str> = sub.members.keys().map(String::as_str).collect();
                if told != truth {
                    faults.push(format!("c{at} believes {told:?} on {channel}, and there are {truth:?}"));
                }
            }
        }
    }
}

fn counts(world: &World, faults: &mut Vec<String>) {
    let channels = world.channels.iter().filter(|channel| !channel.starts_with("presence-"));
    for channel in channels.filter(|_| world.server.untold_counts == 0) {
        let count = subscribed(world, channel).count() as u64;
        for (at, client) in subscribed(world, channel) {
            let told = client.subs[channel].count;
            if told != Some(count) {
                faults.push(format!("c{at} is told that {told:?} are on {channel}, and there are {count}"));
            }
        }
    }
}

fn is_online(world: &World, user: &str) -> bool {
    world.clients.iter().any(|client| client.alive && client.signed_in && client.user == user)
}

fn users(world: &World, faults: &mut Vec<String>) {
    for (at, client) in world.clients.iter().enumerate().filter(|(_, client)| client.alive) {
        if client.signs_in && !client.signed_in {
            faults.push(format!("c{at} is not signed in"));
        }
        for (user, watched) in client.watched.iter().filter(|_| client.signed_in) {
            if watched.online != Some(is_online(world, user)) {
                let told = watched.online;
                faults.push(format!("c{at} is told {told:?} of {user}, who is {}", is_online(world, user)));
            }
        }
    }
}

fn terminated(world: &World, faults: &mut Vec<String>) {
    for it in &world.terminations {
        let is_there = world.nodes[it.node].process == it.process;
        let is_told =
            is_there && it.in_session && world.lost(it.node) == it.lost && world.server.identity == 1;
        for at in &it.clients {
            let client = &world.clients[*at];
            let is_own = client.node == it.node && is_there;
            if client.alive && (is_own || is_told) {
                faults.push(format!("c{at} of {} stays, whom n{} has terminated", it.user, it.node));
            }
        }
    }
}

fn user_topics(world: &World, faults: &mut Vec<String>) {
    for user in (0..USERS).map(|it| format!("u{it}")) {
        let channel = user_channel(&user);
        let topic = world.server.data.topics.get(&name_of(&channel)).cloned().unwrap_or_default();
        let (mut links, mut watching, mut signed_in) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        for client in world.clients.iter().filter(|client| client.alive) {
            let Some(epoch) = world.nodes[client.node].session.reading().epoch else { continue };
            if client.subs.contains_key(&channel) {
                *links.entry(epoch).or_insert(0) += 1;
            }
            if client.watched.contains_key(&user) && watching.insert(epoch) {
                *links.entry(epoch).or_insert(0) += 1;
            }
            if client.signed_in && client.user == user {
                signed_in.insert(epoch);
            }
        }
        let known = topic.users.get("").map(|(epochs, _)| epochs.clone()).unwrap_or_default();
        if topic.links != links {
            faults.push(format!("{channel} has links {:?}, and should have {links:?}", topic.links));
        }
        if known != signed_in || topic.users.len() > 1 {
            faults.push(format!("{user} is signed in at {:?}, and is at {signed_in:?}", topic.users));
        }
    }
}

fn server(world: &World, faults: &mut Vec<String>) {
    let mut wanted = BTreeSet::new();
    user_topics(world, faults);
    for channel in &world.channels {
        let name = name_of(channel);
        let topic = world.server.data.topics.get(&name).cloned().unwrap_or_default();
        let mut links: BTreeMap<_, u64> = BTreeMap::new();
        let mut users: BTreeMap<&str, BTreeSet<_>> = BTreeMap::new();
        for (_, client) in subscribed(world, channel) {
            let Some(epoch) = world.nodes[client.node].session.reading().epoch else { continue };
            *links.entry(epoch).or_default() += 1;
            wanted.insert((name.clone(), None));
            if channel.starts_with("presence-") {
                users.entry(&client.user).or_default().insert(epoch);
                wanted.insert((name.clone(), Some(client.user.clone())));
            }
        }
        if topic.links != links {
            faults.push(format!("{channel} has links {:?}, and should have {links:?}", topic.links));
        }
        let known: BTreeMap<&str, BTreeSet<_>> =
            topic.users.iter().map(|(user, (epochs, _))| (&**user, epochs.clone())).collect();
        if known != users {
            faults.push(format!("{channel} has users {known:?}, and should have {users:?}"));
        }
        if topic.told == links.is_empty() {
            faults.push(format!("{channel} is told {}", topic.told));
        }
    }
    if !world.server.data.due.is_empty() || !world.server.data.edges.is_empty() {
        faults.push(format!("{:?} is due for ever", world.server.data.due));
    }
    if world.server.identity == 1 && world.passed != wanted {
        faults.push(format!("hooks believe {:?}, and there is {wanted:?}", world.passed));
    }
}

fn events(world: &mut World, faults: &mut Vec<String>) {
    let mut complete = 0;
    for (number, published) in &world.published {
        let node = &world.nodes[published.node];
        let is_there = node.process == published.process;
        let carried_out = world.server.carried_out.contains_key(number);
        let stats = node.session.reading().stats;
        let lost: u64 = stats.lost.iter().sum();
        if is_there && published.in_session && lost == published.lost && !carried_out {
            faults.push(format!("event {number} of n{} was never carried out", published.node));
        }
        for at in published.must.iter().filter(|at| is_there && world.clients[**at].alive) {
            if let Some(sub) = world.clients[*at].subs.get(&published.channel)
                && sub.acked.is_some_and(|acked| acked.event < *number)
                && !sub.got.contains(number)
            {
                faults.push(format!("c{at} never got event {number}, published on its own node"));
            }
        }
        if !carried_out {
            continue;
        }
        // It comes to all who were subscribed then, unless their node has lost its session.
        for (at, lost) in &published.hearing {
            let client = &world.clients[*at];
            let Some(sub) = client.subs.get(&published.channel).filter(|_| client.alive) else { continue };
            let is_same = sub.acked.is_some_and(|acked| acked.event < *number);
            if is_same && world.lost(client.node) == *lost {
                complete += 1;
                if !sub.got.contains(number) {
                    faults.push(format!("c{at} never got event {number} of n{}", published.node));
                }
            }
        }
    }
    world.coverage.complete += complete;
}
