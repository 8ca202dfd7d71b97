//! JSON from peers and JSON strings for frames. The only file that names sonic_rs.
//!
//! sonic-rs recurses, so a deeply nested text would overflow the stack: every text is first scanned, without recursion,
//! for its depth and for anything behind its end. Then one typed struct is read whose fields are `Value`s, views of the
//! text that are unescaped only when somebody asks. Only sonic-rs' lazy
//! iterators are used: its serde side copies every string that has an escape, and its `*_unchecked` calls must never see
//! peer bytes. A struct for peer JSON can have no fields but `Value`s; `&str` would refuse every escaped string. Called by `message`
//! and `presence` here and by the api.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::{CowStrDeserializer, Error as FieldError};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use sonic_rs::{LazyValue, ObjectJsonIter};

use self::strings::{encode_escape, has_escape, skip_string, split_string, unescape};
use crate::limits::JSON_DEPTH_MAX;

pub use self::strings::{encode_string, encode_string_part};

pub mod php;
mod strings;

/// Reads a JSON object from bytes of a peer: UTF-8, at most `JSON_DEPTH_MAX` deep, nothing but white space behind it.
/// `T` is a struct of `Option<Value>` fields (derive `Deserialize`, mark them `#[serde(borrow)]`); `null` and absent
/// are then both `None`, unknown keys are passed over, a known key that comes twice is an error.
pub fn parse_object<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|_| JsonError::NotUtf8)?;
    check_shape(text)?;
    read_object(text)
}

/// Reads a JSON object of any keys from bytes of a peer, within the same bounds. A key that comes twice is there twice.
pub fn parse_entries(bytes: &[u8]) -> Result<Vec<(Cow<'_, str>, Value<'_>)>, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|_| JsonError::NotUtf8)?;
    check_shape(text)?;
    read_entries(text)
}

/// For `#[serde(borrow, default, deserialize_with = "present")]`: `null` is a value, only an absent key is `None`.
pub fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value<'de>>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// A JSON value as it stands in a text that was parsed: well formed, not deeper than `JSON_DEPTH_MAX`, not yet looked
/// into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'a> {
    raw: &'a str,
}

