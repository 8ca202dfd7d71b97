//! `info`: the attributes of a channel that a call asks for, and the counts they are taken from.
//!
//! `user_count` is of presence channels alone, `subscription_count` of all channels of an app that counts them, `cache` of
//! cache channels that are asked for by name. An attribute that a channel does not have is left out of its answer.

use protocol::app::App;
use protocol::channel::ChannelKind;

use crate::refused::Refused;

/// The attributes asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Info {
    /// Something was asked for, whether or not there is anything to say.
    pub asked: bool,
    /// Distinct users on a presence channel.
    pub user_count: bool,
    /// Subscriptions of any channel.
    pub subscription_count: bool,
    /// The last event of a cache channel.
    pub cache: bool,
    /// The caller is webman-push-server's client: it reads of which type a channel is, and a count of users of any channel.
    pub of_webman: bool,
}

/// A channel and what was asked about it.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The channel's name.
    pub name: &'a str,
    /// What its prefix says.
    pub kind: ChannelKind,
    /// What was asked.
    pub info: Info,
    /// What was found.
    pub counts: Counts,
    /// What the channel remembers, if it was asked for and there is something.
    pub cache: Option<CachedEvent<'a>>,
}

/// The last event of a cache channel, as far as it is told.
#[derive(Clone, Copy, Debug)]
pub struct CachedEvent<'a> {
    /// Its data as a JSON string literal, quotes included.
    pub data_literal: &'a str,
    /// How long it will be remembered, in seconds.
    pub ttl_s: u32,
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
    /// Whether there is anything to say of a channel of this kind.
    pub fn applies(self, kind: ChannelKind) -> bool {
        self.counts_subscriptions(kind) || self.counts_users(kind)
    }
}

impl Info {
    fn counts_users(self, kind: ChannelKind) -> bool {
        self.user_count && (self.of_webman || kind.is_presence())
    }

    // A user's own channel does not tell how many connections the user has.
    fn counts_subscriptions(self, kind: ChannelKind) -> bool {
        self.subscription_count && kind != ChannelKind::ServerToUser
    }

    /// Refuses what only one channel that is asked for by name can tell.
    pub(crate) fn without_cache(self) -> Result<Self, Refused> {
        if self.cache {
            return Err(Refused::invalid(
                "cache can only be asked of one channel: GET /apps/ID/channels/NAME",
            ));
        }
        Ok(self)
    }
}

/// The attributes that a comma-separated list names, of those that the app has.
pub fn parse_info(app: &App, list: &str) -> Result<Info, Refused> {
    let mut info = Info::default();
    for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        info.asked = true;
        match name {
            "user_count" => info.user_count = true,
            "subscription_count" => info.subscription_count = app.subscription_count,
            "cache" => info.cache = true,
            _ => return Err(unknown(name)),
        }
    }
    Ok(info)
}

fn unknown(name: &str) -> Refused {
    let name: String = name.chars().take(64).collect();
    Refused::invalid(format!("Invalid info: {name:?} is none of user_count, subscription_count, cache"))
}

/// Calls `attribute` with each that was asked for and that this kind of channel has.
pub(crate) fn attributes(
    info: Info,
    kind: ChannelKind,
    counts: Counts,
    mut attribute: impl FnMut(&str, u64),
) {
    if info.counts_users(kind) {
        attribute("user_count", counts.users.into());
    }
    if info.counts_subscriptions(kind) {
        attribute("subscription_count", counts.subscriptions);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_attributes_are_taken_and_others_refused() {
        let mut app = App::new("3", "key", "secret");
        let info = |user_count, subscription_count| Info {
            asked: user_count || subscription_count,
            user_count,
            subscription_count,
            cache: false,
            of_webman: false,
        };
        assert_eq!(parse_info(&app, ""), Ok(info(false, false)));
        assert_eq!(parse_info(&app, "user_count"), Ok(info(true, false)));
        assert_eq!(parse_info(&app, "subscription_count, user_count"), Ok(info(true, true)));
        assert_eq!(parse_info(&app, ",subscription_count,"), Ok(info(false, true)));
        let all = Info { cache: true, ..info(true, true) };
        assert_eq!(parse_info(&app, "cache,user_count,subscription_count"), Ok(all));
        assert_eq!(all.without_cache().unwrap_err().status, 400);
        assert_eq!(info(true, true).without_cache(), Ok(info(true, true)));
        for bad in ["users", "user_count,x", "USER_COUNT", "caches"] {
            assert_eq!(parse_info(&app, bad).unwrap_err().status, 400, "{bad}");
        }
        app.subscription_count = false;
        assert_eq!(parse_info(&app, "subscription_count,user_count"), Ok(info(true, false)));
        let nothing = Info { asked: true, ..Info::default() };
        assert_eq!(parse_info(&app, "subscription_count"), Ok(nothing));
    }

    #[test]
    fn only_attributes_that_a_channel_has_are_given() {
        let both = Info { asked: true, user_count: true, subscription_count: true, ..Info::default() };
        let counts = Counts { subscriptions: 5, users: 3 };
        let given = |info: Info, kind| {
            let mut given = Vec::new();
            attributes(info, kind, counts, |name, n| given.push(format!("{name}={n}")));
            assert_eq!(info.applies(kind), !given.is_empty());
            given
        };
        assert_eq!(given(both, ChannelKind::PresenceCache), ["user_count=3", "subscription_count=5"]);
        assert_eq!(given(both, ChannelKind::Public), ["subscription_count=5"]);
        assert!(given(both, ChannelKind::ServerToUser).is_empty());
        let users = Info { subscription_count: false, ..both };
        assert!(given(users, ChannelKind::Public).is_empty());
        assert!(given(Info::default(), ChannelKind::Presence).is_empty());
    }
}
