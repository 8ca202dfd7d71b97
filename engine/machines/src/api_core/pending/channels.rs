//! Which channels are occupied: every shard is asked, each for those that it is home to. A list is made by each home in
//! steps and merged here; one that is too long, or that a home has no place for, is refused at once.
//!
//! In a cluster, shards ask its servers, each for one or more of them, which channels have subscribers on other nodes. A
//! channel that has some here as well comes from both.

use std::sync::Arc;

use api::answer::{Answer, Manner};
use api::endpoints::channels::{Channels, answer_channels, type_of};
use api::info::Info;
use api::refused::Refused;
use hashbrown::HashMap;
use protocol::channel::ChannelKind;

use super::{ChannelRow, counts_of};
use crate::api_core::ApiCore;
use crate::api_core::open_call::{CallId, OpenCall};
use crate::invariant;
use crate::limits::CHANNELS_BYTES_MAX;
use crate::machine::{Now, Token};
use crate::mesh::{Ask, Counts, Found, listed_bytes};

/// The channels of those homes that have answered.
#[derive(Debug)]
pub(in crate::api_core) struct Pending {
    /// What was asked of each.
    info: Info,
    only_public: bool,
    rows: Vec<ChannelRow>,
    /// The places of all rows by their names, if a channel may come twice.
    places: Option<HashMap<Arc<str>, usize>>,
    /// What they count for, in bytes.
    listed_bytes: usize,
}

impl Pending {
    pub(super) fn take(&mut self, found: Found) -> Result<(), Refused> {
        match found {
            Found::Channels(channels) => return self.take_channels(channels, false),
            Found::ChannelsElsewhere(channels) => return self.take_channels(channels, true),
            Found::ChannelsTooLong => return Err(too_long()),
            Found::Busy => {
                return Err(Refused::retry_later("Over capacity: too many lists are being made already"));
            }
            _ => invariant::violated("a list is what was asked for"),
        }
        Ok(())
    }

    fn take_channels(&mut self, channels: Vec<(Arc<str>, Counts)>, elsewhere: bool) -> Result<(), Refused> {
        for (name, counts) in channels {
            let belongs = !self.only_public || type_of(&name) == "public";
            if belongs && self.add_to_row(&name, counts, elsewhere) {
                continue;
            }
            self.listed_bytes += listed_bytes(&name);
            if self.listed_bytes > CHANNELS_BYTES_MAX {
                return Err(too_long());
            }
            if belongs {
                let (kind, info) = (ChannelKind::of(&name), self.info);
                self.rows.push(ChannelRow { kind, name, info, counts: counts_of(counts) });
            }
        }
        Ok(())
    }

    /// Returns whether the channel has a row already. If it has none, it will have the next one.
    fn add_to_row(&mut self, name: &Arc<str>, counts: Counts, elsewhere: bool) -> bool {
        let Some(places) = &mut self.places else { return false };
        let Some(row) = places.get(name).and_then(|place| self.rows.get_mut(*place)) else {
            places.insert(Arc::clone(name), self.rows.len());
            return false;
        };
        row.counts.subscriptions += counts.subscriptions;
        if elsewhere {
            // Who is here is among them.
            row.counts.users = counts.users;
        }
        true
    }

    pub(super) fn respond(self) -> Answer<'static> {
        answer_channels(self.rows.iter().map(ChannelRow::view))
    }
}

fn too_long() -> Refused {
    Refused::new(413, "The list of channels is too long: ask for a part of it with filter_by_prefix")
}

impl ApiCore {
    /// Asks every shard for its occupied channels.
    pub(in crate::api_core) fn ask_channels(
        &mut self,
        token: Token,
        manner: Manner,
        channels: &Channels<'_>,
        now: Now,
    ) {
        let (id, mut call) = (self.calls.name(), OpenCall::new(token, manner));
        for (number, home) in self.topics.cores().each_shard().enumerate() {
            let (app, prefix) = (Arc::clone(channels.app), channels.prefix.clone());
            let ask = Ask::Channels { app, prefix, bytes_max: CHANNELS_BYTES_MAX };
            self.ask(id, &mut call, home, number as u32, ask);
        }
        self.ask_servers_for_channels(id, &mut call, channels);
        let Channels { info, only_public, .. } = *channels;
        let places = self.servers.is_some().then(HashMap::new);
        let pending = Pending { info, only_public, rows: Vec::new(), places, listed_bytes: 0 };
        self.answer_now_or_later(id, call, super::Pending::Channels(pending), now);
    }

    fn ask_servers_for_channels(&mut self, id: CallId, call: &mut OpenCall, channels: &Channels<'_>) {
        let Some(servers) = &self.servers else { return };
        for server in servers.all() {
            let (app, prefix) = (Arc::clone(channels.app), channels.prefix.clone());
            let ask = Ask::ChannelsElsewhere { server: server.0, app, prefix, bytes_max: CHANNELS_BYTES_MAX };
            let home = self.topics.cores().shard_for(u32::from(server.0));
            self.ask(id, call, home, 0, ask);
        }
    }
}