impl<'a> Value<'a> {
    /// The value as it was written.
    pub fn raw(&self) -> &'a str {
        self.raw
    }

    /// Whether it is a string.
    pub fn is_string(&self) -> bool {
        self.raw.starts_with('"')
    }

    /// Whether it is an object.
    pub fn is_object(&self) -> bool {
        self.raw.starts_with('{')
    }

    /// Whether it is an array.
    pub fn is_array(&self) -> bool {
        self.raw.starts_with('[')
    }

    /// Whether it is `null`.
    pub fn is_null(&self) -> bool {
        self.raw == "null"
    }

    /// Whether it is an object or an array without anything in it.
    pub fn is_empty_container(&self) -> bool {
        let inner = self.raw.strip_prefix(['{', '[']).and_then(|rest| rest.strip_suffix(['}', ']']));
        inner.is_some_and(|inner| inner.bytes().all(is_space))
    }

    /// The text of a string, unescaped.
    pub fn text(&self) -> Result<Cow<'a, str>, JsonError> {
        let inner = self.inner().ok_or(JsonError::NotAString)?;
        if !has_escape(inner) {
            return Ok(Cow::Borrowed(inner));
        }
        let mut text = String::with_capacity(inner.len());
        unescape(inner, |part| text.push_str(part))?;
        Ok(Cow::Owned(text))
    }

    /// Appends the text of a string, unescaped.
    pub fn append_text(&self, out: &mut Vec<u8>) -> Result<(), JsonError> {
        let inner = self.inner().ok_or(JsonError::NotAString)?;
        unescape(inner, |part| out.extend_from_slice(part.as_bytes()))
    }

    /// The digits of an integer, as written; `None` for everything else, `1.0` and `1e3` among it.
    pub fn integer(&self) -> Option<&'a str> {
        let digits = self.raw.strip_prefix('-').unwrap_or(self.raw);
        let is_integer = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_integer.then_some(self.raw)
    }

    /// Reads a nested object, as `parse_object` does.
    pub fn object<T: Deserialize<'a>>(&self) -> Result<T, JsonError> {
        if !self.is_object() {
            return Err(JsonError::NotAnObject);
        }
        read_object(self.raw)
    }

    /// The keys and values of a nested object.
    pub fn entries(&self) -> Result<Vec<(Cow<'a, str>, Self)>, JsonError> {
        if !self.is_object() {
            return Err(JsonError::NotAnObject);
        }
        read_entries(self.raw)
    }

    /// The elements of an array.
    pub fn elements(&self) -> Result<Vec<Self>, JsonError> {
        if !self.is_array() {
            return Err(JsonError::NotAnArray);
        }
        let elements = sonic_rs::to_array_iter(self.raw);
        elements.map(|element| element.ok().and_then(Self::of_lazy).ok_or(JsonError::Syntax)).collect()
    }

    /// The value without white space between its parts. Strings stay as they are written; their escapes are checked.
    pub fn compact(&self) -> Result<Cow<'a, str>, JsonError> {
        let mut compact = String::with_capacity(self.raw.len());
        let mut rest = self.raw;
        while let Some(start) = rest.find('"') {
            let (between, from_quote) = rest.split_at(start);
            push_without_spaces(&mut compact, between);
            let (string, after) = split_string(from_quote)?;
            unescape(string, |_| {})?;
            compact.push('"');
            compact.push_str(string);
            compact.push('"');
            rest = after;
        }
        push_without_spaces(&mut compact, rest);
        if compact.len() == self.raw.len() { Ok(Cow::Borrowed(self.raw)) } else { Ok(Cow::Owned(compact)) }
    }

    /// The value as data of an event: a string stays the literal it is, anything else becomes a string that holds its
    /// compact JSON.
    pub fn event_data(&self) -> Result<EventData<'a>, JsonError> {
        let Some(inner) = self.inner() else {
            return Ok(EventData { is_json: true, ..EventData::of_text(&self.compact()?) });
        };
        let mut decoded_bytes = 0;
        unescape(inner, |part| decoded_bytes += part.len())?;
        Ok(EventData { literal: Cow::Borrowed(self.raw), decoded_bytes, is_json: false })
    }

    // A lazy value of an iterator over a `&str` is always a view of it.
    fn of_lazy(lazy: LazyValue<'a>) -> Option<Self> {
        match lazy.as_raw_cow() {
            Cow::Borrowed(raw) => Some(Self { raw }),
            Cow::Owned(_) => None,
        }
    }

    // What stands between the quotes of a string.
    fn inner(&self) -> Option<&'a str> {
        self.raw.strip_prefix('"')?.strip_suffix('"')
    }
}

/// Data of an event, ready to be copied into a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventData<'a> {
    /// A JSON string literal, quotes included. Its escapes are checked.
    pub literal: Cow<'a, str>,
    /// The length of the text that it stands for, in bytes: what limits are about.
    pub decoded_bytes: usize,
    /// That text is the JSON of a value that was no string.
    pub is_json: bool,
}

impl EventData<'_> {
    /// The data that is this text.
    pub fn of_text(text: &str) -> Self {
        let mut literal = Vec::with_capacity(text.len() + text.len() / 8 + 2);
        encode_string(&mut literal, text);
        // `encode_string` copies UTF-8 and adds ASCII, so nothing is ever replaced here.
        let literal = String::from_utf8(literal).unwrap_or_default();
        Self { literal: Cow::Owned(literal), decoded_bytes: text.len(), is_json: false }
    }

    /// The same data, owning its bytes.
    pub fn into_owned(self) -> EventData<'static> {
        EventData { literal: Cow::Owned(self.literal.into_owned()), ..self }
    }
}

