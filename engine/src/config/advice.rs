//! What to write instead of a key that a table does not have.

use super::foreign::{Meaning, meaning};
use super::nearest::nearest;
use super::table::Table;

/// The table in which this key belongs.
fn right_table(table: Table, key: &str) -> Option<Table> {
    // What stands among an app's own keys is meant for that app.
    let first =
        if table == Table::App { [Table::AppLimits, Table::AppHook] } else { [Table::Top, Table::Limits] };
    first.into_iter().chain(Table::ALL).find(|table| table.has(key))
}

/// What to write instead of a key that this table does not have.
pub(super) fn advice(table: Table, key: &str) -> String {
    if let Some(right) = right_table(table, key) {
        return format!("it belongs to {}", right.title());
    }
    match meaning(key, Table::ALL.into_iter().flat_map(Table::keys).map(|key| key.name)) {
        Some(Meaning::Text(text)) => return text.to_owned(),
        Some(Meaning::Key(ours)) => {
            let elsewhere = right_table(table, ours).filter(|_| !table.has(ours));
            let place =
                elsewhere.map_or_else(String::new, |right| format!(", and belongs to {}", right.title()));
            return format!("here it is called {ours:?}{place}");
        }
        None => {}
    }
    let keys: Vec<&str> = table.keys().iter().map(|key| key.name).collect();
    match nearest(key, keys.iter().copied()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("valid keys are {}", keys.join(", ")),
    }
}
