//! JSON strings: escaping for what the server writes, checked unescaping of what peers wrote.
//!
//! Half of a surrogate pair is an error, for it stands for no text. Nothing here allocates unless there is an escape to
//! undo. Called by `json` for reading, and by all encoders for writing.

use super::JsonError;

/// Appends a text as a JSON string, quotes included. Only what must be escaped is.
pub fn encode_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    encode_string_part(out, text);
    out.push(b'"');
}

/// Appends a text as part of a JSON string, without quotes.
pub fn encode_string_part(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    while let Some(at) = find(rest, must_escape) {
        let (plain, from_escape) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((byte, after)) = from_escape.split_first() else { return };
        encode_escape(out, *byte);
        rest = after;
    }
    out.extend_from_slice(rest);
}

#[inline]
fn must_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

pub(super) fn encode_escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            let low = b"0123456789abcdef".get(usize::from(byte & 15)).copied().unwrap_or(b'0');
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', b'0' + (byte >> 4), low]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

// Whether anything in what stands between the quotes of a string must be undone.
pub(super) fn has_escape(inner: &str) -> bool {
    find(inner.as_bytes(), |byte| byte == b'\\').is_some()
}

// Behind an opening quote: what follows the closing one, or nothing if there is none.
pub(super) fn skip_string(mut bytes: &[u8]) -> &[u8] {
    while let Some(at) = find(bytes, |byte| matches!(byte, b'"' | b'\\')) {
        match bytes.get(at..) {
            Some([b'"', rest @ ..]) => return rest,
            Some([_, _, rest @ ..]) => bytes = rest,
            _ => break,
        }
    }
    &[]
}

// Where the first wanted byte is. Sixteen bytes at a time, which the compiler makes vector instructions of.
#[inline]
fn find(bytes: &[u8], is_wanted: impl Fn(u8) -> bool) -> Option<usize> {
    let (chunks, _) = bytes.as_chunks::<16>();
    let is_plain = |chunk: &&[u8; 16]| !chunk.iter().fold(false, |found, byte| found | is_wanted(*byte));
    let plain_bytes = 16 * chunks.iter().take_while(is_plain).count();
    let rest = bytes.get(plain_bytes..)?;
    rest.iter().position(|byte| is_wanted(*byte)).map(|at| plain_bytes + at)
}

// From an opening quote: what is inside, and what comes behind the closing one.
pub(super) fn split_string(from_quote: &str) -> Result<(&str, &str), JsonError> {
    let body = from_quote.strip_prefix('"').ok_or(JsonError::Syntax)?;
    let behind = skip_string(body.as_bytes()).len();
    let (with_quote, after) = body.split_at_checked(body.len() - behind).ok_or(JsonError::Syntax)?;
    let inside = with_quote.strip_suffix('"').ok_or(JsonError::Syntax)?;
    Ok((inside, after))
}

// Gives the decoded parts of what stands between the quotes of a JSON string to `part`, in order.
pub(super) fn unescape(inner: &str, mut part: impl FnMut(&str)) -> Result<(), JsonError> {
    let mut rest = inner;
    while let Some((plain, escape)) = split_escape(rest) {
        if !plain.is_empty() {
            part(plain);
        }
        let (character, after) = parse_escape(escape)?;
        part(character.encode_utf8(&mut [0; 4]));
        rest = after;
    }
    if !rest.is_empty() {
        part(rest);
    }
    Ok(())
}

// What stands before the first backslash, and what behind it.
fn split_escape(text: &str) -> Option<(&str, &str)> {
    let at = find(text.as_bytes(), |byte| byte == b'\\')?;
    let (plain, escape) = text.split_at_checked(at)?;
    Some((plain, escape.strip_prefix('\\')?))
}

// What a backslash and the text behind it stand for, and the text behind that.
fn parse_escape(escape: &str) -> Result<(char, &str), JsonError> {
    let mut rest = escape.chars();
    let character = match rest.next() {
        Some(c @ ('"' | '\\' | '/')) => c,
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('u') => return parse_unicode_escape(rest.as_str()),
        _ => return Err(JsonError::Syntax),
    };
    Ok((character, rest.as_str()))
}

