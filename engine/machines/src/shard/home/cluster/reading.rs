//! What has happened to a home in a cluster.

/// Counters since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ClusterStats {
    /// Events that were delivered here because their session was lost before they came back.
    pub echoes_delivered: u64,
    /// Events that no other node gets, because there was no session.
    pub published_alone: u64,
    /// Links that were told anew.
    pub links_retold: u64,
    /// Members that had come or gone while there was no session, or had another user_info afterwards.
    pub members_reconciled: u64,
    /// Subscriptions that were let in because an answer took too long.
    pub let_in_late: u64,
    /// What servers said of another session, of a link before, or of a topic without one.
    pub news_stale: u64,
}
