//! A chat: signs in, enters a room, says something to the others and hears them.
//!
//!     PUSHER_URL=http://key:secret@127.0.0.1:6001/apps/1 cargo run -p corecast-client --example chat
#![forbid(unsafe_code)]

use std::error::Error;
use std::sync::mpsc;
use std::time::Duration;

use corecast_client::{ApiClient, Event, Member, WsClient, WsOptions};
use serde_json::json;

/// A client of this name in the room, and its first word. It holds the secret, as a program of one's own may.
pub(crate) fn enter(server: &str, api: &ApiClient, name: &str) -> Result<WsClient, Box<dyn Error>> {
    let (app, signing) = (api.credentials().clone(), api.clone());
    let user = json!({"id": name});
    let options = WsOptions::new(server, app.key().to_owned())?
        .authenticate_with(move |request| Ok(signing.authenticate_user(&request.socket_id, &user)))
        .sign_with(app, Member::new(name));
    let client = WsClient::connect(options)?;
    client.signin();
    client.wait_signed_in()?;
    let room = client.subscribe("presence-chat")?;
    room.wait_subscribed()?;
    room.trigger("client-said", &format!("hello from {name}"))?;
    Ok(client)
}

/// Two of them. Returns what the first one has heard of the second.
pub(crate) fn run(server: &str, pusher_url: &str) -> Result<String, Box<dyn Error>> {
    let api = ApiClient::from_url(pusher_url)?;
    let ann = enter(server, &api, "ann")?;
    let (said, heard) = mpsc::sync_channel(16);
    let room = ann.channel("presence-chat");
    room.bind_all(move |event| {
        if let Event::Message(message) = event {
            drop(said.try_send(message.data.clone()));
        }
    });
    let log = ann.bind_all(|event| assert_ne!(event.name(), ""));
    enter(server, &api, "bob")?;
    let text = heard.recv_timeout(Duration::from_secs(10))?;
    room.unbind_all();
    ann.unbind(log);
    Ok(text)
}

#[allow(dead_code, reason = "the tests call run")]
fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("PUSHER_URL")?;
    let place =
        url.rsplit_once('@').and_then(|(_, place)| place.split_once('/')).map_or("", |(place, _)| place);
    println!("{}", run(&format!("ws://{place}"), &url)?);
    Ok(())
}
