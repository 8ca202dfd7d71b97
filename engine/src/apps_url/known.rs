//! The apps that the source has given, and when it is asked again for each of them.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use protocol::app::AppQuestion;

/// The apps, by their ids.
#[derive(Debug, Default)]
pub(super) struct Known {
    apps: HashMap<Box<str>, KnownApp>,
    /// When each is due, the next first. One that is being asked for is not here.
    due: BTreeSet<(Instant, Box<str>)>,
}

#[derive(Debug)]
struct KnownApp {
    question: AppQuestion,
    due: Option<Instant>,
    /// How many connections it had had when it was last in use.
    admitted: u64,
    used: Instant,
}

impl Known {
    pub(super) fn len(&self) -> usize {
        self.apps.len()
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.apps.contains_key(id)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.apps.keys().map(|id| &**id)
    }

    /// The source has given this app in answer to a question, and is asked again at this time.
    pub(super) fn put(&mut self, id: &str, question: &AppQuestion, due: Instant, now: Instant) {
        self.forget(id);
        let app = KnownApp { question: question.clone(), due: Some(due), admitted: 0, used: now };
        self.apps.insert(id.into(), app);
        self.due.insert((due, id.into()));
    }

    /// The app is not there any more.
    pub(super) fn forget(&mut self, id: &str) {
        if let Some(KnownApp { due: Some(due), .. }) = self.apps.remove(id) {
            self.due.remove(&(due, id.into()));
        }
    }

    /// The next app for which the source is to be asked again; it is due no more.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(Box<str>, AppQuestion)> {
        let (_, id) = self.due.first().filter(|(due, _)| *due <= now).cloned()?;
        self.due.pop_first();
        let app = self.apps.get_mut(&id)?;
        app.due = None;
        Some((id, app.question.clone()))
    }

    /// When the source is asked again for an app that was due.
    pub(super) fn set_due(&mut self, id: &str, due: Instant) {
        if let Some(app) = self.apps.get_mut(id).filter(|app| app.due.is_none()) {
            app.due = Some(due);
            self.due.insert((due, id.into()));
        }
    }

    /// Since when nobody uses an app that has so many connections, and has had so many.
    pub(super) fn unused_since(
        &mut self,
        id: &str,
        connections: u32,
        admitted: u64,
        now: Instant,
    ) -> Option<Instant> {
        let app = self.apps.get_mut(id)?;
        if connections > 0 || admitted != app.admitted {
            (app.admitted, app.used) = (admitted, now);
            return None;
        }
        Some(app.used)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn key(name: &str) -> AppQuestion {
        AppQuestion::of_key(name).unwrap()
    }

    #[test]
    fn each_app_is_due_once_at_its_time() {
        let (mut known, start) = (Known::default(), Instant::now());
        let at = |s| start + Duration::from_secs(s);
        known.put("1", &key("a"), at(2), start);
        known.put("2", &key("b"), at(1), start);
        assert_eq!(known.take_due(start), None);
        assert_eq!(known.take_due(at(3)), Some(("2".into(), key("b"))));
        assert_eq!(known.take_due(at(3)), Some(("1".into(), key("a"))));
        assert_eq!(known.take_due(at(3)), None);
        known.set_due("1", at(4));
        known.set_due("1", at(9));
        known.forget("2");
        known.set_due("2", at(4));
        assert_eq!(known.take_due(at(4)), Some(("1".into(), key("a"))));
        assert_eq!((known.take_due(at(9)), known.len(), known.has("2")), (None, 1, false));
        known.put("1", &key("c"), at(5), at(4));
        assert_eq!(known.take_due(at(9)), Some(("1".into(), key("c"))));
    }

    #[test]
    fn an_app_is_unused_while_nobody_comes() {
        let (mut known, start) = (Known::default(), Instant::now());
        let at = |s| start + Duration::from_secs(s);
        known.put("1", &key("a"), at(9), start);
        assert_eq!(known.unused_since("1", 0, 0, at(1)), Some(start));
        assert_eq!(known.unused_since("1", 1, 1, at(2)), None);
        assert_eq!(known.unused_since("1", 0, 2, at(3)), None, "somebody was there meanwhile");
        assert_eq!(known.unused_since("1", 0, 2, at(4)), Some(at(3)));
        assert_eq!(known.unused_since("2", 0, 0, at(4)), None);
    }
}
