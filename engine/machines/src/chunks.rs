//! An array that grows by chunks: what is in it never moves, and growing copies nothing.
//!
//! For tables with an entry per slot of a core. A vector that doubles leaves as much memory unused as it uses, and
//! touches new pages for what it copies while the old ones stay with the allocator. What must never happen here: a
//! chunk that is reallocated. Knows nobody who uses it.

/// Entries of a chunk: a power of two, so that a place is found by a shift and a mask.
const CHUNK_ENTRIES: usize = 1024;

/// Entries with a number each, from 0. Chunks are full of defaults from the start, so within one no place needs a check.
#[derive(Debug)]
pub struct Chunks<T> {
    chunks: Vec<Box<[T; CHUNK_ENTRIES]>>,
    len: usize,
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }
}

impl<T> Chunks<T> {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The entry with this number, if there is one.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&T> {
        let chunk = self.chunks.get(index / CHUNK_ENTRIES).filter(|_| index < self.len)?;
        chunk.get(index % CHUNK_ENTRIES)
    }

    /// The same, to change it.
    #[inline]
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        let chunk = self.chunks.get_mut(index / CHUNK_ENTRIES).filter(|_| index < self.len)?;
        chunk.get_mut(index % CHUNK_ENTRIES)
    }
}

impl<T: Default> Chunks<T> {
    /// Adds an entry, and returns its number.
    pub fn push(&mut self, entry: T) -> usize {
        let index = self.len;
        if index == self.chunks.len() * CHUNK_ENTRIES {
            self.chunks.push(Self::chunk());
        }
        self.len += 1;
        if let Some(place) = self.get_mut(index) {
            *place = entry;
        }
        index
    }

    /// On the heap from the beginning: a chunk may be too large for a stack.
    fn chunk() -> Box<[T; CHUNK_ENTRIES]> {
        let entries: Box<[T]> = (0..CHUNK_ENTRIES).map(|_| T::default()).collect();
        let Ok(chunk) = entries.try_into() else { unreachable!("a chunk has so many entries") };
        chunk
    }
}

impl<T: Clone + Default> Chunks<T> {
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
