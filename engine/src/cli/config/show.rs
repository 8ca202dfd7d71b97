//! `corecast config show`: each setting as it holds, in columns or as one object of JSON.

use clap::Args;

use super::AllSources;
use crate::cli::failure::Failure;
use crate::cli::output::{print, print_json_lines};
use crate::cli::table::Table;
use crate::config::{Setting, quoted};

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Print one JSON object: {PATH: {"value", "origin", "where"}}
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    sources: AllSources,
}

pub(super) fn run(args: &ShowArgs) -> Result<(), Failure> {
    let settings = args.sources.read()?.settings;
    if args.json {
        return Ok(print_json_lines(&json(&settings))?);
    }
    let mut table = Table::new(&["setting", "value", "from"]);
    for Setting { path, value, origin, place, .. } in settings {
        let place = place.unwrap_or_else(|| origin.name().to_owned());
        table.push([path, value.unwrap_or_else(|| "none".to_owned()), place]);
    }
    Ok(print(&table.render())?)
}

fn json(settings: &[Setting]) -> String {
    let members: Vec<String> = settings
        .iter()
        .map(|Setting { path, value, origin, place, .. }| {
            let (value, place) = (value.as_deref().unwrap_or("null"), place.as_deref().map(quoted));
            let place = place.as_deref().unwrap_or("null");
            let origin = quoted(origin.name());
            format!("  {}: {{ \"value\": {value}, \"origin\": {origin}, \"where\": {place} }}", quoted(path))
        })
        .collect();
    format!("{{\n{}\n}}\n", members.join(",\n"))
}
