//! The command line: what to drive, how hard, for how long, and where to write the result.
//!
//! Owns flag names, defaults and the checks that one flag can pass alone. Flags common to all scenarios are in
//! `Target`; a scenario adds its own in a struct beside it. Nothing is read from the environment or from files.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Measures servers that speak the Pusher Channels protocol.
#[derive(Parser)]
#[command(name = "corecast-loadtest", disable_help_subcommand = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Opens connections and subscribes each of them: rate, failures, cost and memory per connection
    Connect(ConnectOptions),
    /// One channel, many subscribers: latency, loss, order, cost per delivery
    Fanout(FanoutOptions),
    /// The least a fan-out server can do, as a yardstick: ready-made bytes to every socket
    Floor(FloorOptions),
}

/// Which server, how many connections, how long, and where the figures go.
#[derive(Args, Clone)]
pub(crate) struct Target {
    /// Where WebSocket clients connect
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_address)]
    pub(crate) ws: SocketAddr,
    /// Where the REST API listens [default: the value of --ws]
    #[arg(long, value_name = "HOST:PORT", value_parser = parse_address)]
    pub(crate) http: Option<SocketAddr>,
    /// The app to use
    #[arg(long, value_name = "ID:KEY:SECRET", value_parser = parse_app)]
    pub(crate) app: App,
    /// Subscribers
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) connections: u32,
    /// Publishes per second (fanout, default 100) or connects per second (connect, default as fast as they go)
    #[arg(long, value_name = "PER_SECOND", value_parser = parse_rate)]
    pub(crate) rate: Option<f64>,
    /// Bytes of `data` in each event; at least 50, for sequence number and send time
    #[arg(long, value_name = "BYTES", default_value_t = 200, value_parser = clap::value_parser!(u32).range(50..))]
    pub(crate) size: u32,
    /// How long to publish; for connect, how long to wait for the last connection
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = parse_seconds)]
    pub(crate) duration: Duration,
    /// A local server process whose CPU and memory to read from /proc
    #[arg(long, value_name = "PID")]
    pub(crate) pid: Option<u32>,
    /// Writes the result as one JSON object
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Receiving threads; more than one pays only when the generator has several cores
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) threads: u32,
    /// Connections that may be under way at once while connecting
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) opening: u32,
    /// Public channel to subscribe to
    #[arg(long, value_name = "NAME", default_value = "loadtest", value_parser = parse_channel)]
    pub(crate) channel: String,
}

impl Target {
    pub(crate) fn http(&self) -> SocketAddr {
        self.http.unwrap_or(self.ws)
    }
}

#[derive(Args)]
pub(crate) struct ConnectOptions {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Spread the connections over this many channels, NAME-0, NAME-1, … (1: all on NAME)
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) channels: u32,
}

#[derive(Args)]
pub(crate) struct FanoutOptions {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Closed loop: always keep --window publishes under way that not every subscriber has seen
    #[arg(long, conflicts_with_all = ["rate", "overload"])]
    pub(crate) saturate: bool,
    /// Publishes not yet seen by all subscribers, with --saturate and while --overload calibrates
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) window: u32,
    /// Finds what the server can fan out in 2 s of closed loop, then offers K times as much
    #[arg(long, value_name = "K", conflicts_with = "rate", value_parser = parse_rate)]
    pub(crate) overload: Option<f64>,
    /// Events per batch_events call [default: 1 when paced, otherwise 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10))]
    pub(crate) batch: Option<u32>,
    /// Publishing connections at most; one is used until its answers come too slowly
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) publishers: u32,
    /// Requests in flight on one publishing connection (1 where the server closes after its answer)
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) pipeline: u32,
}

#[derive(Args)]
pub(crate) struct FloorOptions {
    /// Address to listen on; port 0 takes a free one, which is printed
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:6101", value_parser = parse_address)]
    pub(crate) listen: SocketAddr,
    /// How frames are written, or what else is answered with the least work
    #[arg(long, value_enum, default_value_t = FloorMode::Each)]
    pub(crate) mode: FloorMode,
    /// The one channel that exists
    #[arg(long, value_name = "NAME", default_value = "loadtest", value_parser = parse_channel)]
    pub(crate) channel: String,
    /// Writes what it did as one JSON object when it is told to end (SIGTERM, SIGINT)
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FloorMode {
    /// One send per frame
    Each,
    /// One write per socket, of all frames that wait for it
    Coalesced,
    /// The same, all sends of a wake-up as one io_uring submission
    Uring,
    /// Publishes are answered and go nowhere: receive, send
    Http,
    /// Messages are answered with a ready-made pong: receive, send
    Echo,
}

impl fmt::Display for FloorMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// An app as its owner knows it.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) id: String,
    pub(crate) key: String,
    pub(crate) secret: String,
}

fn parse_app(text: &str) -> Result<App, String> {
    let mut parts = text.splitn(3, ':').map(str::to_owned);
    let mut next = || parts.next().filter(|part| !part.is_empty()).ok_or("expected ID:KEY:SECRET");
    Ok(App { id: next()?, key: next()?, secret: next()? })
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let mut addresses = text.to_socket_addrs().map_err(|error| format!("expected HOST:PORT ({error})"))?;
    addresses.next().ok_or_else(|| "this host has no address".to_owned())
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    let usable = rate.is_finite() && rate > 0.0 && rate <= 1e7;
    usable.then_some(rate).ok_or_else(|| "expected a number above 0 and up to 10,000,000".to_owned())
}

/// An hour is the longest run: past it, gaps and latencies would outgrow what is kept for them.
fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected seconds".to_owned())?;
    let usable = seconds.is_finite() && seconds > 0.0 && seconds <= 3600.0;
    usable.then(|| Duration::from_secs_f64(seconds)).ok_or_else(|| "expected up to 3600 seconds".to_owned())
}

/// Public channels only, of the characters that need no escape in JSON.
fn parse_channel(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-=@,.;".contains(&byte);
    if text.is_empty() || text.len() > 150 || !text.bytes().all(plain) {
        return Err("expected up to 150 of a-z A-Z 0-9 _ - = @ , . ;".to_owned());
    }
    if text.starts_with("private-") || text.starts_with("presence-") {
        return Err("only public channels are driven".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_consistent() {
        use clap::CommandFactory;
        Options::command().debug_assert();
    }

    #[test]
    fn app_needs_three_parts_and_the_secret_may_hold_colons() {
        let app = parse_app("1:key:se:cret").unwrap();
        assert_eq!((app.id.as_str(), app.key.as_str(), app.secret.as_str()), ("1", "key", "se:cret"));
        for bad in ["", "1", "1:key", "1:key:", ":key:secret"] {
            assert!(parse_app(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_and_durations_outside_their_range_are_refused() {
        for bad in ["0", "-1", "NaN", "inf", "1e9", "x"] {
            assert!(parse_rate(bad).is_err(), "{bad}");
            assert!(parse_seconds(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_seconds("0.5").unwrap(), Duration::from_millis(500));
    }

    #[test]
    fn channels_that_need_a_signature_or_an_escape_are_refused() {
        for bad in ["", "private-x", "presence-x", "a\"b", "ä", &"x".repeat(151)] {
            assert!(parse_channel(bad).is_err(), "{bad}");
        }
        assert!(parse_channel("prices.eur").is_ok());
    }
}
