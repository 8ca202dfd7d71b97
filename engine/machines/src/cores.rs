//! The cores of a server by name, and the one place that knows which index each has in tables and in the mesh.

/// One core, or what takes part in the mesh like one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CoreId {
    /// The shard of this number.
    Shard(u16),
    /// The API core.
    Api,
    /// The thread between this process and others on the same ports. It does not turn.
    Relay,
}

/// How the cores of a server are laid out as indexes from 0: first those that turn, shards before the API core.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cores {
    shards: u16,
}

impl Cores {
    /// Of a server with so many shards.
    pub fn new(shards: usize) -> Self {
        let count = u16::try_from(shards).ok().filter(|count| *count > 0);
        assert!(count.is_some(), "a server has between 1 and {} shards, not {shards}", u16::MAX);
        Self { shards: count.unwrap_or(1) }
    }

    /// How many shards there are.
    pub fn shards(self) -> usize {
        usize::from(self.shards)
    }

    /// How many cores turn, each on a thread of its own.
    pub fn turning(self) -> usize {
        self.shards() + 1
    }

    /// How many take part in the mesh.
    pub fn in_mesh(self) -> usize {
        self.turning() + 1
    }

    /// The index of a core.
    pub fn index(self, core: CoreId) -> usize {
        match core {
            CoreId::Shard(number) => usize::from(number),
            CoreId::Api => self.shards(),
            CoreId::Relay => self.turning(),
        }
    }

    /// The core with this index.
    pub fn at(self, index: usize) -> CoreId {
        match u16::try_from(index) {
            Ok(number) if number < self.shards => CoreId::Shard(number),
            _ if index == self.shards() => CoreId::Api,
            _ => CoreId::Relay,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_core_has_an_index_of_its_own() {
        for shards in [1, 3] {
            let cores = Cores::new(shards);
            let all: Vec<CoreId> = (0..cores.in_mesh()).map(|index| cores.at(index)).collect();
            let names = (0..shards as u16).map(CoreId::Shard).chain([CoreId::Api, CoreId::Relay]);
            assert_eq!(all, names.collect::<Vec<_>>());
            assert!(all.iter().enumerate().all(|(index, core)| cores.index(*core) == index));
            let turns = |core: &&CoreId| **core != CoreId::Relay;
            assert_eq!(all.iter().filter(turns).count(), cores.turning());
        }
    }
}
