//! Rules about the pages that people read, in Markdown. Only the tidy test calls this.

use crate::code::lines;

/// A cell of a table is a phrase, or a few sentences. What is longer is a list or a page.
const CELL_CHARACTERS_MAX: usize = 400;

/// Links within the project lead to a file of it.
pub(crate) fn links_lead_somewhere(path: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let links = prose(path, text).flat_map(|(number, line)| links(line).map(move |link| (number, link)));
    let is_dead = |link: &str| !link.is_empty() && !exists(&from_root(path, link));
    links.filter(|(_, link)| is_dead(link)).map(|(number, link)| format!("{path}:{number}: {link}")).collect()
}

/// A page of docs/ begins with a title and says for whom it is.
pub(crate) fn page_says_for_whom(path: &str, text: &str) -> Vec<String> {
    let is_page = path.starts_with("docs/") && path.ends_with(".md");
    // Translations say it in their language.
    let beginning = if path.ends_with(".zh-CN.md") { "本页面向" } else { "This page is for " };
    let mut lines = text.lines();
    let says = lines.next().is_some_and(|line| line.starts_with("# "))
        && lines.next() == Some("")
        && lines.next().is_some_and(|line| line.starts_with(beginning));
    if is_page && !says { vec![format!("{path}: begin with «{beginning}…»")] } else { Vec::new() }
}

/// Tables can be read at a glance.
pub(crate) fn cells_are_short(path: &str, text: &str) -> Vec<String> {
    let cells = |line: &str| line.split(" | ").map(|cell| cell.chars().count()).max().unwrap_or(0);
    prose(path, text)
        .filter(|(_, line)| line.starts_with('|') && cells(line) > CELL_CHARACTERS_MAX)
        .map(|(number, line)| format!("{path}:{number}: a cell of {} characters", cells(line)))
        .collect()
}

/// The code map names types and files that are there, so a reader who follows it arrives.
pub(crate) fn map_is_true(
    path: &str,
    text: &str,
    has_type: impl Fn(&str) -> bool,
    has_file: impl Fn(&str) -> bool,
) -> Vec<String> {
    let mut is_map = false;
    let mut findings = Vec::new();
    for (number, line) in prose(path, text).filter(|_| path == "ARCHITECTURE.md") {
        is_map = line == "| type | file | what it is for |" || (is_map && line.starts_with('|'));
        let mut cells = line.split('|').skip(1).map(spans);
        let (Some(types), Some(files), true) = (cells.next(), cells.next(), is_map) else { continue };
        let is_type = |name: &&str| name.starts_with(char::is_uppercase);
        let missing = types.filter(is_type).filter(|name| !has_type(name)).map(|name| ("type", name));
        let missing = missing.chain(files.filter(|name| !has_file(name)).map(|name| ("file", name)));
        findings.extend(missing.map(|(what, name)| format!("{path}:{number}: there is no {what} {name}")));
    }
    findings
}

/// Where a table says what happens and its last column is called «test», each row links to one that its file has, by its name. Tests in Python
/// begin with `test_`, which the page leaves out.
pub(crate) fn rows_link_to_their_tests(
    path: &str,
    text: &str,
    text_of: impl Fn(&str) -> Option<String>,
) -> Vec<String> {
    let has = |file: &str, name: &str| {
        let declared = [format!("fn {name}("), format!("def test_{name}(")];
        text_of(&from_root(path, file)).is_some_and(|text| declared.iter().any(|it| text.contains(it)))
    };
    let mut is_table = false;
    let mut findings = Vec::new();
    for (number, line) in prose(path, text) {
        let is_head = line.starts_with("| what |") && line.ends_with("| test |");
        is_table = is_head || (is_table && line.starts_with('|'));
        if !is_table || is_head || line.starts_with("|---") {
            continue;
        }
        let cell = line.trim_end_matches([' ', '|']).rsplit(" | ").next().unwrap_or_default();
        let (names, files): (Vec<_>, Vec<_>) = (spans(cell).collect(), links(cell).collect());
        let all_there = names.iter().zip(&files).all(|(name, file)| has(file, name));
        if names.is_empty() || names.len() != files.len() || !all_there {
            findings.push(format!("{path}:{number}: no such test: {cell}"));
        }
    }
    findings
}

