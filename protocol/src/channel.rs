//! Channel names and what follows from them: the kind of a channel is its longest known prefix, nothing else.
//!
//! A prefix ends with its hyphen, so `privatefoo` is public, and `cache-` counts only in its place, so `my-cache-x`
//! remembers nothing. Names are checked once, where they enter; everybody after that may copy a name into JSON as it is.

use std::fmt;

/// What a channel does, by its name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ChannelKind {
    /// Anybody may subscribe.
    Public,
    /// `cache-`: public, and remembers its last event.
    Cache,
    /// `private-`: a subscription must be signed.
    Private,
    /// `private-cache-`
    PrivateCache,
    /// `private-encrypted-`: like private; what is inside is none of the server's business.
    PrivateEncrypted,
    /// `private-encrypted-cache-`
    PrivateEncryptedCache,
    /// `presence-`: signed, and members know of each other.
    Presence,
    /// `presence-cache-`
    PresenceCache,
    /// `#server-to-user-ID`: for the connections signed in as that user.
    ServerToUser,
}

const PREFIXES: [(&str, ChannelKind); 8] = [
    ("private-encrypted-cache-", ChannelKind::PrivateEncryptedCache),
    ("private-encrypted-", ChannelKind::PrivateEncrypted),
    ("private-cache-", ChannelKind::PrivateCache),
    ("private-", ChannelKind::Private),
    ("presence-cache-", ChannelKind::PresenceCache),
    ("presence-", ChannelKind::Presence),
    ("cache-", ChannelKind::Cache),
    (SERVER_TO_USER, ChannelKind::ServerToUser),
];

/// What the name of a user's channel begins with; the user's id follows.
const SERVER_TO_USER: &str = "#server-to-user-";

impl ChannelKind {
    /// The kind of the channel with this name, by the longest prefix.
    pub fn of(name: &str) -> Self {
        let known = PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix));
        known.map_or(Self::Public, |(_, kind)| *kind)
    }

    /// Whether a subscription needs more than to be asked for: a signature, or for `ServerToUser` (which has none) to
    /// be signed in as that user.
    pub fn needs_auth(self) -> bool {
        !matches!(self, Self::Public | Self::Cache)
    }

    /// Whether clients encrypt what is published here.
    pub fn is_encrypted(self) -> bool {
        matches!(self, Self::PrivateEncrypted | Self::PrivateEncryptedCache)
    }

    /// Whether the channel has members.
    pub fn is_presence(self) -> bool {
        matches!(self, Self::Presence | Self::PresenceCache)
    }

    /// Whether the channel remembers its last event.
    pub fn is_cached(self) -> bool {
        matches!(self, Self::Cache | Self::PrivateCache | Self::PrivateEncryptedCache | Self::PresenceCache)
    }

    /// Whether its subscribers are told how many they are. Those of presence channels know each other anyway.
    pub fn tells_subscription_count(self) -> bool {
        !self.is_presence() && self != Self::ServerToUser
    }

    /// Whether subscribers may send `client-` events to each other.
    pub fn allows_client_events(self) -> bool {
        !matches!(self, Self::Public | Self::Cache | Self::ServerToUser)
    }
}

/// The user whose own channel has this name: `ID` of `#server-to-user-ID`.
pub fn user_of_channel(name: &str) -> Option<&str> {
    name.strip_prefix(SERVER_TO_USER)
}

/// The name of a user's own channel. A user whose id has characters that no name may hold has none that can be subscribed
/// to or published on.
pub fn channel_of_user(user_id: &str) -> String {
    format!("{SERVER_TO_USER}{user_id}")
}

/// Whether a connection may subscribe to a user's own channel: only if it is signed in as that user. The channel's name is
/// all that it has to bring.
pub fn check_own_channel(name: &str, signed_in: Option<&str>) -> Result<(), NotOwnChannel> {
    match (user_of_channel(name), signed_in) {
        (Some(user), Some(id)) if *user == *id => Ok(()),
        (_, None) => Err(NotOwnChannel::NotSignedIn),
        _ => Err(NotOwnChannel::OtherUser),
    }
}

/// Why a connection may not subscribe to a user's own channel. The text goes to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotOwnChannel {
    /// Nobody is signed in.
    NotSignedIn,
    /// Another user is signed in.
    OtherUser,
}

impl fmt::Display for NotOwnChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSignedIn => write!(f, "This channel is for a user who is signed in"),
            Self::OtherUser => write!(f, "This channel is for another user than the one who is signed in"),
        }
    }
}

impl std::error::Error for NotOwnChannel {}

/// Checks a channel's name and tells its kind. Names are `A-Z a-z 0-9 _ - = @ , . ;`, not empty, at most `bytes_max`
/// bytes; a leading `#` is for `#server-to-user-ID` alone.
pub fn parse_channel_name(name: &str, bytes_max: usize) -> Result<ChannelKind, ChannelNameError> {
    if name.is_empty() {
        return Err(ChannelNameError::Empty);
    }
    if name.len() > bytes_max {
        return Err(ChannelNameError::TooLong { bytes: name.len(), bytes_max });
    }
    let rest = name.strip_prefix(SERVER_TO_USER).unwrap_or(name);
    if rest.is_empty() {
        return Err(ChannelNameError::Empty);
    }
    match rest.chars().find(|c| !is_name_character(*c)) {
        Some(character) => Err(ChannelNameError::Character(character)),
        None => Ok(ChannelKind::of(name)),
    }
}

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '=' | '@' | ',' | '.' | ';')
}

