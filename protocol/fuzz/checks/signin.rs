//! Sign-ins: only the right signature opens, users are within the limits, and the answers can be read.
//!
//! An input is four parts, each on a line but the last: a socket_id, the id that the connection is signed in as already
//! (empty: none), an `auth`, and a `user_data`. `signed` in the place of `auth` stands for the right signature. Called by
//! the fuzz target and by the test that replays the seeds.

use std::collections::BTreeSet;

use protocol::app::App;
use protocol::auth::sign_signin;
use protocol::channel::{ChannelKind, channel_of_user, check_own_channel, parse_channel_name};
use protocol::limits::AppLimits;
use protocol::server_event::{
    encode_error, encode_signin_error, encode_signin_success, encode_watchlist_events,
};
use protocol::signin::{SigninError, check_signin};
use protocol::socket_id::SocketId;
use protocol::user_data::UserData;
use protocol::ws::Frame;
use serde_json::Value;

const KEY: &str = "278d425bdf160c739803";
const SECRET: &str = "7ad3773142a6692b25b8";

/// `taken` or `refused`.
pub(crate) fn check(input: &[u8]) -> &'static str {
    let Ok(text) = std::str::from_utf8(input) else { return "refused" };
    let mut parts = text.splitn(4, '\n');
    let [id, signed_in, auth, user_data] = [(); 4].map(|()| parts.next().unwrap_or_default());
    let Some(id) = SocketId::parse(id) else { return "refused" };
    let app = App::new("3", KEY, SECRET);
    let right = sign_signin(&app, id, user_data);
    let auth = if auth == "signed" { &right } else { auth };
    let signed_in = Some(signed_in).filter(|id| !id.is_empty());
    match check_signin(&app, id, user_data, auth, signed_in) {
        Ok(data) => {
            // Hex digits may be of either case, the key may not.
            assert!(auth.starts_with(KEY) && auth.eq_ignore_ascii_case(&right));
            check_user(&data, user_data, signed_in);
            "taken"
        }
        Err(error) => {
            check_error(&error, &right, auth, user_data);
            "refused"
        }
    }
}

fn check_user(data: &UserData, user_data: &str, signed_in: Option<&str>) {
    let limits = AppLimits::default();
    let id = &*data.user.user_id;
    assert!(signed_in.is_none_or(|signed_in| signed_in == id));
    assert!((1..=limits.user_id_characters_max).contains(&id.chars().count()));
    assert!(data.user.user_info.as_ref().is_none_or(|info| info.len() <= limits.presence_user_bytes_max));
    let watched: BTreeSet<_> = data.watchlist.iter().collect();
    assert!(watched.len() == data.watchlist.len() && watched.len() <= limits.watchlist_users_max);
    assert!(watched.iter().all(|id| (1..=limits.user_id_characters_max).contains(&id.chars().count())));
    assert!(data.unwatched == 0 || watched.len() == limits.watchlist_users_max);
    // A number may be too large for the second parser, but then it is still a number.
    if let Ok(value) = serde_json::from_str::<Value>(user_data) {
        assert_eq!(value["id"], id);
        let listed = value["watchlist"].as_array().map_or(0, Vec::len);
        assert!(data.watchlist.len() + data.unwatched <= listed);
    }
    check_own(id);
    check_answers(data, user_data);
}

// Nobody else's channel is open to the user, and its own only by its whole name.
fn check_own(id: &str) {
    let own = channel_of_user(id);
    assert!(check_own_channel(&own, Some(id)).is_ok() && check_own_channel(&own, None).is_err());
    for other in [format!("{own}x"), own.to_uppercase(), id.to_owned()] {
        assert!(other == own || check_own_channel(&other, Some(id)).is_err(), "{other}");
    }
    if let Ok(kind) = parse_channel_name(&own, usize::MAX) {
        assert_eq!(kind, ChannelKind::ServerToUser);
    }
}

fn check_answers(data: &UserData, user_data: &str) {
    let mut out = Vec::new();
    encode_signin_success(&mut out, user_data);
    assert_eq!(data_of(&out)["user_data"], user_data);
    let (online, offline) = data.watchlist.split_at(data.watchlist.len() / 2);
    out.clear();
    encode_watchlist_events(&mut out, online.iter().map(|id| &**id), offline.iter().map(|id| &**id));
    let events = data_of(&out)["events"].as_array().expect("events are a list").clone();
    let ids = events.iter().flat_map(|event| event["user_ids"].as_array().expect("ids are a list"));
    assert!(ids.map(|id| id.as_str().expect("an id is a string")).eq(data.watchlist.iter().map(|id| &**id)));
    if let Some(text) = data.watchlist_error() {
        out.clear();
        encode_error(&mut out, Some(protocol::close::WATCHLIST), &text);
        let frame = frame(&out);
        assert_eq!(
            (&frame["data"]["code"], &frame["data"]["message"]),
            (&4302.into(), &text.as_str().into())
        );
    }
}

fn check_error(error: &SigninError, right: &str, auth: &str, user_data: &str) {
    let text = error.to_string();
    assert!(text.len() < 1024, "{} bytes", text.len());
    let signature = &right[KEY.len() + 1..];
    assert!(!text.contains(signature) || auth.contains(signature));
    assert!(!text.contains(SECRET) || [auth, user_data].concat().contains(SECRET));
    let (kind, status) = error.kind_and_status();
    let mut out = Vec::new();
    encode_signin_error(&mut out, kind, &text, status);
    let data = data_of(&out);
    assert_eq!((&data["error"], &data["status"]), (&text.as_str().into(), &status.into()));
}

fn frame(bytes: &[u8]) -> Value {
    serde_json::from_slice(Frame::from(bytes.to_vec()).payload()).expect("a frame is JSON")
}

// The data of a frame of ours is JSON in a string.
fn data_of(bytes: &[u8]) -> Value {
    serde_json::from_str(frame(bytes)["data"].as_str().expect("data is a string")).expect("data holds JSON")
}
