//! Names of channels, against the rule of Pusher's libraries written once more.
//!
//! An input is a name. Called by the fuzz target and by the test that replays the seeds.

use protocol::channel::{ChannelKind, parse_channel_name};
use protocol::limits::AppLimits;

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
    "taken"
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
    let cached = ["cache-", "private-cache-", "private-encrypted-cache-", "presence-cache-"];
    assert_eq!(kind.is_cached(), cached.iter().any(|prefix| name.starts_with(prefix)));
    assert_eq!(kind.allows_client_events(), ["private-", "presence-"].iter().any(|p| name.starts_with(p)));
}
