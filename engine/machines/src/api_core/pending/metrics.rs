//! `/metrics`: every shard is asked how it stands. Nothing is kept between two scrapes.

use api::admin::answer_metrics;
use api::answer::{Answer, Manner};

use crate::api_core::ApiCore;
use crate::api_core::open_call::OpenCall;
use crate::machine::{Now, Token};
use crate::mesh::Ask;
use crate::readings::Reading;

/// How those shards stand that have answered, each with its number.
#[derive(Debug, Default)]
pub(in crate::api_core) struct Pending {
    readings: Vec<(usize, Reading)>,
}

impl Pending {
    pub(super) fn take(&mut self, shard: usize, reading: Reading) {
        self.readings.push((shard, reading));
    }

    /// What all shards have said.
    pub(in crate::api_core) fn into_all(self) -> Vec<(usize, Reading)> {
        self.readings
    }

    pub(super) fn respond(self, core: &ApiCore, now: Now) -> Answer<'static> {
        answer_metrics(core.encode_metrics(&self.readings, now))
    }
}

impl ApiCore {
    /// Asks every shard how it stands.
    pub(in crate::api_core) fn ask_readings(&mut self, token: Token, manner: Manner, now: Now) {
        self.traffic.settle();
        let (id, mut call) = (self.calls.name(), OpenCall::new(token, manner));
        for (number, home) in self.topics.cores().each_shard().enumerate() {
            self.ask(id, &mut call, home, number as u32, Ask::Reading);
        }
        self.answer_now_or_later(id, call, super::Pending::Metrics(Pending::default()), now);
    }
}