fn parse_unicode_escape(digits: &str) -> Result<(char, &str), JsonError> {
    let (unit, rest) = parse_code_unit(digits)?;
    if let Some(character) = char::from_u32(unit) {
        return Ok((character, rest));
    }
    let low = rest.strip_prefix("\\u").ok_or(JsonError::LoneSurrogate)?;
    let (low, rest) = parse_code_unit(low)?;
    if unit >= 0xdc00 || !(0xdc00..0xe000).contains(&low) {
        return Err(JsonError::LoneSurrogate);
    }
    let code_point = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
    let character = char::from_u32(code_point).ok_or(JsonError::LoneSurrogate)?;
    Ok((character, rest))
}

fn parse_code_unit(text: &str) -> Result<(u32, &str), JsonError> {
    let (digits, rest) = text.split_at_checked(4).ok_or(JsonError::Syntax)?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let unit = u32::from_str_radix(digits, 16).ok().filter(|_| is_hex).ok_or(JsonError::Syntax)?;
    Ok((unit, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(text: &str) -> String {
        let mut out = Vec::new();
        encode_string(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    fn unescaped(inner: &str) -> Result<String, JsonError> {
        let mut text = String::new();
        unescape(inner, |part| text.push_str(part)).map(|()| text)
    }

    #[test]
    fn only_what_must_be_escaped_is() {
        let controls: String = (0..0x20_u8).map(char::from).collect();
        let expected = r#""\u0000\u0001\u0002\u0003\u0004\u0005\u0006\u0007\b\t\n\u000b\f\r\u000e\u000f"#
            .to_owned()
            + r#"\u0010\u0011\u0012\u0013\u0014\u0015\u0016\u0017\u0018\u0019\u001a\u001b\u001c\u001d\u001e\u001f""#;
        assert_eq!(encoded(&controls), expected);
        assert_eq!(encoded("a\"b\\c/\u{7f}é😀\u{2028}"), "\"a\\\"b\\\\c/\u{7f}é😀\u{2028}\"");
        assert_eq!(encoded(""), "\"\"");
    }

    #[test]
    fn escapes_are_undone_or_refused() {
        use JsonError::{LoneSurrogate, Syntax};
        let table = [
            ("", Ok("")),
            (r#"\"\\\/\b\f\n\r\t"#, Ok("\"\\/\u{8}\u{c}\n\r\t")),
            (r"\u0041\u00e9\u20AC\ud83d\ude00\u0000", Ok("Aé€😀\0")),
            (r"\ud7ff\ue000\uffff", Ok("\u{d7ff}\u{e000}\u{ffff}")),
            (r"\udbff\udfff", Ok("\u{10ffff}")),
            (r"\ud800", Err(LoneSurrogate)),
            (r"\udc00", Err(LoneSurrogate)),
            (r"\udc00\ud800", Err(LoneSurrogate)),
            (r"\udc00\udc00", Err(LoneSurrogate)),
            (r"\ud800\ud800", Err(LoneSurrogate)),
            (r"\ud800x", Err(LoneSurrogate)),
            (r"\ud800\n", Err(LoneSurrogate)),
            (r"\ud800\u0041", Err(LoneSurrogate)),
            (r"\ud800\udc0", Err(Syntax)),
            ("\\", Err(Syntax)),
            (r"\x", Err(Syntax)),
            (r"\u", Err(Syntax)),
            (r"\u123", Err(Syntax)),
            (r"\u+123", Err(Syntax)),
            (r"\u12é4", Err(Syntax)),
            (r"\u12 4", Err(Syntax)),
        ];
        for (inner, expected) in table {
            assert_eq!(unescaped(inner), expected.map(str::to_owned), "{inner}");
        }
    }

    proptest! {
        #[test]
        fn encoding_is_what_serde_json_writes(text in any::<String>()) {
            let literal = encoded(&text);
            prop_assert_eq!(&literal, &serde_json::to_string(&text).unwrap());
            let (inner, after) = split_string(&literal).unwrap();
            prop_assert_eq!((unescaped(inner), after), (Ok(text), ""));
        }

        #[test]
        fn unescaping_agrees_with_serde_json(inner in r#"([ -~é😀]|\\["\\/bfnrtu]|\\u[dD][89a-fA-F][0-9a-f]{2}|\\u[0-9a-f]{4}){0,12}"#) {
            let literal = format!("\"{inner}\"");
            let expected = serde_json::from_str::<String>(&literal);
            // An unescaped quote inside is not for `unescape` to see.
            prop_assume!(split_string(&literal).is_ok_and(|(whole, after)| whole == inner && after.is_empty()));
            prop_assert_eq!(unescaped(&inner).ok(), expected.ok());
        }
    }
}
