//! Which handlers hear which events.

use std::fmt;
use std::sync::Arc;

use super::event::Event;

/// A handler.
pub(super) type Handler = Arc<dyn Fn(&Event) + Send + Sync>;

/// The name of a binding, with which it is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindingId(u64);

#[derive(Default)]
pub(super) struct Bindings {
    last: u64,
    all: Vec<Binding>,
}

struct Binding {
    id: BindingId,
    /// Of this channel only.
    channel: Option<String>,
    /// Of this name only.
    name: Option<String>,
    handler: Handler,
}

impl Bindings {
    pub(super) fn bind(&mut self, channel: Option<&str>, name: Option<&str>, handler: Handler) -> BindingId {
        self.last += 1;
        let id = BindingId(self.last);
        let owned = |text: Option<&str>| text.map(str::to_owned);
        self.all.push(Binding { id, channel: owned(channel), name: owned(name), handler });
        id
    }

    pub(super) fn unbind(&mut self, id: BindingId) {
        self.all.retain(|binding| binding.id != id);
    }

    /// Takes back all bindings of a channel.
    pub(super) fn unbind_channel(&mut self, channel: &str) {
        self.all.retain(|binding| binding.channel.as_deref() != Some(channel));
    }

    /// The handlers that hear an event, in the order in which they were bound.
    pub(super) fn of(&self, event: &Event) -> Vec<Handler> {
        let hears = |binding: &&Binding| {
            let is_channel = binding.channel.is_none() || binding.channel.as_deref() == event.channel();
            is_channel && binding.name.as_deref().is_none_or(|name| name == event.name())
        };
        self.all.iter().filter(hears).map(|binding| Arc::clone(&binding.handler)).collect()
    }
}

impl fmt::Debug for Bindings {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} bindings", self.all.len())
    }
}
