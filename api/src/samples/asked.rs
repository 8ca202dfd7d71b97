//! What a page asks to have signed: fields of a form of either kind, of a JSON object or of the query, and the app that they are for.

use std::borrow::Cow;
use std::sync::Arc;

use protocol::app::{App, Apps};
use protocol::http::Request;
use protocol::json::{Value, parse_object};
use protocol::query::parse_query;
use protocol::socket_id::SocketId;
use serde::Deserialize;

use super::multipart::multipart_fields;
use super::refused;
use crate::refused::Refused;

/// The fields of a request. Where the body has one, that of the query does not count.
pub(super) struct Asked {
    fields: Vec<(Cow<'static, str>, String)>,
}

/// A JSON body. Everything else in it is passed over.
#[derive(Deserialize, Default)]
struct JsonBody<'a> {
    #[serde(borrow)]
    channel_name: Option<Value<'a>>,
    socket_id: Option<Value<'a>>,
    channel_data: Option<Value<'a>>,
    user_data: Option<Value<'a>>,
    user_id: Option<Value<'a>>,
    user_info: Option<Value<'a>>,
    app_key: Option<Value<'a>>,
    compat: Option<Value<'a>>,
}

impl Asked {
    pub(super) fn of(request: &Request<'_>) -> Self {
        let body = String::from_utf8_lossy(&request.body);
        let mut fields = body_fields(request.head.header("Content-Type").unwrap_or_default(), &body);
        fields.extend(form_fields(request.head.query));
        Self { fields }
    }

    /// The first field of this name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(its, _)| its == name).map(|(_, value)| &**value)
    }

    /// The field, if it has what PHP takes for true: clients of webman-push-server send what they lack as null, and the
    /// sample that this stands for asks in PHP.
    pub(super) fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !matches!(*value, "" | "0"))
    }

    pub(super) fn socket_id(&self) -> Result<SocketId, Refused> {
        let text = self.filled("socket_id").ok_or_else(|| refused(400, "Required socket_id"))?;
        SocketId::parse(text).ok_or_else(|| refused(400, "Invalid socket_id"))
    }

    /// The app of `app_key`, or else the first that is enabled.
    pub(super) fn app<'a>(&self, apps: &'a Apps) -> Result<&'a Arc<App>, Refused> {
        let app = match self.filled("app_key") {
            Some(key) => apps.by_key(key),
            None => apps.iter().find(|app| app.enabled),
        };
        let app = app.ok_or_else(|| refused(400, "Unknown app_key"))?;
        if app.enabled { Ok(app) } else { Err(refused(403, "The app is disabled")) }
    }
}

fn body_fields(content_type: &str, body: &str) -> Vec<(Cow<'static, str>, String)> {
    if content_type.to_ascii_lowercase().contains("json") {
        return json_fields(body);
    }
    match multipart_fields(content_type, body) {
        Some(fields) => fields.into_iter().map(|(name, value)| (Cow::Owned(name), value)).collect(),
        None => form_fields(body),
    }
}

fn form_fields(text: &str) -> Vec<(Cow<'static, str>, String)> {
    parse_query(text).iter().map(|(name, value)| (Cow::Owned(name.to_owned()), value.to_owned())).collect()
}

// What cannot be read as an object has no fields.
fn json_fields(text: &str) -> Vec<(Cow<'static, str>, String)> {
    let body: JsonBody<'_> = parse_object(text.as_bytes()).unwrap_or_default();
    let fields = [
        ("channel_name", body.channel_name),
        ("socket_id", body.socket_id),
        ("channel_data", body.channel_data),
        ("user_data", body.user_data),
        ("user_id", body.user_id),
        ("user_info", body.user_info),
        ("app_key", body.app_key),
        ("compat", body.compat),
    ];
    let text_of = |value: Value<'_>| {
        let text = if value.is_string() { value.text() } else { value.compact() };
        text.ok().map(Cow::into_owned)
    };
    fields.into_iter().filter_map(|(name, value)| Some((Cow::Borrowed(name), text_of(value?)?))).collect()
}
