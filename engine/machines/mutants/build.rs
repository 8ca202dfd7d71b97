//! Copies the machines' source and breaks each rule of the table in it, behind a switch.
//!
//! Fails when a place of the table is not found exactly once, so a table that no longer fits the source is a build error.

#[allow(unreachable_pub, reason = "the tests read it, too")]
#[path = "src/cluster_table.rs"]
mod cluster_table;
#[allow(unreachable_pub, reason = "the tests read it, too")]
#[path = "src/leaving_table.rs"]
mod leaving_table;
#[allow(unreachable_pub, reason = "the tests read it, too")]
#[path = "src/levels_table.rs"]
mod levels_table;
#[allow(dead_code, unreachable_pub, reason = "the test reads what this does not")]
#[path = "src/table.rs"]
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use cluster_table::CLUSTER_MUTANTS;
use leaving_table::LEAVING_MUTANTS;
use levels_table::LEVELS_MUTANTS;
use table::{Edit, MUTANTS, Mutant, Place, SUPPORT};

fn main() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets it")).join("machines");
    println!("cargo::rerun-if-changed={}", source.display());
    println!("cargo::rerun-if-changed=src");
    if out.exists() {
        fs::remove_dir_all(&out).expect("the copy of the last build goes");
    }
    let mut edits = edits_by_file();
    copy(&source, &source, &out, &mut edits);
    let strangers: Vec<_> = edits.keys().collect();
    assert!(strangers.is_empty(), "these files of the table are not among the machines: {strangers:?}");
}

/// Those of all tables, in the order of their numbers.
fn all_mutants() -> impl Iterator<Item = &'static Mutant> {
    MUTANTS.iter().chain(CLUSTER_MUTANTS).chain(LEVELS_MUTANTS).chain(LEAVING_MUTANTS)
}

/// Edits of each file, with the number of their mutant.
fn edits_by_file() -> BTreeMap<&'static str, Vec<(usize, &'static Place)>> {
    let mut by_file: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (number, mutant) in all_mutants().enumerate() {
        for place in mutant.places {
            by_file.entry(place.file).or_default().push((number, place));
        }
    }
    by_file
}

fn copy(
    root: &Path,
    folder: &Path,
    out: &Path,
    edits: &mut BTreeMap<&'static str, Vec<(usize, &'static Place)>>,
) {
    fs::create_dir_all(out).expect("a folder of the copy");
    for entry in fs::read_dir(folder).expect("a folder of the machines") {
        let path = entry.expect("an entry of it").path();
        let to = out.join(path.file_name().expect("entries have names"));
        if path.is_dir() {
            copy(root, &path, &to, edits);
            continue;
        }
        let name = path.strip_prefix(root).expect("it is below the root").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("source is text");
        let text = match edits.remove(name.as_str()) {
            Some(edits) => broken(&name, &text, &edits),
            None => text,
        };
        let support = SUPPORT.iter().filter(|(file, _)| *file == name).map(|(_, code)| *code);
        let text = text + &support.collect::<String>();
        // The root of the crate is included where inner attributes may not stand.
        let text = if name == "lib.rs" { without_inner_attributes(&text) } else { text };
        fs::write(to, text).expect("the copy can be written");
    }
}

fn without_inner_attributes(text: &str) -> String {
    let mut inside = false;
    let is_code = |line: &&str| {
        let first = line.starts_with("#![");
        let inner = inside || first;
        inside = inner && !line.ends_with(")]");
        !inner && !line.starts_with("//!")
    };
    text.lines().filter(is_code).map(|line| format!("{line}\n")).collect()
}

/// The text with each edit behind the switch of its mutant.
fn broken(file: &str, text: &str, edits: &[(usize, &Place)]) -> String {
    // By place: what is put before it, and what is there instead of it.
    let mut by_range: BTreeMap<(usize, usize), String> = BTreeMap::new();
    for (number, place) in edits {
        let name = all_mutants().nth(*number).map_or("", |mutant| mutant.name);
        let (from, to) = find(file, name, text, place);
        let switch = format!("if crate::mutant::is({number}) {{ {} }}", place.code);
        let (range, code) = match place.edit {
            Edit::Before => ((from, from), format!("{switch}\n")),
            Edit::After => ((to, to), format!("\n{switch}\n")),
            Edit::Instead => ((from, to), format!("{switch} else ")),
        };
        by_range.entry(range).or_default().push_str(&code);
    }
    let mut out = String::new();
    let mut at = 0;
    for ((from, to), code) in by_range {
        assert!(from >= at, "{file}: two places of the table overlap at {}", &text[from..to]);
        let original = &text[from..to];
        out.push_str(&text[at..from]);
        match original {
            "" => out.push_str(&code),
            _ if is_statement(original) => out.push_str(&format!("{code}{{ {original} }}")),
            _ => out.push_str(&format!("({code}{{ {original} }})")),
        }
        at = to;
    }
    out.push_str(&text[at..]);
    out
}

fn is_statement(code: &str) -> bool {
    code.ends_with([';', '}'])
}

fn find(file: &str, name: &str, text: &str, place: &Place) -> (usize, usize) {
    let (start, around) = match place.within {
        "" => (0, text),
        within => (once(file, name, text, within), within),
    };
    let from = start + once(file, name, around, place.original);
    (from, from + place.original.len())
}

fn once(file: &str, name: &str, text: &str, wanted: &str) -> usize {
    let found = text.matches(wanted).count();
    assert!(found == 1, "{name}: {file} has {found} times, and should have once:\n{wanted}");
    text.find(wanted).expect("it was counted")
}
