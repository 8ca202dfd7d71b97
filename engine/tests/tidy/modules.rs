//! Who names whom: the modules of a crate, read as text, and the arrows between them.
//!
//! A small reader, not a compiler. It knows the files of one `src`, what each brings in by `use`, and the paths in
//! its code; a path leads to the longest module that exists, through re-exports to the file that has the item. Code for
//! tests alone does not count. Only the tidy test calls this.

use std::collections::{BTreeMap, BTreeSet};

use crate::code::code_of;

/// A module by its names from the root of the crate. The root itself has none.
pub(crate) type Path = Vec<String>;

/// One module names an item of another.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Arrow {
    pub(crate) from: Path,
    pub(crate) to: Path,
    pub(crate) item: String,
}

/// Every arrow of a crate, given the files under its `src` as pairs of a path from there and a text.
pub(crate) fn arrows(files: &[(&str, &str)]) -> Vec<Arrow> {
    let read: Vec<(Path, Module)> =
        files.iter().filter_map(|(path, text)| Some((module_path(path)?, Module::read(text)))).collect();
    let for_tests: Vec<Path> = read.iter().flat_map(|(path, module)| module.test_children(path)).collect();
    let is_for_tests = |path: &Path| for_tests.iter().any(|test| path.starts_with(test));
    let modules: Modules = read.into_iter().filter(|(path, _)| !is_for_tests(path)).collect();
    let mut found = BTreeSet::new();
    for (from, module) in &modules {
        for path in &module.paths {
            let Some((to, item)) = lead(&modules, from, path, HOPS_MAX) else { continue };
            if to != *from {
                found.insert(Arrow { from: from.clone(), to, item });
            }
        }
    }
    found.into_iter().collect()
}

type Modules = BTreeMap<Path, Module>;

/// Re-exports of re-exports are followed so far. More is a loop.
const HOPS_MAX: usize = 8;

/// What is read of one file.
#[derive(Debug, Default)]
struct Module {
    /// Each name that a `use` brings in, and the path behind it.
    brought: BTreeMap<String, Path>,
    /// All paths of more than one name, those of `use` among them.
    paths: Vec<Path>,
    /// Modules that it declares for tests alone.
    for_tests: Vec<String>,
}

impl Module {
    fn read(text: &str) -> Self {
        let mut module = Self::default();
        let code = code_of(text);
        let tokens = tokens(&code);
        let mut at = 0;
        while at < tokens.len() {
            at = module.read_next(&tokens, at);
        }
        module
    }

    /// Reads what stands at a token, and says where the next piece begins.
    fn read_next(&mut self, tokens: &[&str], at: usize) -> usize {
        if tokens[at..].starts_with(&["#", "[", "cfg", "(", "test", ")", "]"]) {
            let item = &tokens[at + 7..];
            let end = item_end(item);
            self.for_tests.extend(declared(&item[..end]));
            return at + 7 + end;
        }
        if tokens[at] == "use" && tokens.get(at + 1) != Some(&"<") {
            return self.read_use(tokens, at + 1, &[]) + 1;
        }
        let is_start = is_name(tokens[at]) && (at == 0 || !matches!(tokens[at - 1], "::" | "."));
        if !is_start {
            return at + 1;
        }
        let (path, end) = path_at(tokens, at);
        if path.len() > 1 {
            self.paths.push(path);
        }
        end
    }

    /// Reads one tree of a `use`, and says at which token it ends: a comma, a closing brace or the semicolon.
    fn read_use(&mut self, tokens: &[&str], at: usize, before: &[String]) -> usize {
        let (more, mut at) = path_at(tokens, at);
        let path = [before, &more].concat();
        if tokens.get(at) == Some(&"::") {
            at += 1;
        }
        match tokens.get(at).copied() {
            Some("{") => loop {
                at = self.read_use(tokens, at + 1, &path);
                match tokens.get(at) {
                    Some(&"}") => return at + 1,
                    Some(&",") => {}
                    _ => return at,
                }
            },
            Some("*") => {
                self.paths.push(path);
                at + 1
            }
            Some("as") => {
                self.bring(path, tokens.get(at + 1).copied());
                at + 2
            }
            _ => {
                self.bring(path, None);
                at
            }
        }
    }

    fn bring(&mut self, mut path: Path, name: Option<&str>) {
        if path.last().is_some_and(|last| last == "self") && path.len() > 1 {
            path.pop();
        }
        let Some(last) = path.last() else { return };
        self.brought.insert(name.unwrap_or(last).to_owned(), path.clone());
        self.paths.push(path);
    }

    fn test_children(&self, path: &Path) -> Vec<Path> {
        self.for_tests.iter().map(|child| joined(path, child)).collect()
    }
}

/// Where a path leads that stands in a module: to a module of the crate, and to which item of it.
fn lead(modules: &Modules, from: &Path, path: &[String], hops: usize) -> Option<(Path, String)> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => walk(modules, Path::new(), rest, hops),
        "self" => walk(modules, from.clone(), rest, hops),
        "super" => {
            let parent: Path = from[..from.len().checked_sub(1)?].to_vec();
            let is_further = rest.first().is_some_and(|name| name == "super");
            if is_further { lead(modules, &parent, rest, hops) } else { walk(modules, parent, rest, hops) }
        }
        name if modules.contains_key(&joined(from, name)) => walk(modules, joined(from, name), rest, hops),
        name => {
            let behind = modules.get(from)?.brought.get(name)?;
            let is_itself = behind.first() == Some(first);
            if is_itself { None } else { lead(modules, from, &[behind, rest].concat(), hops.checked_sub(1)?) }
        }
    }
}

