//! What is asked, as text: a method, a path with its signed query, and a body. Pure: the time is an argument.

use crate::credentials::Credentials;
use crate::place::Place;
use crate::sign::{escape, signed_query};

/// A call of the REST API of an app.
#[derive(Debug)]
pub(super) struct Call {
    is_post: bool,
    /// Below `/apps/ID`.
    path: String,
    params: Vec<(&'static str, String)>,
    body: String,
}

impl Call {
    pub(super) fn get(path: String, params: Vec<(&'static str, String)>) -> Self {
        Self { is_post: false, path, params, body: String::new() }
    }

    pub(super) fn post(path: &str, body: String) -> Self {
        Self { is_post: true, path: path.to_owned(), params: Vec::new(), body }
    }

    pub(super) fn is_post(&self) -> bool {
        self.is_post
    }

    pub(super) fn body(&self) -> &str {
        &self.body
    }

    /// The whole URL, signed at this time.
    pub(super) fn url(&self, place: &Place, app: &Credentials, unix_seconds: u64) -> String {
        let path = format!("{}/apps/{}{}", place.path, escape(app.app_id()), self.path);
        let method = if self.is_post { "POST" } else { "GET" };
        let query = signed_query(app, method, &path, &self.params, &self.body, unix_seconds);
        format!("{}{path}?{query}", place.origin("http", "https"))
    }
}

/// The path of a channel.
pub(super) fn channel_path(channel: &str) -> String {
    format!("/channels/{}", escape(channel))
}

/// The path that ends the connections of a user.
pub(super) fn terminate_path(user_id: &str) -> String {
    format!("/users/{}/terminate_connections", escape(user_id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::parse_pusher_url;

    #[test]
    fn a_url_has_the_path_of_the_proxy_and_escaped_names() {
        let (place, app) = parse_pusher_url("https://k:s@h/push/apps/1").unwrap();
        let call = Call::get(channel_path("presence-a,b@c"), vec![("info", "user_count".to_owned())]);
        let url = call.url(&place, &app, 5);
        let wanted = "https://h:443/push/apps/1/channels/presence-a%2Cb%40c?auth_key=k&auth_timestamp=5&auth_version=1.0&info=user_count&auth_signature=";
        assert!(url.starts_with(wanted), "{url}");
        assert_eq!(terminate_path("a/b"), "/users/a%2Fb/terminate_connections");
        let url = Call::post("/events", "{}".to_owned()).url(&place, &app, 5);
        assert!(
            url.contains("/push/apps/1/events?")
                && url.contains("&body_md5=99914b932bd37a50b983c5e7c90ae93b&"),
            "{url}"
        );
    }
}
