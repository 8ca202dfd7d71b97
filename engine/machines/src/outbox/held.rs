//! How many bytes are held: counted from the instant at which something is charged until its last holder lets go.

use std::cell::Cell;
use std::rc::Rc;

/// Bytes of Runs that something holds.
#[derive(Clone, Debug, Default)]
pub struct Held(Rc<Cell<usize>>);

impl Held {
    /// Counts so many bytes until the charge is dropped.
    pub fn charge(&self, bytes: usize) -> Charge {
        self.0.set(self.0.get() + bytes);
        Charge { held: self.clone(), bytes }
    }

    /// All that is counted now.
    pub fn bytes(&self) -> usize {
        self.0.get()
    }
}

/// Bytes that count while this lives.
#[derive(Debug)]
pub struct Charge {
    held: Held,
    bytes: usize,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.held.0.set(self.held.0.get() - self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_charge_counts_until_it_is_dropped() {
        let held = Held::default();
        let (one, other) = (held.charge(10), held.clone().charge(5));
        assert_eq!(held.bytes(), 15);
        drop(one);
        assert_eq!(held.bytes(), 5);
        drop(other);
        assert_eq!(held.bytes(), 0);
    }
}
