//! What responses say. Tolerant: other servers write counts as texts, users as bare names, and nothing as an empty list.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::error::ApiError;

/// An attribute of a channel that a call can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Info {
    /// How many users are in a presence channel.
    UserCount,
    /// How many subscriptions a channel has.
    SubscriptionCount,
    /// The last event of a cache channel.
    Cache,
}

/// Attributes as a call names them.
pub(super) fn joined(info: &[Info]) -> String {
    let name = |info: &Info| match info {
        Info::UserCount => "user_count",
        Info::SubscriptionCount => "subscription_count",
        Info::Cache => "cache",
    };
    info.iter().map(name).collect::<Vec<_>>().join(",")
}

/// What is said of one channel. What was not asked for, or does not apply, is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelInfo {
    /// Whether anybody is subscribed. Only a call about one channel says so.
    pub occupied: Option<bool>,
    /// How many users are in it.
    pub user_count: Option<u64>,
    /// How many subscriptions it has.
    pub subscription_count: Option<u64>,
    /// Its last event.
    pub cache: Option<Cached>,
}

/// The last event of a cache channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cached {
    /// Its data.
    pub data: String,
    /// For how many seconds it is still remembered.
    pub ttl: Option<u64>,
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn channel_info(value: &Value) -> ChannelInfo {
    let cached = |cache: &Value| {
        Some(Cached { data: text(cache.get("data")?)?, ttl: cache.get("ttl").and_then(number) })
    };
    ChannelInfo {
        occupied: value.get("occupied").and_then(Value::as_bool),
        user_count: value.get("user_count").and_then(number),
        subscription_count: value.get("subscription_count").and_then(number),
        cache: value.get("cache").and_then(cached),
    }
}

fn parsed(body: &str) -> Result<Value, ApiError> {
    serde_json::from_str(body).map_err(|error| unreadable(body, &error.to_string()))
}

fn unreadable(body: &str, why: &str) -> ApiError {
    ApiError::Unreadable { body: body.to_owned(), why: why.to_owned() }
}

fn by_channel(channels: Option<&Value>) -> BTreeMap<String, ChannelInfo> {
    let nothing = Map::new();
    let channels = channels.and_then(Value::as_object).unwrap_or(&nothing);
    channels.iter().map(|(name, value)| (name.clone(), channel_info(value))).collect()
}

/// `{"channels":{…}}`. What has no `channels`, or a list of them, has nothing to say.
pub(super) fn channels(body: &str) -> Result<BTreeMap<String, ChannelInfo>, ApiError> {
    Ok(by_channel(parsed(body)?.get("channels")))
}

/// `{"batch":[{…},…]}`: one for each event, in order, if any event has asked for something.
pub(super) fn batch(body: &str) -> Result<Vec<ChannelInfo>, ApiError> {
    let value = parsed(body)?;
    let items = value.get("batch").and_then(Value::as_array);
    Ok(items.map_or_else(Vec::new, |items| items.iter().map(channel_info).collect()))
}

/// What is said of one channel.
pub(super) fn channel(body: &str) -> Result<ChannelInfo, ApiError> {
    Ok(channel_info(&parsed(body)?))
}

/// `{"users":[{"id":"1"},…]}`.
pub(super) fn users(body: &str) -> Result<Vec<String>, ApiError> {
    let value = parsed(body)?;
    let users =
        value.get("users").and_then(Value::as_array).ok_or_else(|| unreadable(body, "it has no users"))?;
    let id = |user: &Value| text(user.get("id").unwrap_or(user));
    users.iter().map(|user| id(user).ok_or_else(|| unreadable(body, "a user has no id"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_of_pusher_and_of_other_servers_are_understood() {
        let of = |user_count| ChannelInfo { user_count: Some(user_count), ..ChannelInfo::default() };
        let found = channels(
            r#"{"channels":{"presence-a":{"user_count":42},"b":{"user_count":"7","type":"public"}}}"#,
        )
        .unwrap();
        assert_eq!(found, BTreeMap::from([("presence-a".to_owned(), of(42)), ("b".to_owned(), of(7))]));
        for nothing in
            [r#"{"channels":{}}"#, r#"{"channels":[]}"#, "{}", r#"{"ok":true}"#, r#"{"channels":["a"]}"#]
        {
            assert_eq!(channels(nothing).unwrap(), BTreeMap::new(), "{nothing}");
        }
        assert_eq!(batch(r#"{"batch":[{"user_count":1},{}]}"#).unwrap(), [of(1), ChannelInfo::default()]);
        assert_eq!(batch(r#"{"batch":{}}"#).unwrap(), []);
        let cached = Some(Cached { data: "x".to_owned(), ttl: Some(60) });
        let one = channel(r#"{"occupied":true,"cache":{"data":"x","ttl":60}}"#).unwrap();
        assert_eq!(one, ChannelInfo { occupied: Some(true), cache: cached, ..ChannelInfo::default() });
        assert_eq!(channel(r#"{"occupied":false,"cache":null}"#).unwrap().cache, None);
        for list in [
            r#"{"users":[{"id":"1"},{"id":"b"}]}"#,
            r#"{"users":["1","b"]}"#,
            r#"{"users":[{"id":1},{"id":"b"}]}"#,
        ] {
            assert_eq!(users(list).unwrap(), ["1", "b"], "{list}");
        }
        for bad in ["", "<html>", "{}", r#"{"users":[null]}"#] {
            assert!(matches!(users(bad), Err(ApiError::Unreadable { .. })), "{bad}");
        }
    }
}
