//! Who may look into a data directory, and what becomes of one that was open to others.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use hooks::dead_letters::DeadLetters;
use hooks::journal::StartError;

use crate::bench::{Bench, Directory, apps, settings};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// The modes of all files, by name.
fn modes(directory: &Path) -> Vec<(String, u32)> {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    let mut modes: Vec<_> =
        entries.map(|it| (it.file_name().into_string().unwrap(), mode(&it.path()))).collect();
    modes.sort();
    modes
}

/// Opens journal and dead letters, and says how all files are meanwhile.
fn modes_while_open(directory: &Path) -> Vec<(String, u32)> {
    let mut bench = Bench::start(directory);
    let letters = DeadLetters::open(directory).unwrap();
    bench.offer_client_events(3, 50);
    bench.read(0, 3, 10);
    let modes = modes(directory);
    drop(letters);
    bench.stop();
    modes
}

const OURS: [&str; 7] = [
    "dead_letters.db",
    "dead_letters.db-shm",
    "dead_letters.db-wal",
    "journal.db",
    "journal.db-shm",
    "journal.db-wal",
    "lock",
];

fn all_private() -> Vec<(String, u32)> {
    OURS.map(|name| (name.to_owned(), 0o600)).to_vec()
}

#[test]
fn a_new_data_directory_is_for_its_owner_alone() {
    let directory = Directory::new();
    let data = directory.path().join("deep/data");
    assert_eq!(modes_while_open(&data), all_private());
    assert_eq!((mode(&data), mode(data.parent().unwrap())), (0o700, 0o700));
}

#[test]
fn a_data_directory_of_before_is_tightened_with_its_files() {
    let directory = Directory::new();
    let bench = Bench::start(directory.path());
    let letters = DeadLetters::open(directory.path()).unwrap();
    set_mode(directory.path(), 0o777);
    OURS.iter().for_each(|name| set_mode(&directory.path().join(name), 0o644));
    drop(letters);
    bench.stop();
    assert_eq!(modes_while_open(directory.path()), all_private());
    assert_eq!(mode(directory.path()), 0o700);
}

#[test]
fn a_directory_that_has_files_of_others_stays_as_it_is() {
    let directory = Directory::new();
    set_mode(directory.path(), 0o755);
    fs::write(directory.path().join("index.html"), "").unwrap();
    set_mode(&directory.path().join("index.html"), 0o644);
    let found = modes_while_open(directory.path());
    let mut wanted = all_private();
    wanted.push(("index.html".to_owned(), 0o644));
    wanted.sort();
    assert_eq!((found, mode(directory.path())), (wanted, 0o755));
}

#[test]
fn a_directory_that_others_have_files_in_and_may_write_in_is_refused() {
    let directory = Directory::new();
    fs::write(directory.path().join("index.html"), "").unwrap();
    for open in [0o777, 0o1777, 0o775] {
        set_mode(directory.path(), open);
        let apps = apps(&["1"]);
        let refused = Bench::start_with(&settings(directory.path(), &apps, &["a"]), &apps);
        let error = refused.err().expect("it starts");
        assert!(matches!(error, StartError::Exposed(_)) && !error.may_pass(), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(&format!("(mode {open:o})")) && text.contains("--data-dir"), "{text}");
        let text = DeadLetters::open(directory.path()).unwrap_err().to_string();
        assert!(text.contains("others may write"), "{text}");
        assert_eq!((mode(directory.path()), modes(directory.path()).len()), (open, 1));
    }
}
