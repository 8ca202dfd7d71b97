//! What the source says of an app: one JSON object with the keys of a table `[[apps]]`.
//!
//! It becomes such a table, so that one reader decides what an app may be. `null` is left out. What must never happen here:
//! a value in a message.

use protocol::json::{JsonError, Value, parse_entries};

use crate::app_store::quoted;

/// The table of an answer; None: it says that there is no app, as PHP does in several ways.
pub(super) fn table(body: &[u8]) -> Result<Option<String>, JsonError> {
    let text = body.trim_ascii();
    let is_empty_list = text.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
    if matches!(text, b"" | b"null" | b"false")
        || is_empty_list.is_some_and(|list| list.trim_ascii().is_empty())
    {
        return Ok(None);
    }
    let mut table = String::new();
    for (key, value) in parse_entries(text)? {
        if !value.is_null() {
            table.push_str(&format!("{} = ", quoted(&key)));
            push_value(&mut table, &value)?;
            table.push('\n');
        }
    }
    Ok(Some(table).filter(|table| !table.is_empty()))
}

fn push_value(out: &mut String, value: &Value<'_>) -> Result<(), JsonError> {
    if value.is_string() {
        out.push_str(&quoted(&value.text()?));
    } else if value.is_array() {
        out.push('[');
        for element in value.elements()?.iter().filter(|element| !element.is_null()) {
            push_value(out, element)?;
            out.push_str(", ");
        }
        out.push(']');
    } else if value.is_object() {
        out.push_str("{ ");
        let entries = value.entries()?;
        for (index, (key, value)) in entries.iter().filter(|(_, value)| !value.is_null()).enumerate() {
            out.push_str(if index > 0 { ", " } else { "" });
            out.push_str(&format!("{} = ", quoted(key)));
            push_value(out, value)?;
        }
        out.push_str(" }");
    } else {
        out.push_str(value.raw());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn an_answer_becomes_the_table_that_a_file_would_have() {
        let body = br#" {"id":"1","key":"a","secret":"s\"\\\u00e9","enabled":true,"cache_ttl_s":null,
            "keys":[{"key":"b","secret":"t","enabled":false},null],"allowed_origins":["https://a.com","*.b.com"],
            "limits":{"connections_max":5,"subscriptions_max":null,"event_data_bytes_max":9}} "#;
        let table = table(body).unwrap().unwrap();
        let app = Config::default().app_reader().read("x", &table).unwrap();
        let keys: Vec<_> = app.keys().map(|key| (&*key.name, key.enabled)).collect();
        assert_eq!((&*app.id, keys), ("1", vec![("a", true), ("b", false)]));
        assert_eq!((app.limits.connections_max, app.limits.event_data_bytes_max), (Some(5), 9));
        assert!(app.allowed_origins.allow("http://x.b.com") && !app.allowed_origins.allow("https://b.org"));
        assert_eq!(app.cache_ttl_s, 1800);
    }

    #[test]
    fn no_app_is_said_in_several_ways() {
        for body in ["", " \n", "null", "false", "{}", "{ }", "[]", "[ ]", "{\"id\":null}"] {
            assert_eq!(table(body.as_bytes()), Ok(None), "{body:?}");
        }
    }

    #[test]
    fn what_is_no_record_is_a_fault_and_shows_nothing() {
        for body in ["x", "[1]", "{\"id\":\"1\"", "\"hunter2\"", "{\"a\":\"hunter2\\ud800\"}", "<html>"] {
            let fault = table(body.as_bytes()).unwrap_err().to_string();
            assert!(!fault.contains("hunter2"), "{fault}");
        }
        let reader = Config::default().app_reader();
        for body in [
            r#"{"id":"1","key":"a","secret":"hunter2","id":"2"}"#,
            r#"{"id":"1","key":"a","secret":["hunter2"]}"#,
            r#"{"id":"1","key":"a","secret":"hunter2 \u0007"}"#,
            r#"{"id":1,"key":"a","secret":"hunter2"}"#,
            r#"{"id":"1","key":"a","secret":"hunter2","limits":{"connections_max":1.5}}"#,
            r#"{"app_id":"1","key":"a","secret":"hunter2"}"#,
        ] {
            let table = table(body.as_bytes()).unwrap().unwrap();
            let fault = reader.read("x", &table).unwrap_err().to_string();
            assert!(!fault.contains("hunter2"), "{fault}");
        }
    }
}
