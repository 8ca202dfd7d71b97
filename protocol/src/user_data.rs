//! The user that signs in, as `user_data` describes it: an id, further information, and a watchlist.
//!
//! `user_data` is JSON inside a string that the app's back end signed; it is parsed only after its signature is checked.
//! The id must be a string: pusher-js drops a user whose id is a number, so a sign-in that it would not believe is
//! refused with a reason. Called by `signin`.

use std::fmt;

use serde::Deserialize;

use crate::json::{self, JsonError, Value};
use crate::limits::{AppLimits, characters_beyond};
use crate::presence::Member;

/// A user who signs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserData {
    /// The user, as a member of presence channels.
    pub user: Member,
    /// Ids of the users that this user watches, each once, in the order given.
    pub watchlist: Vec<Box<str>>,
    /// How many more the list had than `watchlist_users_max` allows. They are not watched.
    pub unwatched: usize,
}

impl UserData {
    /// The text of a `pusher:error` with code [`crate::close::WATCHLIST`], if the list was longer than allowed. It lists
    /// the users that are watched.
    pub fn watchlist_error(&self) -> Option<String> {
        let (watched, unwatched) = (self.watchlist.len(), self.unwatched);
        let text = || {
            format!(
                "The watchlist is too long: {unwatched} of its users are not watched, because at most {watched} are \
                 (watchlist_users_max). Watched are: {}",
                self.watchlist.join(", ")
            )
        };
        (unwatched > 0).then(text)
    }
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    id: Option<Value<'a>>,
    #[serde(borrow)]
    user_info: Option<Value<'a>>,
    #[serde(borrow)]
    watchlist: Option<Value<'a>>,
}

/// The user that a `user_data` text describes.
pub fn parse_user_data(json: &str, limits: &AppLimits) -> Result<UserData, UserDataError> {
    let fields: Fields<'_> = json::parse_object(json.as_bytes()).map_err(UserDataError::Json)?;
    let user_id = parse_id(fields.id.as_ref(), limits)?;
    let user_info = fields.user_info.map(|info| compact_user_info(&info, limits)).transpose()?;
    let (watchlist, unwatched) = match &fields.watchlist {
        Some(list) => parse_watchlist(list, limits)?,
        None => (Vec::new(), 0),
    };
    Ok(UserData { user: Member { user_id, user_info }, watchlist, unwatched })
}

fn parse_id(value: Option<&Value<'_>>, limits: &AppLimits) -> Result<Box<str>, UserDataError> {
    let value = value.ok_or(UserDataError::IdMissing)?;
    if !value.is_string() {
        return Err(UserDataError::IdType);
    }
    let id = value.text().map_err(UserDataError::Json)?;
    if id.is_empty() {
        return Err(UserDataError::IdMissing);
    }
    check_length(&id, limits)?;
    Ok(id.into())
}

fn check_length(id: &str, limits: &AppLimits) -> Result<(), UserDataError> {
    let characters_max = limits.user_id_characters_max;
    match characters_beyond(id, characters_max) {
        Some(characters) => Err(UserDataError::IdTooLong { characters, characters_max }),
        None => Ok(()),
    }
}

fn compact_user_info(info: &Value<'_>, limits: &AppLimits) -> Result<Box<str>, UserDataError> {
    let compact = info.compact().map_err(UserDataError::Json)?;
    let bytes_max = limits.presence_user_bytes_max;
    if compact.len() > bytes_max {
        return Err(UserDataError::UserInfoTooLong { bytes: compact.len(), bytes_max });
    }
    Ok(compact.into())
}