/// Why bytes are no JSON that we take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonError {
    /// The bytes are not UTF-8.
    NotUtf8,
    /// An object was needed.
    NotAnObject,
    /// An array was needed.
    NotAnArray,
    /// A string was needed.
    NotAString,
    /// Nested deeper than `JSON_DEPTH_MAX`.
    TooDeep,
    /// It is not well formed, a key comes twice, or something follows it.
    Syntax,
    /// A `\u` escape names half of a surrogate pair.
    LoneSurrogate,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 => write!(f, "JSON must be UTF-8"),
            Self::NotAnObject => write!(f, "a JSON object is needed"),
            Self::NotAnArray => write!(f, "a JSON array is needed"),
            Self::NotAString => write!(f, "a JSON string is needed"),
            Self::TooDeep => write!(f, "JSON is nested deeper than {JSON_DEPTH_MAX} levels"),
            Self::Syntax => write!(f, "JSON is not well formed, or has a key twice"),
            Self::LoneSurrogate => write!(f, "a JSON string holds half of a surrogate pair"),
        }
    }
}

impl std::error::Error for JsonError {}

#[inline]
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

// Brackets are only counted here; whether they match is for the parser, which is then safe to recurse.
fn check_shape(text: &str) -> Result<(), JsonError> {
    let text = text.trim_ascii_start();
    if !text.starts_with('{') {
        return Err(JsonError::NotAnObject);
    }
    let mut depth = 0_usize;
    let mut bytes = text.as_bytes();
    while let [byte, rest @ ..] = bytes {
        bytes = rest;
        match byte {
            b'"' => bytes = skip_string(rest),
            b'{' | b'[' => {
                depth += 1;
                if depth > JSON_DEPTH_MAX {
                    return Err(JsonError::TooDeep);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    break;
                }
            }
            _ => {}
        }
    }
    if bytes.iter().all(|byte| is_space(*byte)) { Ok(()) } else { Err(JsonError::Syntax) }
}

fn push_without_spaces(out: &mut String, text: &str) {
    out.extend(text.split([' ', '\t', '\n', '\r']));
}

// Reads an object whose depth is known to be bounded.
fn read_object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, JsonError> {
    let fields = Fields { entries: sonic_rs::to_object_iter(text), value: None };
    T::deserialize(fields).map_err(|_| JsonError::Syntax)
}

// The same for an object of any keys.
fn read_entries(text: &str) -> Result<Vec<(Cow<'_, str>, Value<'_>)>, JsonError> {
    let mut entries = Vec::new();
    for entry in sonic_rs::to_object_iter(text) {
        let (key, value) = entry.map_err(|_| JsonError::Syntax)?;
        entries.push((key, Value::of_lazy(value).ok_or(JsonError::Syntax)?));
    }
    Ok(entries)
}

// What serde's derived code reads a struct from: the keys of an object and views of their values.
struct Fields<'a> {
    entries: ObjectJsonIter<'a>,
    value: Option<Value<'a>>,
}

impl<'a> Deserializer<'a> for Fields<'a> {
    type Error = FieldError;

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, FieldError> {
        visitor.visit_map(self)
    }

    forward_to_deserialize_any! {
        <V: Visitor<'a>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'a> MapAccess<'a> for Fields<'a> {
    type Error = FieldError;

    fn next_key_seed<K: DeserializeSeed<'a>>(&mut self, seed: K) -> Result<Option<K::Value>, FieldError> {
        let Some(entry) = self.entries.next() else { return Ok(None) };
        let (key, value) = entry.map_err(FieldError::custom)?;
        self.value = Value::of_lazy(value);
        seed.deserialize(CowStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<S::Value, FieldError> {
        let value = self.value.take().ok_or_else(|| FieldError::custom("a value without a key"))?;
        seed.deserialize(Field(value))
    }
}

// One value on its way into a field, which can be a `Value` or an `Option` of one.
struct Field<'a>(Value<'a>);

impl<'a> Deserializer<'a> for Field<'a> {
    type Error = FieldError;

    // Any other type would silently see raw JSON.
    fn deserialize_any<V: Visitor<'a>>(self, _: V) -> Result<V::Value, FieldError> {
        Err(FieldError::custom("fields of peer JSON are Values"))
    }

    fn deserialize_newtype_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, FieldError> {
        visitor.visit_borrowed_str(self.0.raw)
    }

    fn deserialize_option<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, FieldError> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_ignored_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, FieldError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        <V: Visitor<'a>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct enum identifier
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Value<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct("Value", ValueVisitor)
    }
}

