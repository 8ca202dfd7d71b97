//! A core's line to the source of apps: questions out, verdicts back.
//!
//! Questions of all cores are in one bounded queue; one that finds it full is unanswered at once. Each core has a bounded
//! queue of verdicts, in which it has room for each question that it may have open. What must never happen here: a wait.

use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};
use machines::cores::{CoreId, Cores, PerCore};
use protocol::app::{AppQuestion, AppVerdict};

use super::doorbell::Doorbells;
use super::limits::{APP_QUESTIONS_MAX, APP_VERDICTS_MAX};

/// A question of a core.
#[derive(Debug)]
pub struct Asked {
    /// What is asked.
    pub question: AppQuestion,
    /// Which core asks.
    pub core: CoreId,
    /// When it did so.
    pub since: Instant,
}

/// A core's end.
#[derive(Debug)]
pub struct AppLine {
    core: CoreId,
    questions: Sender<Asked>,
    verdicts: Receiver<(AppQuestion, AppVerdict)>,
}

impl AppLine {
    /// Asks, or gives the question back because too many are waiting.
    pub(super) fn ask(&self, question: AppQuestion) -> Result<(), AppQuestion> {
        let asked = Asked { question, core: self.core, since: Instant::now() };
        self.questions.try_send(asked).map_err(|error| error.into_inner().question)
    }

    /// What has come of questions.
    pub(super) fn verdicts(&self) -> Vec<(AppQuestion, AppVerdict)> {
        self.verdicts.try_iter().collect()
    }
}

/// The end of those who answer.
#[derive(Clone, Debug)]
pub struct AppAnswers {
    questions: Receiver<Asked>,
    verdicts: Arc<PerCore<Sender<(AppQuestion, AppVerdict)>>>,
    doorbells: Doorbells,
}

impl AppAnswers {
    /// The questions of all cores.
    pub fn questions(&self) -> &Receiver<Asked> {
        &self.questions
    }

    /// Tells a core what has come of its question. The app that was found is in the registry already.
    pub fn tell(&self, core: CoreId, question: AppQuestion, verdict: AppVerdict) {
        // A verdict without room is lost, and those who wait for it are refused when their time is over.
        let sent = self.verdicts.get(core).is_some_and(|to| to.try_send((question, verdict)).is_ok());
        if sent {
            self.doorbells.ring(core);
        }
    }
}

/// The lines of the cores that turn, in the order of [`Cores::all`], and the other end.
pub fn app_lines(cores: Cores, doorbells: Doorbells) -> (Vec<AppLine>, AppAnswers) {
    let (questions, asked) = bounded(APP_QUESTIONS_MAX);
    let verdicts = PerCore::of_turning(cores, |_| bounded(APP_VERDICTS_MAX));
    let line = |core| AppLine { core, questions: questions.clone(), verdicts: verdicts[core].1.clone() };
    let lines = verdicts.cores().map(line).collect();
    let verdicts = Arc::new(PerCore::of_turning(cores, |core| verdicts[core].0.clone()));
    (lines, AppAnswers { questions: asked, verdicts, doorbells })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_comes_with_its_core_and_only_that_core_hears_the_verdict() {
        let cores = Cores::new(1);
        let (lines, answers) = app_lines(cores, Doorbells::new(cores).unwrap());
        let question = AppQuestion::of_key("a").unwrap();
        lines[1].ask(question.clone()).unwrap();
        let asked = answers.questions().try_recv().unwrap();
        assert_eq!((asked.core, &asked.question), (CoreId::Api, &question));
        answers.tell(asked.core, asked.question, AppVerdict::Unknown);
        assert!(lines[0].verdicts().is_empty());
        assert_eq!(lines[1].verdicts(), [(question, AppVerdict::Unknown)]);
    }

    #[test]
    fn a_full_queue_gives_the_question_back() {
        let cores = Cores::new(1);
        let (lines, _answers) = app_lines(cores, Doorbells::new(cores).unwrap());
        let question = || AppQuestion::of_id("1").unwrap();
        for _ in 0..APP_QUESTIONS_MAX {
            lines[0].ask(question()).unwrap();
        }
        assert_eq!(lines[0].ask(question()), Err(question()));
    }
}
