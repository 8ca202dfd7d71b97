//! `corecast conform`: asks a running server, of whichever make, whether it speaks the protocol as the SDKs expect it.

use std::env;

use clap::Args;
use corecast_conform::{Check, Target};

use super::failure::Failure;
use super::output::{print, print_json_lines};
use super::target::TargetArgs;

#[derive(Debug, Args)]
pub(super) struct ConformArgs {
    /// The server, as http://KEY:SECRET@HOST:PORT/apps/ID, or http://HOST:PORT[/PATH] with the app given by an option below
    url: Option<String>,
    #[command(flatten)]
    target: TargetArgs,
    /// Only the checks whose names begin with this, such as presence. or rest_events.batch
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Print one JSON object: how many checks, and each deviation with its name, what came, and what it breaks
    #[arg(long)]
    json: bool,
    /// List the checks and what fails without them, and ask nobody
    #[arg(long)]
    list: bool,
}

pub(super) fn run(args: ConformArgs) -> Result<(), Failure> {
    let wanted = args.only.unwrap_or_default();
    let checks: Vec<&Check> =
        corecast_conform::all().filter(|check| check.name.starts_with(&*wanted)).collect();
    if checks.is_empty() {
        return Err(Failure::config(format!("--only {wanted}: no check has such a name; --list shows them")));
    }
    if args.list {
        let lines: Vec<String> =
            checks.iter().map(|check| format!("{}: {}\n", check.name, check.breaks)).collect();
        return Ok(print(&lines.concat())?);
    }
    let target = find(args.url.as_deref(), args.target).map_err(Failure::config)?;
    let report = corecast_conform::run(&target, checks);
    if args.json {
        print_json_lines(&format!("{}\n", report.json()))?;
    } else {
        print(&report.to_string())?;
    }
    match report.deviations().count() {
        0 => Ok(()),
        count => Err(Failure::outside(format!(
            "the server deviates from the protocol in {count} of {} checks",
            report.outcomes.len()
        ))),
    }
}

/// A URL with an app in it says all; else the options that `publish` has too.
fn find(url: Option<&str>, args: TargetArgs) -> Result<Target, String> {
    let wrong = |error: corecast_client::UrlError| error.to_string();
    match url {
        Some(url) if url.contains("/apps/") => Target::of_url(url).map_err(wrong),
        Some(url) => {
            let target = args.find(env::var("PUSHER_URL").ok())?;
            Target::new(url, target.credentials()).map_err(wrong)
        }
        None => {
            let target = args.find(env::var("PUSHER_URL").ok())?;
            Target::new(&target.to.url(), target.credentials()).map_err(wrong)
        }
    }
}
