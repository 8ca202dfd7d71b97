//! The file of `--app-file`: one app per line, `ID:KEY:SECRET`, so that no secret stands on a command line, where every
//! user of the machine can read it. Empty lines and lines that begin with `#` are skipped.
//!
//! What must never happen here: a secret in a message. Called by the command line.

use std::fs;
use std::path::Path;

use protocol::app::App;

use crate::config::{AppLinesError, parse_app_lines};

/// Reads the apps of a file, at least one; or returns one line that says what is wrong.
pub(super) fn read_app_file(path: &Path) -> Result<Vec<App>, String> {
    Ok(read_written_apps(path)?.into_iter().map(|(app, _)| app).collect())
}

/// The same, each app with the line that it is from.
pub(super) fn read_written_apps(path: &Path) -> Result<Vec<(App, String)>, String> {
    let name = path.display();
    let text =
        fs::read_to_string(path).map_err(|error| format!("{name}: the file cannot be read: {error}"))?;
    parse_apps(&text).map_err(|why| format!("{name}{why}"))
}

/// A fault is what follows the file's name in the message: `:LINE: …` or `: …`.
fn parse_apps(text: &str) -> Result<Vec<(App, String)>, String> {
    parse_app_lines(text).map_err(|AppLinesError { line, why }| match line {
        Some(line) => format!(":{line}: {why}"),
        None => format!(": {why}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> Result<Vec<String>, String> {
        parse_apps(text).map(|apps| apps.iter().map(|(app, _)| app.id.to_string()).collect())
    }

    #[test]
    fn each_line_is_an_app_and_comments_are_none() {
        let text = "# ours\n1:a:s\n\n  2:b:s:with:colons\r\n # 3:c:s\n";
        assert_eq!(ids(text), Ok(vec!["1".to_owned(), "2".to_owned()]));
    }

    #[test]
    fn a_fault_names_its_line_and_no_secret() {
        let table = [
            ("", ": it has no app; write one per line, as ID:KEY:SECRET"),
            ("# 1:a:s\n", ": it has no app; write one per line, as ID:KEY:SECRET"),
            ("1:a:s\nhunter2", ":2: an app is written ID:KEY:SECRET"),
            ("1::hunter2", ":1: the key of the app is empty (an app is written ID:KEY:SECRET)"),
            (
                "\n\n1:a:hunter2 hunter2",
                ":3: the secret of the app contains whitespace or a control character",
            ),
        ];
        for (text, fault) in table {
            assert_eq!(ids(text), Err(fault.to_owned()), "{text}");
        }
    }
}
