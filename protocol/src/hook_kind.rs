//! Kinds of hook events, by their names in webhooks, and sets of them: which kinds an app or an endpoint is told of.

/// What kind of thing happened.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum HookKind {
    /// The first subscriber of a channel came.
    ChannelOccupied,
    /// The last subscriber of a channel left.
    ChannelVacated,
    /// A user's first connection joined a presence channel.
    MemberAdded,
    /// A user's last connection left a presence channel.
    MemberRemoved,
    /// A client sent an event.
    ClientEvent,
    /// A publisher's event was accepted. An endpoint gets these only if it names the kind.
    ServerEvent,
    /// Somebody subscribed to a cache channel that remembers nothing: once until there is something again.
    CacheMiss,
    /// A channel has more or fewer subscriptions than it had. An endpoint gets these only if it names the kind.
    SubscriptionCount,
    /// A user's first connection signed in. An endpoint gets these only if it names the kind.
    UserOnline,
    /// A user's last connection that was signed in has gone. An endpoint gets these only if it names the kind.
    UserOffline,
}

impl HookKind {
    /// Every kind.
    pub const EACH: [Self; 10] = [
        Self::ChannelOccupied,
        Self::ChannelVacated,
        Self::MemberAdded,
        Self::MemberRemoved,
        Self::ClientEvent,
        Self::ServerEvent,
        Self::CacheMiss,
        Self::SubscriptionCount,
        Self::UserOnline,
        Self::UserOffline,
    ];

    /// Its `name` in webhooks.
    pub fn name(self) -> &'static str {
        match self {
            Self::ChannelOccupied => "channel_occupied",
            Self::ChannelVacated => "channel_vacated",
            Self::MemberAdded => "member_added",
            Self::MemberRemoved => "member_removed",
            Self::ClientEvent => "client_event",
            Self::ServerEvent => "server_event",
            Self::CacheMiss => "cache_miss",
            Self::SubscriptionCount => "subscription_count",
            Self::UserOnline => "user_online",
            Self::UserOffline => "user_offline",
        }
    }

    /// The kind of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::EACH.into_iter().find(|kind| kind.name() == name)
    }
}

/// A set of kinds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct HookKinds(u16);

impl HookKinds {
    /// No kind.
    pub const NONE: Self = Self(0);

    /// What an endpoint gets if it names no kinds: all but `server_event`, `subscription_count`, `user_online` and
    /// `user_offline`.
    pub const USUAL: Self = Self::EDGES.with(HookKind::ClientEvent).with(HookKind::CacheMiss);

    /// Channels that come and go, and their members.
    pub const EDGES: Self = Self::CHANNEL_PAIR.and(Self::MEMBER_PAIR);

    /// The same with this kind.
    #[must_use]
    pub const fn with(self, kind: HookKind) -> Self {
        Self(self.0 | 1 << kind as u16)
    }

    /// Both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The same with the other half of each pair. To report a channel as vacated, it must be known as occupied, even
    /// after a crash.
    #[must_use]
    pub const fn in_pairs(self) -> Self {
        self.completed(Self::CHANNEL_PAIR).completed(Self::MEMBER_PAIR).completed(Self::USER_PAIR)
    }

    const fn completed(self, pair: Self) -> Self {
        if self.0 & pair.0 == 0 { self } else { self.and(pair) }
    }

    const CHANNEL_PAIR: Self = Self::NONE.with(HookKind::ChannelOccupied).with(HookKind::ChannelVacated);
    const MEMBER_PAIR: Self = Self::NONE.with(HookKind::MemberAdded).with(HookKind::MemberRemoved);
    const USER_PAIR: Self = Self::NONE.with(HookKind::UserOnline).with(HookKind::UserOffline);

    /// True when this kind is in it.
    pub const fn has(self, kind: HookKind) -> bool {
        self.0 & 1 << kind as u16 != 0
    }

    /// True when no kind is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_and_a_place_of_its_own() {
        let mut all = HookKinds::NONE;
        for kind in HookKind::EACH {
            assert_eq!(HookKind::parse(kind.name()), Some(kind));
            assert!(!all.has(kind), "{kind:?}");
            all = all.with(kind);
        }
        assert_eq!(HookKind::parse("channel_occupied "), None);
    }

    #[test]
    fn kinds_that_are_frequent_must_be_named() {
        let rare = HookKind::EACH.into_iter().filter(|kind| HookKinds::USUAL.has(*kind));
        let names: Vec<_> = rare.map(HookKind::name).collect();
        let usual = [
            "channel_occupied",
            "channel_vacated",
            "member_added",
            "member_removed",
            "client_event",
            "cache_miss",
        ];
        assert_eq!(names, usual);
    }

    #[test]
    fn an_edge_brings_its_other_half_and_an_event_nothing() {
        use HookKind::*;
        for (one, other) in
            [(ChannelOccupied, ChannelVacated), (MemberAdded, MemberRemoved), (UserOnline, UserOffline)]
        {
            for kind in [one, other] {
                let pair = HookKinds::NONE.with(one).with(other);
                assert_eq!(HookKinds::NONE.with(kind).in_pairs(), pair, "{kind:?}");
            }
        }
        for kind in [ClientEvent, ServerEvent, CacheMiss, SubscriptionCount] {
            let alone = HookKinds::NONE.with(kind);
            assert_eq!(alone.in_pairs(), alone, "{kind:?}");
        }
    }
}
