//! Which channels are occupied: every shard is asked, each for those that it is home to. A list is made by each home in
//! steps and merged here; one that is too long, or that a home has no place for, is refused at once.

use std::sync::Arc;

use api::answer::{Answer, Manner};
use api::endpoints::channels::{Channels, answer_channels, type_of};
use api::info::Info;
use api::refused::Refused;
use protocol::channel::ChannelKind;

use super::{ChannelRow, counts_of};
use crate::api_core::ApiCore;
use crate::api_core::open_call::OpenCall;
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
    /// What they count for, in bytes.
    listed_bytes: usize,
}

impl Pending {
    pub(super) fn take(&mut self, found: Found) -> Result<(), Refused> {
        match found {
            Found::Channels(channels) => return self.take_channels(channels),
            Found::ChannelsTooLong => return Err(too_long()),
            Found::Busy => {
                return Err(Refused::retry_later("Over capacity: too many lists are being made already"));
            }
            _ => invariant::violated("a list is what was asked for"),
        }
        Ok(())
    }

    fn take_channels(&mut self, channels: Vec<(Arc<str>, Counts)>) -> Result<(), Refused> {
        self.listed_bytes += channels.iter().map(|(name, _)| listed_bytes(name)).sum::<usize>();
        if self.listed_bytes > CHANNELS_BYTES_MAX {
            return Err(too_long());
        }
        let info = self.info;
        let belongs = |(name, _): &(Arc<str>, Counts)| !self.only_public || type_of(name) == "public";
        self.rows.extend(channels.into_iter().filter(belongs).map(|(name, counts)| ChannelRow {
            kind: ChannelKind::of(&name),
            name,
            info,
            counts: counts_of(counts),
        }));
        Ok(())
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
        let Channels { info, only_public, .. } = *channels;
        let pending = Pending { info, only_public, rows: Vec::new(), listed_bytes: 0 };
        self.answer_now_or_later(id, call, super::Pending::Channels(pending), now);
    }
}