/// What stands between backticks.
fn spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The lines of a page that are not blocks of code, which are indented by four.
fn prose<'a>(path: &str, text: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    lines(text).filter(|(_, line)| !line.starts_with("    ")).filter({
        let is_page = path.ends_with(".md");
        move |_| is_page
    })
}

/// Where the links of a line lead, without what stands behind `#`; those to other sites are left out.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| {
        let link = rest.split(')').next()?;
        (!link.contains("://")).then(|| link.split('#').next().unwrap_or(""))
    })
}

/// The path from the root of what a page links to.
fn from_root(page: &str, link: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "." => {}
            ".." => _ = parts.pop(),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_links_bite() {
        let exists = |path: &str| ["a.md", "docs/b.md"].contains(&path);
        let dead = |path, text| links_lead_somewhere(path, text, exists).len();
        assert_eq!(
            dead("a.md", "[b](docs/b.md#there), [site](https://x.example/y), [here](#here)\n    [x](gone)\n"),
            0
        );
        assert_eq!(dead("docs/b.md", "[a](../a.md) and [b](b.md)"), 0);
        assert_eq!(dead("docs/b.md", "[a](a.md) and [c](../docs/c.md)"), 2);
        assert_eq!(dead("x.rs", "table[0](a)"), 0);
    }

    #[test]
    fn pages_for_nobody_bite() {
        let good = "# Hooks\n\nThis page is for developers.\n";
        assert!(page_says_for_whom("docs/a.md", good).is_empty());
        assert!(page_says_for_whom("README.md", "# Corecast\n").is_empty());
        assert!(page_says_for_whom("docs/a.zh-CN.md", "# 钩子\n\n本页面向开发者。\n").is_empty());
        assert_eq!(page_says_for_whom("docs/a.zh-CN.md", good).len(), 1);
        for bad in ["", "# Hooks\n\nHooks are told.\n", "This page is for developers.\n"] {
            assert_eq!(page_says_for_whom("docs/a.md", bad).len(), 1, "{bad}");
        }
    }

    #[test]
    fn maps_that_lead_nowhere_bite() {
        let head = "| type | file | what it is for |\n|---|---|---|\n";
        let found = |rows: &str| {
            let text = format!("{head}{rows}\nText of `Nothing`.\n| `Nothing` | `nowhere` | no map |\n");
            map_is_true("ARCHITECTURE.md", &text, |name| name == "Run", |name| name == "run").len()
        };
        assert_eq!(found("| `Run`, `turn` | `run` | the bytes of `Anything` |"), 0);
        assert_eq!(found("| | `run` | a file alone |"), 0);
        assert_eq!(found("| `Run`, `Walk` | `run`, `walk` | both are gone |"), 2);
        assert_eq!(map_is_true("README.md", &format!("{head}| `Walk` | | |"), |_| false, |_| false).len(), 0);
    }

    #[test]
    fn tests_that_are_not_there_bite() {
        let text_of = |path: &str| {
            let text = match path {
                "tests/a.rs" => "fn one_holds() {",
                "tests/b.py" => "def test_two_holds(start):",
                _ => return None,
            };
            Some(text.to_owned())
        };
        let found = |rows: &str| {
            let page =
                format!("| what | test |\n|---|---|\n{rows}\n\n| other | table |\n|---|---|\n| x | y |\n");
            rows_link_to_their_tests("docs/c.md", &page, text_of).len()
        };
        assert_eq!(found("| x | [`one_holds`](../tests/a.rs) |\n| y | [`two_holds`](../tests/b.py) |"), 0);
        for bad in [
            "| x | `one_holds` |",
            "| x | [`one_hol`](../tests/a.rs) |",
            "| x | [`one_holds`](a.rs) |",
            "| x | |",
        ] {
            assert_eq!(found(bad), 1, "{bad}");
        }
    }

    #[test]
    fn cells_that_nobody_reads_bite() {
        let row = |characters: usize| format!("| a | {} |\n", "é".repeat(characters));
        assert!(cells_are_short("a.md", &row(CELL_CHARACTERS_MAX - 2)).is_empty());
        assert_eq!(cells_are_short("a.md", &row(CELL_CHARACTERS_MAX + 1)).len(), 1);
    }
}
