//! Names of channels, against the rule of Pusher's libraries written once more.
//!
//! An input is a name. Called by the fuzz target and by the test that replays the seeds.

use protocol::channel::{ChannelKind, parse_channel_name};
use protocol::limits::AppLimits;
use protocol::server_event::{encode_cache_miss, encode_subscription_count};
use protocol::ws::Frame;
use serde_json::{Value, json};

const USER: &str = "#server-to-user-";

/// `taken` or `refused`.
pub(crate) fn check(input: &[u8]) -> &'static str {
    let Ok(name) = std::str::from_utf8(input) else { return "refused" };
    let bytes_max = AppLimits::default().channel_name_bytes_max;
    let parsed = parse_channel_name(name, bytes_max);
    assert_eq!(parsed.is_ok(), is_name(name, bytes_max), "{name:?}: {parsed:?}");
    let kind = match parsed {
        Ok(kind) => kind,
        Err(error) => {
            assert!(error.to_string().starts_with("Invalid channel name: "));
            return "refused";
        }
    };
    // A name that was taken is copied into frames as it is.
    assert_eq!(serde_json::to_string(name).unwrap(), format!("\"{name}\""));
    check_kind(name, kind);
    check_frames(name);
    "taken"
}

fn check_frames(name: &str) {
    let mut out = Vec::new();
    encode_cache_miss(&mut out, name);
    assert_eq!(frame(&out), json!({ "event": "pusher:cache_miss", "channel": name, "data": "{}" }));
    out.clear();
    encode_subscription_count(&mut out, name, 7);
    let counted = frame(&out);
    assert_eq!(
        (&counted["channel"], &counted["data"]),
        (&json!(name), &json!(r#"{"subscription_count":7}"#))
    );
}

fn frame(bytes: &[u8]) -> Value {
    serde_json::from_slice(Frame::from(bytes.to_vec()).payload()).expect("a frame is JSON")
}

// \A#?[-a-zA-Z0-9_=@,.;]+\z, where # is for users alone.
fn is_name(name: &str, bytes_max: usize) -> bool {
    let rest = name.strip_prefix(USER).unwrap_or(name);
    let allowed = "-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_=@,.;";
    (1..=bytes_max).contains(&name.len()) && !rest.is_empty() && rest.chars().all(|c| allowed.contains(c))
}

fn check_kind(name: &str, kind: ChannelKind) {
    assert_eq!(kind.needs_auth(), ["private-", "presence-", USER].iter().any(|p| name.starts_with(p)));
    assert_eq!(kind.is_presence(), name.starts_with("presence-"));
    assert_eq!(kind.tells_subscription_count(), !["presence-", USER].iter().any(|p| name.starts_with(p)));
    let cached = ["cache-", "private-cache-", "private-encrypted-cache-", "presence-cache-"];
    assert_eq!(kind.is_cached(), cached.iter().any(|prefix| name.starts_with(prefix)));
    assert_eq!(kind.allows_client_events(), ["private-", "presence-"].iter().any(|p| name.starts_with(p)));
}
