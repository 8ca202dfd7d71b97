//! Which channels and members were last reported as there: the open edges, as the journal keeps them.
//!
//! An edge is open when occupied or added was committed and vacated or removed was not. Owns what an event does to them and
//! what of them is still wanted after a start. What must never happen here: an edge that nobody would ever close.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::app::{App, Apps};
use protocol::channel::user_of_channel;
use protocol::hook_event::{HookEvent, OpenEdges};
use protocol::hook_kind::HookKind;

/// What an event does to an edge. The user is empty for the channel itself, or for the user whose own channel it is.
#[derive(Clone, Debug)]
pub(super) struct EdgeChange {
    pub(super) app: Arc<App>,
    pub(super) channel: Arc<str>,
    pub(super) user_id: Box<str>,
    pub(super) opens: bool,
}

impl EdgeChange {
    /// What this event does, if it does anything. Where nobody wants to hear of the end, no edge is kept open.
    pub(super) fn of(event: &HookEvent) -> Option<Self> {
        let (user_id, opens): (&str, bool) = match event {
            HookEvent::ChannelOccupied { .. } | HookEvent::UserOnline { .. } => ("", true),
            HookEvent::ChannelVacated { .. } | HookEvent::UserOffline { .. } => ("", false),
            HookEvent::MemberAdded { user_id, .. } => (user_id, true),
            HookEvent::MemberRemoved { user_id, .. } => (user_id, false),
            HookEvent::ClientEvent { .. }
            | HookEvent::ServerEvent { .. }
            | HookEvent::CacheMiss { .. }
            | HookEvent::SubscriptionCount { .. } => return None,
        };
        let (app, channel) = (Arc::clone(event.app()), Arc::clone(event.channel()));
        (!opens || is_wanted(&app, &channel, user_id)).then(|| Self {
            app,
            channel,
            user_id: user_id.into(),
            opens,
        })
    }
}

/// Sorts (app, channel, user) into open edges by channel, and those apart that nobody wants closed any more.
pub(super) fn sort_edges(kept: Vec<[String; 3]>, apps: &Apps) -> (Vec<OpenEdges>, Vec<[String; 3]>) {
    let mut by_channel: BTreeMap<[String; 2], OpenEdges> = BTreeMap::new();
    let mut unwanted = Vec::new();
    for [app_id, channel, user_id] in kept {
        if !apps.by_id(&app_id).is_some_and(|app| is_wanted(app, &channel, &user_id)) {
            unwanted.push([app_id, channel, user_id]);
            continue;
        }
        let entry = by_channel.entry([app_id, channel]);
        let none = |[app_id, channel]: [&str; 2]| OpenEdges {
            app_id: app_id.into(),
            channel: channel.into(),
            occupied: false,
            members: Vec::new(),
        };
        let empty = none(entry.key().each_ref().map(String::as_str));
        let edges = entry.or_insert(empty);
        if user_id.is_empty() { edges.occupied = true } else { edges.members.push(user_id.into()) }
    }
    (by_channel.into_values().collect(), unwanted)
}

fn is_wanted(app: &App, channel: &str, user_id: &str) -> bool {
    app.hooks.has(match (user_id, user_of_channel(channel)) {
        ("", None) => HookKind::ChannelVacated,
        // A user who is online occupies a channel that no other hook tells of.
        ("", Some(_)) => HookKind::UserOffline,
        _ => HookKind::MemberRemoved,
    })
}
