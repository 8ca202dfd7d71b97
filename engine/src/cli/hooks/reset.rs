//! `corecast hooks reset`: everything that waits is deleted, for good. Not beside a server or a consumer.

use clap::Args;
use hooks::dead_letters::{DeadLetters, Selection};
use hooks::journal::{self, StartError};
use hooks::stream::view::StreamView;

use super::Where;
use crate::cli::failure::Failure;
use crate::cli::output::print;
use crate::cli::table::thousands;

/// How many dead letters are deleted at once.
const LETTERS_AT_ONCE: usize = 1_000;

#[derive(Debug, Args)]
pub(super) struct ResetArgs {
    #[command(flatten)]
    place: Where,
    /// Confirm the deletion
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(args: ResetArgs) -> Result<(), Failure> {
    let found = args.place.find()?;
    let directory = found.data_dir.display();
    if !args.yes {
        let stream =
            found.stream.as_ref().map_or(String::new(), |stream| format!(", and the stream {}", stream.key));
        return Err(Failure::config(format!(
            "this deletes all waiting events in {directory}, all dead letters{stream}; add --yes to confirm"
        )));
    }
    // The stream is looked at first: nothing is deleted when one of them is in use.
    let mut stream = found.stream.as_ref().map(StreamView::open).transpose().map_err(Failure::outside)?;
    if let Some(stream) = &mut stream
        && let Some(active) = stream.status().map_err(Failure::outside)?.active
    {
        return Err(Failure::outside(format!(
            "the stream has an active consumer, {active}: stop that server or worker, run this again, and start it then"
        )));
    }
    let events = journal::clear(&found.data_dir).map_err(in_use)?;
    let letters = delete_letters(&found.data_dir)?;
    print(&format!(
        "{} events and {} dead letters deleted in {directory}\n",
        thousands(events),
        thousands(letters)
    ))?;
    if let Some(stream) = &mut stream {
        let what = if stream.delete().map_err(Failure::outside)? { "deleted" } else { "there was none" };
        print(&format!("stream: {what}\n"))?;
    }
    Ok(())
}

/// A running server has its events in memory too.
fn in_use(error: StartError) -> Failure {
    let StartError::InUse { path, process } = error else { return Failure::outside(error) };
    let (path, process) = (path.display(), process.map_or_else(String::new, |id| format!(" (process {id})")));
    Failure::outside(format!(
        "a server{process} runs with the data directory {path}: stop it with SIGTERM, run this again, and start it then"
    ))
}

fn delete_letters(data_dir: &std::path::Path) -> Result<u64, Failure> {
    let Some(mut letters) = DeadLetters::open_existing(data_dir).map_err(Failure::outside)? else {
        return Ok(0);
    };
    let mut deleted = 0;
    loop {
        let some = letters.list(&Selection::All, 0, LETTERS_AT_ONCE).map_err(Failure::outside)?;
        if some.is_empty() {
            return Ok(deleted);
        }
        let ids: Vec<i64> = some.iter().map(|letter| letter.id).collect();
        letters.remove(&ids).map_err(Failure::outside)?;
        deleted += ids.len() as u64;
    }
}
