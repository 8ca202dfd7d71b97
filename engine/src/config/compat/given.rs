//! The keys that a foreign file and foreign variables set, until a translation takes them.

use super::said::Said;
use crate::config::fault::Fault;
use crate::config::layer::Origin;

/// A key that is set.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Given {
    /// Its path as the other server's file has it: `appManager.array.apps.0.id`. A variable of a server without a file has
    /// its own name.
    pub(super) path: String,
    /// As the operator wrote it: that path, or a variable.
    pub(super) key: String,
    /// Where it stands: file, line and key, or the variable.
    pub(super) place: String,
    pub(super) origin: Origin,
    pub(super) said: Said,
}

impl Given {
    /// A fault of this value, without showing it.
    pub(super) fn fault(&self, what: &str) -> Fault {
        Fault::of(&self.place, what)
    }

    pub(super) fn text(&self) -> Result<&str, Fault> {
        self.said.text().ok_or_else(|| self.fault("must be a text or a number"))
    }

    pub(super) fn boolean(&self) -> Result<bool, Fault> {
        self.said.boolean().ok_or_else(|| self.fault("must be true or false"))
    }

    pub(super) fn number(&self) -> Result<f64, Fault> {
        self.said.number().ok_or_else(|| self.fault("must be a number"))
    }
}

/// Keys that no translation has taken yet. What is set later wins.
#[derive(Default, Debug)]
pub(super) struct Keys {
    given: Vec<Given>,
    /// How much memory there is, of which a key may name a share.
    memory_bytes: Option<u64>,
}

impl Keys {
    /// None yet, of a server on a machine with so much memory.
    pub(super) fn on(memory_bytes: Option<u64>) -> Self {
        Self { given: Vec::new(), memory_bytes }
    }

    pub(super) fn memory_bytes(&self) -> Option<u64> {
        self.memory_bytes
    }

    /// Adds a key, unless it says nothing.
    pub(super) fn set(&mut self, given: Given) {
        if given.said.is_nothing() {
            return;
        }
        self.given.retain(|other| other.path != given.path);
        self.given.push(given);
    }

    pub(super) fn take(&mut self, path: &str) -> Option<Given> {
        let index = self.given.iter().position(|given| given.path == path)?;
        Some(self.given.remove(index))
    }

    /// What begins every path of an item of this list, in order: `apps.0.`, `apps.1.`.
    pub(super) fn items(&self, list: &str) -> Vec<String> {
        let mut indices: Vec<usize> = self
            .given
            .iter()
            .filter_map(|given| {
                given.path.strip_prefix(list)?.strip_prefix('.')?.split_once('.')?.0.parse().ok()
            })
            .collect();
        indices.sort_unstable();
        indices.dedup();
        indices.into_iter().map(|index| format!("{list}.{index}.")).collect()
    }

    /// What nobody took.
    pub(super) fn into_rest(self) -> Vec<Given> {
        self.given
    }
}
