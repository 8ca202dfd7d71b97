//! Which core stays on which processor.

use machines::cores::{CoreId, Cores};

/// The processor of a core, where pinning makes sense: with a processor per shard and one more. The API core has its own
/// only if one remains for everything else.
pub(super) fn cpu(core: CoreId, cores: Cores, allowed: &[usize]) -> Option<usize> {
    let makes_sense = match core {
        CoreId::Shard(_) => allowed.len() > cores.shards(),
        CoreId::Api => allowed.len() > cores.turning(),
        CoreId::Relay => false,
    };
    allowed.get(cores.index(core)).copied().filter(|_| makes_sense)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of all cores that turn.
    fn cpus(shards: usize, allowed: &[usize]) -> Vec<Option<usize>> {
        let cores = Cores::new(shards);
        (0..cores.turning()).map(|index| cpu(cores.at(index), cores, allowed)).collect()
    }

    #[test]
    fn shards_are_pinned_only_where_a_processor_remains() {
        let allowed = [4, 5, 6, 7];
        assert_eq!(cpus(2, &allowed), [Some(4), Some(5), Some(6)]);
        assert_eq!(cpus(3, &allowed), [Some(4), Some(5), Some(6), None]);
        assert_eq!(cpus(4, &allowed), [None; 5]);
        assert_eq!(cpus(1, &[]), [None; 2]);
        assert_eq!(cpu(CoreId::Relay, Cores::new(1), &allowed), None);
    }
}
