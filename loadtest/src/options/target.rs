//! Flags of all scenarios: which server, how many connections, how hard, how long, and where figures go.
//!
//! Owns their defaults, and the checks that need more than one flag.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::site::{App, Encryption, Endpoint, Site};
use super::values::{
    loopback_sources, parse_app, parse_channel, parse_endpoint, parse_prefix, parse_rate, parse_seconds,
};
use crate::failure::{Failure, Outcome};
use crate::proc::descriptors_max;

/// Poll sets, wakers, standard streams, the REST connections' margin.
const DESCRIPTORS_SPARE: u64 = 32;

/// Headings for the flags of all scenarios in the help; the flags of one scenario stand before them.
const SERVER: &str = "The server";
const LOAD: &str = "Load";
const OUTPUT: &str = "Results";
const GENERATOR: &str = "The generator itself";

const DURATION_DEFAULT: Duration = Duration::from_secs(10);

/// Which server, how many connections, how long, and where the figures go.
#[derive(Args, Clone)]
pub(crate) struct Target {
    /// Where WebSocket clients connect
    #[arg(long, help_heading = SERVER, value_name = "HOST:PORT", value_parser = parse_endpoint)]
    pub(crate) ws: Endpoint,
    /// Where the REST API listens [default: the value of --ws]
    #[arg(long, help_heading = SERVER, value_name = "HOST:PORT", value_parser = parse_endpoint)]
    pub(crate) http: Option<Endpoint>,
    /// The app to use
    #[arg(long, help_heading = SERVER, value_name = "ID:KEY:SECRET", value_parser = parse_app)]
    pub(crate) app: App,
    /// Path in front of /app/KEY and /apps/ID on the server
    #[arg(long, help_heading = SERVER, value_name = "PATH", default_value = "", hide_default_value = true, value_parser = parse_prefix)]
    pub(crate) path_prefix: String,
    /// Use TLS for WebSocket and REST; any certificate is accepted
    #[arg(long, help_heading = SERVER)]
    pub(crate) tls: bool,
    /// With --tls: every handshake is a full one; otherwise a client takes a ticket that another has left, as one does that comes back
    #[arg(long, help_heading = SERVER, requires = "tls")]
    pub(crate) tls_full: bool,
    /// WebSocket connections
    #[arg(long, help_heading = LOAD, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) connections: u32,
    /// Actions per second in all; each scenario says what an action is
    #[arg(long, help_heading = LOAD, value_name = "PER_SECOND", value_parser = parse_rate)]
    pub(crate) rate: Option<f64>,
    /// Bytes of `data` in each event; at least 50, for sequence number and send time
    #[arg(long, help_heading = LOAD, value_name = "BYTES", default_value_t = 200, value_parser = clap::value_parser!(u32).range(50..))]
    pub(crate) size: u32,
    /// Length of the run; also 90m or 8h [default: 10]
    #[arg(long, help_heading = LOAD, value_name = "SECONDS", value_parser = parse_seconds)]
    pub(crate) duration: Option<Duration>,
    /// Process id of the server, if it runs on this machine; its CPU and memory, with its children, are read from /proc
    #[arg(long, help_heading = SERVER, value_name = "PID")]
    pub(crate) pid: Option<u32>,
    /// Writes the result as one JSON object
    #[arg(long, help_heading = OUTPUT, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Writes the result as one HTML page with plots, which opens without a network
    #[arg(long, help_heading = OUTPUT, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,
    /// Receiving threads per process; more than one helps only if the generator has several cores
    #[arg(long, help_heading = GENERATOR, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) threads: u32,
    /// Receiving processes, for more connections than one process may open; their figures are merged without loss
    #[arg(long, help_heading = GENERATOR, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) processes: u32,
    /// Connections that may be opening at the same time
    #[arg(long, help_heading = GENERATOR, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) opening: u32,
    /// Channel name, or its prefix if there are several; subscriptions to private- and presence- channels are signed
    #[arg(long, help_heading = LOAD, value_name = "NAME", default_value = "loadtest", value_parser = parse_channel)]
    pub(crate) channel: String,
    /// Local addresses to connect from in turn, since each has about 28,000 ports
    #[arg(long, help_heading = GENERATOR, value_name = "ADDRESS,…", value_delimiter = ',', conflicts_with = "source_addresses")]
    pub(crate) sources: Vec<IpAddr>,
    /// The same for a server on loopback: N addresses, 127.0.0.2 and on
    #[arg(long, help_heading = GENERATOR, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub(crate) source_addresses: u8,
}

impl Target {
    pub(crate) fn http(&self) -> &Endpoint {
        self.http.as_ref().unwrap_or(&self.ws)
    }

    /// Connects once before a run, so that the user learns at once that the server is down.
    pub(crate) fn check_reachable(&self) -> Outcome<()> {
        self.ws.check_reachable()?;
        self.http.as_ref().map_or(Ok(()), Endpoint::check_reachable)
    }

    /// Whether this process, or each receiving process, may open what it needs.
    pub(crate) fn check_descriptors(&self, others: u32) -> Outcome<()> {
        let connections = self.connections.div_ceil(self.processes);
        let needed = u64::from(connections) + u64::from(others) + DESCRIPTORS_SPARE;
        let max = descriptors_max()?;
        if needed <= max {
            return Ok(());
        }
        Err(Failure::new(format!(
            "{connections} connections need {needed} descriptors, a process may open {max}: raise `ulimit -n`, \
         lower --connections, or spread them over --processes"
        )))
    }

    /// For scenarios whose connections act, all of them in this process.
    pub(crate) fn check_one_process(&self) -> Outcome<()> {
        if self.processes == 1 && self.threads == 1 {
            return Ok(());
        }
        Err(Failure::new(
            "--processes and --threads are for scenarios that only receive: fanout, channels, connect, idle, slow",
        ))
    }

    /// NAME, or NAME-0, NAME-1, …
    pub(crate) fn several_channels(&self, count: u32) -> Vec<String> {
        match count {
            1 => vec![self.channel.clone()],
            several => (0..several).map(|index| format!("{}-{index}", self.channel)).collect(),
        }
    }

    pub(crate) fn duration(&self) -> Duration {
        self.duration.unwrap_or(DURATION_DEFAULT)
    }

    pub(crate) fn encryption(&self) -> Encryption {
        match (self.tls, self.tls_full) {
            (false, _) => Encryption::None,
            (true, false) => Encryption::Resumed,
            (true, true) => Encryption::Full,
        }
    }

    pub(crate) fn site(&self) -> Site {
        let sources = match self.sources.as_slice() {
            [] => loopback_sources(self.source_addresses),
            given => given.to_vec(),
        };
        Site {
            ws: self.ws.clone(),
            encryption: self.encryption(),
            path_prefix: self.path_prefix.clone(),
            key: self.app.key.clone(),
            secret: self.app.secret.clone(),
            sources,
        }
    }
}
