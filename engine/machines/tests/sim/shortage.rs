//! Memory runs short, and then no longer is: who comes meanwhile is told to come back, and who is there stays.

use crate::rng::Rng;
use crate::socket::Reader;
use crate::world::World;

/// Clients come while memory is short, and one afterwards.
pub fn run_short(world: &mut World, rng: &mut Rng) -> Result<(), String> {
    world.settle()?;
    world.note_memory_shortage(true);
    let first = world.clients().len();
    for _ in 0..rng.between(1, 5) {
        come(world, rng);
    }
    world.turn_all()?;
    for client in first..world.clients().len() {
        let (told, id) = (world.client(client).close_code, &world.client(client).socket_id);
        if told != Some(4100) || id.is_some() {
            return Err(format!("client {client} came while memory was short, and was told {told:?}"));
        }
    }
    world.note_memory_shortage(false);
    let welcome = come(world, rng);
    world.turn_all()?;
    if world.client(welcome).socket_id.is_none() {
        return Err(format!("client {welcome} came when memory was no longer short, and is not connected"));
    }
    world.settle()
}

fn come(world: &mut World, rng: &mut Rng) -> usize {
    let client = world.clients().len();
    world.connect_with(rng.below(world.shard_count()), Reader::Healthy, "key", false);
    // Whatever becomes of it is checked here.
    let newcomer = world.client(client);
    (newcomer.leaving, newcomer.may_lose_app) = (true, true);
    client
}
