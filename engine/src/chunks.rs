//! An array that grows by chunks: what is in it never moves, and growing copies nothing.
//!
//! For tables with an entry per slot of a core. A vector that doubles leaves as much memory unused as it uses, and
//! touches new pages for what it copies while the old ones stay with the allocator. What must never happen here: a
//! chunk that is reallocated. Knows nobody who uses it.

/// Entries of a chunk: a power of two, so that a place is found by a shift and a mask.
const CHUNK_ENTRIES: usize = 1024;

/// Entries with a number each, from 0.
#[derive(Debug)]
pub struct Chunks<T>(Vec<Vec<T>>);

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Chunks<T> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        let full = self.0.len().saturating_sub(1) * CHUNK_ENTRIES;
        full + self.0.last().map_or(0, Vec::len)
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entry with this number, if there is one.
    pub fn get(&self, index: usize) -> Option<&T> {
        self.0.get(index / CHUNK_ENTRIES)?.get(index % CHUNK_ENTRIES)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.0.get_mut(index / CHUNK_ENTRIES)?.get_mut(index % CHUNK_ENTRIES)
    }

    /// Adds an entry, and returns its number.
    pub fn push(&mut self, entry: T) -> usize {
        let index = self.len();
        match self.0.last_mut().filter(|chunk| chunk.len() < CHUNK_ENTRIES) {
            Some(chunk) => chunk.push(entry),
            None => {
                let mut chunk = Vec::with_capacity(CHUNK_ENTRIES);
                chunk.push(entry);
                self.0.push(chunk);
            }
        }
        index
    }
}

impl<T: Clone> Chunks<T> {
    /// Adds copies of `entry` until there are at least `count` entries.
    pub fn grow_to(&mut self, count: usize, entry: &T) {
        while self.len() < count {
            self.push(entry.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entry_is_found_by_its_number_and_none_behind_the_last() {
        let mut chunks = Chunks::default();
        assert!(chunks.is_empty() && chunks.get(0).is_none());
        for entry in 0..3 * CHUNK_ENTRIES + 1 {
            assert_eq!((chunks.push(entry), chunks.len()), (entry, entry + 1));
        }
        assert!((0..chunks.len()).all(|index| chunks.get(index) == Some(&index)));
        assert_eq!(chunks.get_mut(chunks.len()), None);
        assert_eq!(chunks.get(usize::MAX), None);
    }

    #[test]
    fn an_entry_never_moves() {
        let mut chunks = Chunks::default();
        chunks.push(7_u64);
        let place = std::ptr::from_ref(chunks.get(0).unwrap());
        chunks.grow_to(10 * CHUNK_ENTRIES, &0);
        assert_eq!(place, std::ptr::from_ref(chunks.get(0).unwrap()));
        assert_eq!(chunks.len(), 10 * CHUNK_ENTRIES);
    }
}
