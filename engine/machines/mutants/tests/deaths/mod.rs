//! How the mutants of a table die: by the first schedule that fails with each of them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use corecast_machines::mutant::set;
use corecast_machines::table::Mutant;

const SCHEDULES_MAX: u64 = 30_000;

/// The names of those that live through all schedules. The first of the table has this number.
pub fn survivors(
    mutants: &'static [Mutant],
    first_number: usize,
    run: impl Fn(u64) -> Result<(), String> + Sync,
) -> Vec<&'static str> {
    std::panic::set_hook(Box::new(|_| {}));
    let only = std::env::var("CORECAST_SIM_MUTANT").ok();
    let wanted = |mutant: &Mutant| only.as_ref().is_none_or(|only| mutant.name == *only);
    let (next, survivors) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let try_some = || {
        while let Some((number, mutant)) = {
            let number = next.fetch_add(1, Ordering::Relaxed);
            mutants.get(number).map(|mutant| (first_number + number, mutant))
        } {
            if !wanted(mutant) {
                continue;
            }
            match first_failure(number, &run) {
                Some((seed, why)) => {
                    let why: String = why.chars().take(150).collect();
                    println!("{} dies at seed {seed}: {why}", mutant.name);
                }
                None => survivors.lock().unwrap().push(mutant.name),
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(try_some))));
    drop(std::panic::take_hook());
    survivors.into_inner().unwrap()
}

/// The first schedule in which the mutant of this number is caught, and by what.
fn first_failure(number: usize, run: &impl Fn(u64) -> Result<(), String>) -> Option<(u64, String)> {
    let schedules = std::env::var("CORECAST_SIM_SEEDS").ok().and_then(|text| text.parse().ok());
    (0..schedules.unwrap_or(SCHEDULES_MAX)).find_map(|seed| {
        set(Some(number));
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(seed)));
        set(None);
        match outcome {
            Ok(Ok(())) => None,
            Ok(Err(why)) => Some((seed, why)),
            Err(_) => Some((seed, "panicked".into())),
        }
    })
}
