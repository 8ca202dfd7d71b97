//! Every seed of the fuzz targets of this crate, tried by the checks that the targets run.
//!
//! What a fuzzer or the history of other servers has found stays found. The targets themselves are in protocol/fuzz.
#![forbid(unsafe_code)]

#[path = "../fuzz/checks/auth.rs"]
mod auth;
#[path = "../fuzz/checks/channel_name.rs"]
mod channel_name;
#[path = "../fuzz/checks/client_message.rs"]
mod client_message;
#[path = "../fuzz/checks/http_request.rs"]
mod http_request;
#[path = "../fuzz/checks/seeds.rs"]
mod seeds;
#[path = "../fuzz/checks/signin.rs"]
mod signin;
#[path = "../fuzz/checks/user_data.rs"]
mod user_data;
#[path = "../fuzz/checks/websocket.rs"]
mod websocket;

use std::path::Path;

fn replay(target: &str, check: fn(&[u8]) -> &'static str) {
    seeds::replay(&Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target), check);
}

#[test]
fn frames_come_out_as_their_seeds_say() {
    replay("websocket", websocket::check);
}

#[test]
fn requests_come_out_as_their_seeds_say() {
    replay("http_request", http_request::check);
}

#[test]
fn client_messages_come_out_as_their_seeds_say() {
    replay("client_message", client_message::check);
}

#[test]
fn channel_names_come_out_as_their_seeds_say() {
    replay("channel_name", channel_name::check);
}

#[test]
fn sign_ins_come_out_as_their_seeds_say() {
    replay("signin", signin::check);
}

#[test]
fn users_and_their_watchlists_come_out_as_their_seeds_say() {
    replay("user_data", user_data::check);
}

#[test]
fn signatures_come_out_as_their_seeds_say() {
    replay("auth", auth::check);
}
