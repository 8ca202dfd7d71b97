//! The other nodes as a server shows them, by their sessions.
//!
//! A session whose beat stood still for about the lease before it went was declared dead; one that went with a fresh beat has
//! left in order, or its node has begun another. Which of them is alive and stays says whether clients have somewhere to go.

use std::collections::BTreeMap;

use crate::cluster::epoch::Epoch;
use crate::cluster::session::reading::Shown;

/// How often a beat is seen unchanged before its node may be declared dead by somebody: another one may see a beat sooner.
const STILL: u32 = 3;

/// A node that beats has changed its beat within so many of ours.
const FRESH: u32 = 2;

/// What was seen of the other nodes in this session.
#[derive(Debug, Default)]
pub struct Nodes {
    session: Option<Epoch>,
    seen: BTreeMap<Epoch, Seen>,
    beats: u64,
    judged: u64,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    beat: u64,
    unchanged: u32,
    /// Its beat was seen to change: it is no session that was over before.
    lives: bool,
    /// It stops soon.
    leaves: bool,
    told_dead: bool,
}

/// What has become of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// It beats.
    Joined(Epoch),
    /// It has stopped in order, or its node has begun another session.
    Left(Epoch),
    /// It was declared dead.
    Dead(Epoch),
}

impl Nodes {
    /// What beats have shown.
    pub fn see(&mut self, session: Option<Epoch>, shown: &Shown) -> Vec<Change> {
        let Shown { all, beats, judged } = shown;
        if session != self.session {
            *self = Self { session, beats: *beats, judged: *judged, ..Self::default() };
            return Vec::new();
        }
        if session.is_none() || *beats == self.beats {
            return Vec::new();
        }
        let judges = *judged != self.judged;
        (self.beats, self.judged) = (*beats, *judged);
        let mut changes = Vec::new();
        for it in all.iter().filter(|it| Some(it.epoch) != session) {
            let new = Seen { beat: it.beat, unchanged: 0, lives: false, leaves: false, told_dead: false };
            let seen = self.seen.entry(it.epoch).or_insert(new);
            seen.leaves = it.leaves;
            if it.beat != seen.beat {
                (seen.beat, seen.unchanged) = (it.beat, 0);
                if !seen.lives && !it.dead {
                    seen.lives = true;
                    changes.push(Change::Joined(it.epoch));
                }
            } else {
                seen.unchanged += u32::from(judges);
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

    /// Whether another node is alive, and stays.
    pub fn any_stays(&self) -> bool {
        let stays = |seen: &Seen| seen.lives && !seen.leaves && !seen.told_dead && seen.unchanged < FRESH;
        self.seen.values().any(stays)
    }
}

/// A session that never beat while it was seen is nobody's loss.
fn gone(epoch: Epoch, seen: Seen) -> Option<Change> {
    let change = if seen.unchanged >= STILL { Change::Dead(epoch) } else { Change::Left(epoch) };
    seen.lives.then_some(change)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::answer::Registered;

    const ME: Epoch = Epoch(1);
    const OTHER: Epoch = Epoch(2);

    fn see(nodes: &mut Nodes, beat: Option<(u64, bool)>) -> Vec<Change> {
        let all = beat.map(|(beat, dead)| Registered { epoch: OTHER, beat, dead, leaves: false });
        let shown =
            Shown { all: all.into_iter().collect(), beats: nodes.beats + 1, judged: nodes.judged + 1 };
        nodes.see(Some(ME), &shown)
    }

    fn joined() -> Nodes {
        let mut nodes = Nodes::default();
        assert!(see(&mut nodes, Some((7, false))).is_empty(), "what a session finds first");
        assert!(see(&mut nodes, Some((7, false))).is_empty() && !nodes.any_stays());
        assert_eq!(see(&mut nodes, Some((8, false))), [Change::Joined(OTHER)]);
        assert!(nodes.any_stays());
        nodes
    }

    #[test]
    fn a_node_that_goes_with_a_fresh_beat_has_left() {
        let mut nodes = joined();
        assert_eq!(see(&mut nodes, None), [Change::Left(OTHER)]);
        assert!(!nodes.any_stays() && see(&mut nodes, None).is_empty());
        let mut nodes = joined();
        assert_eq!(see(&mut nodes, Some((8, true))), [Change::Left(OTHER)]);
        assert!(!nodes.any_stays() && see(&mut nodes, None).is_empty());
    }

    #[test]
    fn a_node_that_stood_still_before_it_went_was_dead() {
        let mut nodes = joined();
        for _ in 0..3 {
            assert!(see(&mut nodes, Some((8, false))).is_empty());
        }
        assert!(!nodes.any_stays());
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
    fn a_node_that_stops_soon_is_nowhere_to_go_and_is_not_gone() {
        let mut nodes = joined();
        let shown = |nodes: &Nodes, judged| {
            let other = Registered { epoch: OTHER, beat: 8, dead: false, leaves: true };
            Shown { all: vec![other], beats: nodes.beats + 1, judged }
        };
        let judged = nodes.judged;
        let now = shown(&nodes, judged);
        assert!(nodes.see(Some(ME), &now).is_empty() && !nodes.any_stays());
        assert_eq!(see(&mut nodes, None), [Change::Left(OTHER)]);
    }

    #[test]
    fn a_beat_that_came_early_says_nothing_of_those_that_stood_still() {
        let mut nodes = joined();
        for _ in 0..9 {
            let other = Registered { epoch: OTHER, beat: 8, dead: false, leaves: false };
            let shown = Shown { all: vec![other], beats: nodes.beats + 1, judged: nodes.judged };
            assert!(nodes.see(Some(ME), &shown).is_empty() && nodes.any_stays());
        }
    }

    #[test]
    fn a_new_session_begins_to_look_anew() {
        let mut nodes = joined();
        let nobody = Shown { beats: 9, ..Shown::default() };
        assert!(nodes.see(Some(Epoch(3)), &nobody).is_empty());
        assert!(nodes.see(None, &nobody).is_empty() && !nodes.any_stays());
    }
}
