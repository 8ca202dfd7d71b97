//! The source of apps that is asked: an HTTP endpoint of the operator, for apps that are neither in the file nor in a store.
//!
//! `source` asks it, and `record` makes an app of its answer. `known` has the apps that it has given, with the time when it
//! is asked again for each; `unknown` what it has no app for. `answering` is the threads that answer the questions of cores,
//! `refreshing` those that ask again; `desk` is what both work on. `counters` is for metrics.
//!
//! A source that fails changes nothing for the apps that it has given: they stay until it says that they are gone. What
//! must never happen here: a core that waits, a line of the log for each failure, or a secret in one.

mod answering;
mod counters;
mod desk;
mod known;
mod limits;
mod record;
mod refreshing;
mod source;
mod unknown;

use std::io;
use std::sync::Arc;

pub use counters::UrlCounters;

use crate::config::{AppReader, AppsUrl};
use crate::driver::app_line::AppAnswers;
use crate::driver::apps::AppsControl;
use desk::Desk;
use source::Source;

/// Answers the questions of cores from now on, until the server has ended.
pub fn answer_questions(
    settings: &AppsUrl,
    reader: AppReader,
    apps: &Arc<AppsControl>,
    answers: &AppAnswers,
    counters: &Arc<UrlCounters>,
) -> io::Result<()> {
    let source = Source::new(&settings.url.0, reader).map_err(io::Error::other)?;
    let desk = Arc::new(Desk::new(source, settings.ttl, Arc::downgrade(apps), Arc::clone(counters)));
    answering::start(&desk, answers)?;
    refreshing::start(&desk)
}
