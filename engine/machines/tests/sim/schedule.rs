//! One schedule: random steps of a seed, then rest, checks, everybody's leaving, and checks again.

use corecast_machines::cores::CoreId;
use corecast_machines::readings::stats::Stats;

use crate::caps;
use crate::channels::{CHANNELS, OWN_CHANNELS, USERS, user_of, user_on};
use crate::client::Client;
use crate::handshakes;
use crate::lookups;
use crate::rng::Rng;
use crate::shortage;
use crate::socket::Reader;
use crate::world::World;

/// What schedules have reached.
#[derive(Clone, Debug)]
pub struct Coverage {
    pub stats: Stats,
    pub schedules: u64,
    pub slices_cut: u64,
    pub steps_min: u64,
}

impl Default for Coverage {
    fn default() -> Self {
        Self { stats: Stats::default(), schedules: 0, slices_cut: 0, steps_min: u64::MAX }
    }
}

impl Coverage {
    pub fn add(&mut self, other: &Self) {
        self.stats.add(&other.stats);
        self.schedules += other.schedules;
        self.slices_cut += other.slices_cut;
        self.steps_min = self.steps_min.min(other.steps_min);
    }

    /// Every transition and refusal that a schedule can reach, and how often it was reached.
    pub fn transitions(&self) -> Vec<(&'static str, u64)> {
        // Not to be reached here: what happens to a node of a cluster. And no link is superseded while home still has it (the Count that ends it
        // always comes first), and a stale root would need that too.
        let never = ["joins_superseding", "roots_stale"];
        let slices = ("slices_cut", self.slices_cut);
        self.stats
            .entries()
            .into_iter()
            .filter(|(name, _)| !never.contains(name))
            .filter(|(name, _)| !name.starts_with("bus_") && !name.starts_with("lookups"))
            // No operator watches here.
            .filter(|(name, _)| !["tails", "watches_refused", "watched_left_out"].contains(name))
            .chain([slices])
            .collect()
    }
}

/// Runs the schedule of a seed.
pub fn run(seed: u64) -> Result<Coverage, String> {
    let mut world = World::new(seed);
    let steps = world.rng().between(220, 320) as u64;
    // Some schedules have one hot channel for a while, or all are hot: the API core offers more than can be flushed.
    let flood = world.rng().chance(40).then(|| {
        let one = world.below(CHANNELS.len());
        let hot = if world.rng().chance(50) { &CHANNELS[one..=one] } else { &CHANNELS[..] };
        // Where all is hot, clients have several channels, or one after another.
        if hot.len() > 1 && !world.is_tight() && world.rng().chance(60) {
            world.start_hopping();
        }
        (hot, world.rng().between(150, 200))
    });
    for _ in 0..world.rng().between(1, 4) {
        connect(&mut world);
    }
    // A user who was terminated never comes back, so it happens in some schedules only.
    let mut terminations = if world.rng().chance(50) { world.rng().between(1, 4) } else { 0 };
    let signs_in = world.users_rng().chance(60);
    // Numbers of its own, so that all other schedules stay what they were.
    let mut of_apps = Rng(seed ^ 0xa995);
    let renewals_percent = if of_apps.chance(40) { of_apps.between(1, 20) } else { 0 };
    for step in 0..steps {
        if of_apps.chance(renewals_percent) {
            world.renew_apps();
        }
        world.next_step();
        world.open_hooks(false);
        random_step(&mut world)?;
        if signs_in && world.users_rng().chance(18) {
            user_step(&mut world);
        }
        if terminations > 0 && world.rng().chance(2) {
            terminations -= 1;
            terminate(&mut world);
        }
        if let Some((hot, length)) = flood
            && (20..20 + length as u64).contains(&step)
        {
            flood_step(&mut world, hot)?;
        }
    }
    world.settle()?;
    world.check()?;
    if seed.is_multiple_of(3) {
        world.check_last_counts()?;
    }
    world.check_users()?;
    if world.rng().chance(40) {
        world.check_hooks(false)?;
    }
    let drains = world.rng().chance(10);
    let mut of_lookups = Rng(seed ^ 0x100c0);
    if of_lookups.chance(40) {
        lookups::look_up(&mut world, &mut of_lookups)?;
    }
    let mut of_shortage = Rng(seed ^ 0x5407);
    if of_shortage.chance(20) {
        shortage::run_short(&mut world, &mut of_shortage)?;
    }
    let mut of_caps = Rng(seed ^ 0xca95);
    if of_caps.chance(20) {
        caps::crowd(&mut world, &mut of_caps)?;
    }
    let mut of_handshakes = Rng(seed ^ 0x715);
    if of_handshakes.chance(15) {
        handshakes::shake_hands(&mut world, &mut of_handshakes)?;
    }
    if of_apps.chance(30) {
        world.lose_app(of_apps.chance(50))?;
    } else if drains {
        let waiting = lookups::begin(&mut world, &mut of_lookups)?;
        world.drain(&waiting)?;
    }
    for client in 0..world.clients().len() {
        world.hang_up(client);
    }
    world.settle()?;
    world.check_empty()?;
    world.check_hooks(true)?;
    world.check_forgotten()?;
    Ok(Coverage { stats: world.stats(), schedules: 1, slices_cut: world.slices_cut(), steps_min: steps })
}

