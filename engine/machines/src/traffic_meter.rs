//! What passes between a core and each app, summed up where no other core writes. As long as one app comes after itself it is an
//! addition; when another one comes, what was summed up goes to the counts that all cores share.

use std::sync::Arc;

use protocol::app::{App, Traffic};

/// The sums of a core.
#[derive(Debug, Default)]
pub struct TrafficMeter {
    app: Option<Arc<App>>,
    sums: Traffic,
}

impl TrafficMeter {
    /// The sums of this app, to be added to.
    #[inline]
    pub fn of(&mut self, app: &Arc<App>) -> &mut Traffic {
        if !self.app.as_ref().is_some_and(|current| Arc::ptr_eq(current, app)) {
            self.settle();
            self.app = Some(Arc::clone(app));
        }
        &mut self.sums
    }

    /// Adds what was summed up to the counts of its app, which is not kept any longer.
    pub fn settle(&mut self) {
        if let Some(app) = self.app.take() {
            app.add_traffic(&std::mem::take(&mut self.sums));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_app_gets_what_is_its_own() {
        let apps = ["1", "2"].map(|id| Arc::new(App::new(id, "k", "s")));
        let mut meter = TrafficMeter::default();
        for (app, count) in [(0, 1), (0, 2), (1, 4), (0, 8)] {
            meter.of(&apps[app]).sent += count;
        }
        assert_eq!((apps[0].traffic().sent, apps[1].traffic().sent), (3, 4));
        meter.settle();
        meter.settle();
        assert_eq!((apps[0].traffic().sent, apps[1].traffic().sent), (11, 4));
        assert_eq!(Arc::strong_count(&apps[0]), 1);
    }
}
