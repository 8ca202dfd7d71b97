//! What a machine may want to know of the server that it runs in.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::driver::control::{Clock, Health};
use machines::cores::Cores;

/// What all cores of a server share and a machine may read.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The pulses of all cores, and whether the server is ready.
    pub health: Arc<Health>,
    /// The clocks whose readings machines are given.
    pub clock: Clock,
    /// Which cores there are.
    pub cores: Cores,
    /// Where clients and back ends connect.
    pub listeners: Arc<[SocketAddr]>,
    /// How many descriptors the process may open.
    pub descriptors_max: u64,
}
