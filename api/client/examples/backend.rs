//! A back end: publishes, asks who is there, and answers clients that want to subscribe or to sign in.
//!
//!     PUSHER_URL=http://key:secret@127.0.0.1:6001/apps/1 cargo run -p corecast-client --example backend
#![forbid(unsafe_code)]

use std::error::Error;
use std::time::Duration;

use corecast_client::{ApiClient, Info, Member, Trigger};
use serde_json::json;

/// What it does, for an app and a server. Returns how many users are in the room.
pub(crate) fn run(pusher_url: &str) -> Result<u64, Box<dyn Error>> {
    let api = ApiClient::from_url(pusher_url)?.with_timeout(Duration::from_secs(5));
    let event = Trigger::json("presence-room", "hello", &json!({"text": "hi"}))?.asking(&[Info::UserCount]);
    let reply = api.trigger(&event)?;
    let users = reply.get("presence-room").and_then(|info| info.user_count).unwrap_or_default();

    // What its auth endpoints send back.
    let answers = [
        serde_json::to_string(&api.authorize_channel("123.456", "presence-room", Some(&Member::new("ann"))))?,
        serde_json::to_string(&api.authorize_encrypted_channel("123.456", "private-encrypted-a", &[7; 32]))?,
        serde_json::to_string(&api.authenticate_user("123.456", &json!({"id": "ann"})))?,
    ];
    if answers.iter().all(|answer| answer.contains("\"auth\"")) { Ok(users) } else { Err("no answer".into()) }
}

#[allow(dead_code, reason = "the tests call run")]
fn main() -> Result<(), Box<dyn Error>> {
    let users = run(&std::env::var("PUSHER_URL")?)?;
    println!("{users} users have heard it");
    Ok(())
}
