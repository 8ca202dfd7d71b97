//! Members of presence channels, as a client's `channel_data` names them, or its sign-in.
//!
//! `channel_data` is JSON inside a string that the app's backend signed; it is parsed only after its signature is
//! checked. An integer `user_id` is common and becomes a string everywhere. Called by the shard on a subscribe.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;

use crate::json::{self, JsonError, Value};
use crate::limits::{AppLimits, characters_beyond};

/// A user in a presence channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Not empty, at most `user_id_characters_max` characters.
    pub user_id: Box<str>,
    /// Compact JSON of whatever the backend says about the user; `None` if it says nothing or `null`.
    pub user_info: Option<Box<str>>,
}

/// The member that a subscription brings to a presence channel: the user that its signed `channel_data` names, or else the
/// user that the connection is signed in as.
pub fn parse_member(
    channel_data: Option<&str>,
    signed_in: Option<&Arc<Member>>,
    limits: &AppLimits,
) -> Result<Arc<Member>, ChannelDataError> {
    match (channel_data, signed_in) {
        (Some(json), _) => parse_channel_data(json, limits).map(Arc::new),
        (None, Some(user)) => Ok(Arc::clone(user)),
        (None, None) => Err(ChannelDataError::Missing),
    }
}

#[derive(Deserialize)]
struct ChannelData<'a> {
    #[serde(borrow)]
    user_id: Option<Value<'a>>,
    #[serde(borrow)]
    user_info: Option<Value<'a>>,
}

/// The member that a `channel_data` text describes.
pub fn parse_channel_data(json: &str, limits: &AppLimits) -> Result<Member, ChannelDataError> {
    let data: ChannelData<'_> = json::parse_object(json.as_bytes()).map_err(ChannelDataError::Json)?;
    let user_id = parse_user_id(data.user_id.as_ref(), limits.user_id_characters_max)?;
    let user_info = match &data.user_info {
        Some(info) => Some(compact_user_info(info, limits.presence_user_bytes_max)?),
        None => None,
    };
    Ok(Member { user_id, user_info })
}

fn parse_user_id(value: Option<&Value<'_>>, characters_max: usize) -> Result<Box<str>, ChannelDataError> {
    let value = value.ok_or(ChannelDataError::UserIdMissing)?;
    let user_id = match value.integer() {
        Some(digits) => digits.into(),
        None if value.is_string() => value.text().map_err(ChannelDataError::Json)?,
        None => return Err(ChannelDataError::UserIdType),
    };
    if user_id.is_empty() {
        return Err(ChannelDataError::UserIdMissing);
    }
    if let Some(characters) = characters_beyond(&user_id, characters_max) {
        return Err(ChannelDataError::UserIdTooLong { characters, characters_max });
    }
    Ok(user_id.into())
}

fn compact_user_info(info: &Value<'_>, bytes_max: usize) -> Result<Box<str>, ChannelDataError> {
    let compact = info.compact().map_err(ChannelDataError::Json)?;
    if compact.len() > bytes_max {
        return Err(ChannelDataError::UserInfoTooLong { bytes: compact.len(), bytes_max });
    }
    Ok(compact.into())
}

/// Why a `channel_data` describes no member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelDataError {
    /// There is none, and nobody is signed in.
    Missing,
    /// It is no JSON object.
    Json(JsonError),
    /// There is no `user_id`, or it is empty.
    UserIdMissing,
    /// `user_id` is neither a string nor an integer.
    UserIdType,
    /// `user_id` is longer than the app allows.
    UserIdTooLong {
        /// The length it has.
        characters: usize,
        /// `user_id_characters_max`
        characters_max: usize,
    },
    /// `user_info` is longer than the app allows.
    UserInfoTooLong {
        /// The length of its compact JSON.
        bytes: usize,
        /// `presence_user_bytes_max`
        bytes_max: usize,
    },
}

impl fmt::Display for ChannelDataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => {
                write!(f, "Invalid channel_data: a presence channel needs it, unless a user is signed in")
            }
            Self::Json(error) => write!(f, "Invalid channel_data: {error}"),
            Self::UserIdMissing => write!(f, "Invalid channel_data: user_id is missing or empty"),
            Self::UserIdType => write!(f, "Invalid channel_data: user_id must be a string or an integer"),
            Self::UserIdTooLong { characters, characters_max } => write!(
                f,
                "Invalid channel_data: user_id has {characters} characters, allowed are {characters_max} \
                 (user_id_characters_max)"
            ),
            Self::UserInfoTooLong { bytes, bytes_max } => write!(
                f,
                "Invalid channel_data: user_info has {bytes} bytes, allowed are {bytes_max} (presence_user_bytes_max)"
            ),
        }
    }
}

