//! JSON as PHP writes it: what a PHP back end signs is not what its client sends, but what `json_encode` makes of that once
//! it was decoded to an array.
//!
//! With the flag JSON_UNESCAPED_UNICODE, that is: no white space, `/` as `\/`, other characters than ASCII as they are but
//! U+2028 and U+2029, and an object whose keys count from 0 is a list, an empty one among them. Numbers stay as they are
//! written. Called by `message`.

use std::borrow::Cow;

use super::{JsonError, Value, encode_escape};

/// A value as PHP writes it, with the keys at the top in order.
pub fn encode_sorted(value: &Value<'_>) -> Result<String, JsonError> {
    let mut out = Vec::with_capacity(value.raw().len() + 16);
    if value.is_object() {
        let mut entries = value.entries()?;
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        append_entries(&mut out, &entries)?;
    } else {
        append_value(&mut out, value)?;
    }
    // Text is taken apart at ASCII alone, so nothing is ever replaced here.
    Ok(String::from_utf8(out).unwrap_or_default())
}

// As deep as the value was parsed, which is bounded.
fn append_value(out: &mut Vec<u8>, value: &Value<'_>) -> Result<(), JsonError> {
    if value.is_object() {
        append_entries(out, &value.entries()?)
    } else if value.is_array() {
        append_list(out, value.elements()?.iter())
    } else if value.is_string() {
        append_string(out, &value.text()?);
        Ok(())
    } else {
        out.extend_from_slice(value.raw().as_bytes());
        Ok(())
    }
}

fn append_entries(out: &mut Vec<u8>, entries: &[(Cow<'_, str>, Value<'_>)]) -> Result<(), JsonError> {
    let is_list = entries.iter().enumerate().all(|(index, (key, _))| *key == index.to_string());
    if is_list {
        return append_list(out, entries.iter().map(|(_, value)| value));
    }
    out.push(b'{');
    for (index, (key, value)) in entries.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        append_string(out, key);
        out.push(b':');
        append_value(out, value)?;
    }
    out.push(b'}');
    Ok(())
}

fn append_list<'v, 'a: 'v>(
    out: &mut Vec<u8>,
    values: impl Iterator<Item = &'v Value<'a>>,
) -> Result<(), JsonError> {
    out.push(b'[');
    for (index, value) in values.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        append_value(out, value)?;
    }
    out.push(b']');
    Ok(())
}

fn append_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for character in text.chars() {
        match character {
            '/' => out.extend_from_slice(b"\\/"),
            '\u{2028}' => out.extend_from_slice(b"\\u2028"),
            '\u{2029}' => out.extend_from_slice(b"\\u2029"),
            '"' | '\\' | '\0'..'\u{20}' => encode_escape(out, character as u8),
            _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse_object;
    use proptest::prelude::*;

    #[derive(serde::Deserialize)]
    struct Probe<'a> {
        #[serde(borrow)]
        b: Option<Value<'a>>,
    }

    fn php(raw: &str) -> String {
        let text = format!("{{\"b\":{raw}}}");
        let probe: Probe<'_> = parse_object(text.as_bytes()).unwrap();
        encode_sorted(&probe.b.unwrap()).unwrap()
    }

    // Each of them is what `json_encode` of PHP 8 gives for the decoded and sorted array.
    #[test]
    fn json_is_written_as_php_writes_it() {
        let table = [
            (
                r#"{ "user_info" : "{\"name\":\"John\"}" , "user_id" : "100" }"#,
                r#"{"user_id":"100","user_info":"{\"name\":\"John\"}"}"#,
            ),
            (r#"{"u":"https://a.cn/头像.png"}"#, r#"{"u":"https:\/\/a.cn\/头像.png"}"#),
            (r#"{"b":{"z":1,"a":2},"a":[1, 2.5,true,null]}"#, r#"{"a":[1,2.5,true,null],"b":{"z":1,"a":2}}"#),
            (r#"{"a":{},"b":[]}"#, r#"{"a":[],"b":[]}"#),
            (r#"{"a":{"0":"x","1":"y"}}"#, r#"{"a":["x","y"]}"#),
            (r#"{"a":{"1":"x","0":"y"}}"#, r#"{"a":{"1":"x","0":"y"}}"#),
            (r#"{"a":"\u4e2d\ud83d\ude00\u2028\u2029\u007f"}"#, "{\"a\":\"中😀\\u2028\\u2029\u{7f}\"}"),
            (r#"{"a":"\"\\\b\f\n\r\t\u0001"}"#, r#"{"a":"\"\\\b\f\n\r\t\u0001"}"#),
            (r#"{"é/":1}"#, r#"{"é\/":1}"#),
            ("[1,{\"a\":1}]", "[1,{\"a\":1}]"),
        ];
        for (raw, expected) in table {
            assert_eq!(php(raw), expected, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn it_means_what_it_meant(info in ".{0,40}", id in "[0-9]{1,5}") {
            let value = serde_json::json!({ "user_info": { "n": info }, "user_id": id });
            let written = php(&value.to_string());
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&written).unwrap(), value);
            prop_assert!(written.starts_with(r#"{"user_id""#), "{}", written);
        }
    }
}
