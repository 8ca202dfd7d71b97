//! The rule against circles: the modules of a folder stand on each other in an order that can be told.
//!
//! In each folder, a module is a file or a whole folder. One may name another, if that one does not lead back to it. A
//! module and those inside it belong together: a child may know its parent's types, and a parent its children. Only the
//! tidy test calls this.

use std::collections::{BTreeMap, BTreeSet};

use crate::modules::{Arrow, Path, arrows};
use crate::tree::File;

/// A circle: which modules, from the root of the project, and what ties them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Circle {
    pub(crate) modules: Vec<String>,
    pub(crate) ties: Vec<String>,
}

/// All circles of the project.
pub(crate) fn circles(files: &[File]) -> Vec<Circle> {
    crates(files).iter().flat_map(|(root, files)| circles_of(root, files)).collect()
}

/// The files of each `src`, by their path inside it.
fn crates(files: &[File]) -> BTreeMap<&str, Vec<(&str, &str)>> {
    let mut found: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.path.ends_with(".rs")) {
        if let Some((root, inside)) = file.path.split_once("/src/") {
            found.entry(root).or_default().push((inside, &file.text));
        }
    }
    for files in found.values_mut() {
        // A program beside its library is another crate.
        if files.iter().any(|(path, _)| *path == "lib.rs") {
            files.retain(|(path, _)| *path != "main.rs");
        }
    }
    found
}

/// The circles of one crate, folder by folder.
fn circles_of(root: &str, files: &[(&str, &str)]) -> Vec<Circle> {
    let mut folders: BTreeMap<Path, Vec<(String, String, Arrow)>> = BTreeMap::new();
    for arrow in arrows(files) {
        let shared = arrow.from.iter().zip(&arrow.to).take_while(|(a, b)| a == b).count();
        if let (Some(from), Some(to)) = (arrow.from.get(shared), arrow.to.get(shared)) {
            let (folder, from, to) = (arrow.from[..shared].to_vec(), from.clone(), to.clone());
            folders.entry(folder).or_default().push((from, to, arrow));
        }
    }
    let name = |folder: &Path, module: &str| {
        let inside: Vec<&str> = folder.iter().map(String::as_str).chain([module]).collect();
        format!("{root}/src/{}", inside.join("/"))
    };
    let mut found = Vec::new();
    for (folder, arrows) in &folders {
        for circle in knots(arrows.iter().map(|(from, to, _)| (from.as_str(), to.as_str()))) {
            let is_tie = |(from, to, _): &&(String, String, Arrow)| {
                circle.contains(from.as_str()) && circle.contains(to.as_str())
            };
            let show =
                |arrow: &Arrow| format!("{} > {} {}", arrow.from.join("::"), arrow.to.join("::"), arrow.item);
            found.push(Circle {
                modules: circle.iter().map(|module| name(folder, module)).collect(),
                ties: arrows.iter().filter(is_tie).map(|(_, _, arrow)| show(arrow)).collect(),
            });
        }
    }
    found
}

/// The groups of names that lead to each other.
fn knots<'a>(arrows: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<BTreeSet<&'a str>> {
    let mut after: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, to) in arrows {
        after.entry(from).or_default().insert(to);
    }
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        after.keys().map(|name| (*name, reached(&after, name))).collect();
    let leads = |from: &str, to: &str| reach.get(from).is_some_and(|reached| reached.contains(to));
    let knot_of = |name: &&'a str| -> BTreeSet<&'a str> {
        reach.keys().filter(|other| leads(name, other) && leads(other, name)).copied().collect()
    };
    let knots: BTreeSet<BTreeSet<&str>> = reach.keys().map(knot_of).filter(|knot| knot.len() > 1).collect();
    knots.into_iter().collect()
}

fn reached<'a>(after: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &'a str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = vec![from];
    while let Some(name) = open.pop() {
        let next = after.get(name).into_iter().flatten();
        open.extend(next.filter(|name| found.insert(**name)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The modules of all circles of a made-up tree.
    fn found(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let file = |(path, text): &(&str, &str)| File { path: (*path).to_owned(), text: (*text).to_owned() };
        let files: Vec<File> = files.iter().map(file).collect();
        circles(&files).into_iter().map(|circle| circle.modules).collect()
    }

    #[test]
    fn two_files_that_name_each_other_are_a_circle() {
        let files = [
            ("x/src/lib.rs", "mod a; mod b; mod c;"),
            ("x/src/a.rs", "use crate::b::B;"),
            ("x/src/b.rs", "struct B(crate::a::A, crate::c::C);"),
            ("x/src/c.rs", "struct C;"),
        ];
        assert_eq!(found(&files), [["x/src/a", "x/src/b"]]);
        assert_eq!(found(&files[..2]), [[""; 0]; 0]);
    }

    #[test]
    fn folders_are_a_circle_by_any_of_their_files() {
        let files = [
            ("x/src/lib.rs", ""),
            ("x/src/a/mod.rs", "pub mod one; pub mod two;"),
            ("x/src/a/one.rs", "use crate::b::three::Three;"),
            ("x/src/a/two.rs", "struct Two;"),
            ("x/src/b/mod.rs", "pub mod three; use crate::c::C;"),
            ("x/src/b/three.rs", "struct Three;"),
            ("x/src/c.rs", "use crate::a::two::Two;"),
        ];
        assert_eq!(found(&files), [["x/src/a", "x/src/b", "x/src/c"]]);
    }

    #[test]
    fn a_child_may_know_its_parent() {
        let files = [
            ("x/src/lib.rs", "pub mod a; pub use a::A;"),
            ("x/src/a/mod.rs", "pub mod inner; use inner::Inner; struct A(Inner);"),
            ("x/src/a/inner.rs", "use super::A; use crate::Root;"),
        ];
        assert_eq!(found(&files), [[""; 0]; 0]);
    }

    #[test]
    fn crates_are_read_apart() {
        let files = [
            ("x/src/lib.rs", ""),
            ("x/src/main.rs", "use x::b;"),
            ("x/src/a.rs", "use crate::b::B;"),
            ("y/src/b.rs", "use crate::a::A;"),
            ("x/tests/b.rs", "use crate::a::A;"),
        ];
        assert_eq!(found(&files), [[""; 0]; 0]);
    }
}
