//! The channels of a schedule, and who a client is on each.

pub const CHANNELS: [&str; 7] =
    ["public-a", "b", "private-a", "presence-big", "presence-small", "presence-cache-big", "cache-a"];

/// The users that clients sign in as, and their own channels.
pub const USERS: [&str; 3] = ["u0", "u1", "u2"];
pub const OWN_CHANNELS: [&str; 3] = ["#server-to-user-u0", "#server-to-user-u1", "#server-to-user-u2"];

/// Which of the users a client signs in as. On the big presence channels it is the same.
pub fn user_of(client: usize) -> usize {
    client % USERS.len()
}

/// True of a user's own channel.
pub fn is_own(channel: &str) -> bool {
    channel.starts_with('#')
}

/// A client's user on this channel: few on the big ones, each its own on the small one.
pub fn user_on(client: usize, channel: &str) -> String {
    if channel == "presence-small" { format!("c{client}") } else { USERS[user_of(client)].to_owned() }
}
