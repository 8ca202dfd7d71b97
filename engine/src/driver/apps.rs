//! The registry of apps as all cores have it, and how a source of apps replaces its part of it while the server runs.
//!
//! Apps come from several sources. Each has its part of the registry and replaces it as a whole with
//! [`AppsControl::replace`], from any thread and at any time: it reads what it has, makes an `App` of each, and hands all of
//! them over. A part in which an id or a key stands twice, also with another source's, changes nothing and is the source's to
//! report. The call blocks on nothing but other calls. Each core takes the new registry at its next turn
//! (`Machine::handle_apps`), for which its doorbell is rung; those who come and those who call are then held to it, and a walk
//! of a few turns closes the connections of apps that are gone or disabled (4003) and gives the others their new settings.
//! What is counted of an app goes on by its id. An app that is handed over again without a change is the same as before.
//!
//! A source that is asked (an `apps_url`) puts or removes one app at a time, and gives way to the others: one of its apps
//! that is in the file or in a store too is theirs.
//!
//! What must never happen here: a core that waits for a source. Called by sources, by the turn and by the relay.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::app::{App, AppChanges, Apps, DuplicateApp};
use protocol::hook_kind::HookKinds;

use super::doorbell::Doorbells;

/// Where apps come from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum AppSource {
    /// The configuration file and the flags.
    File,
    /// A database of apps.
    Store,
    /// A back end that is asked.
    Url,
}

/// The registry of apps of a running server.
#[derive(Debug)]
pub struct AppsControl {
    /// How many registries there have been since the first.
    version: AtomicU64,
    registry: Mutex<Registry>,
    doorbells: Doorbells,
}

#[derive(Debug)]
struct Registry {
    apps: Arc<Apps>,
    /// The one before, so that the last to have it, and give it back, is no core.
    _before: Option<Arc<Apps>>,
    by_source: BTreeMap<AppSource, Vec<Arc<App>>>,
    /// What endpoints want of each app.
    hooks: HashMap<Box<str>, HookKinds>,
}

impl AppsControl {
    /// The registry that cores start with. So many of its apps, the last ones, are from the store; the others are those of
    /// the file.
    pub fn new(apps: Arc<Apps>, stored: usize, doorbells: Doorbells) -> Self {
        let hooks = apps.iter().map(|app| (app.id.clone(), app.hooks)).collect();
        let mut of_file: Vec<_> = apps.iter().cloned().collect();
        let of_store = of_file.split_off(of_file.len().saturating_sub(stored));
        let by_source = BTreeMap::from([(AppSource::File, of_file), (AppSource::Store, of_store)]);
        let registry = Mutex::new(Registry { apps, _before: None, by_source, hooks });
        Self { version: AtomicU64::new(0), registry, doorbells }
    }

    /// From now on endpoints want these kinds of events, and nothing of other apps: what apps that are put here afterwards
    /// have. Returns what they wanted.
    pub fn note_hooks(&self, hooks: HashMap<Box<str>, HookKinds>) -> HashMap<Box<str>, HookKinds> {
        std::mem::replace(&mut self.lock().hooks, hooks)
    }

    /// Replaces the apps of one source. Returns what differs then; in an error nothing does.
    pub fn replace(&self, source: AppSource, apps: Vec<App>) -> Result<AppChanges, DuplicateApp> {
        self.change(|registry| registry.replace(source, apps))
    }

    fn change(
        &self,
        change: impl FnOnce(&mut Registry) -> Result<AppChanges, DuplicateApp>,
    ) -> Result<AppChanges, DuplicateApp> {
        let mut registry = self.lock();
        let changes = change(&mut registry)?;
        if !changes.is_empty() {
            self.version.fetch_add(1, Ordering::Release);
            drop(registry);
            self.doorbells.ring_all();
        }
        Ok(changes)
    }

    /// Puts an app of a source in place of the one with its id, or beside its others.
    pub fn put(&self, source: AppSource, app: App) -> Result<AppChanges, DuplicateApp> {
        self.change(|registry| registry.put(source, app))
    }

    /// Removes an app of a source. One that it does not have changes nothing.
    pub fn remove(&self, source: AppSource, id: &str) -> AppChanges {
        // With an app less nothing can be there twice.
        self.change(|registry| registry.remove(source, id)).unwrap_or_default()
    }

    /// Whether the app with this id is from this source.
    pub fn has(&self, source: AppSource, id: &str) -> bool {
        self.lock().by_source.get(&source).is_some_and(|apps| apps.iter().any(|app| *app.id == *id))
    }

