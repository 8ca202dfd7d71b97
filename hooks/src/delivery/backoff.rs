//! How long to wait before the next try: twice as long each time, up to a cap, with jitter so that endpoints that fell
//! together do not come back together.
//!
//! What must never happen here: a pause of nothing, or a first one of more than a second.

use fastrand::Rng;

const FIRST_MS: u64 = 800;

/// The pause after so many tries in vain, at least one: half of the full step and a random part of the other half.
pub(crate) fn pause_ms(tries: u32, pause_max_ms: u64, rng: &mut Rng) -> u64 {
    let doublings = tries.saturating_sub(1).min(32);
    let full = (FIRST_MS << doublings).clamp(2, pause_max_ms.max(2));
    full / 2 + rng.u64(..=full - full / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_cap_and_differ() {
        let mut rng = Rng::with_seed(7);
        let mut seen = std::collections::BTreeSet::new();
        for tries in 1..40 {
            let full = (800_u64 << (tries - 1).min(32)).min(60_000);
            for _ in 0..50 {
                let pause = pause_ms(tries, 60_000, &mut rng);
                assert!((full / 2..=full).contains(&pause), "{pause} after {tries}");
                seen.insert(pause);
            }
        }
        assert!(seen.len() > 1_000, "only {} different pauses", seen.len());
    }

    #[test]
    fn a_cap_of_nothing_is_still_a_pause() {
        assert!(pause_ms(1, 0, &mut Rng::with_seed(1)) >= 1);
    }
}
