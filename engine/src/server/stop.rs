//! The end of a server, in order: shards drain, the API core drains, listeners close, cores end.
//!
//! What must never happen here: a port that refuses while there is still something to do.

use std::num::NonZeroU32;
use std::time::Duration;

use logging::event;

use super::supervisor::tell_stopping;
use super::threads::Threads;
use crate::driver::control::{CoreError, Leave, Phase};
use crate::driver::socket_file::SocketFile;
use crate::limits::{
    AFTER_CLIENTS_MAX, API_DRAIN_MAX, DRAIN_BEGIN_MAX, LAST_ONES_MAX, NODE_LEAVES, SHARD_DRAIN_MAX,
};
use crate::settings::Ending;

/// How long the queue of a closing listener must have been empty: a handshake that has begun is over by then, between most
/// places. No other connection gets in: newcomers are dropped, and try again after a second.
const QUIET: Duration = Duration::from_millis(100);

/// The same beside a successor, which gets all new connections: longer than a silent connection stays out of the queue.
const TAKEOVER_QUIET: Duration = Duration::from_millis(1_500);

/// Clients that were told 4100 come back after a second, and some milliseconds.
const RETURN: Duration = Duration::from_millis(1_100);

/// Half of the time after which the first of them comes back: a successor has the other half to start.
const SHORT_END: Duration = Duration::from_millis(500);

/// What a core does at the end: a shard, or the API core.
pub(super) fn leave(is_shard: bool, takeover: bool) -> Leave {
    Leave {
        drains_at: if is_shard { Phase::DrainingShards } else { Phase::DrainingApi },
        has_clients: is_shard,
        // A successor is to have all newcomers from the start. Without one, this server must still answer them.
        closes_at: if takeover { Phase::DrainingShards } else { Phase::Closing },
        quiet: quiet(takeover),
    }
}

/// Waits until the server is told to stop, and then until all its connections have ended. Newcomers are still told to come
/// back. Afterwards no core reports anything to the hooks.
pub(super) fn drain(
    threads: &mut Threads,
    ending: &Ending,
    files: &mut Vec<SocketFile>,
) -> Result<(), CoreError> {
    let stopped = threads.wait_until(None, |tally| tally.stop)?;
    debug_assert!(stopped, "without a deadline only a report ends the wait");
    threads.begin_drain();
    let of_nodes = if threads.is_node() { NODE_LEAVES } else { Duration::ZERO };
    let grace = ending.ready_grace.max(of_nodes);
    tell_stopping(grace + DRAIN_BEGIN_MAX + AFTER_CLIENTS_MAX);
    if !grace.is_zero() {
        threads.wait_until(Some(grace), |_| false)?;
    }
    let cores = threads.cores();
    if ending.takeover {
        // Listeners close now: nobody shall find a path without one.
        files.clear();
    }
    threads.advance(Phase::DrainingShards);
    threads.wait_until(Some(DRAIN_BEGIN_MAX), |tally| tally.draining == cores.shards())?;
    let clients = threads.draining_connections();
    event!(INFO, "stopping", { clients = clients, }, "stopping: {clients} client(s) are told to reconnect");
    let patience = patience(clients, ending.drain_rate);
    tell_stopping(patience + AFTER_CLIENTS_MAX);
    threads.wait_until(Some(patience), |tally| tally.empty == cores.shards())?;
    threads.advance(Phase::DrainingApi);
    threads.wait_until(Some(API_DRAIN_MAX), |tally| tally.empty == cores.turning())?;
    threads.finish_sharing();
    threads.advance(Phase::Drained);
    Ok(())
}

/// Closes the listeners and ends all cores. A port refuses connections only when almost nothing is left to do. Where
/// `queues_stay`, listeners outlive this process, and so do those who wait in their queues.
pub(super) fn close(
    mut threads: Threads,
    ending: &Ending,
    queues_stay: bool,
    files: Vec<SocketFile>,
) -> Result<(), CoreError> {
    if !ending.takeover && !queues_stay {
        hold_returning_clients(&mut threads)?;
    }
    drop(files);
    threads.advance(Phase::Closing);
    let cores = threads.count();
    threads.wait_until(Some(quiet(ending.takeover) + LAST_ONES_MAX), |tally| tally.closed == cores)?;
    threads.end();
    Ok(())
}

/// Of clients that come back every second, some would find nobody between this server and the next. So those that come
/// within the last second wait in the queue, and all are told at its end: they come back together, a second later.
fn hold_returning_clients(threads: &mut Threads) -> Result<(), CoreError> {
    let Some((first_ms, last_ms)) = threads.told_ms_ago() else { return Ok(()) };
    if Duration::from_millis(first_ms) < SHORT_END {
        return Ok(());
    }
    threads.advance(Phase::Holding);
    threads.wait_until(Some(RETURN.saturating_sub(Duration::from_millis(last_ms))), |_| false)?;
    Ok(())
}

/// Twice what the rate asks for, since a busy machine stays below it, and what the last clients may take.
fn patience(connections: u64, rate: NonZeroU32) -> Duration {
    Duration::from_secs(2 * connections / u64::from(rate.get())) + SHARD_DRAIN_MAX
}

/// How long the queue of a closing listener must have been empty.
fn quiet(takeover: bool) -> Duration {
    if takeover { TAKEOVER_QUIET } else { QUIET }
}
