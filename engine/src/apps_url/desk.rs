//! What the threads of the source share: the source, what it has said, and which questions it is being asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use logging::say;
use machines::cores::CoreId;
use protocol::app::{App, AppChanges, AppQuestion};

use super::counters::UrlCounters;
use super::known::Known;
use super::limits::{APPS_MAX, SAY_AGAIN};
use super::source::{Fault, FaultKind, Said, Source};
use super::unknown::Unknown;
use crate::driver::apps::{AppSource, AppsControl};

#[derive(Debug)]
pub(super) struct Desk {
    source: Source,
    pub(super) ttl: Duration,
    apps: Weak<AppsControl>,
    pub(super) counters: Arc<UrlCounters>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) known: Known,
    pub(super) unknown: Unknown,
    /// What the source is being asked, and the cores that want to know.
    pub(super) asking: HashMap<AppQuestion, Vec<CoreId>>,
    outage: Outage,
}

/// What is wrong with the source now.
#[derive(Debug, Default)]
struct Outage {
    /// When the log was last told of each kind of fault.
    said: Vec<(FaultKind, Instant)>,
    /// Since it last answered well, the log was told.
    is_said: bool,
}

/// Apps that come are so many after a start that the log is not told of them.
fn say_changes(changes: &AppChanges) {
    if changes.added.is_empty() && !changes.is_empty() {
        say!("apps_url: {changes}");
    }
}

impl Desk {
    pub(super) fn new(
        source: Source,
        ttl: Duration,
        apps: Weak<AppsControl>,
        counters: Arc<UrlCounters>,
    ) -> Self {
        Self { source, ttl, apps, counters, state: Mutex::default() }
    }

    /// The registry, until the server has ended.
    pub(super) fn apps(&self) -> Option<Arc<AppsControl>> {
        self.apps.upgrade()
    }

    /// Nothing is waited for while it is held.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the source, counts what it says, and tells the log when it begins to fail and when that is over.
    pub(super) fn ask(&self, question: &AppQuestion, patience: Duration) -> Said {
        let said = self.source.ask(question, patience);
        match &said {
            Said::App(_) => self.counters.add_found(),
            Said::Nothing => self.counters.add_unknown(),
            Said::Fault(Fault { kind: FaultKind::Late, .. }) => self.counters.add_late(),
            Said::Fault(_) => self.counters.add_failed(),
        }
        match &said {
            Said::App(_) | Said::Nothing => self.note_well(),
            Said::Fault(fault) => self.note_fault(fault),
        }
        said
    }

    /// Takes an app from the source into the registry. Returns whether it is there now.
    pub(super) fn take(&self, apps: &AppsControl, question: &AppQuestion, app: App) -> bool {
        let id = app.id.clone();
        if !self.has_room_for(apps, &id) {
            self.counters.add_full();
            return false;
        }
        match apps.put(AppSource::Url, app) {
            Ok(changes) => {
                say_changes(&changes);
                let now = Instant::now();
                let mut state = self.lock();
                state.known.put(&id, question, now + self.ttl, now);
                self.counters.note_apps(state.known.len());
                true
            }
            Err(twin) => {
                let text = format!("the answer for the {question} is left out: {twin}");
                self.note_fault(&Fault { kind: FaultKind::Twin, text });
                false
            }
        }
    }

    /// Takes an app that is known as it is now.
    pub(super) fn put_again(&self, apps: &AppsControl, app: App) {
        match apps.put(AppSource::Url, app) {
            Ok(changes) => say_changes(&changes),
            Err(twin) => {
                let text = format!("the app stays as it was: {twin}");
                self.note_fault(&Fault { kind: FaultKind::Twin, text });
            }
        }
    }

    /// The source has no such app any more, or nobody has used it for long.
    pub(super) fn remove(&self, apps: &AppsControl, id: &str) {
        say_changes(&apps.remove(AppSource::Url, id));
        let mut state = self.lock();
        state.known.forget(id);
        self.counters.note_apps(state.known.len());
    }

    /// Makes room by an app without connections.
    fn has_room_for(&self, apps: &AppsControl, id: &str) -> bool {
        let idle = {
            let state = self.lock();
            if state.known.len() < APPS_MAX || state.known.has(id) {
                return true;
            }
            let registry = apps.current();
            let is_idle = |id: &&str| registry.by_id(id).is_none_or(|app| app.connections() == 0);
            state.known.ids().find(is_idle).map(str::to_owned)
        };
        idle.map(|idle| self.remove(apps, &idle)).is_some()
    }

    fn note_well(&self) {
        self.counters.fails(false);
        let outage = &mut self.lock().outage;
        if std::mem::take(&mut outage.is_said) {
            say!("apps_url: the source answers again");
        }
    }

    fn note_fault(&self, fault: &Fault) {
        self.counters.fails(true);
        let outage = &mut self.lock().outage;
        let is_new = |(kind, said): &(FaultKind, Instant)| *kind == fault.kind && said.elapsed() < SAY_AGAIN;
        if !outage.said.iter().any(is_new) {
            outage.said.retain(|(kind, _)| *kind != fault.kind);
            outage.said.push((fault.kind, Instant::now()));
            outage.is_said = true;
            say!("apps_url: {}; the apps that are known stay", fault.text);
        }
    }
}
