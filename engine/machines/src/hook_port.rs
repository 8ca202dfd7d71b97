//! The way from a machine to the hooks. A shard tells what happened on the channels that live there; the API core has
//! nothing to tell. The other end takes an event at once or gives it back, so no machine ever waits for hooks.

use protocol::hook_event::Happened;

/// The way out to the hooks core.
pub trait HookPort {
    /// Takes an event, or gives it back when there is no room for it now.
    fn offer(&mut self, happened: Happened) -> Result<(), Happened>;
}
