//! `info`: the attributes of a channel that a call asks for, and the counts they are taken from.
//!
//! `user_count` is of presence channels, `subscription_count` of all others; an attribute that a channel does not have
//! is left out of its answer.

use protocol::channel::ChannelKind;

use crate::refused::Refused;

/// The attributes asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Info {
    /// Distinct users on a presence channel.
    pub user_count: bool,
    /// Subscriptions of any other channel.
    pub subscription_count: bool,
}

/// How many are on a channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Subscriptions; a channel with at least one is occupied.
    pub subscriptions: u64,
    /// Distinct users of a presence channel.
    pub users: u32,
}

impl Info {
    /// True when nothing was asked for.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// The attributes that a comma-separated list names.
pub fn parse_info(list: &str) -> Result<Info, Refused> {
    let mut info = Info::default();
    for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match name {
            "user_count" => info.user_count = true,
            "subscription_count" => info.subscription_count = true,
            _ => return Err(unknown(name)),
        }
    }
    Ok(info)
}

fn unknown(name: &str) -> Refused {
    let name: String = name.chars().take(64).collect();
    Refused::invalid(format!("Invalid info: {name:?} is none of user_count, subscription_count"))
}

/// Calls `attribute` with each that was asked for and that this kind of channel has.
pub(crate) fn attributes(
    info: Info,
    kind: ChannelKind,
    counts: Counts,
    mut attribute: impl FnMut(&str, u64),
) {
    if info.user_count && kind.is_presence() {
        attribute("user_count", counts.users.into());
    }
    if info.subscription_count && !kind.is_presence() {
        attribute("subscription_count", counts.subscriptions);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_attributes_are_taken_and_others_refused() {
        let info = |user_count, subscription_count| Ok(Info { user_count, subscription_count });
        assert_eq!(parse_info(""), info(false, false));
        assert_eq!(parse_info("user_count"), info(true, false));
        assert_eq!(parse_info("subscription_count, user_count"), info(true, true));
        assert_eq!(parse_info(",subscription_count,"), info(false, true));
        for bad in ["users", "user_count,x", "USER_COUNT"] {
            assert_eq!(parse_info(bad).unwrap_err().status, 400, "{bad}");
        }
    }

    #[test]
    fn only_attributes_that_a_channel_has_are_given() {
        let both = Info { user_count: true, subscription_count: true };
        let counts = Counts { subscriptions: 5, users: 3 };
        let given = |info, kind| {
            let mut given = Vec::new();
            attributes(info, kind, counts, |name, n| given.push(format!("{name}={n}")));
            given
        };
        assert_eq!(given(both, ChannelKind::PresenceCache), ["user_count=3"]);
        assert_eq!(given(both, ChannelKind::Public), ["subscription_count=5"]);
        assert!(given(Info::default(), ChannelKind::Presence).is_empty());
    }
}
