//! `corecast top`: what a server does, live, in a terminal: by core, app, channel and slow connection.
//!
//! With a token it reads the console's stream of the admin listener, without one what `/metrics` tells. `feed` asks, `told` is what comes and `state`
//! what is known, `tables` and `screen` make a picture of it, `terminal` shows that and hears keys.

use std::env;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use super::failure::Failure;
use super::output::print;
use crate::limits::TOP_ONCE_MAX;
use feed::{Asked, Feed};
use state::State;
use tables::Tab;
use told::News;

mod feed;
mod scrape;
mod screen;
mod state;
mod tables;
mod terminal;
mod told;

/// Where the admin listener is by default.
const URL: &str = "http://127.0.0.1:9601";

const AFTER_HELP: &str = "\
Keys: Tab and the arrows left and right choose what is listed, the arrows up and down and the page keys scroll, s sorts by the next \
column, r turns the order around, q ends. NO_COLOR turns colours off.

Exit codes: 0 ended by q, or --once has printed; 1 the server does not answer, or refuses the token; 78 a flag is wrong; 141 the \
reader of the output has gone.";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct TopArgs {
    /// Where the admin listener of the server is
    #[arg(long, default_value = URL)]
    url: String,
    /// A file that holds the admin token; without it, the variable CORECAST_ADMIN_TOKEN. Without a token only what /metrics tells is
    /// shown
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print one screen as text and end
    #[arg(long)]
    once: bool,
}

pub(super) fn run(args: TopArgs) -> Result<(), Failure> {
    let token = match &args.token_file {
        Some(file) => Some(fs::read_to_string(file).map_err(|error| {
            Failure::config(format!("the token cannot be read from {}: {error}", file.display()))
        })?),
        None => env::var("CORECAST_ADMIN_TOKEN").ok(),
    };
    let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
    let url = args.url.trim_end_matches('/').to_owned();
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(Failure::config(format!("--url {url:?} is no URL; write http://IP:PORT, such as {URL}")));
    }
    let asked = Asked { url, token, all: args.once };
    if args.once {
        return print_once(asked);
    }
    if !io::stdout().is_terminal() {
        return Err(Failure::config("standard output is no terminal; --once prints one screen as text"));
    }
    terminal::run(asked)
}

fn print_once(asked: Asked) -> Result<(), Failure> {
    let mut state = State::new(&asked.url);
    let feed = Feed::start(asked, Tab::Cores).map_err(Failure::outside)?;
    let end = Instant::now() + TOP_ONCE_MAX;
    while !state.is_whole() {
        match feed.next(end.saturating_duration_since(Instant::now())) {
            Some(News::Ended(why) | News::Fault(why)) => return Err(Failure::outside(why)),
            Some(news) => state.take(news),
            None => return Err(Failure::outside(format!("{} tells nothing", state.url()))),
        }
    }
    let columns = env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    print(&screen::text(&state, columns.unwrap_or(screen::COLUMNS)))?;
    Ok(())
}