    /// The registry as it is now.
    pub fn current(&self) -> Arc<Apps> {
        Arc::clone(&self.lock().apps)
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry {
    fn replace(&mut self, source: AppSource, apps: Vec<App>) -> Result<AppChanges, DuplicateApp> {
        let apps: Vec<_> = apps.into_iter().map(|app| self.adopt(app)).collect();
        let mut by_source = self.by_source.clone();
        if source != AppSource::Url {
            // What an operator has written down counts more than what a back end has said.
            let of_url = by_source.entry(AppSource::Url).or_default();
            of_url.retain(|known| !apps.iter().any(|app| is_twin(app, known)));
        }
        by_source.insert(source, apps);
        self.follow(by_source)
    }

    fn put(&mut self, source: AppSource, app: App) -> Result<AppChanges, DuplicateApp> {
        let app = self.adopt(app);
        let mut by_source = self.by_source.clone();
        let apps = by_source.entry(source).or_default();
        match apps.iter_mut().find(|known| known.id == app.id) {
            Some(known) => *known = app,
            None => apps.push(app),
        }
        self.follow(by_source)
    }

    fn remove(&mut self, source: AppSource, id: &str) -> Result<AppChanges, DuplicateApp> {
        let mut by_source = self.by_source.clone();
        by_source.entry(source).or_default().retain(|app| *app.id != *id);
        self.follow(by_source)
    }

    fn adopt(&self, mut app: App) -> Arc<App> {
        app.hooks = self.hooks.get(&app.id).copied().unwrap_or(HookKinds::NONE);
        self.apps.adopt(app)
    }

    fn follow(&mut self, by_source: BTreeMap<AppSource, Vec<Arc<App>>>) -> Result<AppChanges, DuplicateApp> {
        let next = self.apps.followed_by(by_source.values().flatten().cloned().collect())?;
        let changes = AppChanges::between(&self.apps, &next);
        self.by_source = by_source;
        if !changes.is_empty() {
            self._before = Some(std::mem::replace(&mut self.apps, Arc::new(next)));
        }
        Ok(changes)
    }
}

fn is_twin(app: &App, other: &App) -> bool {
    app.id == other.id || app.keys().any(|key| other.keys().any(|its| its.name == key.name))
}

/// What one thread knows of the registry: at first, the registry that the server was started with.
#[derive(Debug)]
pub struct AppsView {
    control: Arc<AppsControl>,
    version: u64,
}

impl AppsView {
    /// One that knows the first registry.
    pub fn new(control: Arc<AppsControl>) -> Self {
        Self { control, version: 0 }
    }

    /// The registry, if it has changed since it was last looked at.
    pub fn poll(&mut self) -> Option<Arc<Apps>> {
        let version = self.control.version.load(Ordering::Acquire);
        if version == self.version {
            return None;
        }
        self.version = version;
        Some(self.control.current())
    }
}

#[cfg(test)]
mod tests {
    use machines::cores::Cores;
    use protocol::hook_kind::HookKind;

    use super::*;

    fn control() -> Arc<AppsControl> {
        let mut app = App::new("1", "a", "s");
        app.hooks = HookKinds::NONE.with(HookKind::ServerEvent);
        let apps = Apps::new(vec![app, App::new("2", "b", "s")]).unwrap();
        Arc::new(AppsControl::new(Arc::new(apps), 0, Doorbells::new(Cores::new(1)).unwrap()))
    }

    fn ids(apps: &Apps) -> Vec<&str> {
        apps.iter().map(|app| &*app.id).collect()
    }

    #[test]
    fn a_source_replaces_its_own_apps_and_a_core_hears_of_it_once() {
        let control = control();
        let mut view = AppsView::new(Arc::clone(&control));
        assert!(view.poll().is_none());
        let added = control.replace(AppSource::Store, vec![App::new("3", "c", "s")]).unwrap();
        assert_eq!(added.to_string(), "added: 3");
        assert_eq!(ids(&view.poll().unwrap()), ["1", "2", "3"]);
        assert!(view.poll().is_none());
        let changes = control.replace(AppSource::File, vec![App::new("2", "b", "s")]).unwrap();
        assert_eq!(changes.to_string(), "removed: 1");
        assert_eq!(ids(&view.poll().unwrap()), ["2", "3"]);
        assert!(control.replace(AppSource::File, vec![App::new("2", "b", "s")]).unwrap().is_empty());
        assert!(view.poll().is_none(), "nothing has changed");
        assert_eq!(ids(&AppsView::new(Arc::clone(&control)).poll().unwrap()), ["2", "3"]);
    }

    #[test]
    fn what_belongs_to_another_source_is_refused_and_changes_nothing() {
        let control = control();
        let mut view = AppsView::new(Arc::clone(&control));
        for (twin, id) in [(App::new("1", "c", "s"), true), (App::new("3", "a", "s"), false)] {
            let refused = control.replace(AppSource::Store, vec![App::new("4", "d", "s"), twin]).unwrap_err();
            assert_eq!(matches!(refused, DuplicateApp::Id(_)), id, "{refused}");
        }
        assert!(view.poll().is_none());
        assert_eq!(ids(&control.current()), ["1", "2"]);
    }

    #[test]
    fn what_endpoints_want_of_an_app_is_what_they_wanted_at_the_start() {
        let control = control();
        let replaced = || {
            let mut changed = App::new("1", "a", "s");
            changed.cache_ttl_s = 7;
            vec![changed, App::new("3", "c", "s")]
        };
        control.replace(AppSource::File, replaced()).unwrap();
        control.replace(AppSource::File, Vec::new()).unwrap();
        control.replace(AppSource::File, replaced()).unwrap();
        let apps = control.current();
        assert!(apps.by_id("1").unwrap().hooks.has(HookKind::ServerEvent));
        assert_eq!(apps.by_id("3").unwrap().hooks, HookKinds::NONE);
    }
}
