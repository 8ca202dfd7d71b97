//! What the console shows and the API core cannot know: how the process, its settings and its cluster are. The engine tells it
//! when it is asked; nothing here may wait for anything.

use api::console::object::Object;
use api::console::questions::{LetterPage, Replay};
use protocol::auth::ConsoleKey;

/// Where it is from.
pub trait Facts {
    /// The settings as they hold, as a JSON array.
    fn settings(&self) -> String;
    /// The last refusals, as a JSON object.
    fn problems(&self) -> String;
    /// Where clients connect: an object with the host, if it is known, the port, and whether it has TLS.
    fn reached(&self) -> Object;
    /// The token that has followed the one before, with the key of its sessions; once.
    fn next_key(&self) -> Option<ConsoleKey>;
    /// How the process is.
    fn process(&self) -> ProcessFacts;
    /// Whether there are hooks.
    fn has_hooks(&self) -> bool;
    /// Asks hooks under this name. Returns false if too much is asked already.
    fn ask_hooks(&self, question: u64, ask: HooksAsk) -> bool;
    /// What hooks have answered.
    fn hooks_answers(&self) -> Vec<(u64, HooksAnswer)>;
    /// How it stands with the servers of the cluster, as a JSON array. None: there is no cluster.
    fn nodes(&self) -> Option<String>;
}

/// A process in numbers.
#[derive(Clone, Debug, Default)]
pub struct ProcessFacts {
    /// Memory in RAM.
    pub memory_bytes: Option<u64>,
    /// Past this there is too little for newcomers.
    pub memory_high_bytes: Option<u64>,
    /// For how long each shard has not slept so far, in microseconds.
    pub shards_busy_us: Vec<u64>,
    /// The same of the API core.
    pub api_busy_us: u64,
}

/// Something that is asked of hooks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HooksAsk {
    /// How the endpoints are.
    Status,
    /// A page of dead letters.
    Letters(LetterPage),
    /// Dead letters are to be tried again.
    Replay(Replay),
    /// An endpoint is to get events again.
    Enable(String),
}

/// JSON, or the status of a refusal and what to do.
pub type HooksAnswer = Result<String, (u16, String)>;
