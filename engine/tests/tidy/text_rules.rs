//! Rules about every text of the project, whatever its language: what the reader of a clone could make nothing of.
//!
//! The forbidden words are put together from parts, so that this file keeps its own rules. Only the tidy test calls it.

use crate::code::{has_word, lines};

/// What is left to do stands in an issue, not in the tree.
pub(crate) fn nothing_is_left_to_do(path: &str, text: &str) -> Vec<String> {
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat()];
    on_lines(path, text, |line| marks.iter().find(|mark| has_word(line, mark)).cloned())
}

/// Where packages come from is the setting of the machine that builds, which may have a mirror.
pub(crate) fn registries_are_unnamed(path: &str, text: &str) -> Vec<String> {
    let hosts = [
        ["npm", "js.org"],
        ["npm", "js.com"],
        ["pypi", ".org"],
        ["python", "hosted.org"],
        ["index.crates", ".io"],
        ["static.crates", ".io"],
        ["deb.debian", ".org"],
        ["archive.ubuntu", ".com"],
        ["proxy.golang", ".org"],
    ];
    let hosts: Vec<String> = hosts.iter().map(|parts| parts.concat()).collect();
    on_lines(path, text, |line| hosts.iter().find(|host| line.contains(host.as_str())).cloned())
}

/// Folders of one machine, and papers that a clone does not have, say nothing to a reader.
pub(crate) fn places_are_unnamed(path: &str, text: &str) -> Vec<String> {
    let folders = [["/wo", "rk"].concat(), ["/tm", "p/"].concat()];
    let papers = ["architecture", "protocol", "performance", "style", "users-ask", "features"];
    let papers: Vec<String> = papers.iter().map(|name| [name, ".md"].concat()).collect();
    on_lines(path, text, |line| {
        let folder = folders.iter().find(|folder| begins_path(line, folder));
        folder.or_else(|| papers.iter().find(|paper| begins_path(line, paper))).cloned()
    })
}

/// A lock file says what, not from where.
pub(crate) fn lock_names_no_address(path: &str, text: &str) -> Vec<String> {
    let is_lock = path.ends_with("package-lock.json");
    on_lines(path, text, |line| (is_lock && line.contains("\"resolved\"")).then(|| line.trim().to_owned()))
}

/// Whether a path of this text begins here, not a longer one that has it inside.
fn begins_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + path.len()..].chars().next();
        let inside = |c: char| c.is_alphanumeric() || "_-./$}".contains(c);
        let goes_on = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        !before.is_some_and(inside) && (path.ends_with('/') || !after.is_some_and(goes_on))
    })
}

fn on_lines(path: &str, text: &str, finding: impl Fn(&str) -> Option<String>) -> Vec<String> {
    lines(text).filter_map(|(number, line)| Some(format!("{path}:{number}: {}", finding(line)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_unfinished_work_bite() {
        for mark in [["// TO", "DO: later"].concat(), ["# FIX", "ME"].concat()] {
            assert_eq!(nothing_is_left_to_do("a.sh", &mark).len(), 1, "{mark}");
        }
        assert!(nothing_is_left_to_do("a.rs", "todo!() and MASTODON").is_empty());
    }

    #[test]
    fn names_of_registries_bite() {
        for host in [["https://registry.npm", "js.org/a"].concat(), ["see pypi", ".org"].concat()] {
            assert_eq!(registries_are_unnamed("README.md", &host).len(), 1, "{host}");
        }
        assert!(
            registries_are_unnamed("Cargo.lock", "registry+https://github.com/rust-lang/crates.io-index")
                .is_empty()
        );
    }

    #[test]
    fn places_on_one_machine_bite() {
        let bad =
            [["cd /wo", "rk/main"].concat(), ["\"/tm", "p/a\""].concat(), ["(protocol", ".md §4)"].concat()];
        for text in bad {
            assert_eq!(places_are_unnamed("a.md", &text).len(), 1, "{text}");
        }
        let good =
            ["ARCHITECTURE.md", "${TMPDIR:-/tmp}", "docs/style.md", "/workers", "$dir/work/a", "mktemp -d"];
        for text in good {
            assert!(places_are_unnamed("a.md", text).is_empty(), "{text}");
        }
    }

    #[test]
    fn addresses_in_a_lock_file_bite() {
        let line = "      \"resolved\": \"https://example.com/a.tgz\",\n";
        assert_eq!(lock_names_no_address("x/package-lock.json", line).len(), 1);
        assert!(lock_names_no_address("x/package.json", line).is_empty());
        assert!(lock_names_no_address("x/package-lock.json", "\"integrity\": \"sha512-a\"").is_empty());
    }
}