/// Why a text is no name of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelNameError {
    /// No name, or no user id in `#server-to-user-ID`.
    Empty,
    /// Longer than the app allows.
    TooLong {
        /// The length it has.
        bytes: usize,
        /// `channel_name_bytes_max`
        bytes_max: usize,
    },
    /// A character that no name may hold.
    Character(char),
}

impl fmt::Display for ChannelNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "Invalid channel name: it is empty"),
            Self::TooLong { bytes, bytes_max } => write!(
                f,
                "Invalid channel name: {bytes} bytes are more than the allowed {bytes_max} (channel_name_bytes_max)"
            ),
            Self::Character(c) => {
                write!(f, "Invalid channel name: it holds {c:?}; allowed are A-Z a-z 0-9 _ - = @ , . ;")
            }
        }
    }
}

impl std::error::Error for ChannelNameError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_longest_prefix_decides() {
        use ChannelKind::*;
        // name, kind, auth, presence, cached, client events
        let table: [(&str, ChannelKind, bool, bool, bool, bool); 21] = [
            ("cache", Public, false, false, false, false),
            ("cached-x", Public, false, false, false, false),
            ("Cache-x", Public, false, false, false, false),
            ("cache-private-x", Cache, false, false, true, false),
            ("presence-encrypted-cache-x", Presence, true, true, false, true),
            ("private-cache-encrypted-x", PrivateCache, true, false, true, true),
            ("orders", Public, false, false, false, false),
            ("privatefoo", Public, false, false, false, false),
            ("presencefoo", Public, false, false, false, false),
            ("my-cache-x", Public, false, false, false, false),
            ("Private-x", Public, false, false, false, false),
            ("cache-x", Cache, false, false, true, false),
            ("private-x", Private, true, false, false, true),
            ("private-encryptedx", Private, true, false, false, true),
            ("private-my-cache-x", Private, true, false, false, true),
            ("private-cache-x", PrivateCache, true, false, true, true),
            ("private-encrypted-x", PrivateEncrypted, true, false, false, true),
            ("private-encrypted-cache-x", PrivateEncryptedCache, true, false, true, true),
            ("presence-x", Presence, true, true, false, true),
            ("presence-cache-x", PresenceCache, true, true, true, true),
            ("#server-to-user-7", ServerToUser, true, false, false, false),
        ];
        for (name, kind, auth, presence, cached, client_events) in table {
            assert_eq!(parse_channel_name(name, 200), Ok(kind), "{name}");
            let flags =
                (kind.needs_auth(), kind.is_presence(), kind.is_cached(), kind.allows_client_events());
            assert_eq!(flags, (auth, presence, cached, client_events), "{name}");
            assert_eq!(kind.tells_subscription_count(), !presence && kind != ServerToUser, "{name}");
        }
    }

    #[test]
    fn a_users_channel_is_open_to_that_user_alone() {
        use NotOwnChannel::*;
        let table = [
            ("#server-to-user-7", Some("7"), Ok(())),
            ("#server-to-user-7", None, Err(NotSignedIn)),
            ("#server-to-user-7", Some("77"), Err(OtherUser)),
            ("#server-to-user-77", Some("7"), Err(OtherUser)),
            ("#server-to-user-a", Some("A"), Err(OtherUser)),
            ("#server-to-user-", Some(""), Ok(())),
            ("public", Some("public"), Err(OtherUser)),
        ];
        for (name, signed_in, result) in table {
            assert_eq!(check_own_channel(name, signed_in), result, "{name} {signed_in:?}");
        }
        assert_eq!(channel_of_user("7"), "#server-to-user-7");
        assert_eq!(user_of_channel(&channel_of_user("a,b")), Some("a,b"));
        assert_eq!(user_of_channel("server-to-user-7"), None);
    }

    #[test]
    fn bad_names_are_refused() {
        use ChannelNameError::*;
        let table = [
            ("", Empty),
            ("#server-to-user-", Empty),
            ("#", Character('#')),
            ("#other", Character('#')),
            ("a#b", Character('#')),
            ("#server-to-user-#server-to-user-1", Character('#')),
            ("a b", Character(' ')),
            ("a:b", Character(':')),
            ("é", Character('é')),
            ("a\0", Character('\0')),
            ("a\"b", Character('"')),
            ("a\\b", Character('\\')),
            ("a/b", Character('/')),
        ];
        for (name, error) in table {
            assert_eq!(parse_channel_name(name, 200), Err(error), "{name:?}");
        }
        assert!(parse_channel_name(&"a".repeat(200), 200).is_ok());
        let long = TooLong { bytes: 201, bytes_max: 200 };
        assert_eq!(parse_channel_name(&"a".repeat(201), 200), Err(long));
        assert!(long.to_string().contains("channel_name_bytes_max"));
    }

    proptest! {
        #[test]
        fn accepted_names_stand_in_json_as_they_are(name in ".{0,260}") {
            if parse_channel_name(&name, 200).is_ok() {
                prop_assert!(name.len() <= 200);
                prop_assert_eq!(serde_json::to_string(&name).unwrap(), format!("\"{name}\""));
            }
        }
    }
}
