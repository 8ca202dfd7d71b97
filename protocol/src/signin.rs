//! Signing in: whether a connection may become a user's, and why not.
//!
//! A connection is one user's for as long as it lives. It may sign in again as the same user, which replaces what its
//! back end says of the user; as another it may not. Called by the shard on `pusher:signin`.

use std::fmt;

use crate::app::App;
use crate::auth::{ClientAuthError, verify_signin};
use crate::socket_id::SocketId;
use crate::user_data::{UserData, UserDataError, parse_user_data};

/// The user that a connection signs in as. `signed_in` is the id of the user that it is signed in as already.
pub fn check_signin(
    app: &App,
    socket_id: SocketId,
    user_data: &str,
    auth: &str,
    signed_in: Option<&str>,
) -> Result<UserData, SigninError> {
    verify_signin(app, socket_id, user_data, auth).map_err(SigninError::Auth)?;
    let data = parse_user_data(user_data, &app.limits).map_err(SigninError::UserData)?;
    if signed_in.is_some_and(|id| *id != *data.user.user_id) {
        return Err(SigninError::OtherUser);
    }
    Ok(data)
}

/// Why a connection is not signed in. It stays as it was. The text goes to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SigninError {
    /// It is not authorised.
    Auth(ClientAuthError),
    /// The signed text describes no user.
    UserData(UserDataError),
    /// The connection is signed in as another user.
    OtherUser,
}

impl SigninError {
    /// The type and the status of a `pusher:signin_error`, as a refused subscription has them.
    pub fn kind_and_status(&self) -> (&'static str, u16) {
        match self {
            Self::UserData(UserDataError::IdTooLong { .. } | UserDataError::UserInfoTooLong { .. }) => {
                ("LimitReached", 4301)
            }
            Self::Auth(_) | Self::UserData(_) | Self::OtherUser => ("AuthError", 401),
        }
    }
}

impl fmt::Display for SigninError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auth(error) => error.fmt(f),
            Self::UserData(error) => error.fmt(f),
            Self::OtherUser => write!(f, "Connection is already signed in as another user"),
        }
    }
}

impl std::error::Error for SigninError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::sign_signin;

    const SOCKET_ID: SocketId = SocketId { first: 12, second: 34 };

    fn check(user_data: &str, signed_in: Option<&str>) -> Result<UserData, SigninError> {
        let app = App::new("1", "key", "secret");
        check_signin(&app, SOCKET_ID, user_data, &sign_signin(&app, SOCKET_ID, user_data), signed_in)
    }

    #[test]
    fn a_connection_signs_in_as_one_user_and_again_as_the_same() {
        let first = check(r#"{"id":"a"}"#, None).unwrap();
        assert_eq!(&*first.user.user_id, "a");
        let again = check(r#"{"id":"a","user_info":1,"watchlist":["b"]}"#, Some("a")).unwrap();
        assert_eq!((again.user.user_info.as_deref(), again.watchlist.len()), (Some("1"), 1));
        assert_eq!(check(r#"{"id":"b"}"#, Some("a")), Err(SigninError::OtherUser));
    }

    #[test]
    fn nothing_is_read_that_is_not_signed() {
        let app = App::new("1", "key", "secret");
        let table = [
            ("", ClientAuthError::Format),
            ("other:00", ClientAuthError::Key { what: "signin", key: "other".into() }),
        ];
        for (auth, error) in table {
            let checked = check_signin(&app, SOCKET_ID, "no JSON", auth, None);
            assert_eq!(checked, Err(SigninError::Auth(error)), "{auth}");
        }
        let unsigned = check_signin(&app, SOCKET_ID, "no JSON", "key:00", None).unwrap_err();
        assert!(matches!(unsigned, SigninError::Auth(ClientAuthError::Signature { .. })));
        assert_eq!(unsigned.kind_and_status(), ("AuthError", 401));
    }

    #[test]
    fn errors_have_the_type_and_status_of_refused_subscriptions() {
        let error = |user_data: &str| check(user_data, None).unwrap_err();
        assert_eq!(error("{}").kind_and_status(), ("AuthError", 401));
        assert_eq!(error("{}").to_string(), "Invalid user_data: id is missing or empty");
        let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(129));
        assert_eq!(error(&long).kind_and_status(), ("LimitReached", 4301));
        let other = check(r#"{"id":"b"}"#, Some("a")).unwrap_err();
        assert_eq!(other.kind_and_status(), ("AuthError", 401));
        assert_eq!(other.to_string(), "Connection is already signed in as another user");
    }
}
