//! Signatures of subscriptions and of REST requests: only the right one opens, and no secret is told.
//!
//! An input is four parts, each on a line but the last, which may be left out: a socket_id, a channel, an `auth`, and a
//! `channel_data`. `signed` in the place of `auth` stands for the right signature. The same parts are then tried as
//! path, query and body of a REST request. Called by the fuzz target and by the test that replays the seeds.

use protocol::app::App;
use protocol::auth::{AuthVersion, sign_subscription, verify_request, verify_subscription};
use protocol::limits::AppLimits;
use protocol::presence::{Member, parse_member};
use protocol::query::parse_query;
use protocol::server_event::{encode_member_added, encode_presence_succeeded};
use protocol::socket_id::SocketId;
use protocol::ws::Frame;
use serde_json::Value;

const KEY: &str = "278d425bdf160c739803";
const SECRET: &str = "7ad3773142a6692b25b8";

/// `taken` or `refused`.
pub(crate) fn check(input: &[u8]) -> &'static str {
    let Ok(text) = std::str::from_utf8(input) else { return "refused" };
    let mut parts = text.splitn(4, '\n');
    let [id, channel, auth] = [(); 3].map(|()| parts.next().unwrap_or_default());
    let channel_data = parts.next();
    check_request(channel, auth, channel_data.unwrap_or_default());
    let is_member = channel_data.is_some_and(is_member);
    let Some(id) = SocketId::parse(id) else { return "refused" };
    assert_eq!(SocketId::parse(&id.to_string()), Some(id));
    let is_open = is_subscription_open(id, channel, auth, channel_data);
    if is_open && (is_member || !channel.starts_with("presence-")) { "taken" } else { "refused" }
}

fn is_subscription_open(id: SocketId, channel: &str, auth: &str, channel_data: Option<&str>) -> bool {
    let app = App::new("3", KEY, SECRET);
    let right = sign_subscription(&app, id, channel, channel_data);
    let without_data = sign_subscription(&app, id, channel, None);
    let auth = if auth == "signed" { &right } else { auth };
    // Hex digits may be of either case, the key may not.
    let is_right =
        |right: &str| auth.len() == right.len() && auth.starts_with(KEY) && auth.eq_ignore_ascii_case(right);
    let is_open = is_right(&right) || (!channel.starts_with("presence-") && is_right(&without_data));
    let verified = verify_subscription(&app, id, channel, channel_data, auth);
    assert_eq!(verified.is_ok(), is_open, "{verified:?}");
    if let Err(error) = verified {
        let text = error.to_string();
        assert!(!text.contains(&right[KEY.len() + 1..]) || auth.contains(&right[KEY.len() + 1..]));
        assert!(
            !text.contains(SECRET) || [channel, auth].concat().contains(SECRET) || channel_data.is_some()
        );
        assert!(text.len() < 1024, "{} bytes", text.len());
    }
    is_open
}

// Nobody finds a signature by chance.
fn check_request(path: &str, query: &str, body: &str) {
    let app = App::new("3", KEY, SECRET);
    for version in [AuthVersion::Required, AuthVersion::Optional] {
        let query_parsed = parse_query(query);
        let result =
            verify_request(&app, version, "POST", path, &query_parsed, body.as_bytes(), 1_353_088_179);
        let text = result.expect_err("a request that nobody has signed").to_string();
        assert!(
            !text.contains(SECRET)
                || path.contains(SECRET)
                || query.contains(['%', SECRET.as_bytes()[0].into()])
        );
    }
}

fn is_member(channel_data: &str) -> bool {
    let limits = AppLimits::default();
    match parse_member(Some(channel_data), None, &limits) {
        Ok(member) => {
            check_member(&member, &limits);
            true
        }
        Err(error) => {
            assert!(error.to_string().starts_with("Invalid channel_data: "));
            false
        }
    }
}

fn check_member(member: &Member, limits: &AppLimits) {
    assert!((1..=limits.user_id_characters_max).contains(&member.user_id.chars().count()));
    let info: Value = match &member.user_info {
        Some(info) => {
            assert!(info.len() <= limits.presence_user_bytes_max);
            // A number may be too large for the second parser, but then it is still a number.
            let Ok(value) = serde_json::from_str(info) else { return };
            value
        }
        None => Value::Null,
    };
    let mut out = Vec::new();
    encode_member_added(&mut out, "presence-a", member);
    let added = data_of(&out);
    assert_eq!((&added["user_id"], &added["user_info"]), (&(&*member.user_id).into(), &info));
    out.clear();
    encode_presence_succeeded(&mut out, "presence-a", [member].into_iter());
    let presence = &data_of(&out)["presence"];
    assert_eq!((&presence["count"], &presence["ids"][0]), (&1.into(), &(&*member.user_id).into()));
    assert_eq!(presence["hash"][&*member.user_id], info);
}

// The data of a frame of ours is JSON in a string.
fn data_of(frame: &[u8]) -> Value {
    let frame: Value =
        serde_json::from_slice(Frame::from(frame.to_vec()).payload()).expect("a frame is JSON");
    serde_json::from_str(frame["data"].as_str().expect("data is a string")).expect("data holds JSON")
}
