//! What the console has from the engine: the files of its page, and what the API core cannot know.
//!
//! `facts` answers the questions of the API core. The page itself is in the folder `console` beside this crate's `src`.

mod facts;

use std::sync::{Arc, OnceLock};

use api::console::files::Files;
use machines::api_core::console::ConsoleConfig;
use protocol::auth::ConsoleKey;

pub(crate) use facts::{ConsoleFacts, Reached};

use crate::driver::problems;
use crate::settings::AdminToken;

/// The page, each file with its name.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/console_files.rs"));

/// Where clients connect, once that is known.
pub(crate) type ReachedLater = Arc<OnceLock<Reached>>;

/// The console of a server, for those who know this token. `random` is known to nobody.
pub(crate) fn console(token: &AdminToken, random: &[u8; 32], facts: ConsoleFacts) -> ConsoleConfig {
    problems::start_keeping();
    ConsoleConfig {
        key: ConsoleKey::new(random, token.reveal()),
        files: Files::new(FILES),
        facts: Box::new(facts),
    }
}
