//! What the kernel says about this process, from /proc/self. A leaf: knows nothing of the server. A reading takes some tens
//! of microseconds and never fails: what the kernel does not say is left out.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

/// Clock ticks per second of /proc (USER_HZ, the same on every Linux).
const TICKS_PER_SECOND: f64 = 100.0;

/// The process in numbers.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct ProcessReading {
    /// CPU time of all threads, user and system, in seconds.
    pub cpu_s: Option<f64>,
    /// Memory in RAM.
    pub resident_bytes: Option<u64>,
    /// Address space.
    pub virtual_bytes: Option<u64>,
    /// When it began, since the Unix epoch.
    pub started_unix_s: Option<f64>,
    /// Descriptors that it has open (from Linux 6.2 on).
    pub descriptors: Option<u64>,
    /// What its allocator has counted, in a build with the feature `counting`.
    pub allocator: Option<AllocatorReading>,
}

/// An allocator in numbers.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct AllocatorReading {
    /// Bytes allocated and not freed.
    pub live_bytes: u64,
    /// Allocations since the start, reallocations included.
    pub allocations: u64,
}

impl ProcessReading {
    /// As it is now.
    pub fn take() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
        let of_stat = parse_stat(&stat, parse_uptime(&uptime)).unwrap_or_default();
        Self {
            resident_bytes: resident_bytes(),
            descriptors: descriptors(),
            allocator: allocator(),
            ..of_stat
        }
    }
}

/// When this process started, in ticks since the machine booted: the same clock for all processes of a machine.
pub fn started_ticks() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
    behind.split_ascii_whitespace().nth(22 - 3).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Reads the fields after the name, which may contain blanks and brackets; the first of them is field 3 of proc(5).
fn parse_stat(stat: &str, uptime_s: Option<f64>) -> Option<ProcessReading> {
    let (_, behind) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = behind.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse::<u64>().ok());
    let cpu_ticks = field(14).zip(field(15)).map(|(user, system)| user + system);
    let age_s = uptime_s.zip(field(22)).map(|(up, since)| up - since as f64 / TICKS_PER_SECOND);
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
    Some(ProcessReading {
        cpu_s: cpu_ticks.map(|ticks| ticks as f64 / TICKS_PER_SECOND),
        virtual_bytes: field(23),
        started_unix_s: age_s.map(|age| now_s - age),
        ..ProcessReading::default()
    })
}

fn parse_uptime(text: &str) -> Option<f64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

/// Its memory in RAM.
pub fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kib << 10)
}

/// The size of that folder is the number of its entries; older kernels report 0, and counting takes too long.
fn descriptors() -> Option<u64> {
    fs::metadata("/proc/self/fd").ok().map(|folder| folder.len()).filter(|count| *count > 0)
}

#[cfg(feature = "counting")]
fn allocator() -> Option<AllocatorReading> {
    let stats = stats_alloc::INSTRUMENTED_SYSTEM.stats();
    // Both sums include what reallocations added or removed.
    let live = (stats.bytes_allocated as u64).saturating_sub(stats.bytes_deallocated as u64);
    Some(AllocatorReading { live_bytes: live, allocations: (stats.allocations + stats.reallocations) as u64 })
}

#[cfg(not(feature = "counting"))]
fn allocator() -> Option<AllocatorReading> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let stat = "12 (a) b) S 1 1 1 0 -1 4194560 9 0 0 0 250 50 0 0 20 0 5 0 1000 4096000 77 0";
        let reading = parse_stat(stat, Some(20.0)).unwrap();
        assert_eq!((reading.cpu_s, reading.virtual_bytes), (Some(3.0), Some(4_096_000)));
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        assert!((now_s - reading.started_unix_s.unwrap() - 10.0).abs() < 5.0, "it began 10 s ago");
        assert_eq!(parse_stat("", None), None);
    }

    #[test]
    fn this_process_can_be_read() {
        let reading = ProcessReading::take();
        assert!(reading.resident_bytes.unwrap() > 1 << 20 && reading.cpu_s.is_some(), "{reading:?}");
    }
}
