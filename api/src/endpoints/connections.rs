//! `GET /apps/ID/connections`: how many WebSocket connections of an app are open.

use std::sync::Arc;

use protocol::app::App;

use crate::answer::Answer;

/// Asks how many connections of an app are open.
#[derive(Clone, Debug)]
pub struct Connections<'a> {
    /// The app.
    pub app: &'a Arc<App>,
}

impl Connections<'_> {
    /// The count that all cores share, so no shard has to be asked, and what other nodes have last said of theirs.
    pub fn answer(&self) -> Answer<'static> {
        let connections = u64::from(self.app.connections()) + u64::from(self.app.elsewhere());
        Answer::json(format!("{{\"connections\":{connections}}}").into_bytes())
    }
}
