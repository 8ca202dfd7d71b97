//! Dead letters in their file: kept, bounded, tried again, and shared with an operator's command.

mod scratch;

use hooks::data_dir::DEAD_LETTERS_FILE;
use hooks::dead_letters::{
    DeadLetter, DeadLetters, DisabledEndpoint, EndpointFailure, EndpointStatus, Mark, Selection,
};
use scratch::Scratch;

fn letter(endpoint: &str, row_id: u64) -> DeadLetter {
    DeadLetter {
        id: 0,
        endpoint: endpoint.to_owned(),
        app_id: "1".to_owned(),
        row_id,
        name: "channel_vacated".to_owned(),
        data: r#"{"channel":"a"}"#.to_owned(),
        time_ms: 5,
        reason: "answered 500".to_owned(),
        tries: 3,
        died_ms: 9,
        mark: Mark::Kept,
    }
}

fn row_ids(letters: &[DeadLetter]) -> Vec<u64> {
    letters.iter().map(|letter| letter.row_id).collect()
}

#[test]
fn a_letter_is_found_as_it_was_kept() {
    let scratch = Scratch::new();
    let mut letters = DeadLetters::open(scratch.path()).unwrap();
    assert_eq!(letters.keep(&[letter("a", 7)]).unwrap(), 0);
    drop(letters);
    let letters = DeadLetters::open_existing(scratch.path()).unwrap().unwrap();
    assert_eq!(letters.list(&Selection::All, 0, 10).unwrap(), [DeadLetter { id: 1, ..letter("a", 7) }]);
}

#[test]
fn without_letters_there_is_no_file() {
    let scratch = Scratch::new();
    assert!(DeadLetters::open_existing(scratch.path()).unwrap().is_none());
    assert!(!scratch.path().join(DEAD_LETTERS_FILE).exists());
}

#[test]
fn lists_are_by_endpoint_by_id_and_in_pages() {
    let scratch = Scratch::new();
    let mut letters = DeadLetters::open(scratch.path()).unwrap();
    letters.keep(&[letter("a", 1), letter("b", 2), letter("a", 3)]).unwrap();
    let of_a = Selection::Endpoint("a".to_owned());
    assert_eq!(row_ids(&letters.list(&of_a, 0, 10).unwrap()), [1, 3]);
    assert_eq!(row_ids(&letters.list(&of_a, 1, 10).unwrap()), [3]);
    assert_eq!(row_ids(&letters.list(&Selection::All, 0, 2).unwrap()), [1, 2]);
    assert_eq!(row_ids(&letters.list(&Selection::Id(2), 0, 10).unwrap()), [2]);
    assert_eq!(letters.counts(&of_a).unwrap(), (2, 0));
}

#[test]
fn an_event_that_dies_again_stays_one_letter() {
    let scratch = Scratch::new();
    let mut letters = DeadLetters::open(scratch.path()).unwrap();
    letters.keep(&[letter("a", 1), letter("b", 1)]).unwrap();
    letters.mark(&Selection::All).unwrap();
    let again = DeadLetter { reason: "hung".to_owned(), tries: 2, died_ms: 20, ..letter("a", 1) };
    letters.keep(&[again]).unwrap();
    let found = letters.list(&Selection::All, 0, 10).unwrap();
    assert_eq!(found.len(), 2);
    let DeadLetter { reason, tries, died_ms, mark, .. } = &found[0];
    assert_eq!((&**reason, *tries, *died_ms, *mark), ("hung", 5, 20, Mark::Kept));
}

#[test]
fn the_oldest_go_beyond_the_bound_and_are_counted() {
    let scratch = Scratch::new();
    let mut letters = DeadLetters::open(scratch.path()).unwrap().bounded(32);
    let gone: u64 = (0..100).map(|row_id| letters.keep(&[letter("a", row_id)]).unwrap()).sum();
    let left = row_ids(&letters.list(&Selection::All, 0, 1_000).unwrap());
    assert!((30..=32).contains(&left.len()), "{} are left", left.len());
    assert_eq!((gone as usize + left.len(), left.last()), (100, Some(&99)));
}