fn flood_step(world: &mut World, hot: &[&str]) -> Result<(), String> {
    for _ in 0..3 {
        let channel = if world.hops() { fashion(world) } else { hot[world.below(hot.len())] };
        world.publish(channel, if hot.len() == 1 { 700 } else { 350 }, None);
    }
    for _ in 0..if world.hops() { 4 } else { world.below(3) * (hot.len() / CHANNELS.len()) } {
        burst(world);
    }
    if world.rng().chance(20) {
        world.advance(5);
    }
    if world.rng().chance(8) {
        leave_unread(world);
    }
    world.api_turn();
    for core in 0..world.shard_count() {
        world.arrive(CoreId::Shard(core as u16), true);
        world.arrive(CoreId::Shard(core as u16), false);
        if world.rng().chance(15) {
            world.drain_sockets(core);
        }
        if world.is_awake(core) {
            world.turn(core)?;
        }
    }
    Ok(())
}

fn random_step(world: &mut World) -> Result<(), String> {
    match world.below(100) {
        0..40 => {
            let shard = world.any_shard();
            if world.is_awake(shard) {
                world.turn(shard)?;
            }
        }
        40..55 => {
            let (core, roots) = (world.any_core(), world.rng().chance(50));
            world.arrive(core, roots);
        }
        55..80 => burst(world),
        80..82 => {
            let prefix = ["", "presence-", "presence-big", "private-"][world.below(4)];
            let bytes_max = if world.rng().chance(20) { 60 } else { 10_000 };
            for _ in 0..world.rng().between(1, 3) {
                world.list(prefix, bytes_max);
            }
        }
        82..89 => {
            for _ in 0..world.rng().between(1, 5) {
                publish(world);
            }
        }
        89..93 => {
            world.advance(1);
            world.api_turn();
        }
        93..95 => {
            let shard = world.any_shard();
            world.drain_sockets(shard);
        }
        95..98 => connect(world),
        98 => leave(world),
        _ if world.rng().chance(70) => world.advance(50),
        _ => time_passes(world)?,
    }
    Ok(())
}

/// Long enough for silent clients to be pinged or reaped, sometimes with the mesh stuck or the whole machine suspended.
fn time_passes(world: &mut World) -> Result<(), String> {
    let mesh_moves = world.rng().chance(60);
    let (seconds, suspended_at) = (world.rng().between(5, 75), world.below(200));
    for second in 0..seconds {
        if second == suspended_at {
            let ms = world.rng().between(2_000, 1_000_000) as u64;
            world.jump(ms);
        }
        world.second(mesh_moves)?;
    }
    Ok(())
}

fn connect(world: &mut World) {
    if world.clients().len() >= 14 {
        return;
    }
    let shard = world.any_shard();
    let reader = match world.below(10) {
        0..7 => Reader::Healthy,
        7..9 => Reader::Slow,
        _ => Reader::Dead,
    };
    world.connect(shard, reader);
}

fn leave(world: &mut World) {
    let Some(client) = some_client(world) else { return };
    if world.rng().chance(40) {
        world.client(client).silent = true;
    } else if world.rng().chance(50) {
        world.client(client).leaving = true;
        world.send(client, &Client::close());
    } else {
        world.hang_up(client);
    }
}

/// A client that does not read what there is for it says goodbye.
fn leave_unread(world: &mut World) {
    if let Some(client) = world.blocked_client() {
        world.client(client).leaving = true;
        world.send(client, &Client::close());
    }
}

fn some_client(world: &mut World) -> Option<usize> {
    let client = world.any_client();
    (!world.client(client).leaving && !world.client(client).silent).then_some(client)
}

/// One client sends some commands at once.
fn burst(world: &mut World) {
    let Some(client) = some_client(world) else { return };
    if world.hops() {
        return hop(world, client);
    }
    let channel = world.any_channel();
    for _ in 0..world.rng().between(1, 4) {
        // Often the same channel again: subscribe, unsubscribe, subscribe.
        let channel = if world.rng().chance(70) { channel } else { world.any_channel() };
        command(world, client, channel);
    }
}

/// Where clients hop to, and what is published on, while they hop: one channel after another.
fn fashion(world: &World) -> &'static str {
    CHANNELS[world.step() as usize / 6 % 3]
}

/// A client leaves its channel for the one that is in fashion.
fn hop(world: &mut World, client: usize) {
    let to = fashion(world);
    for name in CHANNELS {
        if name != to && world.clients().channel(client, name).wanted {
            unsubscribe(world, client, name);
        }
    }
    if !world.clients().channel(client, to).wanted {
        subscribe(world, client, to);
    }
}

