//! The lines of the log about connections and calls, made of what machines tell and of what the driver knows of sockets.
//!
//! What must never happen here: a line for each of a flood of refusals, or work for a level that is off.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use logging::{Level, event};
use machines::machine::{Now, Token};
use machines::notices::{Ended, Notice, Refusal, Traced, Wanted, What};
use protocol::app::App;
use protocol::socket_id::SocketId;

use super::limits::REFUSALS_PER_SECOND_MAX;
use super::problems;
use super::sockets::{Met, Sockets, Whereabouts};

/// Lines of one kind of refusal, of all cores.
#[derive(Debug)]
struct Meter {
    /// The second, in the upper half, and how many lines it has had.
    second: AtomicU64,
}

static METERS: [Meter; 4] = [const { Meter { second: AtomicU64::new(0) } }; 4];
static UNTOLD: AtomicU64 = AtomicU64::new(0);

/// How many refusals have no line, because there were too many of their kind within a second.
pub fn untold() -> u64 {
    UNTOLD.load(Ordering::Relaxed)
}

/// That so many more have none.
pub(super) fn note_untold(count: u64) {
    if count > 0 {
        UNTOLD.fetch_add(count, Ordering::Relaxed);
    }
}

/// What machines are to tell, as the log is now, and whether problems are kept.
pub(super) fn wanted() -> Wanted {
    match logging::level() {
        Level::Error | Level::Warn if problems::are_kept() => Wanted::Ends,
        Level::Error | Level::Warn => Wanted::Nothing,
        Level::Info => Wanted::Ends,
        Level::Debug => Wanted::Calls,
    }
}

/// Makes a line of it.
pub(super) fn log(notice: Notice, sockets: &mut Sockets, now: Now) {
    match notice {
        Notice::Opened { token, app, socket_id, agent } => {
            sockets.note_opened(token, agent, now.mono_ms);
            if logging::level() >= Level::Debug {
                log_opened(&app, socket_id, &sockets.met(token, now.mono_ms));
            }
        }
        Notice::Closed { token, ended, last_bytes } => {
            if logging::level() < Level::Info {
                return;
            }
            log_closed(&ended, &sockets.met(token, now.mono_ms), last_bytes as u64);
        }
        Notice::Refused { token, refusal } => log_refused(token, &refusal, sockets, now),
        Notice::Operated { token, action, about } => log_operated(token, action, &about, sockets),
        Notice::Traced(traced) => log_traced(&traced),
        Notice::Called { asked, status, ms, .. } => {
            event!(
                DEBUG,
                "rest",
                { method = asked.method.as_str(), path = asked.path.as_str(), status = status, ms = ms, },
                "{} {} {status} in {ms} ms", asked.method, asked.path
            );
        }
    }
}

fn log_opened(app: &App, socket_id: SocketId, met: &Met<'_>) {
    let (address, agent) = (met.address, met.agent);
    event!(
        DEBUG,
        "connection_opened",
        { app = &*app.id, socket_id = %socket_id, address = address.map(display), agent = agent, },
        "connection {socket_id} of app {} is open, from {}", app.id, Shown(address)
    );
}

fn log_closed(ended: &Ended, met: &Met<'_>, last_bytes: u64) {
    let Ended { app, socket_id, subscriptions, code, by_server } = ended;
    let by = if *by_server { "server" } else { "client" };
    let (address, agent) = (met.address, met.agent);
    let seconds = f64::from(met.open_ds.unwrap_or_default()) / 10.0;
    let (bytes_in, bytes_out) =
        (met.bytes.map(|(came, _)| came), met.bytes.map(|(_, went)| went + last_bytes));
    event!(
        INFO,
        "connection_closed",
        {
            app = &*app.id,
            socket_id = %socket_id,
            address = address.map(display),
            code = *code,
            by = by,
            seconds = seconds,
            bytes_in = bytes_in,
            bytes_out = bytes_out,
            subscriptions = *subscriptions,
            agent = agent,
        },
        "connection {socket_id} of app {} from {} is closed by the {by} with {code}: {seconds} s, {} bytes in, {} bytes \
         out, {subscriptions} subscription(s), {}",
        app.id,
        Shown(address),
        bytes_in.unwrap_or_default(),
        bytes_out.unwrap_or_default(),
        Shown(agent)
    );
}

