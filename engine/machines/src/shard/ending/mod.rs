//! The end of connections: of one (`close`), of all (`drain`), of a silent one (`idle`), of a user's (`terminate`), of an
//! app's (`apps`), of one that its app's back end does not know (`unauthorized`).

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use protocol::close::Close;

use crate::deadlines::Deadlines;
use crate::limits::PARTING_PART;
use crate::outbox::parting::Allowance;
use crate::outbox::run::Run;
use crate::readings::closes::Closes;
use crate::readings::stats::EndingStats;
use crate::shard::ending::apps::AppWalk;
use crate::shard::ending::close::Closing;
use crate::shard::ending::drain::{Drain, DrainPlan};
use crate::shard::ending::idle::Wheel;
use crate::shard::ending::terminate::Terminations;
use crate::shard::fanout::connection::Heard;

mod apps;
mod close;
pub mod drain;
mod idle;
mod terminate;
mod unauthorized;

pub(super) use close::encode_error_and_close;
pub(super) use idle::ping_run;

/// How the connections of a shard end.
#[derive(Debug)]
pub(super) struct Ending {
    closing: Vec<Closing>,
    /// What may be kept of the outboxes of those who are closed.
    allowance: Allowance,
    closes: Closes,
    /// How the server ends.
    plan: DrainPlan,
    /// Whether there is another node to which clients may go, where they are to be told so.
    others: Option<Arc<AtomicBool>>,
    /// It ends.
    drain: Option<Drain>,
    wheel: Wheel,
    /// What silent ones are sent.
    ping: Rc<Run>,
    terminations: Terminations,
    app_walk: AppWalk,
    /// The slots of those who have not shown yet that their back end knows them.
    unauthorized: Deadlines,
    stats: EndingStats,
}

impl Ending {
    /// No connection ends. What is kept for those that do is a part of what all outboxes may keep.
    pub(super) fn new(outboxes_bytes_max: usize, plan: DrainPlan, ping: Rc<Run>) -> Self {
        Self {
            closing: Vec::new(),
            allowance: Allowance::new(outboxes_bytes_max / PARTING_PART),
            closes: Closes::default(),
            plan,
            others: None,
            drain: None,
            wheel: Wheel::default(),
            ping,
            terminations: Terminations::default(),
            app_walk: AppWalk::default(),
            unauthorized: Deadlines::default(),
            stats: EndingStats::default(),
        }
    }

    /// While this holds, those who are connected when the server ends are told to reconnect at once.
    pub(super) fn note_others(&mut self, others: Arc<AtomicBool>) {
        self.others = Some(others);
    }

    /// What happened.
    pub(super) fn stats(&self) -> &EndingStats {
        &self.stats
    }

    /// How connections have ended.
    pub(super) fn closes(&self) -> &Closes {
        &self.closes
    }

    /// An upgrade was refused with this code: a connection that never was.
    pub(super) fn count_refused(&mut self, close: Close) {
        self.closes.by_server(close);
    }

    /// What is kept for connections that are closed, in bytes.
    pub(super) fn parting_bytes(&self) -> usize {
        self.allowance.kept_bytes()
    }

    /// True while the server ends.
    pub(super) fn is_draining(&self) -> bool {
        self.drain.is_some()
    }

    /// Something was heard just now.
    pub(super) fn heard(&self) -> Heard {
        self.wheel.heard()
    }

    /// Users whose connections must go.
    pub(super) fn open_terminations(&self) -> usize {
        self.terminations.len()
    }

    /// True when no more users may be named.
    pub(super) fn has_too_many_terminations(&self, terminations_max: usize) -> bool {
        self.terminations.is_full(terminations_max)
    }

    /// Gives back what nothing needs now.
    pub(super) fn give_back_room(&mut self) {
        self.closing.shrink_to_fit();
        self.unauthorized.give_back_room();
    }
}
