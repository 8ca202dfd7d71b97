//! The cores of a server by name, and the one place that knows which index each has in tables and in the mesh.

use std::fmt;
use std::ops::{Index, IndexMut};

/// One core, or what takes part in the mesh like one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CoreId {
    /// The shard of this number.
    Shard(u16),
    /// The API core.
    Api,
    /// The thread between this process and others on the same ports. It does not turn.
    Relay,
}

impl fmt::Display for CoreId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shard(number) => write!(out, "shard {number}"),
            Self::Api => out.write_str("the API core"),
            Self::Relay => out.write_str("the takeover thread"),
        }
    }
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

    /// All that take part in the mesh, in the order of their indexes.
    pub fn all(self) -> impl Iterator<Item = CoreId> {
        (0..self.in_mesh()).map(move |index| self.at(index))
    }

    /// The shards.
    pub fn each_shard(self) -> impl Iterator<Item = CoreId> {
        (0..self.shards).map(CoreId::Shard)
    }

    /// The shard of this number, if there is one.
    pub fn shard(self, number: u16) -> Option<CoreId> {
        (number < self.shards).then_some(CoreId::Shard(number))
    }

    /// One of the shards for each number: of so many numbers in a row, each is one of them.
    pub fn shard_for(self, number: u32) -> CoreId {
        CoreId::Shard((number % u32::from(self.shards)) as u16)
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

/// A table with an entry for each core, or for the first ones of [`Cores::all`].
#[derive(Clone, Debug)]
pub struct PerCore<T> {
    cores: Cores,
    entries: Box<[T]>,
}

impl<T> PerCore<T> {
    /// An entry for all that take part in the mesh.
    pub fn of_all(cores: Cores, entry: impl FnMut(CoreId) -> T) -> Self {
        Self { cores, entries: cores.all().map(entry).collect() }
    }

    /// The same of entries that may not come to be.
    pub fn try_of_all<E>(cores: Cores, entry: impl FnMut(CoreId) -> Result<T, E>) -> Result<Self, E> {
        Ok(Self { cores, entries: cores.all().map(entry).collect::<Result<_, E>>()? })
    }

    /// An entry for each core that turns.
    pub fn of_turning(cores: Cores, entry: impl FnMut(CoreId) -> T) -> Self {
        Self { cores, entries: cores.all().take(cores.turning()).map(entry).collect() }
    }

    /// An entry for each shard.
    pub fn of_shards(cores: Cores, entry: impl FnMut(CoreId) -> T) -> Self {
        Self { cores, entries: cores.each_shard().map(entry).collect() }
    }

    /// The entry of a core. None: this table has none for a core of its kind.
    pub fn get(&self, core: CoreId) -> Option<&T> {
        self.entries.get(self.cores.index(core))
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, core: CoreId) -> Option<&mut T> {
        self.entries.get_mut(self.cores.index(core))
    }

    /// The cores that have an entry.
    pub fn cores(&self) -> impl Iterator<Item = CoreId> + use<T> {
        let (cores, count) = (self.cores, self.entries.len());
        cores.all().take(count)
    }

    /// All entries with their cores.
    pub fn into_entries(self) -> impl Iterator<Item = (CoreId, T)> {
        self.cores.all().zip(self.entries)
    }

    /// All entries, in the order of their cores.
    pub fn entries(&self) -> impl Iterator<Item = &T> {
        self.entries.iter()
    }

    /// The same, to be changed.
    pub fn entries_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.iter_mut()
    }
}

impl<T> Index<CoreId> for PerCore<T> {
    type Output = T;

    fn index(&self, core: CoreId) -> &T {
        let Some(entry) = self.get(core) else { unreachable!("this table has no entry for {core}") };
        entry
    }
}

impl<T> IndexMut<CoreId> for PerCore<T> {
    fn index_mut(&mut self, core: CoreId) -> &mut T {
        let Some(entry) = self.get_mut(core) else { unreachable!("this table has no entry for {core}") };
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_core_has_an_index_of_its_own() {
        for shards in [1, 3] {
            let cores = Cores::new(shards);
            let all: Vec<CoreId> = cores.all().collect();
            let names = (0..shards as u16).map(CoreId::Shard).chain([CoreId::Api, CoreId::Relay]);
            assert_eq!(all, names.collect::<Vec<_>>());
            assert!(all.iter().enumerate().all(|(index, core)| cores.index(*core) == index));
            let turns = |core: &&CoreId| **core != CoreId::Relay;
            assert_eq!(all.iter().filter(turns).count(), cores.turning());
        }
    }
}
