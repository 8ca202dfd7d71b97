//! What must hold before the first executor starts: io_uring works here, its memory may be locked, and there are threads.
//!
//! glommio panics when one of these fails, so all are tried first and each failure becomes one line that names the cause
//! and the way out. Owns the choice of ring sizes. Nothing here may outlive the question. Called by the server.

use std::fmt;
use std::fs;
use std::io;
use std::thread;

use crossbeam_channel::bounded;

use super::allowed::memlock_bytes_max;
use super::limits::EXECUTOR_LIMIT_MIN;
use super::ring::{self, Sizes};

/// Why no core can start on this machine.
#[derive(Debug)]
pub enum ProbeError {
    /// The kernel has no io_uring.
    Missing,
    /// The kernel has it, and this process may not use it.
    Forbidden,
    /// The kernel's io_uring lacks something.
    TooOld,
    /// The limit of locked memory is too small for the rings.
    Memlock {
        /// What the rings of all cores take at least, in bytes.
        needed: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The kernel had no memory for a ring, though the limit allows it.
    NoMemory,
    /// There may be no more threads.
    Threads {
        /// How many the cores take.
        needed: usize,
        /// What the system says.
        error: io::Error,
    },
    /// Something else.
    Other(io::Error),
}

impl ProbeError {
    /// What is wrong.
    pub fn cause(&self) -> String {
        match self {
            Self::Missing => "this kernel has no io_uring (ENOSYS)".to_owned(),
            Self::Forbidden => "io_uring is forbidden here (EPERM)".to_owned(),
            Self::TooOld => "this kernel's io_uring is too old".to_owned(),
            Self::Memlock { needed, limit } => format!(
                "the rings of this many cores lock {} KiB of memory, the limit is {} KiB",
                kib(*needed),
                kib(*limit)
            ),
            Self::NoMemory => "no memory for an io_uring".to_owned(),
            Self::Threads { needed, error } => {
                format!("this process may not have the {needed} threads that its cores take ({error})")
            }
            Self::Other(error) => format!("io_uring does not work here: {error}"),
        }
    }

    /// The way out, if one is known.
    pub fn cure(&self) -> Option<String> {
        let cure = match self {
            Self::Missing => "Corecast needs Linux 5.17 or newer, built with CONFIG_IO_URING; in a container, \
                --security-opt seccomp=unconfined, or a profile that allows io_uring_setup, io_uring_enter and \
                io_uring_register"
                .to_owned(),
            Self::Forbidden => "set `sysctl kernel.io_uring_disabled=0`; in a container, --security-opt \
                seccomp=unconfined, or a profile that allows io_uring_setup, io_uring_enter and io_uring_register"
                .to_owned(),
            Self::TooOld => "Corecast needs Linux 5.17 or newer".to_owned(),
            Self::Memlock { needed, .. } => format!(
                "raise it with `ulimit -l {}` (systemd: LimitMEMLOCK=infinity; container: --ulimit memlock=-1), or \
                 start fewer shards",
                kib(*needed)
            ),
            Self::NoMemory => "other processes of this user may hold the locked memory; raise `ulimit -l` (systemd: \
                LimitMEMLOCK=infinity; container: --ulimit memlock=-1)"
                .to_owned(),
            Self::Threads { .. } => "raise `ulimit -u` (systemd: TasksMax, LimitNPROC; container: --pids-limit), or \
                start fewer shards"
                .to_owned(),
            Self::Other(_) => return None,
        };
        Some(cure)
    }
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause())?;
        self.cure().map_or(Ok(()), |cure| write!(f, ": {cure}"))
    }
}

impl std::error::Error for ProbeError {}

impl From<io::Error> for ProbeError {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENOSYS) => Self::Missing,
            Some(libc::EPERM | libc::EACCES) => Self::Forbidden,
            Some(libc::EINVAL) => Self::TooOld,
            Some(libc::ENOMEM) => Self::NoMemory,
            _ if error.kind() == io::ErrorKind::Unsupported => Self::TooOld,
            _ => Self::Other(error),
        }
    }
}

/// The rings that a core gets when memory allows.
pub const SIZES_MAX: Sizes = Sizes { submissions: 4096, completions: 32_768, sends: 128 };

/// The choices, largest first, with what each locks, in bytes (measured on kernels of both ways of accounting; the
/// larger figure).
const CHOICES: [(Sizes, u64); 3] = [
    (SIZES_MAX, 1104 << 10),
    (Sizes { submissions: 1024, completions: 16_384, sends: 128 }, 560 << 10),
    (Sizes { submissions: 256, completions: 4096, sends: 0 }, 160 << 10),
];

/// What glommio's own three rings and buffers lock per core, in bytes (measured: 8 MiB hold 34 of them).
const EXECUTOR_BYTES: u64 = 248 << 10;

/// A core's own, and the one that its executor has for calls that block.
const THREADS_PER_CORE: usize = 2;

