//! A question for an app that a server does not know, and what came of it.

use std::fmt;

use super::{App, Apps, check_name};
use crate::limits::APP_NAME_ASKED_BYTES_MAX;

/// By what an unknown app was named. Only what could be an app's key or id is asked for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum AppQuestion {
    /// A client has named a key.
    Key(Box<str>),
    /// A back end has named an id.
    Id(Box<str>),
}

impl AppQuestion {
    /// For the app with this key, if there could be one.
    pub fn of_key(key: &str) -> Option<Self> {
        can_be_asked("key", key).then(|| Self::Key(key.into()))
    }

    /// For the app with this id, if there could be one.
    pub fn of_id(id: &str) -> Option<Self> {
        can_be_asked("id", id).then(|| Self::Id(id.into()))
    }

    /// `key` or `id`, and which.
    pub fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Key(key) => ("key", key),
            Self::Id(id) => ("id", id),
        }
    }

    /// Whether this is the app.
    pub fn names(&self, app: &App) -> bool {
        match self {
            Self::Key(key) => app.keys().any(|own| own.name == *key),
            Self::Id(id) => app.id == *id,
        }
    }

    /// Whether one of these is the app, with a key that opens it where it is named by one.
    pub fn is_answered_by(&self, apps: &Apps) -> bool {
        match self {
            Self::Key(key) => apps.by_key(key).is_some(),
            Self::Id(id) => apps.by_id(id).is_some(),
        }
    }
}

/// As `key "K"` or `id "I"`.
impl fmt::Display for AppQuestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, name) = self.parts();
        write!(f, "{what} {name:?}")
    }
}

fn can_be_asked(what: &'static str, name: &str) -> bool {
    name.len() <= APP_NAME_ASKED_BYTES_MAX && check_name(what, name).is_ok()
}

/// What came of a question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AppVerdict {
    /// The app is in the newest registry.
    Found,
    /// There is no such app, or nothing was said in time.
    Unknown,
    /// Nobody could say: the same question may have an answer in a moment.
    Unanswered,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::AppKey;

    #[test]
    fn only_what_could_name_an_app_is_asked_for() {
        let long = "k".repeat(APP_NAME_ASKED_BYTES_MAX);
        for (name, asked) in [
            ("a-Z_0.9", true),
            (&*long, true),
            ("", false),
            ("a b", false),
            ("a%20", false),
            ("a/b", false),
            ("é", false),
            (&*format!("{long}k"), false),
        ] {
            assert_eq!(AppQuestion::of_key(name).is_some(), asked, "{name}");
            assert_eq!(AppQuestion::of_id(name).is_some(), asked, "{name}");
        }
    }

    #[test]
    fn a_question_is_answered_by_the_app_that_it_names() {
        let mut app = App::new("1", "a", "s");
        app.add_key(AppKey::parse("b", "s").unwrap());
        app.keys_mut().skip(1).for_each(|key| key.enabled = false);
        let ask = |key| AppQuestion::of_key(key).unwrap();
        let id = AppQuestion::of_id("1").unwrap();
        assert_eq!([ask("a"), ask("b"), ask("1")].map(|it| it.names(&app)), [true, true, false]);
        assert!(id.names(&app) && !AppQuestion::of_id("a").unwrap().names(&app));
        let apps = Apps::new(vec![app]).unwrap();
        let answered = |it: AppQuestion| it.is_answered_by(&apps);
        assert_eq!([ask("a"), ask("b"), ask("1"), id].map(answered), [true, false, false, true]);
        assert_eq!((ask("a").to_string(), ask("a").parts()), ("key \"a\"".to_owned(), ("key", "a")));
    }
}