#[test]
fn marked_letters_are_taken_once_and_again_after_a_crash() {
    let scratch = Scratch::new();
    let mut server = DeadLetters::open(scratch.path()).unwrap();
    server.keep(&[letter("a", 1), letter("a", 2), letter("b", 3)]).unwrap();
    let mut command = DeadLetters::open_existing(scratch.path()).unwrap().unwrap();
    assert_eq!(command.mark(&Selection::Endpoint("a".to_owned())).unwrap(), 2);
    assert_eq!(command.mark(&Selection::All).unwrap(), 1, "those that are marked already do not count");
    assert_eq!(row_ids(&server.take_marked("a", 1).unwrap()), [1]);
    assert_eq!(row_ids(&server.take_marked("a", 9).unwrap()), [2]);
    assert_eq!(row_ids(&server.take_marked("a", 9).unwrap()), [0; 0]);
    assert_eq!(command.counts(&Selection::All).unwrap(), (3, 3));
    server.remove(&[1]).unwrap();
    server.untake().unwrap();
    assert_eq!(row_ids(&server.take_marked("a", 9).unwrap()), [2]);
}

#[test]
fn a_newer_schema_is_refused_with_one_line() {
    let scratch = Scratch::new();
    drop(DeadLetters::open(scratch.path()).unwrap());
    let file = rusqlite::Connection::open(scratch.path().join(DEAD_LETTERS_FILE)).unwrap();
    file.pragma_update(None, "user_version", 4).unwrap();
    let fault = DeadLetters::open(scratch.path()).unwrap_err().to_string();
    assert!(fault.ends_with("have schema 4, written by a newer corecast; this one knows 3"), "{fault}");
}

#[test]
fn damaged_letters_are_set_aside_and_new_ones_are_kept() {
    let scratch = Scratch::new();
    let mut letters = DeadLetters::open(scratch.path()).unwrap();
    letters.keep(&[letter("a", 7)]).unwrap();
    drop(letters);
    let path = scratch.path().join(DEAD_LETTERS_FILE);
    std::fs::write(&path, "this is not SQLite".repeat(1_000)).unwrap();
    let mut letters = DeadLetters::open(scratch.path()).unwrap();
    letters.keep(&[letter("a", 8)]).unwrap();
    assert_eq!(row_ids(&letters.list(&Selection::All, 0, 10).unwrap()), [8]);
    let names = std::fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let aside: Vec<_> = names.filter(|name| name.to_string_lossy().contains(".damaged-")).collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
}

#[test]
fn letters_of_the_first_version_are_kept_and_endpoints_are_noted_beside_them() {
    let scratch = Scratch::new();
    let mut letters = DeadLetters::open(scratch.path()).unwrap();
    letters.keep(&[letter("a", 7)]).unwrap();
    drop(letters);
    let first = rusqlite::Connection::open(scratch.path().join(DEAD_LETTERS_FILE)).unwrap();
    first.execute_batch("DROP TABLE endpoints; DROP TABLE disabled; PRAGMA user_version = 1").unwrap();
    drop(first);
    let mut letters = DeadLetters::open(scratch.path()).unwrap();
    assert_eq!(row_ids(&letters.list(&Selection::All, 0, 10).unwrap()), [7]);
    let status = |name: &str, failure| EndpointStatus {
        name: name.to_owned(),
        target: "http://host/".to_owned(),
        held: 3,
        failure,
    };
    let failure = EndpointFailure { error: "answered 500".to_owned(), since_ms: 5, next_ms: None };
    letters.note_endpoints(&[status("gone", None)]).unwrap();
    let statuses = [status("a", Some(failure)), status("b", None)];
    letters.note_endpoints(&statuses).unwrap();
    assert_eq!(letters.endpoints().unwrap(), statuses);
}

#[test]
fn an_endpoint_stays_disabled_until_it_is_enabled() {
    let scratch = Scratch::new();
    let disabled =
        |name: &str| DisabledEndpoint { name: name.to_owned(), since_ms: 5, reason: "500".to_owned() };
    let mut letters = DeadLetters::open(scratch.path()).unwrap();
    for name in ["a", "b", "a"] {
        letters.disable(&disabled(name)).unwrap();
    }
    drop(letters);
    let mut letters = DeadLetters::open(scratch.path()).unwrap();
    assert_eq!(letters.disabled().unwrap(), ["a", "b"].map(disabled));
    assert!(letters.enable("a").unwrap() && !letters.enable("a").unwrap());
    assert_eq!(letters.disabled().unwrap(), ["b"].map(disabled));
}