// Back ends whose ids are numbers often list them as such; the ids of those who sign in are strings all the same.
fn parse_watchlist(list: &Value<'_>, limits: &AppLimits) -> Result<(Vec<Box<str>>, usize), UserDataError> {
    let elements = list.elements().map_err(|error| match error {
        JsonError::NotAnArray => UserDataError::WatchlistType,
        error => UserDataError::Json(error),
    })?;
    let mut watchlist: Vec<Box<str>> = Vec::with_capacity(elements.len().min(limits.watchlist_users_max));
    let mut unwatched = 0;
    for element in elements {
        let id = match element.integer() {
            Some(digits) => digits.into(),
            None if element.is_string() => element.text().map_err(UserDataError::Json)?,
            None => return Err(UserDataError::WatchlistType),
        };
        if id.is_empty() {
            return Err(UserDataError::WatchlistType);
        }
        check_length(&id, limits)?;
        if watchlist.iter().any(|other| **other == *id) {
            continue;
        }
        if watchlist.len() < limits.watchlist_users_max {
            watchlist.push(id.into());
        } else {
            unwatched += 1;
        }
    }
    Ok((watchlist, unwatched))
}

/// Why a `user_data` describes no user. The text goes to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserDataError {
    /// It is no JSON object.
    Json(JsonError),
    /// There is no `id`, or it is empty.
    IdMissing,
    /// `id` is no string.
    IdType,
    /// An id, of the user or in the watchlist, is longer than the app allows.
    IdTooLong {
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
    /// `watchlist` is no list of ids.
    WatchlistType,
}

impl fmt::Display for UserDataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(f, "Invalid user_data: {error}"),
            Self::IdMissing => write!(f, "Invalid user_data: id is missing or empty"),
            Self::IdType => write!(f, "Invalid user_data: id must be a string"),
            Self::IdTooLong { characters, characters_max } => write!(
                f,
                "Invalid user_data: an id has {characters} characters, allowed are {characters_max} \
                 (user_id_characters_max)"
            ),
            Self::UserInfoTooLong { bytes, bytes_max } => write!(
                f,
                "Invalid user_data: user_info has {bytes} bytes, allowed are {bytes_max} (presence_user_bytes_max)"
            ),
            Self::WatchlistType => {
                write!(f, "Invalid user_data: watchlist must be a list of user ids, each a string")
            }
        }
    }
}

