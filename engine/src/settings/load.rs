//! When the server has too much to do to welcome new connections.

use super::memory::memory_bytes;

/// The marks of memory. What is not set follows the memory that there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Load {
    /// From here on newcomers are told to come back later.
    pub memory_high_bytes: Option<u64>,
    /// From here down they are welcome again.
    pub memory_low_bytes: Option<u64>,
}

/// Both marks, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Marks {
    /// Memory is short from here on.
    pub high: u64,
    /// It is no longer, from here down.
    pub low: u64,
}

impl Load {
    /// The marks where there are so many bytes; None: nobody has set a mark, and nobody knows how many there are.
    pub fn marks(&self, memory_bytes: Option<u64>) -> Option<Marks> {
        let part = |percent: u64| memory_bytes.map(|bytes| bytes / 100 * percent);
        let high = self.memory_high_bytes.or_else(|| part(90))?;
        // As far below the high mark as 80 % is below 90 %.
        let usual = if self.memory_high_bytes.is_some() { high / 9 * 8 } else { part(80).unwrap_or(high) };
        Some(Marks { high, low: self.memory_low_bytes.unwrap_or(usual).min(high) })
    }

    /// Both marks on this machine, for readers.
    pub fn shown(&self) -> (String, String) {
        let marks = self.marks(memory_bytes());
        let shown =
            |mark: fn(Marks) -> u64| marks.map_or_else(|| "0".to_owned(), |marks| mark(marks).to_string());
        (shown(|marks| marks.high), shown(|marks| marks.low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_that_is_not_set_follows_the_other_or_the_memory() {
        let marks = |high, low, bytes| {
            let load = Load { memory_high_bytes: high, memory_low_bytes: low };
            load.marks(bytes).map(|marks| (marks.high, marks.low))
        };
        assert_eq!(marks(None, None, Some(1000)), Some((900, 800)));
        assert_eq!(marks(None, None, None), None);
        assert_eq!(marks(Some(90), None, Some(1000)), Some((90, 80)));
        assert_eq!(marks(Some(90), Some(10), None), Some((90, 10)));
        assert_eq!(marks(None, Some(100), Some(1000)), Some((900, 100)));
        assert_eq!(marks(None, Some(5000), Some(1000)), Some((900, 900)));
        assert_eq!(marks(None, Some(100), None), None);
    }
}
