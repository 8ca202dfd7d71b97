//! Answers to what the API core asks for the console. Each is at hand: nothing waits for a disk or for another thread.

use std::net::SocketAddr;
use std::sync::Arc;

use api::console::object::{Object, list};
use machines::api_core::console::{Facts, HooksAnswer, HooksAsk, ProcessFacts};
use machines::cores::CoreId;
use protocol::auth::ConsoleKey;

use super::{HooksDesk, NextToken, ReachedLater};
use crate::cluster::Standings;
use crate::driver::control::Health;
use crate::driver::problems::{Problem, problems};
use crate::process;
use crate::settings::ShownSettings;

/// Where clients connect.
#[derive(Clone, Debug)]
pub(crate) struct Reached {
    /// The address, with TLS if there is such a one.
    pub(crate) address: SocketAddr,
    /// Whether it has TLS.
    pub(crate) tls: bool,
    /// What a proxy puts before all paths.
    pub(crate) path_prefix: String,
}

/// What the console is told of.
pub(crate) struct ConsoleFacts {
    /// The settings.
    pub(crate) settings: ShownSettings,
    /// The token that is to follow.
    pub(crate) next_token: NextToken,
    /// What nobody can guess.
    pub(crate) random: fn() -> [u8; 32],
    /// Where clients connect.
    pub(crate) reached: ReachedLater,
    /// The cores.
    pub(crate) health: Arc<Health>,
    /// From how much memory on there is too little for newcomers.
    pub(crate) memory_high_bytes: Box<dyn Fn() -> Option<u64>>,
    /// Who answers for the hooks, if there are any.
    pub(crate) hooks: Option<HooksDesk>,
    /// The servers of the cluster, if there is one.
    pub(crate) standings: Option<Arc<Standings>>,
}

impl Facts for ConsoleFacts {
    fn settings(&self) -> String {
        self.settings.json()
    }

    fn problems(&self) -> String {
        Object::default().raw("problems", &list(problems().iter().map(encode_problem))).end()
    }

    fn reached(&self) -> Object {
        let Some(Reached { address, tls, path_prefix }) = self.reached.get() else {
            return Object::default().maybe_text("host", None).maybe("port", None::<u16>);
        };
        // A browser knows better by which name it has come here.
        let host = Some(address.ip()).filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string());
        Object::default()
            .maybe_text("host", host.as_deref())
            .plain("port", address.port())
            .plain("tls", *tls)
            .text("path_prefix", path_prefix)
    }

    fn next_key(&self) -> Option<ConsoleKey> {
        self.next_token.take().map(|token| ConsoleKey::new(&(self.random)(), token.reveal()))
    }

    fn process(&self) -> ProcessFacts {
        let busy = |core| self.health.load(core).busy_us;
        let shards = self.health.cores().filter(|core| matches!(core, CoreId::Shard(_)));
        ProcessFacts {
            memory_bytes: process::resident_bytes(),
            memory_high_bytes: (self.memory_high_bytes)(),
            shards_busy_us: shards.map(busy).collect(),
            api_busy_us: busy(CoreId::Api),
        }
    }

    fn has_hooks(&self) -> bool {
        self.hooks.is_some()
    }

    fn ask_hooks(&self, question: u64, ask: HooksAsk) -> bool {
        self.hooks.as_ref().is_some_and(|desk| desk.ask(question, ask))
    }

    fn hooks_answers(&self) -> Vec<(u64, HooksAnswer)> {
        self.hooks.as_ref().map_or_else(Vec::new, HooksDesk::answers)
    }

    fn nodes(&self) -> Option<String> {
        self.standings.as_ref().map(|standings| standings.shown())
    }
}

fn encode_problem(problem: &Problem) -> String {
    Object::default()
        .plain("at", problem.unix_ms)
        .plain("count", problem.count)
        .text("what", problem.what)
        .maybe_text("app", problem.app.as_deref())
        .text("reason", &problem.reason)
        .maybe_text("remedy", problem.remedy.as_deref())
        .maybe("status", problem.status)
        .maybe_text("channel", problem.channel.as_deref())
        .maybe_text("path", problem.path.as_deref())
        .maybe_text("key", problem.key.as_deref())
        .maybe_text("address", problem.address.as_deref())
        .end()
}
