//! For how long gates have been closed: what back-pressure costs, on the clock. Noted once per decide phase; read for
//! metrics alone, never to decide anything.

/// How long one gate has been closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GatedTime {
    ms: u64,
    closed: bool,
    noted_ms: u64,
}

impl GatedTime {
    /// Whether the gate is closed, at the end of a phase.
    pub fn note(&mut self, closed: bool, mono_ms: u64) {
        if self.closed {
            self.ms += mono_ms.saturating_sub(self.noted_ms);
        }
        (self.closed, self.noted_ms) = (closed, mono_ms);
    }

    /// Milliseconds, until it was last noted.
    pub fn ms(&self) -> u64 {
        self.ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_time_behind_a_closed_gate_counts() {
        let mut time = GatedTime::default();
        for (closed, at_ms, until_ms) in
            [(false, 5, 0), (true, 10, 0), (true, 12, 2), (false, 20, 10), (true, 50, 10), (false, 51, 11)]
        {
            time.note(closed, at_ms);
            assert_eq!(time.ms(), until_ms);
        }
    }
}
