//! The rule against public items that no other file names: they are private, or they are nothing.
//!
//! A compiler warns of unused items, but not of public ones of a library. By name alone: an item counts as used when
//! any other file, a test among them, has its name in its code. Only the tidy test calls this.

use std::collections::{BTreeMap, BTreeSet};

use crate::code::{code_of, has_word, lines, names};
use crate::tree::File;

/// Every public item of a `src` whose name is in no other file.
pub(crate) fn unused_items(files: &[File]) -> Vec<String> {
    let sources: Vec<(&str, String)> = files
        .iter()
        .filter(|file| file.path.ends_with(".rs"))
        .map(|file| (file.path.as_str(), code_of(&file.text)))
        .collect();
    let mut named_in: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (path, code) in &sources {
        for name in names(code) {
            named_in.entry(name).or_default().insert(path);
        }
    }
    let mut found = Vec::new();
    for (path, code) in sources.iter().filter(|(path, _)| path.contains("src/")) {
        for (number, line) in lines(code) {
            let unused =
                public_item(line).filter(|name| named_in[name].len() < 2 && !is_shown(code, line, name));
            found.extend(unused.map(|name| format!("{path}:{number}: no other file names {name}")));
        }
    }
    found
}

/// Whether the file shows a type to others without their naming it: as a public field, in a public function, as the
/// associated type of a trait.
fn is_shown(code: &str, declaration: &str, name: &str) -> bool {
    let is_type = names(declaration).any(|word| matches!(word, "struct" | "enum" | "trait" | "type"));
    let shows = |line: &str| {
        let line = line.trim_start();
        ["pub ", "pub(", ") ->", "type "].iter().any(|start| line.starts_with(start)) && has_word(line, name)
    };
    is_type && code.lines().any(|line| line != declaration && shows(line))
}

/// The name of the public item that a line declares.
fn public_item(line: &str) -> Option<&str> {
    let line = line.trim_start().strip_prefix("pub")?;
    let line = if line.starts_with('(') { line.split_once(')')?.1 } else { line };
    let mut words = names(line.strip_prefix(' ')?);
    let mut kind = words.next()?;
    let mut next = words.next()?;
    // `const` begins a function as well.
    while matches!(kind, "const" | "async" | "unsafe") && matches!(next, "fn" | "unsafe" | "async") {
        (kind, next) = (next, words.next()?);
    }
    let is_item = matches!(kind, "fn" | "struct" | "enum" | "const" | "trait" | "static" | "type");
    is_item.then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let file = |(path, text): &(&str, &str)| File { path: (*path).to_owned(), text: (*text).to_owned() };
        unused_items(&files.iter().map(file).collect::<Vec<File>>())
    }

    #[test]
    fn an_item_that_no_other_file_names_is_found() {
        let kinds = [
            "pub fn thing() {}",
            "pub const fn thing() {}",
            "    pub(crate) fn thing() {}",
            "pub struct thing;",
            "pub enum thing {}",
            "pub(super) const thing: u8 = 1;",
            "pub trait thing {}",
            "pub static thing: u8 = 1;",
            "pub type thing = u8;",
        ];
        for kind in kinds {
            let text = format!("//! A.\n{kind}\nfn other() {{ thing() }}");
            let silent = ("x/src/b.rs", "// thing\nlet a = \"thing\"; things();");
            assert_eq!(found(&[("x/src/a.rs", &text), silent]), ["x/src/a.rs:2: no other file names thing"]);
            for path in ["x/src/b.rs", "x/tests/b.rs", "y/examples/b.rs"] {
                assert_eq!(found(&[("x/src/a.rs", &text), (path, "a::thing();")]), [""; 0]);
            }
        }
    }

    #[test]
    fn a_type_that_is_shown_need_not_be_named() {
        let caller = ("x/src/b.rs", "f()");
        let shown =
            ["pub fn f() -> Thing {}", "    pub thing: Thing,", ") -> Thing {", "    type Err = Thing;"];
        for line in shown {
            let text = format!("pub struct Thing;\n{line}");
            assert_eq!(found(&[("x/src/a.rs", &text), caller]), [""; 0], "{line}");
        }
        for line in ["fn f() -> Thing {}", "impl Thing {", "pub fn f() { things() }"] {
            let text = format!("pub struct Thing;\n{line}");
            let wanted = ["x/src/a.rs:1: no other file names Thing"];
            assert_eq!(found(&[("x/src/a.rs", &text), caller]), wanted, "{line}");
        }
    }

    #[test]
    fn what_is_private_and_what_is_no_item_is_left_alone() {
        let texts =
            ["fn thing() {}", "pub mod thing;", "pub use a::thing;", "pub thing: u8,", "public(thing);"];
        for text in texts {
            assert_eq!(found(&[("x/src/a.rs", text)]), [""; 0], "{text}");
        }
        assert_eq!(found(&[("x/tests/a.rs", "pub fn thing() {}")]), [""; 0]);
    }
}
