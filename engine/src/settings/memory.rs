//! How much memory this process may use: that of the machine, or less if its control group says so.
//!
//! Read once at the start, from /proc and /sys. What must never happen here: an error. What cannot be read is unknown.

use std::fs;
use std::path::{Path, PathBuf};

/// In bytes; None if neither the machine nor a control group says.
pub(super) fn memory_bytes() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| parse_meminfo(&text));
    let groups =
        fs::read_to_string("/proc/self/cgroup").map_or_else(|_| Vec::new(), |text| limit_files(&text));
    let limits = groups.iter().filter_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
    machine.into_iter().chain(limits).min()
}

/// MemTotal, which is given in KiB.
fn parse_meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The files with the limits of this process's control group and of all groups around it. A file may say `max`, which is no
/// limit. In a container the path may be the host's: then only the root of the group is visible.
fn limit_files(cgroup: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in cgroup.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let groups = Path::new(path.trim_start_matches('/')).ancestors();
        files.extend(groups.map(|group| Path::new(root).join(group).join(file)));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_machine_is_counted_in_kib() {
        assert_eq!(parse_meminfo("MemTotal:       16384 kB\nMemFree: 1 kB\n"), Some(16 << 20));
        for text in ["", "MemTotal: x kB", "MemTotal: 1", "MemTotal: 99999999999999999999 kB"] {
            assert_eq!(parse_meminfo(text), None, "{text}");
        }
        assert!(memory_bytes().is_some_and(|bytes| bytes > 1 << 20));
    }

    #[test]
    fn every_group_around_this_process_may_limit_it() {
        let second = limit_files("0::/a/b\n");
        let wanted =
            ["/sys/fs/cgroup/a/b/memory.max", "/sys/fs/cgroup/a/memory.max", "/sys/fs/cgroup/memory.max"];
        assert_eq!(second, wanted.map(PathBuf::from));
        let first = limit_files("5:cpu,cpuacct:/x\n4:memory:/\nnonsense\n");
        assert_eq!(first, [PathBuf::from("/sys/fs/cgroup/memory/memory.limit_in_bytes")]);
    }
}