struct ValueVisitor;

impl<'a> Visitor<'a> for ValueVisitor {
    type Value = Value<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_borrowed_str<E>(self, raw: &'a str) -> Result<Value<'a>, E> {
        Ok(Value { raw })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    #[derive(Debug, serde::Deserialize)]
    struct Probe<'a> {
        #[serde(borrow)]
        a: Option<Value<'a>>,
        #[serde(borrow, default, deserialize_with = "present")]
        b: Option<Value<'a>>,
    }

    fn probe(text: &str) -> Result<Probe<'_>, JsonError> {
        parse_object(text.as_bytes())
    }

    fn a(text: &str) -> Value<'_> {
        probe(text).unwrap().a.unwrap()
    }

    #[test]
    fn values_are_views_of_every_type_of_json() {
        let digits = "9".repeat(400);
        let big = format!("-{digits}.{digits}e-{digits}");
        for raw in [
            "true",
            "false",
            "0",
            "-1.5e+3",
            &digits,
            &big,
            "\"\"",
            r#""\u00e9\"""#,
            "\"\u{7f}é\"",
            "[]",
            "{}",
            r#"[1, "x", {"a":[null]}]"#,
            r#"{"a":"]}","b":"\\"}"#,
        ] {
            let text = format!("{{ \"x\": [1], \"a\" :\t{raw}\r\n, \"b\":{raw}}} \n");
            let probe = probe(&text).unwrap();
            assert_eq!((probe.a.unwrap().raw(), probe.b.unwrap().raw()), (raw, raw));
        }
    }

    #[test]
    fn null_is_absent_unless_a_field_wants_to_know() {
        let nulls = probe(r#"{"a":null,"b":null}"#).unwrap();
        assert!(nulls.a.is_none() && nulls.b.unwrap().is_null());
        let nothing = probe("{}").unwrap();
        assert!(nothing.a.is_none() && nothing.b.is_none());
    }

    #[test]
    fn keys_may_be_escaped_and_a_key_may_not_come_twice() {
        assert_eq!(a(r#"{"\u0061":1}"#).raw(), "1");
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, r#"{"b":null,"x":0,"b":null}"#] {
            assert_eq!(probe(text).unwrap_err(), JsonError::Syntax, "{text}");
        }
    }

    #[test]
    fn an_object_of_any_keys_is_read_in_order_and_within_the_same_bounds() {
        let text = br#" { "a": [1] , "\u0062":{"c":null}, "a":2} "#;
        let entries = parse_entries(text).unwrap();
        let shown: Vec<_> = entries.iter().map(|(key, value)| (&**key, value.raw())).collect();
        assert_eq!(shown, [("a", "[1]"), ("b", "{\"c\":null}"), ("a", "2")]);
        let inner = entries[1].1.entries().unwrap();
        assert!(inner[0].0 == "c" && inner[0].1.is_null());
        assert_eq!(entries[0].1.entries(), Err(JsonError::NotAnObject));
        for (text, error) in [
            (&b"[]"[..], JsonError::NotAnObject),
            (b"{\"a\":}", JsonError::Syntax),
            (b"{\"a\":1", JsonError::Syntax),
            (b"{\"a\":1} x", JsonError::Syntax),
            (b"{\"\xff\":1}", JsonError::NotUtf8),
        ] {
            assert_eq!(parse_entries(text), Err(error), "{text:?}");
        }
        let deep = "{\"a\":".repeat(JSON_DEPTH_MAX + 1);
        assert_eq!(parse_entries(deep.as_bytes()), Err(JsonError::TooDeep));
    }

    #[test]
    fn what_is_no_object_or_not_well_formed_is_refused() {
        for text in ["", " ", "null", "[]", "[{}]", "\"{}\"", "1", "x{}", "\u{feff}{}", "}", "\0{}"] {
            assert_eq!(probe(text).unwrap_err(), JsonError::NotAnObject, "{text:?}");
        }
        for text in [
            "{",
            "{}}",
            "{}{}",
            "{} x",
            "{},",
            "{}\0",
            "{]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{,}",
            "{a:1}",
            "{'a':1}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":01}",
            "{\"a\":+1}",
            "{\"a\":.5}",
            "{\"a\":1.}",
            "{\"a\":1e}",
            "{\"a\":0x1}",
            "{\"a\":NaN}",
            "{\"a\":tru}",
            "{\"a\":nulll}",
            "{\"a\":\"\n\"}",
            "{\"a\":\"\0\"}",
            "{\"a\":\"\\x\"}",
            "{\"a\":\"\\u12\"}",
            "{\"a\":\"",
            "{\"a\":\"\\",
            "{\"a\":\"\\\"}",
            "{\"a\":[1,]}",
            "{\"a\":[,1]}",
            "{\"a\":[1}",
            "{\"a\":{]}",
            "{\"a\":[1 2]}",
            "{\"a\":{\"b\":1,}}",
            "{\"x\":[}]}",
            "{\"\n\":1}",
            "\x0c{}",
            "{\u{a0}}",
            "{//\n}",
        ] {
            let error = probe(text).unwrap_err();
            assert_eq!(error, JsonError::Syntax, "{text:?}");
        }
        assert_eq!(parse_object::<Probe<'_>>(b"{\"a\":\"\xff\"}").unwrap_err(), JsonError::NotUtf8);
        assert_eq!(parse_object::<Probe<'_>>(b"{\"a\":\"\xed\xa0\x80\"}").unwrap_err(), JsonError::NotUtf8);
    }

    #[test]
    fn the_digits_of_an_escape_are_checked_where_it_is_read() {
        for bad in [r#""\u0:00""#, r#""\ud800""#, r#"["\uzzzz"]"#] {
            assert!(probe(&format!("{{\"x\":{bad}}}")).is_ok(), "{bad}");
            let text = format!("{{\"b\":{bad}}}");
            let value = probe(&text).unwrap().b.unwrap();
            assert!(value.event_data().is_err() && value.compact().is_err(), "{bad}");
        }
    }

    #[test]
    fn depth_is_bounded_before_anything_recurses() {
        let nested = |open: &str, close: &str, levels: usize| {
            format!("{{\"a\":{}{}}}", open.repeat(levels - 1), close.repeat(levels - 1))
        };
        assert!(probe(&nested("[", "]", JSON_DEPTH_MAX)).is_ok());
        assert_eq!(probe(&nested("[", "]", JSON_DEPTH_MAX + 1)).unwrap_err(), JsonError::TooDeep);
        for levels in [500, 10_000, 1_000_000] {
            for (open, close) in
                [("[", "]"), ("{\"a\":", "}"), ("[{\"x\":", "}]"), ("[", ""), ("{\"a\":", "")]
            {
                assert_eq!(
                    probe(&nested(open, close, levels)).unwrap_err(),
                    JsonError::TooDeep,
                    "{open} {levels}"
                );
            }
            assert_eq!(probe(&"[".repeat(levels)).unwrap_err(), JsonError::NotAnObject);
            assert_eq!(probe(&"{".repeat(levels)).unwrap_err(), JsonError::TooDeep);
            let in_string = format!("{{\"a\":\"{}\"}}", "[{\\\"".repeat(levels));
            assert!(a(&in_string).is_string());
        }
    }

    #[test]
    fn text_is_unescaped_only_where_it_must_be() {
        assert!(matches!(a(r#"{"a":"plain é"}"#).text(), Ok(Cow::Borrowed("plain é"))));
        assert_eq!(a(r#"{"a":"\"\u00e9\u0000"}"#).text().unwrap(), "\"é\0");
        assert_eq!(a(r#"{"a":"\ud800"}"#).text(), Err(JsonError::LoneSurrogate));
        for raw in ["1", "true", "[]", "{}"] {
            assert_eq!(a(&format!("{{\"a\":{raw}}}")).text(), Err(JsonError::NotAString));
        }
    }

    #[test]
    fn integers_are_digits() {
        let digits = "9".repeat(400);
        for (raw, is_integer) in [
            ("0", true),
            ("-12", true),
            (digits.as_str(), true),
            ("1.0", false),
            ("1e3", false),
            ("\"1\"", false),
            ("true", false),
            ("[1]", false),
        ] {
            assert_eq!(a(&format!("{{\"a\":{raw}}}")).integer(), is_integer.then_some(raw));
        }
    }

    #[test]
    fn nested_objects_and_arrays_are_opened_one_at_a_time() {
        let text = r#"{"a":{"a":[ 1 , "x]" , {"b":2} , [] ],"x":0}}"#;
        let inner: Probe<'_> = a(text).object().unwrap();
        let elements = inner.a.unwrap().elements().unwrap();
        assert_eq!(elements.iter().map(Value::raw).collect::<Vec<_>>(), ["1", "\"x]\"", "{\"b\":2}", "[]"]);
        assert!(elements[3].elements().unwrap().is_empty() && elements[3].is_empty_container());
        assert!(!elements[2].is_empty_container() && a(r#"{"a":{ }}"#).is_empty_container());
        assert_eq!(elements[0].elements(), Err(JsonError::NotAnArray));
        assert_eq!(elements[0].object::<Probe<'_>>().unwrap_err(), JsonError::NotAnObject);
        assert_eq!(elements[3].object::<Probe<'_>>().unwrap_err(), JsonError::NotAnObject);
    }

    #[test]
    fn event_data_is_a_string_literal_with_its_decoded_length() {
        let table = [
            (r#""plain""#, r#""plain""#, 5),
            (r#""{\"a\":\"\u00e9\"}""#, r#""{\"a\":\"\u00e9\"}""#, 10),
            (r#""""#, r#""""#, 0),
            (r#"{ "a" : "x y" }"#, r#""{\"a\":\"x y\"}""#, 11),
            (r#"[1, "\u00e9\n"]"#, r#""[1,\"\\u00e9\\n\"]""#, 14),
            ("12", r#""12""#, 2),
            ("true", r#""true""#, 4),
        ];
        for (raw, literal, decoded_bytes) in table {
            let text = format!("{{\"b\":{raw}}}");
            let data = probe(&text).unwrap().b.unwrap().event_data().unwrap();
            assert_eq!((&*data.literal, data.decoded_bytes), (literal, decoded_bytes), "{raw}");
            assert_eq!(serde_json::from_str::<String>(literal).unwrap().len(), decoded_bytes);
        }
        let null = probe(r#"{"b":null}"#).unwrap().b.unwrap().event_data().unwrap();
        assert_eq!(&*null.literal, "\"null\"");
        for raw in [r#""\ud800""#, r#"["\udc00x"]"#, r#"{"\ud800":1}"#] {
            let text = format!("{{\"a\":{raw}}}");
            let error = probe(&text).and_then(|probe| probe.a.unwrap().event_data()).unwrap_err();
            assert_eq!(error, JsonError::LoneSurrogate, "{raw}");
        }
    }

    #[test]
    fn a_string_is_not_copied_on_its_way_to_a_frame() {
        let data = a(r#"{"a":"{\"x\":1}"}"#).event_data().unwrap();
        assert!(matches!(data.literal, Cow::Borrowed(_)));
    }

    // JSON of every type, with white space and escapes in all places where they may be.
    fn any_json() -> impl Strategy<Value = String> {
        let string = r#"([ !#-\[\]-~é]|\\["\\/bfnrt]|\\u00[0-9a-f]{2}|\\ud83d\\ude00){0,6}"#;
        let string = string.prop_map(|inner| format!("\"{inner}\""));
        let number = r"-?(0|[1-9][0-9]{0,3})(\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?";
        let leaf = prop_oneof![Just("null".to_owned()), Just("true".to_owned()), number, string.clone()];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            let space = "[ \t\n\r]{0,2}";
            let list = proptest::collection::vec((space, inner.clone(), space), 0..4);
            let object = proptest::collection::vec((string.clone(), space, inner), 0..4);
            prop_oneof![
                list.prop_map(|items| {
                    let items = items.iter().map(|(a, item, b)| format!("{a}{item}{b}"));
                    format!("[{}]", items.collect::<Vec<_>>().join(","))
                }),
                object.prop_map(|items| {
                    let items =
                        items.iter().map(|(key, space, value)| format!("{space}{key}{space}:{space}{value}"));
                    format!("{{{}}}", items.collect::<Vec<_>>().join(","))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn compact_json_means_the_same(raw in any_json()) {
            let text = format!("{{\"b\":{raw}}}");
            let value = probe(&text).unwrap().b.unwrap();
            let compact = value.compact().unwrap();
            let meaning = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
            prop_assert_eq!(meaning(&compact), meaning(&raw));
            let data = value.event_data().unwrap();
            let decoded: String = serde_json::from_str(&data.literal).unwrap();
            prop_assert_eq!(decoded.len(), data.decoded_bytes);
            prop_assert_eq!(meaning(if value.is_string() { &raw } else { &decoded }), meaning(&raw));
        }

        #[test]
        fn damaged_json_is_judged_as_serde_json_judges_it(
            raw in any_json(),
            damage in proptest::collection::vec((any::<usize>(), r#"[\[\]{}",:\\ue0.x\n -]?"#), 0..3),
        ) {
            let mut text = format!("{{\"a\":{raw},\"x\":{raw}}}");
            for (at, with) in damage {
                let at = text.floor_char_boundary(at % text.len().max(1));
                let end = text.ceil_char_boundary((at + 1).min(text.len()));
                text.replace_range(at..end, &with);
            }
            let ours = probe(&text);
            let theirs = serde_json::from_str::<std::collections::HashMap<String, &RawValue>>(&text);
            match (&ours, &theirs) {
                (Ok(probe), Ok(map)) => {
                    let theirs = map.get("a").map(|raw| raw.get()).filter(|raw| *raw != "null");
                    prop_assert_eq!(probe.a.map(|value| value.raw()), theirs);
                }
                (Err(_), Err(_)) => {}
                // A key that comes twice is an error of ours alone.
                (Err(_), Ok(map)) => prop_assert!(map.len() < 2, "{} {:?}", text, ours),
                // serde_json must give the text of every key, so a bad escape in one is an error of its alone.
                (Ok(_), Err(error)) => prop_assert!(text.contains("\\u"), "{} {}", text, error),
            }
        }

        #[test]
        fn any_bytes_give_a_value_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let wrapped = [b"{\"a\":", bytes.as_slice(), b"}"].concat();
            for text in [bytes.as_slice(), &wrapped] {
                if let Ok(probe) = parse_object::<Probe<'_>>(text)
                    && let Some(value) = probe.a
                {
                    let _ = (value.text(), value.elements(), value.object::<Probe<'_>>(), value.event_data());
                }
            }
        }
    }
}
