//! Sample endpoints: a back end that signs whatever is asked, for pages that are being developed.
//!
//! A real back end looks at who asks before it signs. These do not, so a server has them only where its settings say so
//! (`sample_endpoints`). They answer as what clients expect to find: webman-push-server's `/subscribe/auth`, webman/push's
//! `/plugin/webman/push/auth`, and the two default paths of pusher-js, which may ask in JSONP too. Any page may read the
//! answers: no cookie is looked at, so a page learns nothing that it could not have asked for by itself.

mod asked;
mod channel;
mod multipart;
mod reply;
mod user;

use std::borrow::Cow;

use protocol::app::Apps;
use protocol::http::{Head, Request};

use self::asked::Asked;
use self::reply::Reply;
use crate::answer::Answer;
use crate::limits::SAMPLE_BODY_BYTES_MAX;
use crate::refused::Refused;

/// What any page may read.
const ANY_ORIGIN: (&str, &str) = ("Access-Control-Allow-Origin", "*");

/// A sample endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sample {
    /// `POST /subscribe/auth`
    SubscribeAuth,
    /// `POST /plugin/webman/push/auth`
    WebmanPushAuth,
    /// `/pusher/auth`
    PusherAuth,
    /// `/pusher/user-auth`
    PusherUserAuth,
}

impl Sample {
    /// The paths, and what is there.
    pub const ALL: [(&'static str, Self); 4] = [
        ("/subscribe/auth", Self::SubscribeAuth),
        ("/plugin/webman/push/auth", Self::WebmanPushAuth),
        ("/pusher/auth", Self::PusherAuth),
        ("/pusher/user-auth", Self::PusherUserAuth),
    ];

    /// The endpoint of this path.
    pub fn of(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(its, _)| *its == path).map(|(_, sample)| sample)
    }

    /// Judges a request whose body is still to come.
    pub fn check_head(self, head: &Head<'_>) -> Result<(), Refused> {
        self.check_method(head)?;
        let length = head.header("Content-Length").and_then(|length| length.trim().parse().ok());
        check_body_bytes(length.unwrap_or(0))
    }

    /// The answer to a whole request.
    pub fn answer(self, apps: &Apps, request: &Request<'_>) -> Result<Answer<'static>, Refused> {
        let head = &request.head;
        self.check_method(head)?;
        if head.method == "OPTIONS" {
            return Ok(self.preflight());
        }
        check_body_bytes(request.body.len())?;
        let asked = Asked::of(request);
        let reply = match self {
            Self::SubscribeAuth => channel::as_webman_push_server(apps, &asked),
            Self::WebmanPushAuth | Self::PusherAuth => channel::as_pusher(apps, &asked),
            Self::PusherUserAuth => user::authenticate(apps, &asked),
        };
        let callback = asked.get("callback").filter(|_| head.method != "POST");
        reply.and_then(|reply| answer_with(reply, callback))
    }

    fn check_method(self, head: &Head<'_>) -> Result<(), Refused> {
        match head.method {
            "POST" | "OPTIONS" => Ok(()),
            "GET" | "HEAD" if self.speaks_jsonp() => Ok(()),
            _ => Err(Refused::method(self.methods())),
        }
    }

    fn methods(self) -> &'static str {
        if self.speaks_jsonp() { "GET, HEAD, POST, OPTIONS" } else { "POST, OPTIONS" }
    }

    fn speaks_jsonp(self) -> bool {
        matches!(self, Self::PusherAuth | Self::PusherUserAuth)
    }

    /// What a browser asks before it lets a page send what no form can.
    fn preflight(self) -> Answer<'static> {
        let headers = vec![
            ("Allow", self.methods()),
            ANY_ORIGIN,
            ("Access-Control-Allow-Methods", self.methods()),
            // Older browsers take the star for a name, and Authorization must be named in all of them.
            (
                "Access-Control-Allow-Headers",
                "*, Accept, Authorization, Content-Type, X-CSRF-Token, X-Requested-With, X-XSRF-TOKEN",
            ),
            ("Access-Control-Max-Age", "600"),
        ];
        Answer { headers: headers.into(), ..Answer::text("", b"") }
    }
}

fn answer_with(reply: Reply, callback: Option<&str>) -> Result<Answer<'static>, Refused> {
    let body = reply.into_json();
    let answer = match callback {
        None => Answer::json(body.into_bytes()),
        Some(name) if is_callback(name) => {
            Answer::text("application/javascript", format!("{name}({body});").into_bytes())
        }
        Some(_) => return Err(refused(400, "Invalid callback")),
    };
    Ok(Answer { headers: Cow::Borrowed(&[ANY_ORIGIN]), ..answer })
}

/// The name of a function, and nothing that a script could do besides: pusher-js has `Pusher.auth_callbacks['1']`.
fn is_callback(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_$.[]'".contains(&byte);
    (1..=128).contains(&name.len()) && name.bytes().all(allowed)
}

fn check_body_bytes(bytes: usize) -> Result<(), Refused> {
    if bytes > SAMPLE_BODY_BYTES_MAX {
        return Err(refused(413, "The body is longer than the 65536 bytes of a sample endpoint"));
    }
    Ok(())
}

/// A refusal that a page can read.
fn refused(status: u16, text: &'static str) -> Refused {
    let (name, value) = ANY_ORIGIN;
    Refused { header: Some((name, Cow::Borrowed(value))), ..Refused::new(status, text) }
}

#[cfg(test)]
mod tests;
