//! Apps written as lines `ID:KEY:SECRET`. Empty lines and lines that begin with `#` are skipped.
//!
//! What must never happen here: a secret in a message.

use protocol::app::App;

/// Why lines are no apps.
#[derive(PartialEq, Eq, Debug)]
pub struct AppLinesError {
    /// The line, counted from 1; none where there is no app at all.
    pub line: Option<usize>,
    /// What is wrong.
    pub why: String,
}

/// The apps of a text, at least one, each with the line that it is from.
pub fn parse_app_lines(text: &str) -> Result<Vec<(App, String)>, AppLinesError> {
    let mut apps = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let app = App::parse(line)
            .map_err(|error| AppLinesError { line: Some(index + 1), why: error.to_string() })?;
        apps.push((app, line.to_owned()));
    }
    if apps.is_empty() {
        let why = "it has no app; write one per line, as ID:KEY:SECRET".to_owned();
        return Err(AppLinesError { line: None, why });
    }
    Ok(apps)
}
