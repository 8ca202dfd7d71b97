//! How much memory the marks of `[load]` mean here, from which on newcomers are told to come back later.

use super::finding::Finding;
use crate::settings::{Load, Marks};

const NAME: &str = "load";

/// What there is to say of the marks, where there is so much memory.
pub(super) fn finding(load: &Load, memory_bytes: Option<u64>) -> Finding {
    let of = if load.memory_high_bytes.is_some() { "by this process" } else { "by all processes" };
    let Some(Marks { high, low }) = load.marks(memory_bytes) else {
        return Finding::warn(
            NAME,
            "nobody can tell how much memory there is: newcomers are let in until it is used up",
            "set memory_high_bytes in [load]",
        );
    };
    let what = format!(
        "newcomers are told to come back from {} MiB in use {of} on, and are welcome again at {} MiB",
        high >> 20,
        low >> 20
    );
    match memory_bytes {
        Some(bytes) if high > bytes => Finding::warn(
            NAME,
            format!("{what}; there are {} MiB, so that never comes", bytes >> 20),
            "lower memory_high_bytes in [load], or take it away: without it the mark is 90 % of the memory",
        ),
        _ => Finding::ok(NAME, what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;

    #[test]
    fn marks_are_told_in_the_memory_that_there_is() {
        let mib = |mib: u64| mib << 20;
        for (high, memory, state, words) in [
            (None, Some(mib(1000)), State::Ok, "from 900 MiB in use by all processes on"),
            (
                Some(mib(90)),
                Some(mib(1000)),
                State::Ok,
                "by this process on, and are welcome again at 80 MiB",
            ),
            (Some(mib(2000)), Some(mib(1000)), State::Warn, "there are 1000 MiB"),
            (Some(mib(90)), None, State::Ok, "from 90 MiB"),
            (None, None, State::Warn, "nobody can tell"),
        ] {
            let finding = finding(&Load { memory_high_bytes: high, memory_low_bytes: None }, memory);
            assert_eq!(finding.state, state, "{finding:?}");
            assert!(finding.what.contains(words), "{finding:?}");
        }
    }
}
