//! What this process may have: locked memory, descriptors, processors.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// How much memory this user may lock, in bytes; None: as much as there is.
pub fn memlock_bytes_max() -> Option<u64> {
    getrlimit(Resource::Memlock).current
}

/// Raises the soft limit of open descriptors to the hard one and returns what holds then.
pub fn raise_descriptors_max() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let holds = if raised.is_ok() { maximum } else { current };
    holds.unwrap_or(u64::MAX)
}

/// The processors this process may run on.
pub fn cpus() -> Vec<usize> {
    let set = sched_getaffinity(None);
    set.map_or_else(|_| Vec::new(), |set| (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect())
}

/// Keeps this thread on a processor, and the threads that it starts from now on.
pub fn stay_on(cpu: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_may_run_somewhere() {
        assert!(!cpus().is_empty());
    }

    #[test]
    fn a_thread_stays_where_it_is_told_to() {
        let last = *cpus().last().unwrap();
        let stayed = std::thread::spawn(move || stay_on(last).map(|()| cpus())).join().unwrap();
        assert_eq!(stayed.unwrap(), [last]);
    }
}
