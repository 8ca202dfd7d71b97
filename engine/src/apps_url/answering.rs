//! The threads that answer the questions of cores: each asks the source for one app at a time, and no two for the same.
//!
//! A question has its time from when it was asked, so one that had to wait for a thread is over no later.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use machines::cores::CoreId;
use protocol::app::{AppQuestion, AppVerdict};

use super::desk::Desk;
use super::limits::{ANSWERING_THREADS, QUESTION_MAX};
use super::source::{Fault, FaultKind, Said};
use crate::driver::app_line::{AppAnswers, Asked};
use crate::driver::apps::AppsControl;

/// Starts them. They end with the cores.
pub(super) fn start(desk: &Arc<Desk>, answers: &AppAnswers) -> io::Result<()> {
    for _ in 0..ANSWERING_THREADS {
        let answering = Answering { desk: Arc::clone(desk), answers: answers.clone() };
        thread::Builder::new().name("apps-url".to_owned()).spawn(move || answering.run())?;
    }
    Ok(())
}

struct Answering {
    desk: Arc<Desk>,
    answers: AppAnswers,
}

impl Answering {
    fn run(&self) {
        while let Ok(asked) = self.answers.questions().recv() {
            let Some(apps) = self.desk.apps() else { return };
            self.answer(&apps, asked);
        }
    }

    fn answer(&self, apps: &AppsControl, asked: Asked) {
        let Asked { question, core, since } = asked;
        if let Some(verdict) = self.known_verdict(apps, &question, core) {
            return verdict
                .into_iter()
                .for_each(|verdict| self.answers.tell(core, question.clone(), verdict));
        }
        let verdict = self.ask(apps, &question, since);
        let cores = {
            let mut state = self.desk.lock();
            let cores = state.asking.remove(&question);
            self.desk.counters.note_asking(state.asking.len());
            cores
        };
        for core in cores.into_iter().flatten() {
            self.answers.tell(core, question.clone(), verdict);
        }
    }

    /// What is known without asking: a verdict, or that it will come. None: it has to be asked, and is from now on.
    fn known_verdict(
        &self,
        apps: &AppsControl,
        question: &AppQuestion,
        core: CoreId,
    ) -> Option<Option<AppVerdict>> {
        if question.is_answered_by(&apps.current()) {
            return Some(Some(AppVerdict::Found));
        }
        let mut state = self.desk.lock();
        if let Some(cores) = state.asking.get_mut(question) {
            if !cores.contains(&core) {
                cores.push(core);
            }
            return Some(None);
        }
        if state.unknown.has(question, Instant::now()) {
            self.desk.counters.add_spared();
            return Some(Some(AppVerdict::Unknown));
        }
        state.asking.insert(question.clone(), vec![core]);
        self.desk.counters.note_asking(state.asking.len());
        None
    }

    fn ask(&self, apps: &AppsControl, question: &AppQuestion, since: Instant) -> AppVerdict {
        let patience = QUESTION_MAX.saturating_sub(since.elapsed());
        if patience.is_zero() {
            self.desk.counters.add_late();
            return AppVerdict::Unknown;
        }
        match self.desk.ask(question, patience) {
            Said::App(app) => {
                if !self.desk.take(apps, question, *app) {
                    return AppVerdict::Unanswered;
                }
                if question.is_answered_by(&apps.current()) {
                    return AppVerdict::Found;
                }
            }
            Said::Nothing | Said::Fault(Fault { kind: FaultKind::Foreign, .. }) => {}
            Said::Fault(Fault { kind: FaultKind::Late, .. }) => return AppVerdict::Unknown,
            Said::Fault(_) => return AppVerdict::Unanswered,
        }
        self.desk.lock().unknown.note(question.clone(), Instant::now());
        AppVerdict::Unknown
    }
}