/// Tries io_uring and chooses the ring sizes for this many cores.
pub fn probe(cores: usize) -> Result<Sizes, ProbeError> {
    probe_ring()?;
    probe_threads(cores)?;
    choose_rings(cores)
}

/// Makes a ring and tries on it what the driver needs, on a thread that ends with it: what the kernel has left to do for a ring
/// that was closed interrupts the thread that made it, in the middle of what that one asks of a socket.
pub fn probe_ring() -> Result<(), ProbeError> {
    let tried = match thread::Builder::new().spawn(ring::probe_io_uring) {
        Ok(thread) => thread.join().unwrap_or_else(|_| Err(io::Error::other("the attempt panicked"))),
        Err(_) => ring::probe_io_uring(),
    };
    Ok(tried?)
}

/// The ring sizes for this many cores that the limit of locked memory allows.
pub fn choose_rings(cores: usize) -> Result<Sizes, ProbeError> {
    match memlock_bytes_max() {
        Some(limit) if !may_lock_all() => choose_sizes(cores, limit),
        _ => Ok(SIZES_MAX),
    }
}

/// Has the threads of this many cores for a moment.
pub fn probe_threads(cores: usize) -> Result<(), ProbeError> {
    let needed = cores * THREADS_PER_CORE;
    let (asked, end) = bounded::<()>(0);
    let mut threads = Vec::new();
    let mut refused = None;
    while threads.len() < needed && refused.is_none() {
        let end = end.clone();
        // It ends when nobody can ask any more.
        match thread::Builder::new().spawn(move || end.recv()) {
            Ok(thread) => threads.push(thread),
            Err(error) => refused = Some(ProbeError::Threads { needed, error }),
        }
    }
    drop(asked);
    threads.into_iter().for_each(|thread| drop(thread.join()));
    refused.map_or(Ok(()), Err)
}

fn choose_sizes(cores: usize, limit: u64) -> Result<Sizes, ProbeError> {
    let needed = |ring_bytes: u64| (cores as u64 * (EXECUTOR_BYTES + ring_bytes)).max(EXECUTOR_LIMIT_MIN);
    let fitting = CHOICES.iter().find(|(_, bytes)| needed(*bytes) <= limit);
    let [.., (_, least)] = CHOICES;
    fitting.map(|(sizes, _)| *sizes).ok_or_else(|| ProbeError::Memlock { needed: needed(least), limit })
}

/// True with CAP_IPC_LOCK, which root has outside of containers that took it away: nothing is counted then.
pub fn may_lock_all() -> bool {
    const CAP_IPC_LOCK: u32 = 14;
    let Ok(status) = fs::read_to_string("/proc/self/status") else { return false };
    effective_capabilities(&status).is_some_and(|capabilities| capabilities >> CAP_IPC_LOCK & 1 == 1)
}

fn effective_capabilities(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn kib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_is_one_line_with_its_cause_and_a_way_out() {
        let os = |code| ProbeError::from(io::Error::from_raw_os_error(code)).to_string();
        for (line, words) in [
            (os(libc::ENOSYS), ["ENOSYS", "seccomp=unconfined"]),
            (os(libc::EPERM), ["kernel.io_uring_disabled=0", "seccomp=unconfined"]),
            (os(libc::EINVAL), ["too old", "5.17"]),
            (os(libc::ENOMEM), ["ulimit -l", "LimitMEMLOCK"]),
            (os(libc::EMFILE), ["does not work here", "Too many open files"]),
            (ProbeError::from(io::Error::from(io::ErrorKind::Unsupported)).to_string(), ["too old", "5.17"]),
            (choose_sizes(8, 1 << 20).unwrap_err().to_string(), ["ulimit -l 3264", "LimitMEMLOCK"]),
        ] {
            assert!(!line.contains('\n'), "{line}");
            assert!(words.iter().all(|word| line.contains(word)), "{line} lacks one of {words:?}");
        }
    }

    #[test]
    fn rings_shrink_until_they_fit_the_limit() {
        for (cores, limit, submissions) in [
            (2, 8 << 20, 4096),
            (6, 8 << 20, 4096),
            (7, 8 << 20, 1024),
            (11, 8 << 20, 256),
            (20, 8 << 20, 256),
        ] {
            assert_eq!(choose_sizes(cores, limit).unwrap().submissions, submissions, "{cores} cores");
        }
        assert!(matches!(choose_sizes(21, 8 << 20), Err(ProbeError::Memlock { .. })));
        assert!(matches!(choose_sizes(1, 500 << 10), Err(ProbeError::Memlock { needed: 524_288, .. })));
    }

    #[test]
    fn capabilities_are_read_from_the_status_file() {
        assert_eq!(effective_capabilities("Name:\tx\nCapEff:\t0000000000004000\n"), Some(1 << 14));
        assert_eq!(effective_capabilities("Name:\tx\n"), None);
    }

    #[test]
    fn this_machine_passes() {
        probe(2).unwrap();
    }
}
