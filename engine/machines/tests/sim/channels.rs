//! The channels of a schedule, and who a client is on each.

pub const CHANNELS: [&str; 6] =
    ["public-a", "b", "private-a", "presence-big", "presence-small", "presence-big-2"];

/// A client's user on this channel: few on the big ones, each its own on the small one.
pub fn user_on(client: usize, channel: &str) -> String {
    if channel == "presence-small" { format!("c{client}") } else { format!("u{}", client % 3) }
}
