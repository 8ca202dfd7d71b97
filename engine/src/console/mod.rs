//! What the console has from the engine: the files of its page, and what the API core cannot know.
//!
//! `facts` answers the questions of the API core, `hooks_desk` those about hooks; `token` is how it hears of another token.
//! The page itself is in the folder `console` beside this crate's `src`.

mod facts;
mod hooks_desk;
mod token;

use std::sync::{Arc, OnceLock};

use api::console::files::Files;
use machines::api_core::console::ConsoleConfig;
use protocol::auth::ConsoleKey;

pub(crate) use facts::{ConsoleFacts, Reached};
pub(crate) use hooks_desk::HooksDesk;
pub use token::NextToken;

use crate::driver::problems;
use crate::settings::AdminToken;

/// The page, each file with its name.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/console_files.rs"));

/// Where clients connect, once that is known.
pub(crate) type ReachedLater = Arc<OnceLock<Reached>>;

/// The console of a server, for those who know this token.
pub(crate) fn console(token: &AdminToken, facts: ConsoleFacts) -> ConsoleConfig {
    problems::start_keeping();
    ConsoleConfig {
        key: ConsoleKey::new(&(facts.random)(), token.reveal()),
        files: Files::new(FILES),
        facts: Box::new(facts),
    }
}
