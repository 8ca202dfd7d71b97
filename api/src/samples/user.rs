//! Who a page says it is: a sign-in signed, and the member of a presence channel.

use protocol::app::Apps;
use protocol::auth::sign_signin;
use protocol::json::parse_object;
use serde::Deserialize;

use super::asked::Asked;
use super::reply::Reply;
use crate::refused::Refused;

/// Any JSON object.
#[derive(Deserialize)]
struct AnyObject {}

/// `{"auth", "user_data"}`: `user_data` as it was sent, or else made of `user_id` and `user_info`.
pub(super) fn authenticate(apps: &Apps, asked: &Asked) -> Result<Reply, Refused> {
    let socket_id = asked.socket_id()?;
    let app = asked.app(apps)?;
    let user_data = object_of(asked, "user_data").map_or_else(|| who(asked, "id"), str::to_owned);
    let auth = sign_signin(app, socket_id, &user_data);
    Ok(Reply::new().with("auth", &auth).with("user_data", &user_data))
}

/// The field, if it holds a JSON object.
pub(super) fn object_of<'a>(asked: &'a Asked, name: &str) -> Option<&'a str> {
    asked.get(name).filter(|text| parse_object::<AnyObject>(text.as_bytes()).is_ok())
}

/// The user of `user_id`, with the id under this name. Without it each connection is a user of its own.
pub(super) fn who(asked: &Asked, id_name: &str) -> String {
    let id = asked.filled("user_id").or_else(|| asked.get("socket_id")).unwrap_or_default();
    let user = Reply::new().with(id_name, id);
    let user = match object_of(asked, "user_info") {
        Some(info) => user.with_json("user_info", info),
        None => user,
    };
    user.into_json()
}
