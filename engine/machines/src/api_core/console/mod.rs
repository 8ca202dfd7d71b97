//! The console: what operators ask of the API core by its page, or by a token.
//!
//! `doorkeeper` knows who may; `streams` are connections that are told what happens; `sampler` looks at the server once a
//! second, and keeps what it has seen of the last minutes; `facts` is what only the engine knows. `questions` go to shards,
//! `watches` are streams of what they see; `hooks` are asked beside the cores.

use api::answer::{Answer, Manner};
use api::console::access::{Shown, check_origin, refuse_haste, refuse_stranger, refuse_token, shown};
use api::console::files::Files;
use api::console::object::{Object, list};
use api::console::session::no_cookie;
use api::console::{ConsoleCall, answer_json, answer_nothing, is_of_console, parse_sign_in};
use api::refused::Refused;
use protocol::auth::ConsoleKey;
use protocol::http::{Head, Request};

use super::ApiCore;
use crate::limits::CONSOLE_APPS_MAX;
use crate::machine::{Now, Token};

mod doorkeeper;
mod facts;
mod hooks;
mod questions;
pub(super) mod sampler;
mod streams;
pub(super) mod watches;

pub use facts::{Facts, HooksAnswer, HooksAsk, ProcessFacts};

use doorkeeper::Doorkeeper;
use hooks::HooksQuestions;
use sampler::Sampler;
use streams::Streams;
use watches::Watches;

/// What the console is made of.
pub struct ConsoleConfig {
    /// The token, and what sessions are signed with.
    pub key: ConsoleKey,
    /// The page.
    pub files: Files,
    /// What this core cannot know.
    pub facts: Box<dyn Facts>,
}

/// The console of an API core.
pub(super) struct Console {
    files: Files,
    facts: Box<dyn Facts>,
    doorkeeper: Doorkeeper,
    pub(super) streams: Streams,
    pub(super) sampler: Sampler,
    pub(super) watches: Watches,
    pub(super) hooks: HooksQuestions,
}

impl Console {
    pub(super) fn new(config: ConsoleConfig) -> Self {
        Self {
            files: config.files,
            facts: config.facts,
            doorkeeper: Doorkeeper::new(config.key),
            streams: Streams::default(),
            sampler: Sampler::default(),
            watches: Watches::default(),
            hooks: HooksQuestions::default(),
        }
    }

    /// Sign-ins that were refused since the start.
    pub(super) fn refused_tokens(&self) -> u64 {
        self.doorkeeper.refused
    }
}

impl ApiCore {
    /// Whether a request on the operator's listener is for the console.
    pub(super) fn is_for_console(&self, head: &Head<'_>) -> bool {
        self.console.is_some() && is_of_console(head.path)
    }

    /// Whether the body behind this head is wanted.
    pub(super) fn check_console_head(&mut self, head: &Head<'_>, now: Now) -> Result<(), Refused> {
        check_origin(head, &self.admin_hosts)?;
        let call = ConsoleCall::of(head)?;
        self.admit(call, head, now).map(drop)
    }

    /// A request for the console.
    pub(super) fn handle_console_request(
        &mut self,
        token: Token,
        manner: Manner,
        request: &Request<'_>,
        now: Now,
    ) {
        let head = &request.head;
        if let Err(refused) = check_origin(head, &self.admin_hosts) {
            return self.refuse(token, &refused, manner, now);
        }
        // Its files are taken out while they are written.
        if let Some(console) = self.console.take() {
            let answered = console.files.answer(head).map(|answer| match answer {
                Ok(answer) => self.respond(token, &answer, manner, now),
                Err(refused) => self.refuse(token, &refused, manner, now),
            });
            self.console = Some(console);
            if answered.is_some() {
                return;
            }
        }
        if let Err(refused) = self.take_console_call(token, manner, request, now) {
            self.refuse(token, &refused, manner, now);
        }
    }

