//! Dialects: how the data of events looks to a connection, and which app a REST call means.
//!
//! Pusher's clients get data as a string that holds JSON. webman-push-server's PHP client gets the JSON itself, and ends
//! with an error when it meets a string. An app says which of the two its clients are, or leaves it to what each of them
//! says in the query of its URL.

use crate::query::Query;

/// What the clients of an app expect.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Dialect {
    /// Strings, whatever the client is.
    Pusher,
    /// Objects, as webman-push-server 2.x sends them.
    Webman2,
    /// Objects, as webman-push-server 3.x sends them.
    Webman3,
    /// Objects for webman-push-server's PHP client, which names itself, and strings for everybody else.
    #[default]
    Auto,
}

/// How the data of events looks to a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum DataForm {
    /// A JSON string.
    #[default]
    String,
    /// The JSON that the string would hold. What was published as text stays a string.
    Object,
}

/// What webman-push-server's PHP client adds to the query of its URL. Keys of a query are in lower case.
const CLIENT_PARAM: &str = "x-push-ws-client";

/// The header by which webman-push-server's PHP client for the REST API names itself.
pub const API_CLIENT_HEADER: &str = "X-Push-Client";

/// The app that webman/push's PHP client for the REST API has in all its paths, whatever its app is.
const WEBMAN_PUSH_APP_ID: &str = "1024";

impl Dialect {
    /// All of them by name.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("pusher", Self::Pusher),
        ("webman2", Self::Webman2),
        ("webman3", Self::Webman3),
        ("auto", Self::Auto),
    ];

    /// The dialect of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, dialect)| dialect)
    }

    /// What a connection gets whose URL has this query.
    pub fn data_form(self, query: &Query<'_>) -> DataForm {
        match self {
            Self::Pusher => DataForm::String,
            Self::Webman2 | Self::Webman3 => DataForm::Object,
            Self::Auto if query.first(CLIENT_PARAM).is_some() => DataForm::Object,
            Self::Auto => DataForm::String,
        }
    }

    /// Whether a REST call whose path names an app that does not exist means the app of its key, as it does with webman/push,
    /// which never looks at the path. The call must be signed by that app all the same. An app that may be any client's
    /// takes only what webman/push's own client sends: with every other name in the path, somebody has mistyped an id, and
    /// hears of it.
    ///
    /// The same calls may come without `auth_version`, which that client does not send.
    pub fn finds_app_by_key(self, app_id: &str) -> bool {
        match self {
            Self::Pusher => false,
            Self::Webman2 | Self::Webman3 => true,
            Self::Auto => app_id == WEBMAN_PUSH_APP_ID,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::parse_query;

    const OF_WS_CLIENT: &str = "X-Push-WS-Client=push-server+2.0.0&room=7";

    #[test]
    fn only_the_client_that_names_itself_gets_objects_where_any_may_come() {
        let of_pusher_js = "protocol=7&client=js&version=8.4.0&flash=false";
        for (query, expected) in [
            (OF_WS_CLIENT, DataForm::Object),
            ("room=7&x-push-ws-client", DataForm::Object),
            (of_pusher_js, DataForm::String),
            ("", DataForm::String),
            ("client=X-Push-WS-Client", DataForm::String),
        ] {
            let form = |dialect: Dialect| dialect.data_form(&parse_query(query));
            assert_eq!(form(Dialect::Auto), expected, "{query}");
            assert_eq!(form(Dialect::Pusher), DataForm::String, "{query}");
            assert_eq!(form(Dialect::Webman2), DataForm::Object, "{query}");
            assert_eq!(form(Dialect::Webman3), DataForm::Object, "{query}");
        }
    }

    #[test]
    fn names_lead_to_dialects() {
        assert_eq!(
            ["pusher", "webman2", "webman3", "auto"].map(Dialect::parse),
            [Some(Dialect::Pusher), Some(Dialect::Webman2), Some(Dialect::Webman3), Some(Dialect::Auto)]
        );
        assert_eq!(
            (Dialect::parse("Pusher"), Dialect::parse(""), Dialect::default()),
            (None, None, Dialect::Auto)
        );
    }

    #[test]
    fn the_key_finds_the_app_only_where_webman_may_call() {
        let finds = |dialect: Dialect| ["1024", "9", ""].map(|id| dialect.finds_app_by_key(id));
        assert_eq!(finds(Dialect::Pusher), [false, false, false]);
        assert_eq!(finds(Dialect::Auto), [true, false, false]);
        assert_eq!((finds(Dialect::Webman2), finds(Dialect::Webman3)), ([true; 3], [true; 3]));
    }
}
