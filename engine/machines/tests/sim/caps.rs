//! Crowds from one address, and crowds of one app: how many of them are let in, on all shards together.

use std::net::SocketAddr;

use protocol::address::Address;

use crate::rng::Rng;
use crate::world::World;

/// More come than may, as clients, without a head, and too fast.
pub fn crowd(world: &mut World, rng: &mut Rng) -> Result<(), String> {
    world.settle()?;
    let (max, beyond) = (rng.between(1, 4), rng.between(1, 4));
    world.cap_addresses(max as u32);
    crowd_of_clients(world, rng, max, beyond)?;
    crowd_without_heads(world, rng, max, beyond)?;
    crowd_of_a_proxy(world, rng, max, beyond)?;
    world.cap_addresses(0);
    world.limit_newcomers(Some(max as u32));
    let fast: Vec<usize> = (0..max + beyond).map(|number| come(world, rng, at(3, number))).collect();
    world.turn_all()?;
    expect_so_many(world, &fast, max)?;
    world.limit_newcomers(None);
    world.settle()
}

fn crowd_of_clients(world: &mut World, rng: &mut Rng, max: usize, beyond: usize) -> Result<(), String> {
    let crowd: Vec<usize> = (0..max + beyond).map(|number| come(world, rng, at(1, number))).collect();
    let other = come(world, rng, at(2, 0));
    world.turn_all()?;
    let connected = expect_so_many(world, &crowd, max)?;
    expect_so_many(world, &[other], 1)?;
    world.hang_up(connected[0]);
    world.turn_all()?;
    let next = [come(world, rng, at(1, 0)), come(world, rng, at(1, 1))];
    world.turn_all()?;
    expect_so_many(world, &next, 1).map(drop)
}

fn crowd_without_heads(world: &mut World, rng: &mut Rng, max: usize, beyond: usize) -> Result<(), String> {
    let mut begin = |world: &mut World| {
        let client = world.begin(rng.below(world.shard_count()), at(1, 0));
        world.client(client).leaving = true;
        client
    };
    let crowd: Vec<usize> = (0..max + beyond).map(|_| begin(world)).collect();
    world.turn_all()?;
    let (closed, open): (Vec<usize>, Vec<usize>) =
        crowd.into_iter().partition(|client| world.is_closed(*client));
    if (open.len(), closed.len()) != (max, beyond) {
        return Err(format!("{} of {} connections without a head are open", open.len(), max + beyond));
    }
    open.into_iter().for_each(|client| world.hang_up(client));
    world.turn_all()?;
    let next = begin(world);
    world.turn_all()?;
    if world.is_closed(next) {
        return Err("nobody is half-open, and a newcomer may not be".into());
    }
    world.hang_up(next);
    world.turn_all()
}

/// A trusted proxy speaks for many, each of whom counts at its own address. Anybody else counts at the address that it has,
/// whatever it says.
fn crowd_of_a_proxy(world: &mut World, rng: &mut Rng, max: usize, beyond: usize) -> Result<(), String> {
    let proxy = SocketAddr::from(([10, 0, 0, 1], 1)).into();
    let many: Vec<(usize, Address)> = (0..max + beyond)
        .map(|number| {
            let client = at(100 + number as u8, 7);
            (come_through(world, rng, proxy, &format!("6.6.6.6, {client}, 10.9.9.9")), client)
        })
        .collect();
    let one = at(4, 7);
    let crowd: Vec<(usize, Address)> = (0..max + beyond)
        .map(|number| (come_through(world, rng, proxy, &format!("6.6.6.{number}, {one}")), one))
        .collect();
    let liars: Vec<(usize, Address)> = (0..max + beyond)
        .map(|number| (come_through(world, rng, at(5, number), &format!("6.6.6.{number}")), at(5, number)))
        .collect();
    world.turn_all()?;
    for (clients, wanted) in [(many, max + beyond), (crowd, max), (liars, max)] {
        let numbers: Vec<usize> = clients.iter().map(|(client, _)| *client).collect();
        expect_so_many(world, &numbers, wanted)?;
        for (client, address) in clients {
            if world.whereabouts(client) != Some(address) {
                return Err(format!(
                    "a client at {address} is told to be at {:?}",
                    world.whereabouts(client)
                ));
            }
            world.hang_up(client);
        }
    }
    world.turn_all()
}

fn come_through(world: &mut World, rng: &mut Rng, peer: Address, forwarded: &str) -> usize {
    let client = world.connect_through(rng.below(world.shard_count()), peer, forwarded);
    let newcomer = world.client(client);
    (newcomer.leaving, newcomer.may_lose_app) = (true, true);
    client
}

/// Of these clients so many are connected, and all others were told to come back. Returns those that are.
fn expect_so_many(world: &mut World, clients: &[usize], wanted: usize) -> Result<Vec<usize>, String> {
    let is_connected = |client: &&usize| world.client(**client).socket_id.is_some();
    let connected: Vec<usize> = clients.iter().filter(is_connected).copied().collect();
    let told = clients.iter().filter(|client| world.client(**client).close_code == Some(4100)).count();
    if (connected.len(), told) != (wanted, clients.len() - wanted) {
        let found = connected.len();
        return Err(format!(
            "{found} of {} are connected, not {wanted}; {told} were told to come back",
            clients.len()
        ));
    }
    Ok(connected)
}

fn come(world: &mut World, rng: &mut Rng, address: Address) -> usize {
    let client = world.connect_from(rng.below(world.shard_count()), address);
    // Whatever becomes of it is checked here.
    let newcomer = world.client(client);
    (newcomer.leaving, newcomer.may_lose_app) = (true, true);
    client
}

/// A port of a host.
fn at(host: u8, port: usize) -> Address {
    SocketAddr::from(([192, 0, 2, host], 1 + port as u16)).into()
}
