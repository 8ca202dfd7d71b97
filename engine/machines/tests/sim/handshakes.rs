//! Handshakes of clients that come by TLS: who does not end theirs in its time is given up, and nobody else.

use crate::client::Client;
use crate::rng::Rng;
use crate::world::World;

/// Clients come, some shake hands and some do not; those who do are served, however late they speak.
pub fn shake_hands(world: &mut World, rng: &mut Rng) -> Result<(), String> {
    let first = world.clients().len();
    for client in first..first + rng.between(1, 5) {
        world.connect_silently(rng.below(world.shard_count()));
        // Whatever becomes of it is checked here.
        let newcomer = world.client(client);
        (newcomer.leaving, newcomer.may_lose_app) = (true, true);
    }
    let newcomers = first..world.clients().len();
    let (ready, others): (Vec<usize>, Vec<usize>) = newcomers.partition(|_| rng.chance(50));
    let ms_max = world.tls_handshake_ms_max();
    let early = rng.below(ms_max as usize) as u64;
    world.jump(early);
    world.turn_all()?;
    for client in &ready {
        world.end_handshake(*client);
    }
    world.turn_all()?;
    world.jump(ms_max - 1 - early);
    world.turn_all()?;
    expect(world, &ready, false)?;
    expect(world, &others, false)?;
    world.advance(1);
    world.turn_all()?;
    expect(world, &others, true)?;
    world.advance(early + 1);
    world.turn_all()?;
    for client in &ready {
        world.client(*client).pings += 1;
        let head = Client::head("key", world.client(*client).takes_objects);
        world.send(*client, &head);
        world.send(*client, &Client::ping());
    }
    world.turn_all()?;
    expect(world, &ready, false)?;
    match ready.iter().find(|client| world.client(**client).socket_id.is_none()) {
        Some(client) => Err(format!("client {client} has ended its handshake, and is not served")),
        None => world.settle(),
    }
}

/// All of them were given up, or none.
fn expect(world: &World, clients: &[usize], given_up: bool) -> Result<(), String> {
    match clients.iter().find(|client| world.is_closed(**client) != given_up) {
        Some(client) if given_up => Err(format!("the handshake of client {client} has no end")),
        Some(client) => Err(format!("client {client} was given up before its time")),
        None => Ok(()),
    }
}
