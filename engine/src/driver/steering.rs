//! Which listener of a port gets a newcomer: the one on the processor that received its first packet.
//!
//! Owns two ways to tell the kernel. A program for the whole port, on any kernel, knows listeners by their places; those
//! shift when a predecessor closes its own, so a successor takes the program away and marks each of its listeners with
//! its processor, which Linux 6.2 heeds (older ones spread by hash meanwhile). Shard and processor belong together by
//! their order, as they do where shards are pinned. What must never happen here: a shard that no newcomer can reach.
//! Called by the server before the cores start.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use socket2::SockRef;

use super::ring;

/// Why newcomers cannot be spread by processor.
#[derive(Debug)]
pub enum SteeringError {
    /// Some shards would have no processor, and so no connection.
    TooManyShards {
        /// So many shards.
        shards: usize,
        /// On so many processors.
        processors: usize,
    },
    /// The kernel does not let us.
    Refused(io::Error),
}

impl fmt::Display for SteeringError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyShards { shards, processors } => write!(
                out,
                "--accept-steering cpu: {shards} shards on {processors} processor(s), so that some would get no \
                 connection; use at most a shard per processor, or --accept-steering hash"
            ),
            Self::Refused(error) => write!(
                out,
                "--accept-steering cpu: the kernel refuses it ({error}); use --accept-steering hash"
            ),
        }
    }
}

impl std::error::Error for SteeringError {}

/// From now on the listener at place `n` of this port gets what the `n`th of these processors receives, and what other
/// processors receive is spread by hash. `joins`: other listeners of the port may come first.
pub fn steer_by_cpu(listeners: &[OwnedFd], cpus: &[usize], joins: bool) -> Result<(), SteeringError> {
    let (shards, processors) = (listeners.len(), cpus.len());
    let Some(cpus) = cpus.get(..shards) else {
        return Err(SteeringError::TooManyShards { shards, processors });
    };
    let told = if joins { mark_each(listeners, cpus) } else { tell_port(listeners, cpus) };
    told.map_err(SteeringError::Refused)
}

fn tell_port(listeners: &[OwnedFd], cpus: &[usize]) -> io::Result<()> {
    listeners.first().map_or(Ok(()), |first| ring::steer_by_cpu(first.as_fd(), cpus))
}

fn mark_each(listeners: &[OwnedFd], cpus: &[usize]) -> io::Result<()> {
    for (listener, cpu) in listeners.iter().zip(cpus) {
        SockRef::from(listener).set_cpu_affinity(*cpu)?;
    }
    listeners.first().map_or(Ok(()), |first| ring::steer_by_nothing(first.as_fd()))
}

#[cfg(test)]
mod tests {
    use super::super::listen::listen;
    use super::*;

    #[test]
    fn more_shards_than_processors_are_refused_in_one_line() {
        let listeners = listen(std::net::SocketAddr::from(([127, 0, 0, 1], 0)), 3, false).unwrap();
        let refused = steer_by_cpu(&listeners, &[0, 1], false).unwrap_err().to_string();
        assert!(refused.contains("3 shards on 2 processor(s)") && !refused.contains('\n'), "{refused}");
    }

    #[test]
    fn a_socket_that_shares_its_port_with_nobody_cannot_be_steered() {
        let alone = OwnedFd::from(std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let refused = steer_by_cpu(&[alone], &[0], false).unwrap_err().to_string();
        assert!(refused.contains("the kernel refuses it"), "{refused}");
    }
}
