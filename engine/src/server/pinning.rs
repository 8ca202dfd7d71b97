//! Which core stays on which processor.

/// A processor for each shard and for the API core, where pinning makes sense: with a processor per shard and one
/// more. The API core has its own only if one remains for everything else.
pub(super) fn cpus(pin: bool, shards: usize, allowed: &[usize]) -> Vec<Option<usize>> {
    let pinned = pin && allowed.len() > shards;
    let for_api = pin && allowed.len() > shards + 1;
    let mut cpus: Vec<Option<usize>> =
        (0..shards).map(|shard| allowed.get(shard).copied().filter(|_| pinned)).collect();
    cpus.push(allowed.get(shards).copied().filter(|_| for_api));
    cpus
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_pinned_only_where_a_processor_remains() {
        let allowed = [4, 5, 6, 7];
        assert_eq!(cpus(true, 2, &allowed), [Some(4), Some(5), Some(6)]);
        assert_eq!(cpus(true, 3, &allowed), [Some(4), Some(5), Some(6), None]);
        assert_eq!(cpus(true, 4, &allowed), [None; 5]);
        assert_eq!(cpus(false, 2, &allowed), [None; 3]);
        assert_eq!(cpus(true, 1, &[]), [None; 2]);
    }
}
