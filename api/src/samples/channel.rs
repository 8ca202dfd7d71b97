//! Subscriptions signed, in the shapes of Pusher's libraries and of webman-push-server.

use std::sync::Arc;

use protocol::app::{App, Apps};
use protocol::auth::{shared_secret, sign_subscription};
use protocol::channel::{ChannelKind, parse_channel_name};
use protocol::json::php::encode_sorted;
use protocol::json::{JsonError, Value, parse_object};
use protocol::socket_id::SocketId;
use serde::Deserialize;

use super::asked::Asked;
use super::refused;
use super::reply::Reply;
use super::user::{object_of, who};
use crate::refused::Refused;

/// Whom webman-push-server's sample makes of everybody without `channel_data`, backslashes included.
const WEBMAN_USER: &str = r#"{"user_id":"100","user_info":"{\\'name\\':\\'John\\',\\'sex\\':\\'man\\'}"}"#;

/// A subscription that is to be signed.
struct Subscription<'a> {
    app: &'a Arc<App>,
    socket_id: SocketId,
    channel: &'a str,
    kind: ChannelKind,
}

impl<'a> Subscription<'a> {
    /// Of several faults, the one is told that webman-push-server would tell.
    fn of(apps: &'a Apps, asked: &'a Asked) -> Result<Self, Refused> {
        let channel = asked.filled("channel_name").ok_or_else(|| refused(400, "Required channel_name"))?;
        let kind = ChannelKind::of(channel);
        if !kind.needs_auth() || kind == ChannelKind::ServerToUser {
            return Err(refused(400, "Invalid channel_name"));
        }
        let socket_id = asked.socket_id()?;
        let app = asked.app(apps)?;
        if parse_channel_name(channel, app.limits.channel_name_bytes_max).is_err() {
            return Err(refused(400, "Invalid channel_name"));
        }
        Ok(Self { app, socket_id, channel, kind })
    }

    fn sign(&self, channel_data: Option<&str>) -> String {
        sign_subscription(self.app, self.socket_id, self.channel, channel_data)
    }

    /// The member is signed on presence channels, and has nothing to do elsewhere.
    fn reply(&self, member: impl FnOnce() -> String) -> Reply {
        if self.kind.is_presence() {
            let member = member();
            let auth = self.sign(Some(&member));
            return Reply::new().with("channel_data", &member).with("auth", &auth);
        }
        let reply = Reply::new().with("auth", &self.sign(None));
        if self.kind.is_encrypted() {
            return reply.with("shared_secret", &shared_secret(self.app, self.channel));
        }
        reply
    }
}

/// `{"auth"}`, with `channel_data` or `shared_secret` where the channel has such.
pub(super) fn as_pusher(apps: &Apps, asked: &Asked) -> Result<Reply, Refused> {
    let subscription = Subscription::of(apps, asked)?;
    let member = || object_of(asked, "channel_data").map_or_else(|| who(asked, "user_id"), str::to_owned);
    Ok(subscription.reply(member))
}

/// The same with webman-push-server's user, and with its object on `compat=webman`.
pub(super) fn as_webman_push_server(apps: &Apps, asked: &Asked) -> Result<Reply, Refused> {
    let subscription = Subscription::of(apps, asked)?;
    let member = object_of(asked, "channel_data").unwrap_or(WEBMAN_USER);
    if asked.get("compat") != Some("webman") {
        return Ok(subscription.reply(|| member.to_owned()));
    }
    // There, an object is always in the reply, and signed where the channel has members.
    let signed = if subscription.kind.is_presence() { Some(as_php_writes(member)?) } else { None };
    let auth = subscription.sign(signed.as_deref());
    Ok(Reply::new().with_json("channel_data", member).with("auth", &auth))
}

/// A JSON object on its way through PHP.
#[derive(Deserialize)]
struct Carried<'a> {
    #[serde(borrow)]
    object: Option<Value<'a>>,
}

fn as_php_writes(object: &str) -> Result<String, Refused> {
    let carried = format!("{{\"object\":{object}}}");
    let written = parse_object(carried.as_bytes()).and_then(|carried: Carried<'_>| {
        carried.object.as_ref().map_or(Err(JsonError::Syntax), encode_sorted)
    });
    written.map_err(|_| refused(400, "Invalid channel_data"))
}
