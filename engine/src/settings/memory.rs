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
    /// Those of a control group, whose folder this is.
    Group(PathBuf, GroupFiles),
    /// This process.
    Process,
}

/// How a version of control groups calls its files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupFiles {
    limit: &'static str,
    used: &'static str,
    /// Of `memory.stat`: the part that the kernel takes back before it ends anybody.
    reclaimable: &'static str,
}

const SECOND: GroupFiles =
    GroupFiles { limit: "memory.max", used: "memory.current", reclaimable: "inactive_file " };

const FIRST: GroupFiles = GroupFiles {
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    reclaimable: "total_inactive_file ",
};

impl Memory {
    /// That of the machine, or of a control group that has less; None if neither says.
    pub fn find() -> Option<Self> {
        let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| kib_of(&text, "MemTotal:"));
        let machine = machine.map(|bytes| Self { bytes, of: Watched::Machine });
        let groups =
            fs::read_to_string("/proc/self/cgroup").map_or_else(|_| Vec::new(), |text| groups(&text));
        let limited = groups.into_iter().filter_map(|(folder, files)| {
            let bytes = number(&folder.join(files.limit))?;
            Some(Self { bytes, of: Watched::Group(folder, files) })
        });
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
            Self::Group(folder, files) => {
                let used = number(&folder.join(files.used))?;
                let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
                let reclaimable = stat.lines().find_map(|line| line.strip_prefix(files.reclaimable));
                Some(used.saturating_sub(reclaimable.and_then(|text| text.trim().parse().ok()).unwrap_or(0)))
            }
        }
    }
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

/// The folders of this process's control group and of all groups around it. In a container the path may be the host's: then
/// only the root of the group is visible.
fn groups(cgroup: &str) -> Vec<(PathBuf, GroupFiles)> {
    let mut folders = Vec::new();
    for line in cgroup.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let (root, files) = match controllers {
            "" => ("/sys/fs/cgroup", SECOND),
            _ if controllers.split(',').any(|name| name == "memory") => ("/sys/fs/cgroup/memory", FIRST),
            _ => continue,
        };
        let around = Path::new(path.trim_start_matches('/')).ancestors();
        folders.extend(around.map(|group| (Path::new(root).join(group), files)));
    }
    folders
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
        let files = |text| -> Vec<PathBuf> {
            groups(text).into_iter().map(|(folder, files)| folder.join(files.limit)).collect()
        };
        let wanted =
            ["/sys/fs/cgroup/a/b/memory.max", "/sys/fs/cgroup/a/memory.max", "/sys/fs/cgroup/memory.max"];
        assert_eq!(files("0::/a/b\n"), wanted.map(PathBuf::from));
        let first = files("5:cpu,cpuacct:/x\n4:memory:/\nnonsense\n");
        assert_eq!(first, [PathBuf::from("/sys/fs/cgroup/memory/memory.limit_in_bytes")]);
    }

    #[test]
    fn pages_that_can_be_taken_back_are_not_used() {
        let folder = std::env::temp_dir().join(format!("corecast-group-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let write = |file: &str, text: &str| fs::write(folder.join(file), text).unwrap();
        write("memory.current", "1000\n");
        write("memory.usage_in_bytes", "2000\n");
        let used = |files| Watched::Group(folder.clone(), files).used_bytes();
        assert_eq!((used(SECOND), used(FIRST)), (Some(1000), Some(2000)));
        write("memory.stat", "anon 1\ninactive_file 300\ntotal_inactive_file 500\n");
        assert_eq!((used(SECOND), used(FIRST)), (Some(700), Some(1500)));
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(used(SECOND), None);
    }
}
