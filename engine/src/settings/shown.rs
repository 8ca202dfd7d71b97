//! The settings as operators are shown them while the server runs. Secrets are masked already.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All settings, which a reload replaces.
#[derive(Clone, Debug, Default)]
pub struct ShownSettings(Arc<Mutex<Vec<ShownSetting>>>);

/// A setting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShownSetting {
    /// What is shown of it, as JSON.
    pub json: String,
    /// A running server follows a change of it.
    pub is_read_again: bool,
}

impl ShownSettings {
    /// These hold.
    pub fn show(&self, settings: impl Iterator<Item = ShownSetting>) {
        *self.lock() = settings.collect();
    }

    /// These were read while the server runs: some of them hold from now on, the others stay as they were.
    pub fn follow(&self, settings: impl Iterator<Item = ShownSetting>) {
        let mut all = self.lock();
        let mut next: Vec<_> = all.iter().filter(|it| !it.is_read_again).cloned().collect();
        next.extend(settings.filter(|it| it.is_read_again));
        *all = next;
    }

    /// All of them, as a JSON array.
    pub fn json(&self) -> String {
        let all: Vec<String> = self.lock().iter().map(|shown| shown.json.clone()).collect();
        format!("[{}]", all.join(","))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<ShownSetting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(json: &str, is_read_again: bool) -> ShownSetting {
        ShownSetting { json: json.to_owned(), is_read_again }
    }

    #[test]
    fn what_a_server_follows_is_shown_as_it_was_read_and_all_else_as_it_was() {
        let shown = ShownSettings::default();
        shown.show([setting("3", false), setting("1", true)].into_iter());
        assert_eq!(shown.json(), "[3,1]");
        shown.follow([setting("5", false), setting("2", true)].into_iter());
        assert_eq!(shown.json(), "[3,2]");
    }
}
