//! The rules of the levels that hooks were told, for their simulation (`tests/levels_sim`).

use crate::table::{Mutant, instead};

const FILE: &str = "cluster/levels.rs";

/// All of them.
pub const LEVELS_MUTANTS: &[Mutant] = &[
    Mutant {
        name: "EdgesNotFiltered",
        breaks: "An edge is passed on though its level is so already.",
        places: &[instead(FILE, "self.is_up(name) == up", "false")],
    },
    Mutant {
        name: "MembersOutliveTheirChannel",
        breaks: "A channel falls, and its members stay up.",
        places: &[instead(FILE, "std::mem::take(&mut open.users)", "HashSet::<Box<[u8]>>::new()")],
    },
    Mutant {
        name: "MemberWithoutChannel",
        breaks: "A member rises in a channel that is not up.",
        places: &[instead(FILE, "name.is_member() && !open.channel", "false")],
    },
    Mutant {
        name: "OnlineUsersOpenChannels",
        breaks: "A user who is online is taken for a member, and a channel is opened.",
        places: &[instead(FILE, "self.user.is_some_and(|user| !user.is_empty())", "self.user.is_some()")],
    },
    Mutant {
        name: "FallenUsersStayUp",
        breaks: "A user whose fall was told is still up.",
        places: &[instead(FILE, "open.users.remove(user);", "{}")],
    },
    Mutant {
        name: "PassedChannelsForgotten",
        breaks: "The next node does not know which channels were told as occupied.",
        places: &[instead(FILE, "open.channel = true", "{}").within("            None => open.channel = true")],
    },
    Mutant {
        name: "PassedUsersForgotten",
        breaks: "The next node does not know which users were told as up.",
        places: &[instead(FILE, "open.users.insert(user.into());", "{}")
            .within("Some(user) => {\n                open.users.insert(user.into());\n            }\n        }\n    }")],
    },
    Mutant {
        name: "UsersNotCompared",
        breaks: "Which users were told as up is not compared with what is there.",
        places: &[instead(FILE, "open.users.iter().map(|user| name(Some(user))).collect()", "Vec::new()")],
    },
    Mutant {
        name: "EmptyTopicsKept",
        breaks: "A topic of which nothing is up is kept for ever.",
        places: &[instead(FILE, "!open.channel && open.users.is_empty()", "false")],
    },
];
