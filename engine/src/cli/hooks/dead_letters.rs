//! `corecast hooks dlq`: events that an endpoint did not accept in time, and how to retry them.
//!
//! A replay marks them. The server or worker that delivers from this data directory looks once a second and retries them.

use std::io::IsTerminal;
use std::thread;
use std::time::{Duration, Instant};

use clap::{ArgGroup, Args, Subcommand};
use hooks::dead_letters::{DeadLetter, DeadLetters, Mark, Selection};
use hooks::encoding::channel_of;
use indicatif::{ProgressBar, ProgressStyle};

use super::{Found, Where};
use crate::cli::failure::Failure;
use crate::cli::output::print;
use crate::cli::table::{Table, one_line, thousands, utc};

/// How often the progress of a replay is read.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A replay in which nothing happens for so long is no longer watched.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub(super) struct DlqArgs {
    #[command(subcommand)]
    command: DlqCommand,
}

#[derive(Debug, Subcommand)]
enum DlqCommand {
    /// Show dead letters, oldest first
    List(ListArgs),
    /// Retry dead letters
    Replay(ReplayArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    place: Where,
    /// Only dead letters of this endpoint
    #[arg(long, value_name = "NAME")]
    endpoint: Option<String>,
    /// Show at most this many
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true))]
struct ReplayArgs {
    #[command(flatten)]
    place: Where,
    /// All dead letters of this endpoint
    #[arg(long, value_name = "NAME", group = "which")]
    endpoint: Option<String>,
    /// The dead letter with this number
    #[arg(long, value_name = "N", group = "which")]
    id: Option<i64>,
    /// All of them
    #[arg(long, group = "which")]
    all: bool,
    /// Do not wait for the result
    #[arg(long)]
    no_wait: bool,
}

pub(super) fn run(args: DlqArgs) -> Result<(), Failure> {
    match args.command {
        DlqCommand::List(args) => list(args),
        DlqCommand::Replay(args) => replay(args),
    }
}

fn list(args: ListArgs) -> Result<(), Failure> {
    let letters = open(&args.place.find()?)?;
    let selection = args.endpoint.map_or(Selection::All, Selection::Endpoint);
    let shown = letters.list(&selection, 0, args.limit).map_err(Failure::outside)?;
    let (all, _) = letters.counts(&selection).map_err(Failure::outside)?;
    let mut table = Table::new(&[
        "number", "endpoint", "event", "kind", "channel", "happened", "given up", "tries", "reason",
    ]);
    shown.iter().for_each(|letter| table.push(row(letter)));
    let shown = format!("{} of {} dead letters\n", thousands(shown.len() as u64), thousands(all));
    Ok(print(&if all > 0 { table.render() + &shown } else { shown })?)
}

fn row(letter: &DeadLetter) -> [String; 9] {
    let why = match letter.mark {
        Mark::Kept => letter.reason.clone(),
        Mark::Wanted | Mark::Taken => format!("(to be retried) {}", letter.reason),
    };
    [
        letter.id.to_string(),
        letter.endpoint.clone(),
        letter.row_id.to_string(),
        letter.name.clone(),
        one_line(&channel_of(&letter.data).unwrap_or_default()),
        utc(letter.time_ms),
        utc(letter.died_ms),
        letter.tries.to_string(),
        one_line(&why),
    ]
}

fn replay(args: ReplayArgs) -> Result<(), Failure> {
    let mut letters = open(&args.place.find()?)?;
    let selection = match (args.endpoint, args.id) {
        (Some(endpoint), _) => Selection::Endpoint(endpoint),
        (None, Some(id)) => Selection::Id(id),
        (None, None) => Selection::All,
    };
    let (before, _) = letters.counts(&selection).map_err(Failure::outside)?;
    if before == 0 {
        return Err(Failure::outside("no dead letter matches: see `corecast hooks dlq list`".to_owned()));
    }
    let marked = letters.mark(&selection).map_err(Failure::outside)?;
    print(&format!("{} dead letters will be retried\n", thousands(marked)))?;
    if args.no_wait { Ok(()) } else { watch(&letters, &selection, before) }
}

/// Shows the progress until no letter waits any more or nothing happens.
fn watch(letters: &DeadLetters, selection: &Selection, before: u64) -> Result<(), Failure> {
    let bar = progress(letters.counts(selection).map_err(Failure::outside)?.1);
    let (mut last, mut moved) = (u64::MAX, Instant::now());
    let (left, waiting) = loop {
        let (left, waiting) = letters.counts(selection).map_err(Failure::outside)?;
        bar.set_position(bar.length().unwrap_or(0).saturating_sub(waiting));
        if waiting != last {
            (last, moved) = (waiting, Instant::now());
        }
        if waiting == 0 || moved.elapsed() > PATIENCE {
            break (left, waiting);
        }
        thread::sleep(LOOK_EVERY);
    };
    bar.finish_and_clear();
    print(&format!(
        "{} delivered, {} dead letters are left\n",
        thousands(before.saturating_sub(left)),
        thousands(left)
    ))?;
    match waiting {
        0 if left >= before => Err(Failure::outside(format!(
            "none was delivered: {}",
            letters.newest(selection).map_err(Failure::outside)?.map_or_else(
                || "newer ones have taken their places".to_owned(),
                |letter| format!("{:?} says: {}", letter.endpoint, one_line(&letter.reason))
            )
        ))),
        0 => Ok(()),
        waiting => Err(Failure::outside(format!(
            "{} have not been retried yet: they will be when a server with this data directory runs and their endpoint \
             accepts events{}",
            thousands(waiting),
            failing(letters)?
        ))),
    }
}

/// Endpoints that accepted nothing at the last delivery from here, and why.
fn failing(letters: &DeadLetters) -> Result<String, Failure> {
    let statuses = letters.endpoints().map_err(Failure::outside)?;
    let failing = statuses.into_iter().filter_map(|status| Some((status.name, status.failure?.error)));
    Ok(failing.map(|(name, error)| format!("; {name:?} says: {}", one_line(&error))).collect())
}

fn progress(letters: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(letters);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {human_pos} of {human_len}, {eta} left") {
        bar.set_style(style);
    }
    bar
}

fn open(found: &Found) -> Result<DeadLetters, Failure> {
    let nothing = || {
        let directory = found.data_dir.display();
        Failure::outside(format!(
            "there are no dead letters in {directory}: give --data-dir DIR or --config FILE"
        ))
    };
    DeadLetters::open_existing(&found.data_dir).map_err(Failure::outside)?.ok_or_else(nothing)
}
