//! Who of the other sessions is dead: one whose beat was seen unchanged at several of our own beats.
//!
//! Seen is what our own beats of this session have seen, one after another: so neither a server that stood still nor a node
//! that was away itself says of all others that they are dead. Whoever says so names the beat, and the server compares.

use hashbrown::HashMap;

use crate::cluster::answer::Registered;
use crate::cluster::epoch::Epoch;
use crate::limits::UNCHANGED_MAX;

/// The other sessions.
#[derive(Debug, Default)]
pub(super) struct Watch {
    seen: HashMap<Epoch, Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    beat: u64,
    times: u32,
}

/// What is to be done with another session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// It has not beaten.
    Kill(Epoch, u64),
    /// It is dead.
    Sweep(Epoch),
}

impl Watch {
    /// Nothing was seen.
    pub(super) fn begin_anew(&mut self) {
        self.seen.clear();
    }

    /// What one of our own beats has seen.
    pub(super) fn see(&mut self, me: Epoch, all: &[Registered]) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        for Registered { epoch, beat, dead, .. } in all.iter().filter(|it| it.epoch != me) {
            if *dead {
                verdicts.push(Verdict::Sweep(*epoch));
                continue;
            }
            let seen = self.seen.entry(*epoch).or_insert(Seen { beat: *beat, times: 0 });
            if seen.beat == *beat {
                seen.times += 1;
            } else {
                *seen = Seen { beat: *beat, times: 0 };
            }
            if seen.times >= UNCHANGED_MAX {
                verdicts.extend([Verdict::Kill(*epoch, *beat), Verdict::Sweep(*epoch)]);
            }
        }
        self.seen.retain(|epoch, _| all.iter().any(|it| it.epoch == *epoch));
        verdicts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: Epoch = Epoch(1);
    const OTHER: Epoch = Epoch(2);

    fn see(watch: &mut Watch, beat: u64) -> Vec<Verdict> {
        let of = |epoch, beat| Registered { epoch, beat, dead: false, leaves: false };
        watch.see(ME, &[of(ME, 0), of(OTHER, beat)])
    }

    #[test]
    fn a_session_is_dead_after_four_beats_that_have_seen_it_unchanged() {
        let mut watch = Watch::default();
        assert!((0..3).all(|_| see(&mut watch, 7).is_empty()));
        assert_eq!(see(&mut watch, 7), [Verdict::Kill(OTHER, 7), Verdict::Sweep(OTHER)]);
        assert!(see(&mut watch, 8).is_empty());
    }

    #[test]
    fn what_was_seen_before_does_not_count() {
        let mut watch = Watch::default();
        (0..3).for_each(|_| drop(see(&mut watch, 7)));
        watch.begin_anew();
        assert!((0..3).all(|_| see(&mut watch, 7).is_empty()));
    }

    #[test]
    fn the_dead_are_swept_and_those_that_are_gone_forgotten() {
        let mut watch = Watch::default();
        see(&mut watch, 7);
        let dead = watch.see(ME, &[Registered { epoch: OTHER, beat: 7, dead: true, leaves: false }]);
        assert_eq!(dead, [Verdict::Sweep(OTHER)]);
        watch.see(ME, &[]);
        assert!(watch.seen.is_empty());
    }
}
