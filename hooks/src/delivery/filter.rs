//! Which events an endpoint wants. What must never happen here: an event of another app that is let through.

use std::sync::Arc;

use protocol::app::App;
use protocol::hook_event::HookEvent;
use protocol::hook_kind::HookKinds;

use crate::settings::Endpoint;

#[derive(Debug)]
pub(crate) struct Filter {
    app: Arc<App>,
    kinds: HookKinds,
    prefix: Option<String>,
    suffix: Option<String>,
}

impl Filter {
    pub(crate) fn new(endpoint: &Endpoint) -> Self {
        Self {
            app: Arc::clone(&endpoint.app),
            kinds: endpoint.kinds,
            prefix: endpoint.channel_prefix.clone(),
            suffix: endpoint.channel_suffix.clone(),
        }
    }

    /// The app of all that it lets through.
    pub(crate) fn app(&self) -> &Arc<App> {
        &self.app
    }

    pub(crate) fn wants(&self, event: &HookEvent) -> bool {
        let channel = event.channel();
        self.kinds.has(event.kind())
            && (Arc::ptr_eq(event.app(), &self.app) || event.app().id == self.app.id)
            && self.prefix.as_ref().is_none_or(|prefix| channel.starts_with(&**prefix))
            && self.suffix.as_ref().is_none_or(|suffix| channel.ends_with(&**suffix))
    }
}

#[cfg(test)]
mod tests {
    use protocol::hook_kind::HookKind;

    use super::*;
    use crate::settings::SinkSettings;

    #[test]
    fn app_kind_prefix_and_suffix_must_all_fit() {
        let app = |id| Arc::new(App::new(id, id, "s"));
        let mut endpoint = Endpoint::new("e", app("1"), SinkSettings::None);
        endpoint.kinds = HookKinds::NONE.with(HookKind::ChannelVacated);
        endpoint.channel_prefix = Some("a-".to_owned());
        endpoint.channel_suffix = Some("-z".to_owned());
        let filter = Filter::new(&endpoint);
        let vacated = |id, channel: &str| HookEvent::ChannelVacated { app: app(id), channel: channel.into() };
        assert!(filter.wants(&vacated("1", "a-z-z")));
        assert!(!filter.wants(&vacated("2", "a-z-z")));
        assert!(!filter.wants(&vacated("1", "b-z-z")));
        assert!(!filter.wants(&vacated("1", "a-z-y")));
        assert!(!filter.wants(&HookEvent::ChannelOccupied { app: app("1"), channel: "a-z-z".into() }));
    }
}
