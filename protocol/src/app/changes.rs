//! How a registry of apps differs from the one before, in words for the log.

use std::fmt;
use std::sync::Arc;

use super::{App, Apps};
use crate::limits::APP_IDS_SHOWN_MAX;

/// Which apps differ between two registries. An app is in one list only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppChanges {
    /// Those that were not there.
    pub added: Vec<Box<str>>,
    /// Those that are not there any more.
    pub removed: Vec<Box<str>>,
    /// Those that refuse connections and calls from now on.
    pub disabled: Vec<Box<str>>,
    /// Those that did so until now.
    pub enabled: Vec<Box<str>>,
    /// Those with other settings.
    pub changed: Vec<Box<str>>,
}

impl AppChanges {
    /// From the registry `before` to the one `after`, in which apps that have not changed are the very same.
    pub fn between(before: &Apps, after: &Apps) -> Self {
        let mut this = Self::default();
        for app in after.iter() {
            let list = match before.by_id(&app.id) {
                None => &mut this.added,
                Some(same) if Arc::ptr_eq(same, app) => continue,
                Some(before) => match (before.enabled, app.enabled) {
                    (true, false) => &mut this.disabled,
                    (false, true) => &mut this.enabled,
                    _ => &mut this.changed,
                },
            };
            list.push(app.id.clone());
        }
        let is_gone = |app: &&Arc<App>| after.by_id(&app.id).is_none();
        this.removed = before.iter().filter(is_gone).map(|app| app.id.clone()).collect();
        this
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.lists().iter().all(|(_, ids)| ids.is_empty())
    }

    fn lists(&self) -> [(&'static str, &[Box<str>]); 5] {
        let Self { added, removed, disabled, enabled, changed } = self;
        [
            ("added", added),
            ("changed", changed),
            ("enabled", enabled),
            ("disabled", disabled),
            ("removed", removed),
        ]
    }
}

impl fmt::Display for AppChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return write!(f, "no app has changed");
        }
        let lists = self.lists().into_iter().filter(|(_, ids)| !ids.is_empty());
        for (index, (what, ids)) in lists.enumerate() {
            let shown: Vec<&str> = ids.iter().take(APP_IDS_SHOWN_MAX).map(|id| &**id).collect();
            let separator = if index > 0 { "; " } else { "" };
            write!(f, "{separator}{what}: {}", shown.join(", "))?;
            if ids.len() > shown.len() {
                write!(f, " and {} more", ids.len() - shown.len())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apps(apps: &[(&str, bool, u32)]) -> Vec<App> {
        let app = |(id, enabled, ttl_s): &(&str, bool, u32)| App {
            enabled: *enabled,
            cache_ttl_s: *ttl_s,
            ..App::new(id, id, "s")
        };
        apps.iter().map(app).collect()
    }

    #[test]
    fn each_app_that_differs_is_named_once() {
        let before =
            apps(&[("same", true, 1), ("a", true, 1), ("b", true, 1), ("c", false, 1), ("d", true, 1)]);
        let after =
            apps(&[("same", true, 1), ("b", false, 2), ("c", true, 1), ("d", true, 2), ("e", true, 1)]);
        let before = Apps::new(before).unwrap();
        let after = before.followed_by(after.into_iter().map(|app| before.adopt(app)).collect()).unwrap();
        let changes = AppChanges::between(&before, &after);
        assert_eq!(changes.to_string(), "added: e; changed: d; enabled: c; disabled: b; removed: a");
        let none = AppChanges::between(&after, &after);
        assert!(none.is_empty() && !changes.is_empty());
        assert_eq!(none.to_string(), "no app has changed");
    }

    #[test]
    fn a_long_list_of_ids_is_cut() {
        let added = (0..200).map(|id| id.to_string().into()).collect();
        let changes = AppChanges { added, ..AppChanges::default() };
        assert_eq!(changes.to_string(), "added: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 190 more");
    }
}
