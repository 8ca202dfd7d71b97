//! What the keys of another server come to here: our settings, each with where it is from, and the keys that have no
//! effect.

use super::given::Given;
use crate::config::layer::{Layer, LayerApp, Origin};

/// A setting of ours, and what it is from.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Setting {
    /// Our key's path, within its app if it belongs to one.
    pub(super) path: &'static str,
    /// In TOML.
    pub(super) value: String,
    /// The other server's key, or why it stands there without one.
    pub(super) from: String,
    /// For messages.
    pub(super) place: String,
    pub(super) origin: Origin,
}

impl Setting {
    pub(super) fn of(given: &Given, path: &'static str, value: String) -> Self {
        Self { path, value, from: given.key.clone(), place: given.place.clone(), origin: given.origin }
    }

    /// A setting that the other server has by default, beside one that is set.
    pub(super) fn usual(beside: &Given, from: &str, path: &'static str, value: &str) -> Self {
        Self { value: value.to_owned(), from: from.to_owned(), ..Self::of(beside, path, String::new()) }
    }
}

/// An app of the other server.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct TranslatedApp {
    pub(super) place: String,
    pub(super) settings: Vec<Setting>,
    /// Its webhooks.
    pub(super) endpoints: Vec<Vec<Setting>>,
}

/// A key without effect here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IgnoredKey {
    /// As the operator wrote it.
    pub key: String,
    /// Where it stands, the key included.
    pub place: String,
    /// Why it has no effect, or how much of it.
    pub why: String,
}

/// Our settings.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Translation {
    pub(super) settings: Vec<Setting>,
    pub(super) apps: Vec<TranslatedApp>,
    /// The keys that have no effect.
    pub ignored: Vec<IgnoredKey>,
}

impl Translation {
    pub(super) fn ignore(&mut self, given: &Given, why: &str) {
        self.ignored.push(IgnoredKey {
            key: given.key.clone(),
            place: given.place.clone(),
            why: why.to_owned(),
        });
    }

    /// The settings as a layer.
    pub fn layer(&self) -> Layer {
        let mut layer = Layer::new(Origin::File);
        for Setting { path, value, place, origin, .. } in &self.settings {
            layer.set_origin(*origin);
            layer.set(place, path, value);
        }
        // An app may be in a file, and some of its keys in variables; where each stands is told all the same.
        if let Some(first) = self.apps.iter().flat_map(|app| &app.settings).next() {
            layer.set_origin(first.origin);
        }
        let apps: Vec<LayerApp> = self.apps.iter().map(layer_app).collect();
        layer.set_apps(&apps);
        layer
    }
}

fn layer_app(app: &TranslatedApp) -> LayerApp {
    let settings = app.settings.iter();
    let mut settings: Vec<_> =
        settings.map(|setting| (setting.place.clone(), setting.path, setting.value.clone())).collect();
    if let Some(place) = app.endpoints.iter().flatten().map(|setting| &setting.place).next() {
        let tables: Vec<String> = app.endpoints.iter().map(|endpoint| inline_table(endpoint)).collect();
        settings.push((place.clone(), "hooks", format!("[{}]", tables.join(", "))));
    }
    LayerApp { place: app.place.clone(), settings }
}

fn inline_table(settings: &[Setting]) -> String {
    let entries: Vec<String> =
        settings.iter().map(|setting| format!("{} = {}", setting.path, setting.value)).collect();
    format!("{{ {} }}", entries.join(", "))
}