impl std::error::Error for UserDataError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn parse(json: &str) -> Result<UserData, UserDataError> {
        parse_user_data(json, &AppLimits::default())
    }

    fn user(id: &str, user_info: Option<&str>, watchlist: &[&str]) -> UserData {
        UserData {
            user: Member { user_id: id.into(), user_info: user_info.map(Into::into) },
            watchlist: watchlist.iter().map(|id| (*id).into()).collect(),
            unwatched: 0,
        }
    }

    #[test]
    fn users_are_read_as_every_back_end_writes_them() {
        let table = [
            (r#"{"id":"12345"}"#, user("12345", None, &[])),
            (r#"{"id":"a","name":"Phil","twitter":"@x"}"#, user("a", None, &[])),
            (
                r#" { "id" : "\u00e9\ud83d\ude00" , "user_info" : null , "watchlist" : null } "#,
                user("é😀", None, &[]),
            ),
            (r#"{"id":"a","user_info":{ "name" : "x y" }}"#, user("a", Some(r#"{"name":"x y"}"#), &[])),
            (r#"{"id":"a","user_info":"text"}"#, user("a", Some(r#""text""#), &[])),
            (r#"{"watchlist":["b","c"],"id":"a"}"#, user("a", None, &["b", "c"])),
            (r#"{"id":"a","watchlist":[]}"#, user("a", None, &[])),
            (r#"{"id":"a","watchlist":["b","a","b",7,"7"]}"#, user("a", None, &["b", "a", "7"])),
        ];
        for (json, expected) in table {
            assert_eq!(parse(json), Ok(expected), "{json}");
        }
    }

    #[test]
    fn bad_user_data_has_its_error() {
        use UserDataError as E;
        let long = "x".repeat(129);
        let too_long = E::IdTooLong { characters: 129, characters_max: 128 };
        let table = [
            ("", E::Json(JsonError::NotAnObject)),
            ("[]", E::Json(JsonError::NotAnObject)),
            (r#""{}""#, E::Json(JsonError::NotAnObject)),
            (r#"{"id":"a"} x"#, E::Json(JsonError::Syntax)),
            (r#"{"id":"a","id":"b"}"#, E::Json(JsonError::Syntax)),
            (r#"{"id":"\ud800"}"#, E::Json(JsonError::LoneSurrogate)),
            (r#"{"id":"a","watchlist":["\udc00"]}"#, E::Json(JsonError::LoneSurrogate)),
            ("{}", E::IdMissing),
            (r#"{"id":null}"#, E::IdMissing),
            (r#"{"id":""}"#, E::IdMissing),
            (r#"{"user_id":"a"}"#, E::IdMissing),
            (r#"{"id":1}"#, E::IdType),
            (r#"{"id":true}"#, E::IdType),
            (r#"{"id":{}}"#, E::IdType),
            (r#"{"id":"a","watchlist":"b"}"#, E::WatchlistType),
            (r#"{"id":"a","watchlist":{"0":"b"}}"#, E::WatchlistType),
            (r#"{"id":"a","watchlist":[null]}"#, E::WatchlistType),
            (r#"{"id":"a","watchlist":[1.5]}"#, E::WatchlistType),
            (r#"{"id":"a","watchlist":[""]}"#, E::WatchlistType),
            (&format!(r#"{{"id":"{long}"}}"#), too_long),
            (&format!(r#"{{"id":"a","watchlist":["{long}"]}}"#), too_long),
        ];
        for (json, error) in table {
            assert_eq!(parse(json), Err(error), "{json}");
            assert!(error.to_string().starts_with("Invalid user_data: "));
        }
        let info = |count: usize| parse(&format!(r#"{{"id":"a","user_info":"{}"}}"#, "x".repeat(count)));
        assert!(info(2046).is_ok());
        assert_eq!(info(2047), Err(E::UserInfoTooLong { bytes: 2049, bytes_max: 2048 }));
    }

    #[test]
    fn of_a_longer_watchlist_the_first_hundred_are_watched_and_the_rest_is_told() {
        let ids = |count: usize| (0..count).map(|i| format!("u{i}")).collect::<Vec<_>>();
        let parsed = |list: &[String]| parse(&json!({"id": "a", "watchlist": list}).to_string()).unwrap();
        let whole = parsed(&ids(100));
        assert_eq!((whole.watchlist.len(), whole.unwatched, whole.watchlist_error()), (100, 0, None));
        let twice = parsed(&[ids(100), ids(100)].concat());
        assert_eq!(
            (twice.watchlist.len(), twice.unwatched),
            (100, 0),
            "an id that is listed twice counts once"
        );
        let longer = parsed(&ids(101));
        assert_eq!((&longer.watchlist, longer.unwatched), (&whole.watchlist, 1));
        let error = longer.watchlist_error().unwrap();
        assert!(
            error.contains("watchlist_users_max") && error.contains("u0, u1, ") && error.ends_with("u99"),
            "{error}"
        );
        let none = AppLimits { watchlist_users_max: 0, ..AppLimits::default() };
        let cut = parse_user_data(r#"{"id":"a","watchlist":["b"]}"#, &none).unwrap();
        assert_eq!((cut.watchlist.len(), cut.unwatched), (0, 1));
    }

    proptest! {
        #[test]
        fn any_text_gives_a_user_within_the_limits_or_an_error(json in r#"[\[\]{}",:\\adiwtchls0-9 ]{0,60}"#) {
            if let Ok(data) = parse(&json) {
                prop_assert!((1..=128).contains(&data.user.user_id.chars().count()));
                prop_assert!(data.watchlist.len() <= 100);
            }
        }

        #[test]
        fn ids_come_back(id in ".{1,30}", watched in prop::collection::hash_set(".{1,30}", 0..5)) {
            let watched: Vec<_> = watched.into_iter().collect();
            let data = parse(&json!({"id": id, "watchlist": watched}).to_string()).unwrap();
            prop_assert_eq!(&*data.user.user_id, id.as_str());
            prop_assert!(data.watchlist.iter().map(|id| &**id).eq(watched.iter().map(String::as_str)));
        }
    }
}
