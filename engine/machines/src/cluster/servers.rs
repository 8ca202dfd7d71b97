//! Which server of a cluster a topic lives on: rendezvous hashing of the topic over the servers' names, so that all nodes
//! with the same list say the same, and a longer list moves few topics.
//!
//! The hash has no seed, because it is the same in all processes. A peer that finds many names with one server gains nothing:
//! each server is made for all of its topics.

use crate::cluster::bus::Server;
use crate::cluster::topic_name::topic_name;
use crate::topic::Topic;

/// The servers, in the order of the list.
#[derive(Clone, Debug)]
pub struct Servers {
    /// The hash of each name.
    names: Box<[u64]>,
}

impl Servers {
    /// Those with these names, at least one.
    pub fn new<S: AsRef<[u8]>>(names: &[S]) -> Self {
        assert!(!names.is_empty() && names.len() <= usize::from(u16::MAX), "a cluster has servers");
        Self { names: names.iter().map(|name| hash(0, name.as_ref())).collect() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Never: a cluster has servers.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = Server> + use<> {
        (0..self.names.len() as u16).map(Server)
    }

    /// Where a topic lives.
    pub fn of(&self, topic: &Topic) -> Server {
        if self.names.len() == 1 {
            return Server(0);
        }
        let name = topic_name(topic);
        let weights = self.names.iter().map(|server| hash(*server, &name));
        let heaviest = weights.zip(0..).max_by_key(|(weight, _)| *weight);
        Server(heaviest.map_or(0, |(_, number)| number))
    }
}

/// FNV-1a, and the last step of SplitMix64: its high bits alone are too much alike.
fn hash(seed: u64, bytes: &[u8]) -> u64 {
    let begin = 0xcbf2_9ce4_8422_2325 ^ seed;
    let fnv = bytes.iter().fold(begin, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    let mixed = (fnv ^ (fnv >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use protocol::app::App;

    use super::*;
    use crate::topic::{TopicHash, TopicKey};

    fn chosen(servers: &[&str]) -> Vec<u16> {
        let (servers, app) = (Servers::new(servers), Arc::new(App::new("1", "k", "s")));
        let topics = TopicHash::new(1, 1);
        let channels = (0..1000).map(|number| format!("c{number}"));
        channels.map(|name| servers.of(&topics.topic(&app, TopicKey::of(&name))).0).collect()
    }

    #[test]
    fn servers_have_about_as_many_topics_and_another_one_takes_its_share_alone() {
        let (two, three) = (chosen(&["a", "b"]), chosen(&["a", "b", "c"]));
        let of = |all: &[u16], server| all.iter().filter(|it| **it == server).count();
        assert!((0..2).all(|server| (400..600).contains(&of(&two, server))));
        assert!((0..3).all(|server| (270..400).contains(&of(&three, server))));
        assert!(two.iter().zip(&three).all(|(before, after)| before == after || *after == 2));
    }

    #[test]
    fn the_choice_is_the_same_in_every_version() {
        let expected = [1, 1, 0, 1, 1, 0, 0, 1, 0, 0, 0, 1];
        assert_eq!(chosen(&["redis://a", "redis://b"]).get(..12), Some(&expected[..]));
    }
}
