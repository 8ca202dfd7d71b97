//! What Linux says about a process: CPU time of its threads to the nanosecond, memory, the cores it may use.
//!
//! Owns every read of /proc. `schedstat` counts what the scheduler counted, user and system together, without the 10 ms grain
//! of `stat`. Kernel work that moved to ksoftirqd is nobody's in those figures, so it is read beside them. Threads that ended
//! between two readings are not counted: servers that fork per request need another method.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::failure::{Context, Failure, Outcome};

pub(crate) struct Process {
    pid: u32,
}

/// CPU time so far.
pub(crate) struct Usage {
    threads: BTreeMap<u32, Schedstat>,
    ksoftirqd_ns: u64,
}

/// Nanoseconds that one thread ran, and that it was ready to run but did not get a core.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
struct Schedstat {
    ran_ns: u64,
    waited_ns: u64,
}

/// CPU time between two readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spent {
    pub(crate) total_ns: u64,
    pub(crate) busiest_thread_ns: u64,
    /// How long the longest waiting thread was ready to run but had no core: others ran there.
    pub(crate) waited_ns: u64,
    /// By ksoftirqd of all cores that the process may use, whoever caused it.
    pub(crate) ksoftirqd_ns: u64,
}

impl Process {
    pub(crate) fn open(pid: u32) -> Outcome<Self> {
        let process = Self { pid };
        process
            .usage()
            .map_err(|_| Failure::new(format!("--pid {pid}: no such process, or not readable")))?;
        Ok(process)
    }

    pub(crate) fn own() -> Outcome<Self> {
        Self::open(std::process::id())
    }

    pub(crate) fn usage(&self) -> Outcome<Usage> {
        let mut threads = BTreeMap::new();
        let tasks = self.path("task");
        for entry in fs::read_dir(&tasks).context(tasks.display())? {
            let path = entry.context(tasks.display())?.path();
            let tid = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
            // A thread may end between the listing and the read.
            let Ok(text) = fs::read_to_string(path.join("schedstat")) else { continue };
            threads.extend(tid.zip(parse_schedstat(&text)));
        }
        if threads.is_empty() {
            return Err(Failure::new(format!("process {} has no readable thread", self.pid)));
        }
        Ok(Usage { threads, ksoftirqd_ns: ksoftirqd_ns(&self.cores()?) })
    }

    pub(crate) fn rss_bytes(&self) -> Outcome<u64> {
        let kib = self.status("VmRSS:")?.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok());
        kib.map(|kib| kib * 1024)
            .ok_or_else(|| Failure::new(format!("process {}: VmRSS is not a number", self.pid)))
    }

    /// Cores that the process may run on.
    pub(crate) fn cores(&self) -> Outcome<Vec<u32>> {
        let list = self.status("Cpus_allowed_list:")?;
        parse_core_list(&list).ok_or_else(|| Failure::new(format!("cannot read the list of cores {list}")))
    }

    fn status(&self, field: &str) -> Outcome<String> {
        let path = self.path("status");
        let text = fs::read_to_string(&path).context(path.display())?;
        let value =
            text.lines().find_map(|line| line.strip_prefix(field)).map(|value| value.trim().to_owned());
        value.ok_or_else(|| Failure::new(format!("{}: no {field}", path.display())))
    }

    fn path(&self, file: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{file}", self.pid))
    }
}

impl Usage {
    pub(crate) fn since(&self, earlier: &Self) -> Spent {
        let start = |tid: &u32| earlier.threads.get(tid).copied().unwrap_or_default();
        let ran = |(tid, now): (&u32, &Schedstat)| now.ran_ns.saturating_sub(start(tid).ran_ns);
        let waited = |(tid, now): (&u32, &Schedstat)| now.waited_ns.saturating_sub(start(tid).waited_ns);
        Spent {
            total_ns: self.threads.iter().map(ran).sum(),
            busiest_thread_ns: self.threads.iter().map(ran).max().unwrap_or(0),
            waited_ns: self.threads.iter().map(waited).max().unwrap_or(0),
            ksoftirqd_ns: self.ksoftirqd_ns.saturating_sub(earlier.ksoftirqd_ns),
        }
    }
}

