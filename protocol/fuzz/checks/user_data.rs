//! What back ends sign of a user, watchlists among it: read like a second JSON parser reads it.
//!
//! An input is a `user_data`. Called by the fuzz target and by the test that replays the seeds.

use protocol::limits::AppLimits;
use protocol::user_data::parse_user_data;
use serde_json::Value;

/// `taken` or `refused`.
pub(crate) fn check(input: &[u8]) -> &'static str {
    let Ok(text) = std::str::from_utf8(input) else { return "refused" };
    let limits = AppLimits::default();
    match parse_user_data(text, &limits) {
        Ok(data) => {
            // A number that is too large for the second parser is all that may be wrong with it.
            if let Ok(value) = serde_json::from_str::<Value>(text) {
                assert_eq!(value["id"], *data.user.user_id);
                let ids: Option<Vec<_>> = list(&value["watchlist"]).iter().map(id_of).collect();
                if let Some(ids) = ids {
                    check_watchlist(&data.watchlist, data.unwatched, ids, limits.watchlist_users_max);
                }
            }
            "taken"
        }
        Err(error) => {
            assert!(error.to_string().starts_with("Invalid user_data: "));
            "refused"
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

// The second parser keeps the digits of an integer unless it is very large, or a zero with a sign.
fn id_of(entry: &Value) -> Option<String> {
    match entry {
        Value::String(id) => Some(id.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        other => {
            assert!(other.is_number(), "{other} is no id");
            None
        }
    }
}

// The first ids are watched, each once; ids after them are counted as often as they are listed.
fn check_watchlist(watchlist: &[Box<str>], unwatched: usize, ids: Vec<String>, users_max: usize) {
    let mut first: Vec<&str> = Vec::new();
    let mut more = 0;
    for id in &ids {
        assert!((1..=128).contains(&id.chars().count()));
        match first.contains(&id.as_str()) {
            true => {}
            false if first.len() < users_max => first.push(id),
            false => more += 1,
        }
    }
    assert!(watchlist.iter().map(|id| &**id).eq(first));
    assert_eq!(unwatched, more);
}
