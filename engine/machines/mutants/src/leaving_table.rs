//! The rules of nodes that stop in order, for their simulation (`tests/leaving_sim`).

use crate::table::{Mutant, instead};

/// All of them.
pub const LEAVING_MUTANTS: &[Mutant] = &[
    Mutant {
        name: "LeavingNotSaid",
        breaks: "A node does not say that it stops soon.",
        places: &[instead("cluster/session/answers.rs", "self.leaves", "false").within("leaves: self.leaves")],
    },
    Mutant {
        name: "LeavingWaitsForTheNextBeat",
        breaks: "A node says that it stops soon when its next beat is due.",
        places: &[instead(
            "cluster/session/mod.rs",
            "self.beat_ms = self.beat_ms.map(|_| now.mono_ms);",
            "{}",
        )],
    },
    Mutant {
        name: "LeavingBeatsAtTheOldPace",
        breaks: "A node that stops soon hears of others as seldom as before.",
        places: &[instead("cluster/session/answers.rs", "self.pace.leaving_beat_ms", "self.pace.beat_ms")],
    },
    Mutant {
        name: "LeaversAreSomewhereToGo",
        breaks: "A node that stops soon is somewhere to go.",
        places: &[instead("cluster/nodes.rs", "!seen.leaves", "true")],
    },
    Mutant {
        name: "TheSilentAreSomewhereToGo",
        breaks: "A node that does not beat any more is somewhere to go.",
        places: &[instead("cluster/nodes.rs", "seen.unchanged < FRESH", "true")],
    },
    Mutant {
        name: "StrangersAreSomewhereToGo",
        breaks: "A session that was never seen to beat is somewhere to go.",
        places: &[instead("cluster/nodes.rs", "seen.lives", "true").within("|seen: &Seen| seen.lives")],
    },
    Mutant {
        name: "EarlyBeatsSayWhoIsSilent",
        breaks: "A node that beats more often takes others for silent that beat as they should.",
        places: &[instead("cluster/nodes.rs", "u32::from(judges)", "{ let _ = judges; 1 }")],
    },
    Mutant {
        name: "LeaversAreDead",
        breaks: "A node that has left is said to have been dead.",
        places: &[instead("cluster/nodes.rs", "seen.unchanged >= STILL", "true")],
    },
];
