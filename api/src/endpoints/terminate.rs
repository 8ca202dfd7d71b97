//! `POST /apps/ID/users/USER_ID/terminate_connections`: close the connections of a user.
//!
//! The body is not looked at: SDKs send `{}`, `[]` or nothing, and there is nothing that it could say. Whether the user
//! has connections at all is not told: the answer is `{}` for any user that could exist.

use std::str::Utf8Error;
use std::sync::Arc;

use percent_encoding::percent_decode_str;
use protocol::app::App;
use protocol::limits::characters_beyond;

use crate::refused::Refused;

/// Closes the connections of a user.
#[derive(Clone, Debug)]
pub struct Terminate<'a> {
    /// The app of the connections.
    pub app: &'a Arc<App>,
    /// Whose connections: 1 to `user_id_characters_max` characters.
    pub user_id: Box<str>,
}

/// The call for the user that this segment of a path names. Only what may be the id of a user is taken.
pub(crate) fn parse_terminate<'a>(app: &'a Arc<App>, segment: &str) -> Result<Terminate<'a>, Refused> {
    let user_id = percent_decode_str(segment).decode_utf8().map_err(|error| not_utf8(&error))?;
    let max = app.limits.user_id_characters_max;
    if user_id.is_empty() || characters_beyond(&user_id, max).is_some() {
        let characters = user_id.chars().count();
        let text = format!(
            "Invalid user id: it has {characters} characters, not 1 to {max} (user_id_characters_max)"
        );
        return Err(Refused::invalid(text));
    }
    Ok(Terminate { app, user_id: user_id.as_ref().into() })
}

fn not_utf8(error: &Utf8Error) -> Refused {
    Refused::invalid(format!("Invalid user id: its bytes are not UTF-8 from byte {} on", error.valid_up_to()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_id_is_decoded_and_bounded() {
        let app = Arc::new(App::new("3", "key", "secret"));
        let longest = "😀".repeat(128);
        let escaped = "%F0%9F%98%80".repeat(128);
        let table = [
            ("u1", Ok("u1")),
            ("a%20b%2Fc", Ok("a b/c")),
            ("a+b", Ok("a+b")),
            ("Zo%C3%AB", Ok("Zoë")),
            ("100%", Ok("100%")),
            (&longest, Ok(&*longest)),
            (&escaped, Ok(&*longest)),
            ("", Err(400)),
            ("%FF", Err(400)),
            ("Zo%C3", Err(400)),
            (&format!("{longest}x"), Err(400)),
            (&format!("{escaped}%C3%A9"), Err(400)),
        ];
        for (segment, expected) in table {
            let parsed = parse_terminate(&app, segment);
            let parsed = parsed.map(|call| call.user_id).map_err(|refused| refused.status);
            assert_eq!(parsed.as_deref(), expected.as_ref().map(|id| *id), "{segment}");
        }
    }
}