fn log_operated(token: Token, action: &str, about: &str, sockets: &Sockets) {
    let address = sockets.client(token);
    let about = Some(about).filter(|about| !about.is_empty());
    let words = about.map_or_else(String::new, |about| format!(" {about}"));
    event!(
        INFO,
        "operated",
        { action = action, address = address.map(display), about = about, },
        "an operator, from {}: {action}{words}", Shown(address)
    );
}

fn log_traced(traced: &Traced) {
    let Traced { socket_id, by, kind, event, channel, bytes, left_out } = traced;
    let (event, channel) = (event.as_deref(), channel.as_deref());
    event!(
        INFO,
        "connection_message",
        {
            socket_id = %socket_id,
            by = *by,
            kind = *kind,
            message = event,
            channel = channel,
            bytes = *bytes,
            left_out = *left_out,
        },
        "connection {socket_id}: {kind} of {bytes} bytes by the {by}, {}", Shown(event)
    );
}

fn log_refused(token: Token, refusal: &Refusal, sockets: &Sockets, now: Now) {
    let (index, what, words) = match refusal.what {
        What::Connection => (0, "connection", "a connection"),
        What::Subscription => (1, "subscription", "a subscription"),
        What::ClientEvent => (2, "client_event", "a client event"),
        What::Rest => (3, "rest", "a REST call"),
    };
    if !METERS.get(index).is_some_and(|meter| meter.takes(now.unix_ms / 1_000)) {
        return note_untold(1);
    }
    let address = sockets.client(token);
    problems::keep(what, refusal, address.map(|address| address.to_string()), now.unix_ms);
    let reason = &*refusal.told();
    let Refusal { app, key, channel, path, .. } = refusal;
    let (app, key) = (app.as_deref(), key.as_deref());
    let (channel, path) = (channel.as_deref(), path.as_deref());
    let about = channel.or(path).map_or_else(String::new, |about| format!(" to {about}"));
    event!(
        INFO,
        "refused",
        {
            what = what,
            app = app,
            key = key,
            address = address.map(display),
            reason = reason,
            channel = channel,
            path = path,
        },
        "{words}{about} from {} is refused: {reason}", Shown(address)
    );
}

/// A connection ends before any machine has met its client.
pub(super) fn log_unmet(address: Option<Whereabouts>, reason: &str, now: Now) {
    if wanted() < Wanted::Ends {
        return;
    }
    if !METERS[0].takes(now.unix_ms / 1_000) {
        return note_untold(1);
    }
    problems::keep_unmet(address.map(|address| address.to_string()), reason, now.unix_ms);
    let none = None::<&str>;
    event!(
        INFO,
        "refused",
        {
            what = "connection",
            app = none,
            key = none,
            address = address.map(display),
            reason = reason,
            channel = none,
            path = none,
        },
        "a connection from {} is refused: {reason}", Shown(address)
    );
}

/// What is known, in a sentence.
struct Shown<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for Shown<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(known) => known.fmt(out),
            None => out.write_str("unknown"),
        }
    }
}

impl Meter {
    /// Whether this second has room for a further line.
    fn takes(&self, second: u64) -> bool {
        let taken = self.second.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |seen| {
            let (at, lines) = (seen >> 32, seen & u64::from(u32::MAX));
            let lines = if at == second { lines } else { 0 };
            (lines < REFUSALS_PER_SECOND_MAX).then_some(second << 32 | (lines + 1))
        });
        taken.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_lines_and_the_next_has_them_again() {
        let meter = Meter { second: AtomicU64::new(0) };
        for second in [1_700_000_000, 1_700_000_001] {
            let taken = (0..REFUSALS_PER_SECOND_MAX + 5).filter(|_| meter.takes(second)).count() as u64;
            assert_eq!(taken, REFUSALS_PER_SECOND_MAX);
        }
    }
}
