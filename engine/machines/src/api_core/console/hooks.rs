//! What operators ask of hooks: endpoints, dead letters, another try. It is answered beside the cores, from files, so the
//! API core looks for answers now and then while it waits for some.

use api::answer::Manner;
use api::console::questions::{parse_endpoint, parse_letter_page, parse_replay};
use api::console::{ConsoleCall, answer_json};
use api::refused::Refused;
use protocol::http::Request;

use crate::api_core::ApiCore;
use crate::api_core::console::facts::{Facts, HooksAsk};
use crate::api_core::console::streams::Stream;
use crate::api_core::open_call::OpenCall;
use crate::api_core::pending::Pending;
use crate::limits::HOOKS_LOOK_MS;
use crate::machine::{Now, Token};

/// The name of a question for all who look at the overview.
const OF_OVERVIEW: u64 = 0;

/// What the API core waits for.
#[derive(Debug, Default)]
pub(in crate::api_core) struct HooksQuestions {
    /// Questions without an answer.
    open: usize,
    /// When answers are looked for, in `mono_ms`.
    look_ms: u64,
    /// That for the overview is one of them.
    overview_asked: bool,
}

impl HooksQuestions {
    /// When answers are looked for, in `mono_ms`.
    pub(in crate::api_core) fn due_ms(&self) -> Option<u64> {
        (self.open > 0).then_some(self.look_ms)
    }
}

impl ApiCore {
    /// A call that concerns hooks.
    pub(super) fn take_call_to_hooks(
        &mut self,
        token: Token,
        manner: Manner,
        call: ConsoleCall,
        request: &Request<'_>,
        now: Now,
    ) -> Result<(), Refused> {
        if !self.facts().is_some_and(Facts::has_hooks) {
            return self.answer_without_hooks(token, manner, call, now);
        }
        let body = &*request.body;
        let ask = match call {
            ConsoleCall::DeadLetters => HooksAsk::Letters(parse_letter_page(request.head.query)?),
            ConsoleCall::Replay => {
                let replay = parse_replay(body)?;
                let which = replay.ids.as_ref().map_or_else(|| "all".to_owned(), |ids| ids.len().to_string());
                self.tell_operated(token, "replay", format!("{which} dead letters of {:?}", replay.endpoint));
                HooksAsk::Replay(replay)
            }
            ConsoleCall::Enable => {
                let endpoint = parse_endpoint(body)?;
                self.tell_operated(token, "enable", format!("endpoint {endpoint:?}"));
                HooksAsk::Enable(endpoint)
            }
            _ => HooksAsk::Status,
        };
        let (id, mut call) = (self.calls.name(), OpenCall::new(token, manner));
        if !self.ask_hooks(id.question(0), ask, now) {
            return Err(Refused::retry_later("Over capacity: too much is asked of the hooks already"));
        }
        call.answers_missing = 1;
        self.answer_now_or_later(id, call, Pending::Json(String::new()), now);
        Ok(())
    }

    fn answer_without_hooks(
        &mut self,
        token: Token,
        manner: Manner,
        call: ConsoleCall,
        now: Now,
    ) -> Result<(), Refused> {
        let nothing = match call {
            ConsoleCall::Hooks => "{\"endpoints\":[]}",
            ConsoleCall::DeadLetters => "{\"letters\":[],\"next\":null}",
            _ => return Err(Refused::new(404, "This server has no hooks: its apps have no endpoints")),
        };
        self.respond(token, &answer_json(nothing.to_owned()), manner, now);
        Ok(())
    }

    /// Asks for those who look at the overview, once at a time.
    pub(super) fn ask_hooks_for_overview(&mut self, now: Now) {
        let is_asked = self
            .console
            .as_ref()
            .is_none_or(|console| console.hooks.overview_asked || !console.facts.has_hooks());
        if !is_asked
            && self.ask_hooks(OF_OVERVIEW, HooksAsk::Status, now)
            && let Some(console) = &mut self.console
        {
            console.hooks.overview_asked = true;
        }
    }

    /// Returns whether it could be asked.
    fn ask_hooks(&mut self, question: u64, ask: HooksAsk, now: Now) -> bool {
        let Some(console) = &mut self.console else { return false };
        let asked = console.facts.ask_hooks(question, ask);
        if asked {
            console.hooks.open += 1;
            console.hooks.look_ms = now.mono_ms + HOOKS_LOOK_MS;
        }
        asked
    }

    /// Looks for answers, if it is time.
    pub(in crate::api_core) fn look_for_hooks_answers(&mut self, now: Now) {
        let Some(console) = &mut self.console else { return };
        if console.hooks.due_ms().is_none_or(|due_ms| due_ms > now.mono_ms) {
            return;
        }
        console.hooks.look_ms = now.mono_ms + HOOKS_LOOK_MS;
        let answers = console.facts.hooks_answers();
        console.hooks.open = console.hooks.open.saturating_sub(answers.len());
        for (question, answer) in answers {
            if question == OF_OVERVIEW {
                self.tell_overview_of_hooks(answer.ok(), now);
            } else {
                self.handle_hooks_answer(question, answer, now);
            }
        }
    }

    fn tell_overview_of_hooks(&mut self, json: Option<String>, now: Now) {
        let Some(console) = &mut self.console else { return };
        console.hooks.overview_asked = false;
        let streams = console.streams.about(&Stream::Overview);
        for stream in streams {
            if let Some(json) = &json {
                self.tell_stream(stream, "hooks", json, now);
            }
        }
    }
}
