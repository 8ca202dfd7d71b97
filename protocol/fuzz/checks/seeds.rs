//! The seeds of a fuzz target, each tried by the target's own check.
//!
//! Seeds lie in `seeds/TARGET/OUTCOME/NAME`: the folder says what must come of them, the name what they are. Called by
//! the tests that replay them.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

/// Tries every seed below this folder.
pub(crate) fn replay(target: &Path, check: fn(&[u8]) -> &'static str) {
    let mut wrong = Vec::new();
    let mut tried = 0;
    for outcome in entries(target) {
        for seed in entries(&outcome) {
            let bytes = fs::read(&seed).unwrap();
            let expected = outcome.file_name().unwrap().to_str().unwrap();
            match catch_unwind(|| check(&bytes)) {
                Ok(found) if found == expected => tried += 1,
                Ok(found) => wrong.push(format!("{} was {found}", seed.display())),
                Err(_) => wrong.push(format!("{} broke a rule", seed.display())),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried >= 8, "only {tried} seeds in {}", target.display());
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().path()).collect()
}
