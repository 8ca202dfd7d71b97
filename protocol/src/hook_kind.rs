//! Kinds of hook events, by their names in webhooks, and sets of them: which kinds an app or an endpoint is told of.

/// What kind of thing happened. More kinds come with the features they belong to.
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
}

impl HookKind {
    /// Every kind.
    pub const EACH: [Self; 6] = [
        Self::ChannelOccupied,
        Self::ChannelVacated,
        Self::MemberAdded,
        Self::MemberRemoved,
        Self::ClientEvent,
        Self::ServerEvent,
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

    /// What an endpoint gets if it names no kinds: all but `server_event`.
    pub const USUAL: Self = Self(0b1_1111);

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
        self.completed(Self::CHANNEL_PAIR).completed(Self::MEMBER_PAIR)
    }

    const fn completed(self, pair: Self) -> Self {
        if self.0 & pair.0 == 0 { self } else { self.and(pair) }
    }

    const CHANNEL_PAIR: Self = Self::NONE.with(HookKind::ChannelOccupied).with(HookKind::ChannelVacated);
    const MEMBER_PAIR: Self = Self::NONE.with(HookKind::MemberAdded).with(HookKind::MemberRemoved);

    /// True when this kind is in it.
    pub const fn has(self, kind: HookKind) -> bool {
        self.0 & 1 << kind as u16 != 0
    }

    /// True when no kind is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}
