//! Names of events: what a publisher may use and what a client may use.
//!
//! `pusher:` and `pusher_internal:` are the server's own words. A publisher that could send them could forge member
//! events, so the REST API refuses them. Used by the api and by the shard.

use std::fmt;

use crate::limits::{AppLimits, characters_beyond};

const RESERVED: [&str; 2] = ["pusher:", "pusher_internal:"];

/// Checks the name of an event that comes over the REST API: not empty, not reserved, and not longer than the app
/// allows.
pub fn parse_event_name(name: &str, limits: &AppLimits) -> Result<(), EventNameError> {
    let characters_max = limits.event_name_characters_max;
    if name.is_empty() {
        return Err(EventNameError::Empty);
    }
    if let Some(characters) = characters_beyond(name, characters_max) {
        return Err(EventNameError::TooLong { characters, characters_max });
    }
    match RESERVED.iter().find(|prefix| name.starts_with(**prefix)) {
        Some(prefix) => Err(EventNameError::Reserved { prefix }),
        None => Ok(()),
    }
}

/// Whether this is an event that clients send to each other.
pub fn is_client_event(name: &str) -> bool {
    name.starts_with("client-")
}

/// Why a text is no name of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventNameError {
    /// No name.
    Empty,
    /// Longer than the app allows.
    TooLong {
        /// The length it has.
        characters: usize,
        /// `event_name_characters_max`
        characters_max: usize,
    },
    /// It begins like an event of the server's own.
    Reserved {
        /// `pusher:` or `pusher_internal:`
        prefix: &'static str,
    },
}

impl fmt::Display for EventNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "Invalid event name: it is empty"),
            Self::TooLong { characters, characters_max } => write!(
                f,
                "Invalid event name: {characters} characters are more than the allowed {characters_max} \
                 (event_name_characters_max)"
            ),
            Self::Reserved { prefix } => {
                write!(f, "Invalid event name: names beginning with {prefix:?} are the server's own")
            }
        }
    }
}

impl std::error::Error for EventNameError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_empty_and_long_names_are_refused() {
        let limits = AppLimits::default();
        let check = |name: &str| parse_event_name(name, &limits);
        assert_eq!(check(""), Err(EventNameError::Empty));
        assert_eq!(check("pusher:error"), Err(EventNameError::Reserved { prefix: "pusher:" }));
        let internal = "pusher_internal:member_added";
        assert_eq!(check(internal), Err(EventNameError::Reserved { prefix: "pusher_internal:" }));
        for character in ["x", "é", "日", "😀"] {
            assert_eq!(check(&character.repeat(200)), Ok(()), "{character}");
            let too_long = EventNameError::TooLong { characters: 201, characters_max: 200 };
            assert_eq!(check(&character.repeat(201)), Err(too_long), "{character}");
        }
        for fine in ["my-event", "client-x", "pusher", "App\\Events\\Order", "Pusher:x", "x pusher:"] {
            assert_eq!(check(fine), Ok(()), "{fine}");
        }
    }

    #[test]
    fn only_the_prefix_makes_a_client_event() {
        assert!(is_client_event("client-") && is_client_event("client-typing"));
        assert!(!is_client_event("client") && !is_client_event("x-client-y") && !is_client_event("Client-x"));
    }
}
