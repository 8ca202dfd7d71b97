//! Listeners that a supervisor has opened and passed on, as systemd's socket activation does: sd_listen_fds(3).
//!
//! They outlive this process: whoever waits in their queue is served by the next one.

use std::env;
use std::io;
use std::os::fd::OwnedFd;
use std::process;

use crate::driver::listen::{adopt, local_path};
use crate::driver::ring;
use crate::limits::INHERITED_MAX;

/// The number of the first descriptor that is passed on.
const FIRST: i32 = 3;

/// What was passed on, by what is behind it.
#[derive(Debug, Default)]
pub(super) struct Inherited {
    /// In place of `listen`.
    pub(super) public: Vec<OwnedFd>,
    /// In place of `api_listen`.
    pub(super) api: Vec<OwnedFd>,
    /// In place of `listen` in `[tls]`.
    pub(super) tls: Vec<OwnedFd>,
    /// In place of `admin`.
    pub(super) admin: Option<OwnedFd>,
}

impl Inherited {
    /// All that were passed to this process, ready to be accepted from.
    pub(super) fn take() -> io::Result<Self> {
        let [pid, count, names] =
            ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"].map(|name| env::var(name).ok());
        let mut inherited = Self::default();
        let names = names.unwrap_or_default();
        for (number, name) in passed(pid.as_deref(), count.as_deref(), &names, process::id()) {
            let named = |error: io::Error| {
                io::Error::new(error.kind(), format!("descriptor {number} of LISTEN_FDS ({name:?}): {error}"))
            };
            let listener = ring::inherit(number).and_then(adopt).map_err(named)?;
            if matches!(name, "api" | "admin" | "tls") && local_path(&listener).is_some() {
                let what = "only a socket called public may have a path";
                return Err(named(io::Error::new(io::ErrorKind::InvalidInput, what)));
            }
            match name {
                "api" => inherited.api.push(listener),
                "admin" => inherited.admin = Some(listener),
                "tls" => inherited.tls.push(listener),
                // A socket unit that sets no name gives its own.
                _ => inherited.public.push(listener),
            }
        }
        Ok(inherited)
    }
}

/// The descriptors that were passed to process `me`, with their names.
fn passed<'a>(pid: Option<&str>, count: Option<&str>, names: &'a str, me: u32) -> Vec<(i32, &'a str)> {
    let is_mine = pid.is_some_and(|pid| pid.parse() == Ok(me));
    let count: usize = count.filter(|_| is_mine).and_then(|count| count.parse().ok()).unwrap_or(0);
    let names = names.split(':').chain(std::iter::repeat(""));
    (FIRST..).zip(names).take(count.min(INHERITED_MAX)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_for_the_process_that_is_named() {
        assert_eq!(passed(Some("7"), Some("2"), "public:api", 7), [(3, "public"), (4, "api")]);
        assert_eq!(passed(Some("7"), Some("2"), "", 7), [(3, ""), (4, "")]);
        assert_eq!(passed(Some("7"), Some("1"), "a:b", 7), [(3, "a")]);
        for (pid, count) in
            [(Some("8"), Some("1")), (None, Some("1")), (Some("7"), None), (Some("7"), Some("x"))]
        {
            assert_eq!(passed(pid, count, "public", 7), [], "{pid:?} {count:?}");
        }
        assert_eq!(passed(Some("7"), Some("9999999"), "", 7).len(), INHERITED_MAX);
    }
}