/// How many descriptors this process may open.
pub(crate) fn descriptors_max() -> Outcome<u64> {
    let text = fs::read_to_string("/proc/self/limits").context("/proc/self/limits")?;
    parse_descriptors(&text).ok_or_else(|| Failure::new("/proc/self/limits: no \"Max open files\""))
}

/// First column: nanoseconds on a core; second: nanoseconds waiting for one.
fn parse_schedstat(text: &str) -> Option<Schedstat> {
    let mut columns = text.split_whitespace().map(|column| column.parse().ok());
    Some(Schedstat { ran_ns: columns.next()??, waited_ns: columns.next()?? })
}

/// `0-3,8` as the kernel writes it.
fn parse_core_list(list: &str) -> Option<Vec<u32>> {
    let mut cores = Vec::new();
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        cores.extend(first.parse().ok()?..=last.parse::<u32>().ok()?);
    }
    Some(cores)
}

fn parse_descriptors(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        soft => soft.parse().ok(),
    }
}

/// Zero where kernel threads are hidden, as in most containers.
fn ksoftirqd_ns(cores: &[u32]) -> u64 {
    let Ok(entries) = fs::read_dir("/proc") else { return 0 };
    let schedstat = |path: PathBuf| {
        let name = fs::read_to_string(path.join("comm")).ok()?;
        let core = name.trim_end().strip_prefix("ksoftirqd/")?.parse().ok()?;
        let text = cores.contains(&core).then(|| fs::read_to_string(path.join("schedstat")))?;
        Some(parse_schedstat(&text.ok()?)?.ran_ns)
    };
    entries.flatten().filter_map(|entry| schedstat(entry.path())).sum()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn kernel_texts_are_read() {
        assert_eq!(parse_schedstat("123456789 4 5\n"), Some(Schedstat { ran_ns: 123_456_789, waited_ns: 4 }));
        assert_eq!(parse_schedstat("1"), None);
        assert_eq!(parse_core_list("0-3,8\n"), Some(vec![0, 1, 2, 3, 8]));
        assert_eq!(parse_core_list("1"), Some(vec![1]));
        assert_eq!(parse_core_list("x"), None);
        let limits =
            "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024     20000     files\n";
        assert_eq!(parse_descriptors(limits), Some(1024));
        assert!(descriptors_max().unwrap() > 0);
    }

    #[test]
    fn time_between_readings_is_counted_per_thread_and_new_threads_from_zero() {
        let usage = |threads: &[(u32, u64, u64)], ksoftirqd_ns| Usage {
            threads: threads
                .iter()
                .map(|&(tid, ran_ns, waited_ns)| (tid, Schedstat { ran_ns, waited_ns }))
                .collect(),
            ksoftirqd_ns,
        };
        let spent = usage(&[(1, 150, 7), (3, 30, 2)], 9).since(&usage(&[(1, 100, 1), (2, 1000, 0)], 4));
        assert_eq!(spent, Spent { total_ns: 80, busiest_thread_ns: 50, waited_ns: 6, ksoftirqd_ns: 5 });
    }

    #[test]
    fn spinning_shows_as_cpu_time_and_not_more_than_there_was() {
        let own = Process::own().unwrap();
        let (before, start) = (own.usage().unwrap(), Instant::now());
        while start.elapsed() < Duration::from_millis(200) {
            std::hint::spin_loop();
        }
        let spent = own.usage().unwrap().since(&before);
        let wall_ns = start.elapsed().as_nanos() as u64;
        assert!(spent.busiest_thread_ns > wall_ns / 20, "{spent:?}");
        assert!(spent.busiest_thread_ns <= wall_ns + 10_000_000, "{spent:?}");
        assert!(own.rss_bytes().unwrap() > 100_000);
    }

    #[test]
    fn missing_process_is_named() {
        let failure = Process::open(u32::MAX).err().unwrap();
        assert!(failure.to_string().contains("--pid 4294967295"));
    }
}
