//! How many connections the apps have on this node, for the others, and on the others, for this one. Both are as old as two
//! beats at most, so all nodes together may go past a limit for a moment.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::driver::apps::AppsControl;
use machines::cluster::session::Session;

const LOOK: Duration = Duration::from_secs(1);

/// The apps, and when they were last looked at.
pub(super) struct Counts {
    apps: Arc<AppsControl>,
    looked: Option<Instant>,
}

impl Counts {
    /// Nothing was told yet.
    pub(super) fn new(apps: Arc<AppsControl>) -> Self {
        Self { apps, looked: None }
    }

    /// Tells the session, now and then.
    pub(super) fn tell(&mut self, session: &mut Session) {
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return;
        }
        self.looked = Some(Instant::now());
        for app in self.apps.current().iter() {
            session.handle_connections(&app.id, u64::from(app.connections()));
        }
    }

    /// So many are on other nodes; apps that are not named have none there.
    pub(super) fn hear(&self, connections: &[(Box<str>, u64)]) {
        for app in self.apps.current().iter() {
            let named = connections.iter().find(|(id, _)| *id == app.id);
            app.note_elsewhere(named.map_or(0, |(_, count)| u32::try_from(*count).unwrap_or(u32::MAX)));
        }
    }
}
