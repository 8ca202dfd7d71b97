//! Answers to what operators ask of hooks: from the files of the data directory, as the commands of `corecast hooks` have
//! them, on a thread of its own. The dispatcher looks once a second for what is wanted here.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use api::console::object::{Object, list};
use api::console::questions::{LetterPage, Replay};
use crossbeam_channel::{Receiver, Sender, bounded};
use hooks::dead_letters::{DeadLetter, DeadLetters, Mark, Selection};
use hooks::encoding::channel_of;
use hooks::journal::JournalView;
use hooks::settings::Settings;
use machines::api_core::console::{HooksAnswer, HooksAsk};

use crate::limits::{HOOKS_QUESTIONS_MAX, LETTER_BYTES_MAX};

/// The desk, as the API core sees it.
#[derive(Debug)]
pub(crate) struct HooksDesk {
    questions: Sender<(u64, HooksAsk)>,
    answers: Receiver<(u64, HooksAnswer)>,
}

impl HooksDesk {
    /// Begins to answer for these hooks.
    pub(crate) fn start(settings: &Settings) -> io::Result<Self> {
        let (questions, asked) = bounded(HOOKS_QUESTIONS_MAX);
        // An answer always finds room: those who ask wait for it.
        let (told, answers) = bounded(HOOKS_QUESTIONS_MAX);
        let apps = settings.endpoints.iter().map(|it| (it.name.clone(), it.app.id.to_string())).collect();
        let files = Files { data_dir: settings.data_dir.clone(), apps };
        thread::Builder::new()
            .name("console-hooks".to_owned())
            .spawn(move || files.answer_all(&asked, &told))?;
        Ok(Self { questions, answers })
    }

    /// Asks. Returns false if too much waits for an answer already.
    pub(crate) fn ask(&self, id: u64, ask: HooksAsk) -> bool {
        self.questions.try_send((id, ask)).is_ok()
    }

    /// What has been answered.
    pub(crate) fn answers(&self) -> Vec<(u64, HooksAnswer)> {
        self.answers.try_iter().collect()
    }
}

struct Files {
    data_dir: PathBuf,
    /// The app of each endpoint that there was at the start.
    apps: HashMap<String, String>,
}

impl Files {
    fn answer_all(&self, asked: &Receiver<(u64, HooksAsk)>, told: &Sender<(u64, HooksAnswer)>) {
        for (id, ask) in asked {
            let answer = self.answer(ask).map_err(|Fault(status, text)| (status, text));
            if told.send((id, answer)).is_err() {
                return;
            }
        }
    }

    fn answer(&self, ask: HooksAsk) -> Result<String, Fault> {
        let letters = DeadLetters::open_existing(&self.data_dir).map_err(Fault::of_files)?;
        match ask {
            HooksAsk::Status => self.status(letters.as_ref()),
            HooksAsk::Letters(page) => show_letters(letters.as_ref(), &page),
            HooksAsk::Replay(replay) => mark(letters, replay),
            HooksAsk::Enable(endpoint) => enable(letters, &endpoint),
        }
    }

    fn status(&self, letters: Option<&DeadLetters>) -> Result<String, Fault> {
        let backlogs = backlogs(&self.data_dir)?;
        let (mut endpoints, mut names) = (Vec::new(), Vec::new());
        if let Some(letters) = letters {
            let disabled = letters.disabled().map_err(Fault::of_files)?;
            for status in letters.endpoints().map_err(Fault::of_files)? {
                let disabled = disabled.iter().find(|it| it.name == status.name);
                let dead =
                    letters.counts(&Selection::Endpoint(status.name.clone())).map_err(Fault::of_files)?;
                let failure = status.failure.as_ref();
                let reason =
                    disabled.map(|it| &*it.reason).or_else(|| failure.map(|failure| &*failure.error));
                let (backlog, age_ms) = backlogs.get(&status.name).copied().unwrap_or((status.held, None));
                let since_ms =
                    disabled.map(|it| it.since_ms).or_else(|| failure.map(|failure| failure.since_ms));
                endpoints.push(
                    self.named(&status.name)
                        .text("target", &status.target)
                        .plain("backlog", backlog)
                        .maybe("backlog_age_ms", age_ms)
                        .plain("dead_letters", dead.0)
                        .plain("to_be_retried", dead.1)
                        .plain("disabled", disabled.is_some())
                        .maybe_text("reason", reason)
                        .maybe("since", since_ms)
                        .maybe("next_try", failure.and_then(|failure| failure.next_ms))
                        .end(),
                );
                names.push(status.name);
            }
        }
        // Those that have never been delivered to.
        let mut others: Vec<_> = self.apps.keys().filter(|name| !names.contains(name)).collect();
        others.sort();
        endpoints.extend(others.into_iter().map(|name| {
            let (backlog, age_ms) = backlogs.get(name).copied().unwrap_or_default();
            self.named(name)
                .plain("backlog", backlog)
                .maybe("backlog_age_ms", age_ms)
                .plain("dead_letters", 0)
                .plain("disabled", false)
                .maybe_text("reason", None)
                .end()
        }));
        Ok(Object::default().raw("endpoints", &list(endpoints)).end())
    }

