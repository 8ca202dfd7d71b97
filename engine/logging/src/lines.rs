//! Where the events of `tracing` become lines.
//!
//! Only ours do: what libraries say is not for the operator. `tracing` asks once for each place of the code whether its
//! level is on, and again when the level changes, so a line that is off costs a look at one number.

use tracing::callsite::rebuild_interest_cache;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Subscriber, set_global_default};
use tracing::{Event, Metadata};

use crate::TARGET;
use crate::format::Line;
use crate::level::{self, Level};

struct Lines;

/// From now on events become lines. Called more than once, it does nothing.
pub(crate) fn collect() {
    // The first that was set stays.
    let _ = set_global_default(Lines);
}

/// From now on this much is logged.
pub(crate) fn set_level(level: Level) {
    level::set(level);
    rebuild_interest_cache();
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == TARGET && Level::of(*metadata.level()) <= level::level()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(level::level().filter())
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::empty();
        event.record(&mut line);
        line.fill(event.metadata().fields());
        crate::write(line.finish(Level::of(*event.metadata().level())));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        // No span of ours exists.
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
