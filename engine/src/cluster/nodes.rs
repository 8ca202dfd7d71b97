//! The other nodes as a server shows them, by their sessions, and a line of the log for each that comes or goes.
//!
//! A session whose beat stood still for about the lease before it went was declared dead; one that went with a fresh beat has
//! left in order, or its node has begun another. Which of them is alive says whether clients have somewhere to go.

use std::collections::BTreeMap;

use logging::event;
use machines::cluster::answer::Registered;
use machines::cluster::epoch::Epoch;

/// How often a beat is seen unchanged before its node may be declared dead by somebody: another one may see a beat sooner.
const STILL: u32 = 3;

/// A node that beats has changed its beat within so many of ours.
const FRESH: u32 = 2;

/// What was seen of the other nodes in this session.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    session: Option<Epoch>,
    seen: BTreeMap<Epoch, Seen>,
    beats: u64,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    beat: u64,
    unchanged: u32,
    /// Its beat was seen to change: it is no session that was over before.
    lives: bool,
    told_dead: bool,
}

/// What has become of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    Joined(Epoch),
    Left(Epoch),
    Dead(Epoch),
}

impl Nodes {
    /// What a beat has shown; `beats` counts them, in all sessions.
    pub(super) fn see(&mut self, session: Option<Epoch>, beats: u64, all: &[Registered]) -> Vec<Change> {
        if session != self.session {
            *self = Self { session, beats, ..Self::default() };
            return Vec::new();
        }
        if session.is_none() || beats == self.beats {
            return Vec::new();
        }
        self.beats = beats;
        let mut changes = Vec::new();
        for it in all.iter().filter(|it| Some(it.epoch) != session) {
            let new = Seen { beat: it.beat, unchanged: 0, lives: false, told_dead: false };
            let seen = self.seen.entry(it.epoch).or_insert(new);
            if it.beat != seen.beat {
                (seen.beat, seen.unchanged) = (it.beat, 0);
                if !seen.lives && !it.dead {
                    seen.lives = true;
                    changes.push(Change::Joined(it.epoch));
                }
            } else {
                seen.unchanged += 1;
            }
            if it.dead && !seen.told_dead {
                seen.told_dead = true;
                changes.extend(gone(it.epoch, *seen));
            }
        }
        self.seen.retain(|epoch, seen| {
            let stays = all.iter().any(|it| it.epoch == *epoch);
            if !stays && !seen.told_dead {
                changes.extend(gone(*epoch, *seen));
            }
            stays
        });
        changes
    }

    /// Whether another node is alive.
    pub(super) fn any_lives(&self) -> bool {
        self.seen.values().any(|seen| seen.lives && !seen.told_dead && seen.unchanged < FRESH)
    }
}

/// A session that never beat while it was seen is nobody's loss.
fn gone(epoch: Epoch, seen: Seen) -> Option<Change> {
    let change = if seen.unchanged >= STILL { Change::Dead(epoch) } else { Change::Left(epoch) };
    seen.lives.then_some(change)
}

/// A line for it.
pub(super) fn tell(server: &str, change: Change) {
    match change {
        Change::Joined(epoch) => {
            let node = epoch.to_string();
            event!(
                INFO,
                "cluster_node_joined",
                { server = server, node = node.as_str(), },
                "cluster: node {node} is there, on {server}"
            );
        }
        Change::Left(epoch) => {
            let node = epoch.to_string();
            event!(
                INFO,
                "cluster_node_left",
                { server = server, node = node.as_str(), why = "in_order", },
                "cluster: node {node} has left {server} in order, or has begun anew there"
            );
        }
        Change::Dead(epoch) => {
            let node = epoch.to_string();
            event!(
                WARN,
                "cluster_node_left",
                { server = server, node = node.as_str(), why = "dead", },
                "cluster: node {node} has given {server} no sign of life for its lease and was taken for dead: its members \
                 have left"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: Epoch = Epoch(1);
    const OTHER: Epoch = Epoch(2);

    fn see(nodes: &mut Nodes, beat: Option<(u64, bool)>) -> Vec<Change> {
        let mut all = vec![Registered { epoch: ME, beat: 0, dead: false }];
        all.extend(beat.map(|(beat, dead)| Registered { epoch: OTHER, beat, dead }));
        let beats = nodes.beats + 1;
        nodes.see(Some(ME), beats, &all)
    }

    fn joined() -> Nodes {
        let mut nodes = Nodes::default();
        assert!(see(&mut nodes, Some((7, false))).is_empty(), "what a session finds first");
        assert!(see(&mut nodes, Some((7, false))).is_empty() && !nodes.any_lives());
        assert_eq!(see(&mut nodes, Some((8, false))), [Change::Joined(OTHER)]);
        assert!(nodes.any_lives());
        nodes
    }

    #[test]
    fn a_node_that_goes_with_a_fresh_beat_has_left() {
        let mut nodes = joined();
        assert_eq!(see(&mut nodes, None), [Change::Left(OTHER)]);
        assert!(!nodes.any_lives() && see(&mut nodes, None).is_empty());
        let mut nodes = joined();
        assert_eq!(see(&mut nodes, Some((8, true))), [Change::Left(OTHER)]);
        assert!(!nodes.any_lives() && see(&mut nodes, None).is_empty());
    }

    #[test]
    fn a_node_that_stood_still_before_it_went_was_dead() {
        let mut nodes = joined();
        for _ in 0..3 {
            assert!(see(&mut nodes, Some((8, false))).is_empty());
        }
        assert!(!nodes.any_lives());
        assert_eq!(see(&mut nodes, Some((8, true))), [Change::Dead(OTHER)]);
        assert!(see(&mut nodes, None).is_empty());
    }

    #[test]
    fn a_session_that_was_over_before_is_nobody_s_loss() {
        let mut nodes = Nodes::default();
        see(&mut nodes, Some((7, false)));
        see(&mut nodes, Some((7, false)));
        assert!(see(&mut nodes, None).is_empty());
    }

    #[test]
    fn a_new_session_begins_to_look_anew() {
        let mut nodes = joined();
        assert!(nodes.see(Some(Epoch(3)), 9, &[]).is_empty());
        assert!(nodes.see(None, 10, &[]).is_empty() && !nodes.any_lives());
    }
}