    fn take_console_call(
        &mut self,
        token: Token,
        manner: Manner,
        request: &Request<'_>,
        now: Now,
    ) -> Result<(), Refused> {
        let head = &request.head;
        let call = ConsoleCall::of(head)?;
        let session = self.admit(call, head, now)?;
        match call {
            ConsoleCall::SignIn => self.sign_in(token, manner, request, now)?,
            ConsoleCall::SignOut => self.sign_out(token, manner, head, session, now),
            ConsoleCall::Stream => self.open_overview(token, manner, session, now)?,
            ConsoleCall::Settings => {
                self.respond_with(token, manner, now, |core| Some(core.facts()?.settings()));
            }
            ConsoleCall::Try => self.respond_with(token, manner, now, Self::try_it),
            ConsoleCall::Problems => {
                self.respond_with(token, manner, now, |core| Some(core.facts()?.problems()));
            }
            ConsoleCall::Hooks | ConsoleCall::DeadLetters | ConsoleCall::Replay | ConsoleCall::Enable => {
                self.take_call_to_hooks(token, manner, call, request, now)?;
            }
            _ => self.take_call_to_shards(token, manner, call, request, session, now)?,
        }
        Ok(())
    }

    /// Whether this request may ask for this. Returns the session that it shows, if it shows one.
    fn admit(&mut self, call: ConsoleCall, head: &Head<'_>, now: Now) -> Result<Option<u64>, Refused> {
        let console = self.console.as_mut().ok_or_else(refuse_stranger)?;
        if call.is_open() {
            console.doorkeeper.check_pace(now).map_err(refuse_haste)?;
            return Ok(None);
        }
        match shown(head) {
            Shown::Nothing => Err(refuse_stranger()),
            Shown::Session(value) => match console.doorkeeper.session(value, now) {
                Some(number) => Ok(Some(number)),
                None => Err(refuse_stranger()),
            },
            Shown::Token(guess) => match console.doorkeeper.try_token(guess, now).map_err(refuse_haste)? {
                true => Ok(None),
                false => Err(refuse_stranger()),
            },
        }
    }

    fn sign_in(
        &mut self,
        token: Token,
        manner: Manner,
        request: &Request<'_>,
        now: Now,
    ) -> Result<(), Refused> {
        let guess = parse_sign_in(&request.body)?;
        let secure = self.arrival(token, &request.head, now).secure;
        let console = self.console.as_mut().ok_or_else(refuse_token)?;
        if !console.doorkeeper.try_token(&guess, now).map_err(refuse_haste)? {
            return Err(refuse_token());
        }
        let cookie = console.doorkeeper.begin_session(&request.head, secure, now);
        self.tell_operated(token, "sign-in", String::new());
        self.respond(token, &answer_nothing(vec![("Set-Cookie", &cookie), NOT_KEPT]), manner, now);
        Ok(())
    }

    fn sign_out(&mut self, token: Token, manner: Manner, head: &Head<'_>, session: Option<u64>, now: Now) {
        let secure = self.arrival(token, head, now).secure;
        if let (Some(console), Some(number)) = (&mut self.console, session) {
            console.doorkeeper.end_session(number);
            let ended = console.streams.of_session(number);
            ended.into_iter().for_each(|stream| self.close(stream));
        }
        self.tell_operated(token, "sign-out", String::new());
        let cookie = no_cookie(head, secure);
        self.respond(token, &answer_nothing(vec![("Set-Cookie", &cookie), NOT_KEPT]), manner, now);
    }

    /// Follows a token that has replaced the one before: what was opened with that ends.
    fn follow_token(&mut self) {
        let Some(console) = &mut self.console else { return };
        if let Some(key) = console.facts.next_key() {
            console.doorkeeper.change(key);
            let streams = console.streams.all();
            streams.into_iter().for_each(|stream| self.close(stream));
        }
    }

    fn facts(&self) -> Option<&dyn Facts> {
        Some(&*self.console.as_ref()?.facts)
    }

    fn respond_with(
        &mut self,
        token: Token,
        manner: Manner,
        now: Now,
        json: impl FnOnce(&Self) -> Option<String>,
    ) {
        let answer: Answer<'static> = answer_json(json(self).unwrap_or_else(|| "null".to_owned()));
        self.respond(token, &answer, manner, now);
    }

    /// Where clients connect, with the key of each app that is enabled.
    fn try_it(&self) -> Option<String> {
        let apps = self.apps.iter().filter(|app| app.enabled).take(CONSOLE_APPS_MAX);
        let apps = apps.map(|app| {
            let key = app.keys().find(|key| key.enabled).unwrap_or_else(|| app.oldest_key());
            Object::default().text("id", &app.id).text("key", &key.name).end()
        });
        Some(self.facts()?.reached().raw("apps", &list(apps)).end())
    }
}

const NOT_KEPT: (&str, &str) = ("Cache-Control", "no-store");
