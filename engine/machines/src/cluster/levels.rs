//! The levels that hooks were told, as the node knows them that passes edges on: which channels are occupied, who is a member
//! of them, and which users are online.
//!
//! An edge that comes is passed on only if it changes its level, so that edges alternate whatever a server has forgotten or
//! says twice. A channel's fall first closes what is open of its members, and a member's rise first opens its channel. What
//! must never happen here: an edge that is told twice in the same direction.

use hashbrown::{HashMap, HashSet};

/// What has a level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LevelName<'a> {
    /// The topic, as servers call it.
    pub topic: &'a [u8],
    /// A member of it; nameless for a user who is online. None: the channel itself.
    pub user: Option<&'a [u8]>,
}

impl<'a> LevelName<'a> {
    /// Reads a name as scripts write it: `C` and a topic, or `M`, a topic, NUL and a user.
    pub fn parse(name: &'a [u8]) -> Option<Self> {
        match name.split_first()? {
            (b'C', topic) => Some(Self { topic, user: None }),
            (b'M', rest) => {
                let nul = rest.iter().position(|byte| *byte == 0)?;
                Some(Self { topic: rest.get(..nul)?, user: Some(rest.get(nul + 1..)?) })
            }
            _ => None,
        }
    }

    /// The name as scripts write it.
    pub fn write(self) -> Box<[u8]> {
        match self.user {
            None => [b"C", self.topic].concat(),
            Some(user) => [b"M", self.topic, b"\0", user].concat(),
        }
        .into()
    }

    /// Whether it is a member of a channel.
    fn is_member(self) -> bool {
        self.user.is_some_and(|user| !user.is_empty())
    }
}

/// An edge to be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edge {
    /// Of what.
    pub name: Box<[u8]>,
    /// Whether it rises.
    pub up: bool,
}

/// The levels that are up.
#[derive(Debug, Default)]
pub struct Levels {
    topics: HashMap<Box<[u8]>, Open>,
}

/// What is up of a topic.
#[derive(Debug, Default)]
struct Open {
    channel: bool,
    users: HashSet<Box<[u8]>>,
}

impl Levels {
    /// What must be told when this level becomes that; nothing where it is so already.
    pub fn pass(&mut self, name: LevelName<'_>, up: bool) -> Vec<Edge> {
        let mut edges = Vec::new();
        let edge = |name: LevelName<'_>| Edge { name: name.write(), up };
        if self.is_up(name) == up {
            return edges;
        }
        let open = self.topics.entry(name.topic.into()).or_default();
        match (name.user, up) {
            (None, true) => open.channel = true,
            (Some(user), true) => {
                if name.is_member() && !open.channel {
                    open.channel = true;
                    edges.push(edge(LevelName { user: None, ..name }));
                }
                open.users.insert(user.into());
            }
            (None, false) => {
                let users = std::mem::take(&mut open.users);
                edges.extend(users.iter().map(|user| edge(LevelName { user: Some(user), ..name })));
                open.channel = false;
            }
            (Some(user), false) => {
                open.users.remove(user);
            }
        }
        edges.push(edge(name));
        if !open.channel && open.users.is_empty() {
            self.topics.remove(name.topic);
        }
        edges
    }

    /// This level was told as up before.
    pub fn note_up(&mut self, name: LevelName<'_>) {
        let open = self.topics.entry(name.topic.into()).or_default();
        match name.user {
            None => open.channel = true,
            Some(user) => {
                open.users.insert(user.into());
            }
        }
    }

    /// Whether this level was told as up.
    pub fn is_up(&self, name: LevelName<'_>) -> bool {
        self.topics.get(name.topic).is_some_and(|open| match name.user {
            None => open.channel,
            Some(user) => open.users.contains(user),
        })
    }

    /// The names of all that are up, members before their channels.
    pub fn names(&self) -> Vec<Box<[u8]>> {
        let of_topic = |topic: &[u8], open: &Open| {
            let name = |user| LevelName { topic, user }.write();
            let users: Vec<_> = open.users.iter().map(|user| name(Some(user))).collect();
            users.into_iter().chain(open.channel.then(|| name(None))).collect::<Vec<_>>()
        };
        self.topics.iter().flat_map(|(topic, open)| of_topic(topic, open)).collect()
    }

    /// True when none is up.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(levels: &mut Levels, name: &str, up: bool) -> Vec<String> {
        let name = name.replace('|', "\0");
        let edges = levels.pass(LevelName::parse(name.as_bytes()).unwrap(), up);
        edges
            .iter()
            .map(|edge| {
                let name = String::from_utf8_lossy(&edge.name).replace('\0', "|");
                format!("{}{name}", if edge.up { '+' } else { '-' })
            })
            .collect()
    }

    #[test]
    fn an_edge_is_told_only_where_it_changes_its_level() {
        let mut levels = Levels::default();
        assert_eq!(pass(&mut levels, "C1/ca", true), ["+C1/ca"]);
        assert!(pass(&mut levels, "C1/ca", true).is_empty());
        assert!(pass(&mut levels, "C1/cb", false).is_empty());
        assert_eq!(pass(&mut levels, "C1/ca", false), ["-C1/ca"]);
        assert!(levels.is_empty());
    }

    #[test]
    fn a_member_s_rise_opens_its_channel_and_a_channel_s_fall_closes_its_members() {
        let mut levels = Levels::default();
        assert_eq!(pass(&mut levels, "M1/ca|ann", true), ["+C1/ca", "+M1/ca|ann"]);
        assert_eq!(pass(&mut levels, "C1/ca", false), ["-M1/ca|ann", "-C1/ca"]);
        assert!(pass(&mut levels, "M1/ca|ann", false).is_empty() && levels.is_empty());
    }

    #[test]
    fn a_user_who_is_online_has_no_channel() {
        let mut levels = Levels::default();
        assert_eq!(pass(&mut levels, "M1/uann|", true), ["+M1/uann|"]);
        assert_eq!(pass(&mut levels, "M1/uann|", false), ["-M1/uann|"]);
        assert!(levels.is_empty());
    }

    #[test]
    fn names_are_read_as_they_are_written_and_others_not_at_all() {
        for name in [&b"C1/ca"[..], b"M1/ca\0ann", b"M1/uann\0"] {
            assert_eq!(&*LevelName::parse(name).unwrap().write(), name);
        }
        for name in [&b""[..], b"X1/ca", b"M1/ca"] {
            assert_eq!(LevelName::parse(name), None);
        }
    }

    #[test]
    fn what_was_told_before_is_up_and_named() {
        let mut levels = Levels::default();
        let member = LevelName { topic: b"1/ca", user: Some(b"ann") };
        levels.note_up(LevelName { user: None, ..member });
        levels.note_up(member);
        assert!(levels.is_up(member));
        assert_eq!(levels.names(), [member.write(), LevelName { user: None, ..member }.write()]);
        assert!(pass(&mut levels, "M1/ca|ann", true).is_empty());
    }
}
