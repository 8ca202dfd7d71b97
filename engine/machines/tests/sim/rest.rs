//! What must hold when everything has come to rest.

use corecast_machines::machine::Machine;
use protocol::app::App;

use crate::api_side::ApiSide;
use crate::clients::Clients;
use crate::cores::Cores;
use crate::socket::Reader;

pub fn check(cores: &Cores, clients: &Clients, api: &ApiSide) -> Result<(), String> {
    if !cores.is_mesh_empty() {
        return Err("all sleep, and batches are left".into());
    }
    if !api.is_empty() {
        return Err("all sleep, and events wait at the API core".into());
    }
    for (number, client) in clients.all().iter().enumerate() {
        let socket = clients.socket(number, cores);
        if socket.closed {
            continue;
        }
        if !socket.inbound.is_empty() || socket.paused {
            return Err(format!("all sleep, and client {number} has bytes that nobody reads"));
        }
        if socket.reader != Reader::Dead && !client.is_whole(&socket.received) {
            return Err(format!("client {number} has got half a frame"));
        }
    }
    for (index, shard) in cores.shards().iter().enumerate() {
        if shard.open_walks() != (0, 0) {
            return Err(format!("shard {index} sleeps with open walks {:?}", shard.open_walks()));
        }
        if shard.known_users().1 > 0 {
            return Err(format!("shard {index} sleeps with something to say of users"));
        }
        if shard.open_batches() != (0, 0) {
            return Err(format!("shard {index} sleeps with open batches {:?}", shard.open_batches()));
        }
        let paced = shard.fanout().next_tick_ms().is_some();
        if shard.fanout().untimed() > 0 && !paced {
            return Err(format!("shard {index} sleeps, and events that are written are not measured"));
        }
        if shard.home().subscription_counts().waiting().0 > 0 {
            return Err(format!("shard {index} sleeps, and subscribers must be told how many they are"));
        }
    }
    Ok(())
}

/// All have left and everything rests: nothing may be left.
pub fn check_empty(cores: &Cores, app: &App, held_bytes_min: usize) -> Result<(), String> {
    for (index, shard) in cores.shards().iter().enumerate() {
        let left = (shard.connections(), shard.fanout().topics(), shard.home().len());
        if left != (0, 0, 0) || shard.fanout().subscriptions() != 0 {
            return Err(format!("shard {index} keeps connections, local topics, home topics: {left:?}"));
        }
        if cores.used_slots(index) > 0 {
            return Err(format!("shard {index} keeps {} slots", cores.used_slots(index)));
        }
        if shard.known_users() != (0, 0, 0) || shard.news_of_users() != 0 {
            return Err(format!("shard {index} keeps users: {:?}", shard.known_users()));
        }
        let held = shard.fanout().held_bytes();
        if held != held_bytes_min {
            return Err(format!("shard {index} counts {held} bytes of outboxes that are gone"));
        }
    }
    let counted = (app.connections(), app.subscriptions());
    if counted != (0, 0) {
        return Err(format!("the app still counts connections and subscriptions {counted:?}"));
    }
    Ok(())
}
