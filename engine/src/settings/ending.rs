//! How a server ends, as its operator wants it: what is asked for on the command line, and its defaults.
//!
//! A leaf: knows neither cores nor sockets. Read by the command line, carried out by server.rs and by each shard.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::Args;
use protocol::close::Close;

use crate::config::EndingWish;
use machines::shard::ending::drain::DrainPlan;

/// How the server ends, and whether another may come before it has ended.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// Join the ports of a server that is still running.
    pub takeover: bool,
    /// How long new clients are still served after SIGTERM, while `/ready` fails: the time that a load balancer takes to
    /// notice.
    pub ready_grace: Duration,
    /// How connections are closed.
    pub drain: DrainPlan,
}

impl From<EndingWish> for Ending {
    fn from(wish: EndingWish) -> Self {
        let takeover = wish.takeover.unwrap_or(false);
        let (default, by_default) =
            (DrainPlan::default(), if takeover { Close::RECONNECT } else { Close::DRAINING });
        Self {
            takeover,
            ready_grace: wish.ready_grace.unwrap_or_default(),
            drain: DrainPlan {
                connections_per_second_max: wish.drain_rate.unwrap_or(default.connections_per_second_max),
                close: wish.drain_close.unwrap_or(by_default),
            },
        }
    }
}

/// The options of `serve`.
#[derive(Debug, Args)]
pub struct EndingArgs {
    /// Connections closed per second at shutdown, across the whole server [default: 1000]
    #[arg(long, value_name = "N")]
    drain_rate: Option<NonZeroU32>,
    /// Close code at shutdown: 4100 (reconnect after a second) or 4200 (reconnect at once) [default: 4100, with --takeover 4200]
    #[arg(long, value_name = "CODE", value_parser = parse_drain_close)]
    drain_close: Option<Close>,
    /// How long new clients are still served after SIGTERM, while /ready fails [default: 0]
    #[arg(long, value_name = "SECONDS")]
    ready_grace: Option<u32>,
    /// Join the port of a running server, to replace it without a gap
    #[arg(long)]
    takeover: bool,
}

impl EndingArgs {
    /// What they ask for.
    pub fn wish(&self) -> EndingWish {
        EndingWish {
            drain_rate: self.drain_rate,
            drain_close: self.drain_close,
            ready_grace: self.ready_grace.map(|seconds| Duration::from_secs(seconds.into())),
            takeover: self.takeover.then_some(true),
        }
    }
}

fn parse_drain_close(text: &str) -> Result<Close, String> {
    let known = [Close::DRAINING, Close::RECONNECT];
    let close = known.into_iter().find(|close| close.code.to_string() == text);
    close.ok_or_else(|| "4100 and 4200 are possible".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(takeover: bool, drain_close: Option<&str>) -> EndingArgs {
        let drain_close = drain_close.map(|text| parse_drain_close(text).unwrap());
        EndingArgs { drain_rate: None, drain_close, ready_grace: Some(3), takeover }
    }

    #[test]
    fn clients_come_back_at_once_only_where_somebody_waits_for_them() {
        for (takeover, asked, code) in
            [(false, None, 4100), (true, None, 4200), (true, Some("4100"), 4100), (false, Some("4200"), 4200)]
        {
            let ending = Ending::from(args(takeover, asked).wish());
            assert_eq!(ending.drain.close.code, code);
        }
        assert!(parse_drain_close("4300").is_err() && parse_drain_close("").is_err());
    }
}
