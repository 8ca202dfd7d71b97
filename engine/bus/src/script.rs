//! The scripts: what the bus is on the side of Redis. Each is one step there, whatever it changes.
//!
//! They name no keys, because what they touch is only known while they run: all keys share a hash tag instead. A script
//! that fails half-way keeps what it wrote, so no argument may make one fail, and one that needs memory is refused
//! before its first write.

use machines::cluster::call;

/// A script.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Script {
    /// Takes what was read out of the inbox.
    Ack,
    /// A sign of life.
    Beat,
    /// Carries out numbered commands.
    Commands,
    /// Compares levels that hooks were told with what is so.
    Compare,
    /// Reads how many are in topics.
    Counts,
    /// Tells levels that are due.
    Due,
    /// Takes edges for hooks.
    Edges,
    /// Resumes a session.
    Hello,
    /// Declares an epoch dead.
    Kill,
    /// Reads the channels of an app.
    List,
    /// Reads which levels hooks were told.
    Passed,
    /// Carries out numbered publishes.
    Publish,
    /// Begins a session.
    Register,
    /// Ends a session that stops in order.
    Retire,
    /// Takes out what a dead epoch holds.
    Sweep,
    /// Reads which levels are up.
    There,
    /// Reads the users of a topic.
    Users,
}

/// What a script wants before its own arguments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Head {
    /// The prefix of the keys.
    Prefix,
    /// That, the time, and all bounds.
    Full,
}

const HEAD: &str = include_str!("scripts/head.lua");
const INBOXES: &str = include_str!("scripts/inboxes.lua");
const LEVELS: &str = include_str!("scripts/levels.lua");
const LEAVE: &str = include_str!("scripts/leave.lua");
const READING: &str = include_str!("scripts/reading.lua");

impl Script {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Ack,
        Self::Beat,
        Self::Commands,
        Self::Compare,
        Self::Counts,
        Self::Due,
        Self::Edges,
        Self::Hello,
        Self::Kill,
        Self::List,
        Self::Passed,
        Self::Publish,
        Self::Register,
        Self::Retire,
        Self::Sweep,
        Self::There,
        Self::Users,
    ];

    /// The one that a session means.
    pub(crate) fn of(script: call::Script) -> Self {
        match script {
            call::Script::Register => Self::Register,
            call::Script::Hello => Self::Hello,
            call::Script::Ops => Self::Commands,
            call::Script::Pub => Self::Publish,
            call::Script::Beat => Self::Beat,
            call::Script::Kill => Self::Kill,
            call::Script::Sweep => Self::Sweep,
            call::Script::Due => Self::Due,
            call::Script::Ack => Self::Ack,
            call::Script::Counts => Self::Counts,
            call::Script::List => Self::List,
            call::Script::Users => Self::Users,
        }
    }

    /// What it wants before its own arguments.
    pub fn head(self) -> Head {
        match self {
            Self::Publish | Self::Counts | Self::List | Self::Users => Head::Prefix,
            _ => Head::Full,
        }
    }

    /// Its text, as the server is given it.
    pub fn text(self) -> String {
        [self.first_line()].into_iter().chain(self.parts().iter().copied()).collect()
    }

    /// Those that free memory run when there is none.
    fn first_line(self) -> &'static str {
        match self {
            Self::Ack | Self::Beat | Self::Edges | Self::Kill | Self::Retire | Self::Sweep => {
                "#!lua flags=allow-oom\n"
            }
            Self::Hello | Self::Counts | Self::List | Self::Passed | Self::Users => "#!lua flags=no-writes\n",
            Self::Commands | Self::Compare | Self::Due | Self::Publish | Self::Register | Self::There => {
                "#!lua\n"
            }
        }
    }

    fn parts(self) -> &'static [&'static str] {
        match self {
            Self::Ack => &[HEAD, INBOXES, include_str!("scripts/ack.lua")],
            Self::Beat => &[HEAD, include_str!("scripts/beat.lua")],
            Self::Commands => &[HEAD, INBOXES, LEVELS, LEAVE, include_str!("scripts/commands.lua")],
            Self::Compare => &[HEAD, LEVELS, include_str!("scripts/compare.lua")],
            Self::Counts => &[READING, include_str!("scripts/counts.lua")],
            Self::Due => &[HEAD, LEVELS, include_str!("scripts/due.lua")],
            Self::Edges => &[HEAD, include_str!("scripts/edges.lua")],
            Self::Hello => &[HEAD, include_str!("scripts/hello.lua")],
            Self::Kill => &[HEAD, include_str!("scripts/kill.lua")],
            Self::List => &[READING, include_str!("scripts/list.lua")],
            Self::Passed => &[HEAD, include_str!("scripts/passed.lua")],
            Self::Publish => &[include_str!("scripts/publish.lua")],
            Self::Register => &[HEAD, include_str!("scripts/register.lua")],
            Self::Retire => &[HEAD, include_str!("scripts/retire.lua")],
            Self::Sweep => &[HEAD, INBOXES, LEVELS, LEAVE, include_str!("scripts/sweep.lua")],
            Self::There => &[HEAD, LEVELS, include_str!("scripts/there.lua")],
            Self::Users => &[READING, include_str!("scripts/users.lua")],
        }
    }
}
