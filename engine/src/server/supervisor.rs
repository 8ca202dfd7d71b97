//! What a supervisor is told, in the protocol of systemd's sd_notify(3): ready, reloading, stopping, still alive.
//!
//! Without NOTIFY_SOCKET nobody is told anything. A supervisor that does not listen is waited for a second at most, never
//! by a core. What must never happen here: READY before the server serves, or after it has begun to stop.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::driver::control::{Clock, Health};
use crate::limits::{BEAT_MS_MAX, BEAT_MS_MIN};

/// How long a supervisor may take to hear.
const PATIENCE: Duration = Duration::from_secs(1);

const STARTING: u8 = 0;
const READY: u8 = 1;
const STOPPING: u8 = 2;

/// What the supervisor knows of this process.
static TOLD: AtomicU8 = AtomicU8::new(STARTING);

/// The server serves.
pub fn tell_ready(status: &str) {
    if TOLD.compare_exchange(STARTING, READY, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
        tell(&format!("READY=1\nSTATUS={status}"));
    }
}

/// Settings are read anew, by `reload`. A supervisor that has asked for it waits for the end.
pub(super) fn during_reload(reload: impl FnOnce()) {
    let is_told = TOLD.load(Ordering::SeqCst) == READY;
    if is_told {
        tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_us()));
    }
    reload();
    if is_told && TOLD.load(Ordering::SeqCst) == READY {
        tell("READY=1");
    }
}

/// The server has begun to stop, which may take so long.
pub(super) fn tell_stopping(at_most: Duration) {
    TOLD.store(STOPPING, Ordering::SeqCst);
    let us = at_most.as_micros();
    tell(&format!("STOPPING=1\nSTATUS=closing connections\nEXTEND_TIMEOUT_USEC={us}"));
}

/// Tells from now on that all cores turn, twice in the time that the supervisor allows, as long as they do. On a thread of
/// its own, which ends with the process; none without a watchdog.
pub(super) fn watch_pulses(health: Arc<Health>, clock: Clock) -> io::Result<()> {
    let [pid, us] = ["WATCHDOG_PID", "WATCHDOG_USEC"].map(|name| env::var(name).ok());
    let Some(allowed) = watchdog(pid.as_deref(), us.as_deref(), process::id()) else { return Ok(()) };
    let age_ms_max = (allowed.as_millis() as u64).clamp(BEAT_MS_MIN, BEAT_MS_MAX);
    let watch = move || {
        loop {
            if health.oldest_beat_age_ms(clock.now().mono_ms) < age_ms_max {
                tell("WATCHDOG=1");
            }
            thread::sleep(allowed / 2);
        }
    };
    thread::Builder::new().name("watchdog".to_owned()).spawn(watch).map(drop)
}

/// How long the supervisor waits for a sign of life of this process; None: it does not.
fn watchdog(pid: Option<&str>, us: Option<&str>, me: u32) -> Option<Duration> {
    let is_mine = pid.is_none_or(|pid| pid.parse() == Ok(me));
    let us: u64 = us.filter(|_| is_mine)?.parse().ok()?;
    (us > 0).then(|| Duration::from_micros(us))
}

fn tell(lines: &str) {
    let Some(name) = env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(&name, lines) {
        logging::say!("NOTIFY_SOCKET: the supervisor cannot be told {:?}: {error}", first_line(lines));
    }
}

fn first_line(lines: &str) -> &str {
    lines.lines().next().unwrap_or_default()
}

fn send(name: &OsStr, lines: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.send_to_addr(lines.as_bytes(), &address(name)?).map(drop)
}

/// A path, or `@` and a name in the abstract namespace.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a path nor @NAME")),
    }
}

fn monotonic_us() -> i128 {
    let now = clock_gettime(ClockId::Monotonic);
    i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watchdog_is_for_the_process_that_it_names() {
        let us = |us| Some(Duration::from_micros(us));
        let table = [
            (None, Some("500"), us(500)),
            (Some("7"), Some("500"), us(500)),
            (Some("8"), Some("500"), None),
            (Some("x"), Some("500"), None),
            (None, Some("0"), None),
            (None, Some("x"), None),
            (Some("7"), None, None),
        ];
        for (pid, given, allowed) in table {
            assert_eq!(watchdog(pid, given, 7), allowed, "{pid:?} {given:?}");
        }
    }

    #[test]
    fn a_supervisor_listens_at_a_path_or_in_the_abstract_namespace() {
        let name = format!("corecast-supervisor-{}", process::id());
        let path = env::temp_dir().join(&name);
        let listeners = [
            (UnixDatagram::bind(&path).unwrap(), path.display().to_string()),
            (
                UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap(),
                format!("@{name}"),
            ),
        ];
        for (listener, name) in listeners {
            send(OsStr::new(&name), "READY=1").unwrap();
            let mut heard = [0; 64];
            let bytes = listener.recv(&mut heard).unwrap();
            assert_eq!(&heard[..bytes], b"READY=1", "{name}");
        }
        std::fs::remove_file(path).unwrap();
        assert!(send(OsStr::new("nowhere"), "READY=1").is_err());
    }
}
