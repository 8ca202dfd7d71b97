//! Flags of the floor server.
//!
//! Owns their names and defaults; what the modes mean is decided in `crate::floor`.

use std::net::SocketAddr;

use clap::{Args, ValueEnum};

use super::values::{parse_address, parse_channel};

#[derive(Args)]
pub(crate) struct FloorOptions {
    /// Address to listen on; port 0 takes a free one, which is printed
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:6101", value_parser = parse_address)]
    pub(crate) listen: SocketAddr,
    /// How frames are written
    #[arg(long, value_enum, default_value_t = FloorMode::Each)]
    pub(crate) mode: FloorMode,
    /// The one channel that exists
    #[arg(long, value_name = "NAME", default_value = "loadtest", value_parser = parse_channel)]
    pub(crate) channel: String,
    /// Ends when standard input closes
    #[arg(long, hide = true)]
    pub(crate) with_parent: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FloorMode {
    /// One send per frame
    Each,
    /// One write per socket and wake-up, of all frames that wait for it
    Coalesced,
}
