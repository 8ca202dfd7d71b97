//! `GET /apps/ID/channels/NAME/users`: who is in a presence channel.

use std::borrow::Cow;
use std::sync::Arc;

use protocol::app::App;
use protocol::json::encode_string;

use super::channels::parse_name;
use crate::answer::Answer;
use crate::refused::Refused;

/// Asks for the members of a presence channel.
#[derive(Clone, Debug)]
pub struct Users<'a> {
    /// The channel's app.
    pub app: &'a Arc<App>,
    /// The channel's name.
    pub name: Cow<'a, str>,
    /// The caller is webman-push-server's client, which reads a list of ids and not of objects.
    pub of_webman: bool,
}

/// The call for this channel. Only presence channels have members.
pub(crate) fn parse_users<'a>(
    app: &'a Arc<App>,
    name: Cow<'a, str>,
    of_webman: bool,
) -> Result<Users<'a>, Refused> {
    if !parse_name(app, &name)?.is_presence() {
        return Err(Refused::invalid("Users can only be retrieved for presence channels"));
    }
    Ok(Users { app, name, of_webman })
}

/// Ids of the members.
pub fn answer_users(ids: &[Box<str>], of_webman: bool) -> Answer<'static> {
    let (open, close): (&[u8], &[u8]) = if of_webman { (b"", b"") } else { (b"{\"id\":", b"}") };
    let mut out = b"{\"users\":[".to_vec();
    for (index, id) in ids.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(open);
        encode_string(&mut out, id);
        out.extend_from_slice(close);
    }
    out.extend_from_slice(b"]}");
    Answer::json(out)
}
