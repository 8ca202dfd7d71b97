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

/// The pairs of a raw query string (without the question mark).
pub fn parse_query(raw: &str) -> Query<'_> {
    let parts_max = raw.bytes().filter(|byte| *byte == b'&').count() + 1;
    let mut pairs = Vec::with_capacity(parts_max.min(QUERY_PARAMS_MAX));
    // One look at all of it spares one at each part: what SDKs sign has no escape but in a parameter of a user's.
    let is_plain = !has_escapes(raw);
    let decode = |text| if is_plain { Cow::Borrowed(text) } else { decode(text) };
    for part in raw.split('&').filter(|part| !part.is_empty()).take(QUERY_PARAMS_MAX) {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        pairs.push((lower_case(decode(key)), decode(value)));
    }
    Query { pairs }
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

// Without a way out of the loop it takes many bytes at a time.
fn has_escapes(text: &str) -> bool {
    text.bytes().fold(false, |found, byte| found | matches!(byte, b'%' | b'+'))
}

fn lower_case(key: Cow<'_, str>) -> Cow<'_, str> {
    if key.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return key;
    }
    Cow::Owned(key.to_lowercase())
}

fn decode(text: &str) -> Cow<'_, str> {
    if !has_escapes(text) {
        return Cow::Borrowed(text);
    }
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