/// Goes from a module down a path, and on where the name at its end is brought in from elsewhere.
fn walk(modules: &Modules, mut at: Path, path: &[String], hops: usize) -> Option<(Path, String)> {
    for (index, name) in path.iter().enumerate() {
        let below = joined(&at, name);
        if modules.contains_key(&below) {
            at = below;
            continue;
        }
        let behind = modules.get(&at).and_then(|module| module.brought.get(name));
        let further = behind
            .zip(hops.checked_sub(1))
            .and_then(|(behind, hops)| lead(modules, &at, &[behind, &path[index + 1..]].concat(), hops));
        return Some(further.unwrap_or_else(|| (at.clone(), name.clone())));
    }
    modules.contains_key(&at).then(|| (at.clone(), at.last().cloned().unwrap_or_default()))
}

/// The names of a file's module. The program beside a library is no module of it.
fn module_path(file: &str) -> Option<Path> {
    let names = file.strip_suffix(".rs")?;
    let mut path: Path = names.split('/').map(str::to_owned).collect();
    let is_root = path.len() == 1 && matches!(path[0].as_str(), "lib" | "main");
    if is_root || path.last().is_some_and(|last| last == "mod") {
        path.pop();
    }
    Some(path)
}

fn joined(path: &Path, name: &str) -> Path {
    let mut longer = path.clone();
    longer.push(name.to_owned());
    longer
}

/// Names, `::`, and every other sign by itself.
fn tokens(code: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("::") {
            2
        } else {
            rest.find(|c| !is_of_name(c)).unwrap_or(rest.len()).max(first.len_utf8())
        };
        found.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    found
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_name(token: &str) -> bool {
    token.starts_with(is_of_name)
}

/// The names that are joined by `::` from here on, and the token behind them.
fn path_at(tokens: &[&str], mut at: usize) -> (Path, usize) {
    let mut path = Path::new();
    while let Some(name) = tokens.get(at).filter(|token| is_name(token)) {
        path.push((*name).to_owned());
        at += 1;
        let goes_on = tokens.get(at) == Some(&"::") && tokens.get(at + 1).is_some_and(|token| is_name(token));
        if !goes_on {
            break;
        }
        at += 1;
    }
    (path, at)
}

/// How many tokens an item has: to its semicolon, or to the brace that closes its first one.
fn item_end(tokens: &[&str]) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match *token {
            "{" | "(" | "[" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            "}" => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            ";" if depth == 0 => return at + 1,
            _ => {}
        }
    }
    tokens.len()
}

/// The module that an item declares, if it is the declaration of one with a file.
fn declared(item: &[&str]) -> Option<String> {
    let at = item.iter().position(|token| *token == "mod")?;
    (item.get(at + 2) == Some(&";")).then(|| item[at + 1].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The arrows as `from > to item`.
    fn drawn(files: &[(&str, &str)]) -> Vec<String> {
        let show = |path: &Path| path.join("::");
        let draw = |arrow: &Arrow| format!("{} > {} {}", show(&arrow.from), show(&arrow.to), arrow.item);
        arrows(files).iter().map(draw).collect()
    }

    #[test]
    fn a_use_is_an_arrow_to_the_file_that_has_the_item() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::deep::{self, Deep, other::{Far as Near}}; use std::fmt;"),
            ("b/mod.rs", "pub mod deep;"),
            ("b/deep/mod.rs", "pub mod other;"),
            ("b/deep/other.rs", ""),
        ];
        assert_eq!(drawn(&files), ["a > b::deep Deep", "a > b::deep deep", "a > b::deep::other Far"]);
    }

    #[test]
    fn a_path_in_the_code_is_an_arrow_as_well() {
        let files = [
            ("main.rs", "mod a; mod b; fn main() { b::run() }"),
            ("a.rs", "fn f() -> crate::b::Thing { super::b::make::<u8>() }"),
            ("b.rs", "use crate::a as first; fn run() { first::f() }"),
        ];
        assert_eq!(drawn(&files), [" > b run", "a > b Thing", "a > b make", "b > a a", "b > a f"]);
    }

    #[test]
    fn a_re_export_leads_on() {
        let files = [
            ("lib.rs", ""),
            ("a.rs", "use crate::b::Thing; use Thing as T; fn f() { T::new() }"),
            ("b/mod.rs", "mod inner; pub use inner::Thing;"),
            ("b/inner.rs", "use super::super::a::f;"),
        ];
        assert_eq!(drawn(&files), ["a > b::inner Thing", "b > b::inner Thing", "b::inner > a f"]);
    }

    #[test]
    fn names_in_comments_literals_and_tests_are_no_arrows() {
        let files = [
            ("lib.rs", "mod a; mod b; #[cfg(test)] mod checks;"),
            (
                "a.rs",
                "// crate::b::x\nfn f() { \"crate::b::x\"; }\n#[cfg(test)]\nmod tests { use crate::b::x; }",
            ),
            ("b.rs", "#[cfg(test)] use crate::a::f;\nstruct B(self::Own, x::y);"),
            ("checks.rs", "use crate::a::f;"),
        ];
        assert_eq!(drawn(&files), [""; 0]);
    }

    #[test]
    fn what_another_crate_has_is_no_arrow() {
        let files = [
            ("lib.rs", "mod a; mod fmt;"),
            ("a.rs", "use std::fmt; fn f(f: &fmt::Formatter) {}"),
            ("fmt.rs", ""),
        ];
        assert_eq!(drawn(&files), [""; 0]);
    }

    #[test]
    fn names_that_lead_in_a_loop_come_to_an_end() {
        let files = [("lib.rs", ""), ("a.rs", "use super::b::X;"), ("b.rs", "use super::a::X;")];
        assert!(!drawn(&files).is_empty());
    }
}
