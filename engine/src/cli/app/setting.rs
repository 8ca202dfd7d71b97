//! `NAME=VALUE` on the command line: a setting of an app, as a configuration file would have it.
//!
//! Quotes may be left out, because a shell takes them away: what is no TOML value is a text.

use std::str::FromStr;

use toml::de::DeValue;

use crate::app_store::quoted;

/// What commands of their own change.
const NOT_SET: [(&str, &str); 5] = [
    ("id", "add the app under another id"),
    ("key", "`corecast app rotate` adds one"),
    ("secret", "`corecast app rotate` adds a key with a new one"),
    ("keys", "`corecast app rotate` adds one"),
    ("enabled", "use `corecast app enable` and `disable`"),
];

/// A setting and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) name: String,
    pub(super) value: String,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
        let (name, value) = (parse_name(name.trim())?, value.trim());
        let is_value = !value.is_empty() && !value.contains('#') && DeValue::parse(value).is_ok();
        Ok(Self { name, value: if is_value { value.to_owned() } else { quoted(value) } })
    }
}

/// The name of a setting that may be set.
pub(super) fn parse_name(name: &str) -> Result<String, String> {
    if let Some((_, instead)) = NOT_SET.iter().find(|(other, _)| *other == name) {
        return Err(format!("{name} is not set here: {instead}"));
    }
    let is_name = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    match name.split('.').all(is_name) {
        true => Ok(name.to_owned()),
        false => {
            Err("a name is a key of [[apps]], such as client_events or limits.connections_max".to_owned())
        }
    }
}

/// The same for a limit, whose name stands without `limits.`.
pub(super) fn parse_limit(text: &str) -> Result<Setting, String> {
    format!("limits.{text}").parse()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_toml_or_a_text() {
        let table = [
            ("a=1", "1"),
            (" a = true ", "true"),
            ("a=https://a.com", "\"https://a.com\""),
            ("a=\"x\"", "\"x\""),
            ("a=[\"x\", \"y\"]", "[\"x\", \"y\"]"),
            ("a=", "\"\""),
            ("a=1 # x", "\"1 # x\""),
            ("a=1\nb = 2", "\"1\\u000ab = 2\""),
        ];
        for (text, value) in table {
            let setting: Setting = text.parse().unwrap();
            assert_eq!((setting.name.as_str(), setting.value.as_str()), ("a", value), "{text}");
        }
        assert_eq!(parse_limit("a=1").unwrap().name, "limits.a");
    }

    #[test]
    fn what_has_a_command_of_its_own_is_not_set() {
        for name in ["id", "key", "secret", "keys", "enabled", "", "a..b", "a b", "[x]", "é"] {
            assert!(format!("{name}=1").parse::<Setting>().is_err(), "{name}");
        }
        assert!("client_events".parse::<Setting>().is_err());
    }
}
