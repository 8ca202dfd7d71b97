//! The hooks core beside a server: started before the first core, stopped after the last.
//!
//! A server that takes over finds the journal locked until its predecessor has ended. It serves all the same; its
//! shards keep their edges until the journal is open. What must never happen here: a core that waits for a disk.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use hooks::house::{Hooks, StartError};
use hooks::settings::Settings;
use protocol::app::Apps;

use crate::driver::hook_line::{HookLine, HooksOpen};

/// How long what is on its way to endpoints may take when the server has ended.
const FLUSH_MAX: Duration = Duration::from_secs(5);

/// The hooks core of a server, if there is one.
#[derive(Debug)]
pub struct HooksRun {
    open: Arc<OnceLock<HooksOpen>>,
    hooks: Arc<Mutex<Option<Hooks>>>,
}

impl HooksRun {
    /// Starts it. Its threads have the signal mask of this one.
    pub fn start(settings: &Settings, apps: &Arc<Apps>) -> Result<Self, StartError> {
        let this = Self { open: Arc::default(), hooks: Arc::default() };
        let (hooks, queue, edges) = Hooks::start(settings, Arc::clone(apps))?;
        this.put(hooks, HooksOpen { queue, edges: edges.into() });
        Ok(this)
    }

    /// What cores tell it by.
    pub fn line(&self) -> HookLine {
        HookLine::Closed(Arc::clone(&self.open))
    }

    /// Takes what is left in the queue, and gives what is on its way a few seconds. The cores have dropped their lines.
    pub fn stop(self) {
        let hooks = self.hooks.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(self.open);
        if let Some(hooks) = hooks {
            hooks.stop(FLUSH_MAX);
        }
    }

    fn put(&self, hooks: Hooks, open: HooksOpen) {
        *self.hooks.lock().unwrap_or_else(PoisonError::into_inner) = Some(hooks);
        let first = self.open.set(open).is_ok();
        assert!(first, "hooks start once");
    }
}
