//! How a server ends, and whether it replaces one that still runs.

use std::num::NonZeroU32;
use std::time::Duration;

use protocol::close::Close;

use machines::shard::ending::drain::DrainPlan;

/// The settings of the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ending {
    /// Join the ports of a server that still runs.
    pub takeover: bool,
    /// How long new clients are still served after SIGTERM, while `/ready` fails, so that a load balancer can notice.
    pub ready_grace: Duration,
    /// Connections closed per second, by the whole server.
    pub drain_rate: NonZeroU32,
    /// The close code for clients, if the operator has set one.
    pub drain_close: Option<Close>,
}

impl Default for Ending {
    fn default() -> Self {
        Self {
            takeover: false,
            ready_grace: Duration::ZERO,
            drain_rate: DrainPlan::default().connections_per_second_max,
            drain_close: None,
        }
    }
}

impl Ending {
    /// How connections are closed. Clients reconnect at once only if another server is there to accept them.
    pub fn drain(&self) -> DrainPlan {
        let usual = if self.takeover { Close::RECONNECT } else { Close::DRAINING };
        DrainPlan { connections_per_second_max: self.drain_rate, close: self.drain_close.unwrap_or(usual) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_reconnect_at_once_only_if_another_server_is_there() {
        for (takeover, drain_close, code) in [
            (false, None, 4100),
            (true, None, 4200),
            (true, Some(Close::DRAINING), 4100),
            (false, Some(Close::RECONNECT), 4200),
        ] {
            let ending = Ending { takeover, drain_close, ..Ending::default() };
            assert_eq!(ending.drain().close.code, code);
        }
    }
}
