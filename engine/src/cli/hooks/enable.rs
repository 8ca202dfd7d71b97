//! `corecast hooks enable`: an endpoint that failed for too long gets events again.
//!
//! It takes the note back from the file of the dead letters. The server or worker that delivers from this data directory looks
//! once a second.

use clap::Args;
use hooks::dead_letters::{DeadLetters, Selection};

use super::Where;
use crate::cli::failure::Failure;
use crate::cli::output::print;
use crate::cli::table::thousands;

#[derive(Debug, Args)]
pub(super) struct EnableArgs {
    /// Name of the endpoint, as `corecast hooks status` shows it
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    place: Where,
}

pub(super) fn run(args: EnableArgs) -> Result<(), Failure> {
    let name = args.name;
    let letters = DeadLetters::open_existing(&args.place.find()?.data_dir).map_err(Failure::outside)?;
    let is_disabled = |letters: &mut DeadLetters| letters.enable(&name).map_err(Failure::outside);
    let Some(mut letters) = letters else { return Err(not_disabled(&name)) };
    if !is_disabled(&mut letters)? {
        return Err(not_disabled(&name));
    }
    let (all, _) = letters.counts(&Selection::Endpoint(name.clone())).map_err(Failure::outside)?;
    let advice = match all {
        0 => String::new(),
        all => format!(
            "; `corecast hooks dlq replay --endpoint {name}` retries its {} dead letters",
            thousands(all)
        ),
    };
    Ok(print(&format!("the endpoint {name} is enabled{advice}\n"))?)
}

fn not_disabled(name: &str) -> Failure {
    Failure::outside(format!("no endpoint {name:?} is disabled: see `corecast hooks status`"))
}