impl std::error::Error for ChannelDataError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(json: &str) -> Result<Member, ChannelDataError> {
        parse_channel_data(json, &AppLimits::default())
    }

    #[test]
    fn user_ids_are_strings_or_integers() {
        let table = [
            (r#"{"user_id":"u1"}"#, "u1"),
            (r#"{"user_id":10}"#, "10"),
            (r#"{"user_id":-3}"#, "-3"),
            (r#" { "user_id" : "\u00e9\ud83d\ude00\n" } "#, "é😀\n"),
            (r#"{"user_id":123456789012345678901234567890}"#, "123456789012345678901234567890"),
            (r#"{"other":{"user_id":1},"user_id":"0","user_info":null}"#, "0"),
            (r#"{"us\u0065r_id":"escaped key"}"#, "escaped key"),
        ];
        for (json, user_id) in table {
            assert_eq!(parse(json), Ok(Member { user_id: user_id.into(), user_info: None }), "{json}");
        }
    }

    #[test]
    fn a_member_comes_from_channel_data_or_from_the_sign_in() {
        let signed_in = Arc::new(Member { user_id: "signed-in".into(), user_info: Some("{}".into()) });
        let member = |channel_data, signed_in| {
            parse_member(channel_data, signed_in, &AppLimits::default())
                .map(|member| member.user_id.to_string())
        };
        let (named, user) = (Some(r#"{"user_id":"named"}"#), Some(&signed_in));
        assert_eq!(member(named, None).as_deref(), Ok("named"));
        assert_eq!(member(named, user).as_deref(), Ok("named"), "what is signed for this channel wins");
        assert_eq!(member(None, user).as_deref(), Ok("signed-in"));
        assert_eq!(member(None, None), Err(ChannelDataError::Missing));
        assert_eq!(
            member(Some("{}"), user),
            Err(ChannelDataError::UserIdMissing),
            "bad data is not overlooked"
        );
        let shared = parse_member(None, user, &AppLimits::default()).unwrap();
        assert!(Arc::ptr_eq(&shared, &signed_in));
    }

    #[test]
    fn user_info_is_any_json_made_compact() {
        let table = [
            ("{}", "{}"),
            ("[ ]", "[]"),
            (
                r#" { "name" : "Mr. \"x\" y" , "a" : [ 1 , 2.5e3 ] } "#,
                r#"{"name":"Mr. \"x\" y","a":[1,2.5e3]}"#,
            ),
            (r#""text with  spaces""#, r#""text with  spaces""#),
            ("12", "12"),
            ("false", "false"),
        ];
        for (info, compact) in table {
            let member = parse(&format!(r#"{{"user_id":"u","user_info":{info}}}"#)).unwrap();
            assert_eq!(member.user_info.as_deref(), Some(compact), "{info}");
        }
    }

    #[test]
    fn bad_channel_data_has_its_error() {
        use ChannelDataError as E;
        let digits = "9".repeat(400);
        let table = [
            ("", E::Json(JsonError::NotAnObject)),
            ("[]", E::Json(JsonError::NotAnObject)),
            (r#"["u"]"#, E::Json(JsonError::NotAnObject)),
            (r#""{}""#, E::Json(JsonError::NotAnObject)),
            (r#"{"user_id":"u"} x"#, E::Json(JsonError::Syntax)),
            (r#"{"user_id":"u","user_id":"v"}"#, E::Json(JsonError::Syntax)),
            (r#"{"user_id":"\ud800"}"#, E::Json(JsonError::LoneSurrogate)),
            (r#"{"user_id":"u","user_info":["\udc00"]}"#, E::Json(JsonError::LoneSurrogate)),
            ("{}", E::UserIdMissing),
            (r#"{"user_id":null}"#, E::UserIdMissing),
            (r#"{"user_id":""}"#, E::UserIdMissing),
            (r#"{"user_id":1.0}"#, E::UserIdType),
            (r#"{"user_id":1e3}"#, E::UserIdType),
            (r#"{"user_id":true}"#, E::UserIdType),
            (r#"{"user_id":{}}"#, E::UserIdType),
            (r#"{"user_id":["u"]}"#, E::UserIdType),
            (
                &format!(r#"{{"user_id":{digits}}}"#),
                E::UserIdTooLong { characters: 400, characters_max: 128 },
            ),
        ];
        for (json, error) in table {
            assert_eq!(parse(json), Err(error), "{json}");
        }
    }

    #[test]
    fn limits_count_decoded_ids_and_compact_info() {
        let id = |of: &str, count: usize| parse(&format!(r#"{{"user_id":"{}"}}"#, of.repeat(count)));
        for character in ["x", r"\u00e9", "é", "日", "😀", r"\ud83d\ude00"] {
            assert!(id(character, 128).is_ok(), "{character}");
            let too_long = ChannelDataError::UserIdTooLong { characters: 129, characters_max: 128 };
            assert_eq!(id(character, 129), Err(too_long), "{character}");
        }
        let info = |count: usize| format!(r#"{{"user_id":"u","user_info":  "{}"}}"#, "x".repeat(count));
        assert!(parse(&info(2046)).is_ok());
        assert_eq!(
            parse(&info(2047)),
            Err(ChannelDataError::UserInfoTooLong { bytes: 2049, bytes_max: 2048 })
        );
    }

    proptest! {
        #[test]
        fn any_text_gives_a_member_within_its_limits_or_an_error(json in r#"[\[\]{}",:\\a-f0-9 ]{0,60}"#) {
            if let Ok(member) = parse(&json) {
                prop_assert!((1..=128).contains(&member.user_id.chars().count()));
            }
        }

        #[test]
        fn ids_come_back(id in ".{1,30}") {
            let json = format!(r#"{{"user_id":{}}}"#, serde_json::to_string(&id).unwrap());
            prop_assert_eq!(&*parse(&json).unwrap().user_id, id.as_str());
        }
    }
}