    fn named(&self, endpoint: &str) -> Object {
        Object::default()
            .text("endpoint", endpoint)
            .maybe_text("app", self.apps.get(endpoint).map(String::as_str))
    }
}

/// How many events of the journal each endpoint is behind, and the age of the oldest, in milliseconds.
fn backlogs(data_dir: &Path) -> Result<HashMap<String, (u64, Option<u64>)>, Fault> {
    let Some(journal) = JournalView::open(data_dir).map_err(Fault::of_files)? else {
        return Ok(HashMap::new());
    };
    let status = journal.status().map_err(Fault::of_files)?;
    let mut backlogs = HashMap::new();
    for (name, place) in status.places {
        let behind = status.last_id.saturating_sub(place.0);
        let oldest =
            if behind > 0 { journal.rows_after(place.0, 1).map_err(Fault::of_files)? } else { Vec::new() };
        let age_ms = oldest.first().map(|row| now_ms().saturating_sub(row.time_ms));
        backlogs.insert(name, (behind, age_ms));
    }
    Ok(backlogs)
}

fn show_letters(letters: Option<&DeadLetters>, page: &LetterPage) -> Result<String, Fault> {
    let LetterPage { endpoint, after, count } = page;
    let selection = endpoint.clone().map_or(Selection::All, Selection::Endpoint);
    // One more than are shown: whether there is another page.
    let found = letters.map(|letters| letters.list(&selection, *after, count + 1)).transpose();
    let mut found = found.map_err(Fault::of_files)?.unwrap_or_default();
    let has_more = found.len() > *count;
    found.truncate(*count);
    let next = found.last().map(|letter| letter.id).filter(|_| has_more);
    let next = next.map(|id| id.to_string());
    Ok(Object::default()
        .raw("letters", &list(found.iter().map(show_letter)))
        .maybe_text("next", next.as_deref())
        .end())
}

fn show_letter(letter: &DeadLetter) -> String {
    let data = letter.data.get(..letter.data.floor_char_boundary(LETTER_BYTES_MAX)).unwrap_or_default();
    Object::default()
        .plain("id", letter.id)
        .text("endpoint", &letter.endpoint)
        .text("app", &letter.app_id)
        .plain("at", letter.died_ms)
        .plain("happened_at", letter.time_ms)
        .text("name", &letter.name)
        .maybe_text("channel", channel_of(&letter.data).as_deref())
        .text("reason", &letter.reason)
        .plain("tries", letter.tries)
        .plain("to_be_retried", letter.mark != Mark::Kept)
        .text("data", data)
        .plain("bytes", letter.data.len())
        .end()
}

fn mark(letters: Option<DeadLetters>, replay: Replay) -> Result<String, Fault> {
    let Replay { endpoint, ids } = replay;
    let none =
        || Fault(404, format!("There is no dead letter of {endpoint:?}: see GET /console/dead_letters"));
    let mut letters = letters.ok_or_else(none)?;
    let of_endpoint = Selection::Endpoint(endpoint.clone());
    if letters.counts(&of_endpoint).map_err(Fault::of_files)?.0 == 0 {
        return Err(none());
    }
    let mut marked = 0;
    match ids {
        None => marked = letters.mark(&of_endpoint).map_err(Fault::of_files)?,
        Some(ids) => {
            for id in ids {
                let one = letters.list(&Selection::Id(id), 0, 1).map_err(Fault::of_files)?;
                if one.iter().any(|letter| letter.endpoint == endpoint) {
                    marked += letters.mark(&Selection::Id(id)).map_err(Fault::of_files)?;
                }
            }
        }
    }
    Ok(Object::default().plain("replayed", marked).end())
}

fn enable(letters: Option<DeadLetters>, endpoint: &str) -> Result<String, Fault> {
    let enabled = letters.map(|mut letters| letters.enable(endpoint)).transpose().map_err(Fault::of_files)?;
    if enabled == Some(true) {
        return Ok("{}".to_owned());
    }
    Err(Fault(404, format!("No endpoint {endpoint:?} is disabled: see GET /console/hooks")))
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// A status, and what is wrong.
struct Fault(u16, String);

impl Fault {
    fn of_files(error: impl std::fmt::Display) -> Self {
        Self(503, format!("The files of the hooks cannot be read just now: {error}"))
    }
}
