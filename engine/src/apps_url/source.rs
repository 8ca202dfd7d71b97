//! One question to the source, and what its answer means.

use std::time::Duration;

use hooks::http_get::{HttpAnswer, HttpFault, HttpGet};
use protocol::app::{App, AppQuestion};

use super::limits::{ANSWER_BYTES_MAX, ANSWERING_THREADS, REFRESHING_THREADS};
use super::record::table;
use crate::config::AppReader;

/// The source and what its records are read with.
#[derive(Debug)]
pub(super) struct Source {
    get: HttpGet,
    reader: AppReader,
}

/// What the source says.
#[derive(Debug)]
pub(super) enum Said {
    /// This is the app.
    App(Box<App>),
    /// There is none.
    Nothing,
    /// Something of no use.
    Fault(Fault),
}

/// What is wrong with an answer: its kind, and a line for the operator.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: FaultKind,
    pub(super) text: String,
}

/// Kinds of faults, of which the log tells one by one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum FaultKind {
    /// No answer came in time.
    Late,
    /// No answer came.
    Unreachable,
    /// The answer is too long.
    TooLong,
    /// Its status is neither 200 nor 404.
    Status,
    /// It is no JSON object.
    NoRecord,
    /// It is no app that a server could take.
    NoApp,
    /// It is another app than the one that was asked for.
    Foreign,
    /// It has the id or a key of an app that is elsewhere.
    Twin,
}

impl Source {
    pub(super) fn new(url: &str, reader: AppReader) -> Result<Self, String> {
        Ok(Self { get: HttpGet::new(url, ANSWERING_THREADS + REFRESHING_THREADS)?, reader })
    }

    /// Asks for an app, for at most so long.
    pub(super) fn ask(&self, question: &AppQuestion, patience: Duration) -> Said {
        let fault = |kind, what: &str| {
            Said::Fault(Fault { kind, text: format!("{what} (asked for the {question})") })
        };
        match self.get.ask(question.parts(), patience, ANSWER_BYTES_MAX) {
            Ok(HttpAnswer { status: 200, body }) => match table(&body) {
                Ok(Some(table)) => self.app(question, &table),
                Ok(None) => Said::Nothing,
                Err(error) => fault(FaultKind::NoRecord, &format!("the answer is no app: {error}")),
            },
            Ok(HttpAnswer { status: 204 | 404, .. }) => Said::Nothing,
            Ok(HttpAnswer { status, .. }) => fault(FaultKind::Status, &format!("the answer is {status}")),
            Err(error @ HttpFault::Late) => fault(FaultKind::Late, &error.to_string()),
            Err(error @ HttpFault::TooLong(_)) => fault(FaultKind::TooLong, &error.to_string()),
            Err(error) => fault(FaultKind::Unreachable, &error.to_string()),
        }
    }

    fn app(&self, question: &AppQuestion, table: &str) -> Said {
        let name = format!("the answer for the {question}");
        match self.reader.read(&name, table) {
            Ok(app) if question.names(&app) => Said::App(Box::new(app)),
            Ok(_) => {
                let text = format!("{name} is another app");
                Said::Fault(Fault { kind: FaultKind::Foreign, text })
            }
            Err(error) => Said::Fault(Fault { kind: FaultKind::NoApp, text: error.to_string() }),
        }
    }
}
