//! Flags of the floor server.
//!
//! Owns their names and defaults; what the modes mean is decided in `crate::floor`.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::values::{parse_address, parse_channel};

#[derive(Args)]
pub(crate) struct FloorOptions {
    /// Address to listen on; port 0 takes a free one, which is printed
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:6101", value_parser = parse_address)]
    pub(crate) listen: SocketAddr,
    /// How frames are written, or which other request is answered with the least work
    #[arg(long, value_enum, default_value_t = FloorMode::Each)]
    pub(crate) mode: FloorMode,
    /// The one channel that exists
    #[arg(long, value_name = "NAME", default_value = "loadtest", value_parser = parse_channel)]
    pub(crate) channel: String,
    /// Writes its figures as one JSON object when it ends (SIGTERM or SIGINT)
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Ends when standard input closes
    #[arg(long, hide = true)]
    pub(crate) with_parent: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FloorMode {
    /// One send per frame
    Each,
    /// One write per socket for all frames that wait for it
    Coalesced,
    /// As coalesced, with all sends of a wake-up in one io_uring submission
    Uring,
    /// Publishes are answered and dropped: one receive, one send
    Http,
    /// Every message is answered with a ready-made pong: one receive, one send
    Echo,
}

impl fmt::Display for FloorMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}
