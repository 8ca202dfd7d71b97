//! How much memory this process may use, and how much is used: of the machine, or of the control group with the least.
//!
//! Read from /proc and /sys. What must never happen here: an error. What cannot be read is unknown.

use std::fs;
use std::path::{Path, PathBuf};

use crate::process::resident_bytes;

/// How much memory there is, and who has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Memory {
    /// In bytes.
    pub bytes: u64,
    /// Whose use of it counts.
    pub of: Watched,
}

/// Whose use of memory counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Watched {
    /// All processes of the machine.
    Machine,
    /// Those of a control group of version 2, whose folder this is.
    Group(PathBuf),
    /// Those of a control group of version 1.
    OldGroup(PathBuf),
    /// This process.
    Process,
}

impl Memory {
    /// That of the machine, or of a control group that has less; None if neither says.
    pub fn find() -> Option<Self> {
        let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| kib_of(&text, "MemTotal:"));
        let machine = machine.map(|bytes| Self { bytes, of: Watched::Machine });
        let groups =
            fs::read_to_string("/proc/self/cgroup").map_or_else(|_| Vec::new(), |text| groups(&text));
        let limited = groups.into_iter().filter_map(|of| Some(Self { bytes: of.limit_bytes()?, of }));
        machine.into_iter().chain(limited).min_by_key(|memory| memory.bytes)
    }
}

impl Watched {
    /// How much it uses now, without what the kernel can take back at any time.
    pub fn used_bytes(&self) -> Option<u64> {
        match self {
            Self::Process => resident_bytes(),
            Self::Machine => {
                let text = fs::read_to_string("/proc/meminfo").ok()?;
                Some(kib_of(&text, "MemTotal:")?.saturating_sub(kib_of(&text, "MemAvailable:")?))
            }
            Self::Group(folder) => used_in(folder, "memory.current", "inactive_file "),
            Self::OldGroup(folder) => used_in(folder, "memory.usage_in_bytes", "total_inactive_file "),
        }
    }

    /// How much a control group may use, if it has a limit.
    fn limit_bytes(&self) -> Option<u64> {
        match self {
            Self::Group(folder) => number(&folder.join("memory.max")),
            Self::OldGroup(folder) => number(&folder.join("memory.limit_in_bytes")),
            Self::Machine | Self::Process => None,
        }
    }
}

/// What a control group uses, without the part that the kernel takes back before it ends anybody.
fn used_in(folder: &Path, used: &str, reclaimable: &str) -> Option<u64> {
    let used = number(&folder.join(used))?;
    let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let reclaimable = stat.lines().find_map(|line| line.strip_prefix(reclaimable));
    Some(used.saturating_sub(reclaimable.and_then(|text| text.trim().parse().ok()).unwrap_or(0)))
}

/// In bytes; None if neither the machine nor a control group says.
pub(super) fn memory_bytes() -> Option<u64> {
    Memory::find().map(|memory| memory.bytes)
}

/// A line of /proc/meminfo, which counts in KiB, in bytes.
fn kib_of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// A file that holds a number. A limit may say `max`, which is none.
fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// This process's control group and all groups around it. In a container the path may be the host's: then only the root of
/// the group is visible.
fn groups(cgroup: &str) -> Vec<Watched> {
    let mut groups = Vec::new();
    for line in cgroup.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let around = Path::new(path.trim_start_matches('/')).ancestors();
        if controllers.is_empty() {
            groups.extend(around.map(|group| Watched::Group(Path::new("/sys/fs/cgroup").join(group))));
        } else if controllers.split(',').any(|name| name == "memory") {
            let root = Path::new("/sys/fs/cgroup/memory");
            groups.extend(around.map(|group| Watched::OldGroup(root.join(group))));
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_machine_is_counted_in_kib() {
        assert_eq!(kib_of("MemTotal:       16384 kB\nMemFree: 1 kB\n", "MemTotal:"), Some(16 << 20));
        for text in ["", "MemTotal: x kB", "MemTotal: 1", "MemTotal: 99999999999999999999 kB"] {
            assert_eq!(kib_of(text, "MemTotal:"), None, "{text}");
        }
        let memory = Memory::find().unwrap();
        assert!(memory.bytes > 1 << 20);
        for of in [memory.of, Watched::Machine, Watched::Process] {
            assert!(of.used_bytes().is_some_and(|bytes| bytes > 1 << 20), "{of:?}");
        }
    }

    #[test]
    fn every_group_around_this_process_may_limit_it() {
        let wanted = ["/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup/"];
        assert_eq!(groups("0::/a/b\n"), wanted.map(|folder| Watched::Group(folder.into())));
        let first = groups("5:cpu,cpuacct:/x\n4:memory:/\nnonsense\n");
        assert_eq!(first, [Watched::OldGroup("/sys/fs/cgroup/memory/".into())]);
    }

    #[test]
    fn pages_that_can_be_taken_back_are_not_used() {
        let folder = std::env::temp_dir().join(format!("corecast-group-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let write = |file: &str, text: &str| fs::write(folder.join(file), text).unwrap();
        write("memory.current", "1000\n");
        write("memory.usage_in_bytes", "2000\n");
        write("memory.max", "max\n");
        write("memory.limit_in_bytes", "5000\n");
        let groups = [Watched::Group(folder.clone()), Watched::OldGroup(folder.clone())];
        assert_eq!(groups.each_ref().map(Watched::limit_bytes), [None, Some(5000)]);
        let used = || groups.each_ref().map(Watched::used_bytes);
        assert_eq!(used(), [Some(1000), Some(2000)]);
        write("memory.stat", "anon 1\ninactive_file 300\ntotal_inactive_file 500\n");
        assert_eq!(used(), [Some(700), Some(1500)]);
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(used(), [None, None]);
    }
}