fn command(world: &mut World, client: usize, channel: &str) {
    let wanted = world.clients().channel(client, channel).wanted;
    // Whether the small channel lets a client in is known only afterwards, so it waits for the answer.
    if world.clients().may_refuse(channel)
        && (world.clients().awaits_answer(client, channel) || world.is_dead(client))
    {
        return;
    }
    match world.below(10) {
        0..4 if !wanted || world.rng().chance(20) => subscribe(world, client, channel),
        0..7 => unsubscribe(world, client, channel),
        7..9 => {
            let (id, padding) = (world.take_id(), world.below(200));
            world.send(client, &Client::client_event(channel, id, padding));
        }
        _ => {
            world.client(client).pings += 1;
            world.send(client, &Client::ping());
        }
    }
}

/// Somebody signs in, takes or leaves its own channel, or tries another's; or something is published for a user.
fn user_step(world: &mut World) {
    let count = world.clients().len();
    let client = world.users_rng().below(count);
    if world.client(client).leaving || world.client(client).silent {
        return;
    }
    let own = OWN_CHANNELS[user_of(client)];
    match world.users_rng().below(10) {
        0..4 => sign_in(world, client),
        4..7 if world.client(client).signed_in.is_some() => {
            // Where any subscription may be refused, it waits for the answer.
            if world.is_tight() && (world.clients().awaits_answer(client, own) || world.is_dead(client)) {
                return;
            }
            let wanted = world.clients().channel(client, own).wanted;
            match world.users_rng().below(10) {
                0..5 if !wanted => subscribe(world, client, own),
                5..8 if wanted => unsubscribe(world, client, own),
                _ => {}
            }
        }
        7 => try_channel_of_other(world, client),
        _ => {
            let except = if world.users_rng().chance(40) { world.client(client).socket_id } else { None };
            let padding = world.users_rng().below(200);
            world.publish(own, padding, except);
        }
    }
}

/// As its user, or, once it is signed in, as another, which is refused.
fn sign_in(world: &mut World, client: usize) {
    let own = USERS[user_of(client)];
    let other = world.client(client).signed_in.is_some() && world.users_rng().chance(30);
    let user = if other { USERS[user_of(client + 1)] } else { own };
    let app = world.app();
    let known = ["u0", "u1", "u2", "nobody", "noone", "none"];
    let count = world.users_rng().below(6);
    let first = world.users_rng().below(known.len());
    let watchlist: Vec<&str> = (0..count).map(|at| known[(first + at) % known.len()]).collect();
    let Some(bytes) = world.client(client).signin(&app, user, &watchlist) else { return };
    if other {
        world.client(client).bad_signins += 1;
    } else {
        let (terminated, now_ms) = (world.is_terminated(user), world.now_ms());
        let client = world.client(client);
        let watched = watchlist.iter().take(4).map(|id| (*id).to_owned()).collect();
        client.watching.asked.push_back((watched, now_ms));
        client.authorized = true;
        client.may_be_terminated |= terminated;
        client.signins += 1;
        client.signed_in = Some(own);
    }
    world.send(client, &bytes);
}

/// It must not be let in.
fn try_channel_of_other(world: &mut World, client: usize) {
    let other = OWN_CHANNELS[user_of(client + 1)];
    let app = world.app();
    if let Some(bytes) = world.client(client).subscribe(&app, other) {
        world.send(client, &bytes);
    }
}

/// Mostly a user who is there, sometimes several at once, or the same name in another app.
fn terminate(world: &mut World) {
    for _ in 0..world.rng().between(1, 3) {
        let client = world.any_client();
        let channel = if world.rng().chance(70) { "presence-big" } else { "presence-small" };
        let elsewhere = world.rng().chance(25);
        world.terminate(&user_on(client, channel), elsewhere);
    }
}

fn subscribe(world: &mut World, client: usize, name: &str) {
    let step = world.step();
    let user = user_on(client, name);
    if name.starts_with("presence-") {
        world.client(client).may_be_terminated |= world.is_terminated(&user);
    }
    world.client(client).user = user;
    let app = world.app();
    let Some(bytes) = world.client(client).subscribe(&app, name) else { return };
    let may_refuse = world.clients().may_refuse(name);
    let channel = world.clients().channel(client, name);
    if may_refuse && channel.refused {
        // It was refused once; what it sees after another try would be hard to tell apart.
        return;
    }
    if channel.wanted {
        world.client(client).errors_expected += 1;
    } else {
        channel.wanted = true;
        channel.accepted += 1;
        channel.asked_at = step;
        world.client(client).authorized |= !["public-a", "b", "cache-a"].contains(&name);
    }
    world.send(client, &bytes);
}

fn unsubscribe(world: &mut World, client: usize, name: &str) {
    let step = world.step();
    if world.client(client).socket_id.is_none() {
        return;
    }
    let channel = world.clients().channel(client, name);
    if channel.wanted {
        channel.wanted = false;
        channel.left_at = Some(step);
        world.client(client).unsubscribes += 1;
    } else {
        world.client(client).errors_expected += 1;
    }
    world.send(client, &Client::unsubscribe(name));
}

fn publish(world: &mut World) {
    let channel = world.any_channel();
    let padding = if world.rng().chance(20) { world.below(900) } else { world.below(60) };
    let except = if world.rng().chance(30) && !world.clients().is_empty() {
        let client = world.any_client();
        world.client(client).socket_id
    } else {
        None
    };
    world.publish(channel, padding, except);
}
