//! Query strings: `a=1&b=2` as pairs, percent-decoded leniently.
//!
//! Keys are in lower case, as Pusher's API takes them. A `+` is a space (form encoding, which server SDKs use), a bad escape stays as it is, bytes that are not UTF-8
//! become U+FFFD. No input is an error; past `QUERY_PARAMS_MAX` pairs the rest is not looked at by anybody, signature
//! check included. Used by the REST authentication, the api and the WebSocket handshake.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use crate::limits::QUERY_PARAMS_MAX;

/// The pairs of a query string, in their order.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Query<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

/// Pairs for which there is room from the start: as many as a client of the REST API sends, and more than browsers do.
const PAIRS_USUAL: usize = 8;

/// The pairs of a raw query string (without the question mark).
pub fn parse_query(raw: &str) -> Query<'_> {
    let mut pairs = Vec::with_capacity(PAIRS_USUAL);
    let mut part = Part::default();
    for (at, byte) in raw.bytes().enumerate() {
        match byte {
            b'&' => {
                pairs.extend(part.pair(raw, at));
                if pairs.len() == QUERY_PARAMS_MAX {
                    return Query { pairs };
                }
                part = Part { begin: at + 1, ..Part::default() };
            }
            b'=' => part.equals = part.equals.or(Some(at)),
            b'%' | b'+' => part.has_escapes = true,
            b'A'..=b'Z' | 0x80.. => part.has_capitals = true,
            _ => {}
        }
    }
    pairs.extend(part.pair(raw, raw.len()));
    Query { pairs }
}

/// What is known of the bytes since the last `&`.
#[derive(Default)]
struct Part {
    begin: usize,
    /// Where the first of them is.
    equals: Option<usize>,
    has_escapes: bool,
    /// Letters that may not be in lower case, in the key or in the value.
    has_capitals: bool,
}

impl Part {
    /// The pair that it is if it ends here. None: it is empty.
    fn pair<'a>(&self, raw: &'a str, end: usize) -> Option<(Cow<'a, str>, Cow<'a, str>)> {
        let text = raw.get(self.begin..end).filter(|text| !text.is_empty())?;
        let equals = self.equals.map_or(text.len(), |equals| equals - self.begin);
        let (key, value) = (text.get(..equals)?, text.get(equals + 1..).unwrap_or_default());
        if self.has_escapes {
            return Some((lower_case(decode(key)), decode(value)));
        }
        let key = Cow::Borrowed(key);
        Some((if self.has_capitals { lower_case(key) } else { key }, Cow::Borrowed(value)))
    }
}

impl Query<'_> {
    /// The first value of this key, which is in lower case.
    pub fn first(&self, key: &str) -> Option<&str> {
        self.all(key).next()
    }

    /// Every value of this key, in order: `channels[]=a&channels[]=b`.
    pub fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.iter().filter(move |(name, _)| *name == key).map(|(_, value)| value)
    }

    /// Every pair, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(key, value)| (&**key, &**value))
    }
}

fn lower_case(key: Cow<'_, str>) -> Cow<'_, str> {
    if key.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return key;
    }
    Cow::Owned(key.to_lowercase())
}

fn decode(text: &str) -> Cow<'_, str> {
    let spaced = text.replace('+', " ");
    Cow::Owned(percent_decode(spaced.as_bytes()).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn pairs_are_decoded_leniently() {
        let query =
            parse_query("a=1&b=x%2Cy&&c&d=%zz%2&e=a+b&%66=g&h==&channels[]=p&channels%5B%5D=q&i=%ff&j=x,y:z");
        let first = |key| query.first(key);
        assert_eq!(first("a"), Some("1"));
        assert_eq!(first("b"), Some("x,y"));
        assert_eq!(first("c"), Some(""));
        assert_eq!(first("d"), Some("%zz%2"));
        assert_eq!(first("e"), Some("a b"));
        assert_eq!(first("f"), Some("g"));
        assert_eq!(first("h"), Some("="));
        assert_eq!(first("i"), Some("\u{fffd}"));
        assert_eq!(first("j"), Some("x,y:z"));
        assert_eq!(first("nothing"), None);
        assert_eq!(query.all("channels[]").collect::<Vec<_>>(), ["p", "q"]);
        assert_eq!(parse_query("").iter().count(), 0);
    }

    #[test]
    fn keys_have_no_case_and_values_have() {
        let query = parse_query("Auth_Key=Ab&%49NFO=X&Channels[]=C&\u{c9}=E");
        let pairs: Vec<_> = query.iter().collect();
        assert_eq!(pairs, [("auth_key", "Ab"), ("info", "X"), ("channels[]", "C"), ("\u{e9}", "E")]);
    }

    #[test]
    fn the_number_of_pairs_is_bounded() {
        let raw = "a=1&".repeat(QUERY_PARAMS_MAX + 50);
        assert_eq!(parse_query(&raw).iter().count(), QUERY_PARAMS_MAX);
    }

    proptest! {
        #[test]
        fn any_text_gives_pairs(raw in ".{0,200}") {
            prop_assert!(parse_query(&raw).iter().count() <= QUERY_PARAMS_MAX);
        }

        #[test]
        fn encoded_values_come_back(values in proptest::collection::vec(".{0,20}", 0..10)) {
            let encode = |value: &String| {
                let value = percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC);
                format!("k={value}")
            };
            let raw = values.iter().map(encode).collect::<Vec<_>>().join("&");
            let query = parse_query(&raw);
            prop_assert_eq!(query.all("k").collect::<Vec<_>>(), values);
        }
    }
}
