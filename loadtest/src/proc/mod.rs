//! What Linux says about a process and its children: CPU time, memory, context switches, the cores they may use.
//!
//! Owns every read of /proc; `texts` has what the kernel writes there. CPU time is what the scheduler counted for each
//! thread, to the nanosecond. What only `stat` knows, in ticks of 10 ms: user and system apart, and threads and children that
//! ended between two readings. Those figures leave out kernel work that moved to ksoftirqd, so it is read separately.

mod texts;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use self::texts::{Schedstat, Stat, Switches, TICK_NS, Ticks};
use crate::failure::{Context, Failure, Outcome};

/// Start and end of an interval are cut to whole ticks, for user and system time each.
const TICKS_UNSURE: u64 = 2;

/// A process with all its descendants.
#[derive(Clone, Copy)]
pub(crate) struct Process {
    pid: u32,
}

/// What was used so far.
pub(crate) struct Usage {
    members: BTreeMap<Identity, Member>,
    ksoftirqd_ns: u64,
}

/// A pid alone may come back as another process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    pid: u32,
    started: u64,
}

/// One process of the tree.
#[derive(Default)]
struct Member {
    threads: BTreeMap<u32, Thread>,
    stat: Stat,
}

#[derive(Clone, Copy, Default)]
struct Thread {
    time: Schedstat,
    switches: Switches,
}

/// What was used between two readings.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(crate) struct Spent {
    pub(crate) total_ns: u64,
    /// The part of it in the kernel, estimated from ticks.
    pub(crate) system_ns: u64,
    pub(crate) busiest_thread_ns: u64,
    /// How long the thread that rested least ran or waited for a core: it could have done no more.
    pub(crate) restless_thread_ns: u64,
    /// How long the longest waiting thread was ready to run but had no core: others ran there.
    pub(crate) waited_ns: u64,
    /// By ksoftirqd on all cores that the processes may use, including work that others caused.
    pub(crate) ksoftirqd_ns: u64,
    /// Threads went to sleep, or were sent off their core; of threads that still are.
    pub(crate) voluntary_switches: u64,
    pub(crate) involuntary_switches: u64,
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
        let members: BTreeMap<_, _> = self.tree().into_iter().filter_map(read_member).collect();
        if !members.keys().any(|identity| identity.pid == self.pid) {
            return Err(Failure::new(format!("process {} is gone or not readable", self.pid)));
        }
        Ok(Usage { members, ksoftirqd_ns: ksoftirqd_ns(&self.cores()?) })
    }

    /// Of all together. Pages that several share count for each.
    pub(crate) fn rss_bytes(&self) -> Outcome<u64> {
        let of = |pid: u32| texts::parse_kib(&status(pid, "VmRSS:")?);
        let kib: Vec<u64> = self.tree().into_iter().filter_map(of).collect();
        match kib.is_empty() {
            true => Err(Failure::new(format!("process {}: no VmRSS", self.pid))),
            false => Ok(kib.iter().sum::<u64>() * 1024),
        }
    }

    /// Cores that any of them may run on.
    pub(crate) fn cores(&self) -> Outcome<Vec<u32>> {
        let mut cores = BTreeSet::new();
        for pid in self.tree() {
            let Some(list) = status(pid, "Cpus_allowed_list:") else { continue };
            let list = texts::parse_core_list(&list);
            cores.extend(list.ok_or_else(|| Failure::new(format!("process {pid}: unknown list of cores")))?);
        }
        match cores.is_empty() {
            true => Err(Failure::new(format!("process {} is gone or not readable", self.pid))),
            false => Ok(cores.into_iter().collect()),
        }
    }

    /// This process first, then its descendants.
    fn tree(&self) -> Vec<u32> {
        let mut found = vec![self.pid];
        let mut next = 0;
        while let Some(&pid) = found.get(next) {
            next += 1;
            for task in tasks(pid) {
                let children = fs::read_to_string(task.join("children")).unwrap_or_default();
                found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
            }
        }
        found
    }
}

impl Usage {
    pub(crate) fn since(&self, earlier: &Self) -> Spent {
        let ksoftirqd_ns = self.ksoftirqd_ns.saturating_sub(earlier.ksoftirqd_ns);
        let mut spent = Spent { ksoftirqd_ns, ..Spent::default() };
        let nobody = Member::default();
        let (mut living, mut children) = (Ticks::default(), Ticks::default());
        for (identity, member) in &self.members {
            let before = earlier.members.get(identity).unwrap_or(&nobody);
            member.add_since(before, &mut spent);
            living += member.stat.own - before.stat.own;
            children += member.stat.children - before.stat.children;
        }
        // Who ended is with its whole life in the ticks of a parent; what it had used before must not count again.
        let mut known = Ticks::default();
        for (_, gone) in earlier.members.iter().filter(|&(identity, _)| !self.members.contains_key(identity))
        {
            known += gone.stat.own + gone.stat.children;
        }
        let ended = children - known;
        spent.total_ns += ended.ns();
        let system = (living.system + ended.system) as f64 / (living + ended).total().max(1) as f64;
        spent.system_ns = (spent.total_ns as f64 * system) as u64;
        spent
    }
}

impl Spent {
    /// The larger of «all threads of all cores that may be used» and «the busiest thread of one core».
    pub(crate) fn busy_ratio(&self, cores: usize, wall_ns: u64) -> Option<f64> {
        let all = self.total_ns as f64 / cores.max(1) as f64;
        (wall_ns > 0).then(|| all.max(self.busiest_thread_ns as f64) / wall_ns as f64)
    }

    /// The same, with the time in which a thread wanted a core and had none: what others take counts as well.
    pub(crate) fn restless_ratio(&self, cores: usize, wall_ns: u64) -> Option<f64> {
        let one = self.restless_thread_ns as f64 / wall_ns as f64;
        // What the kernel counts a moment late may come into the next second.
        self.busy_ratio(cores, wall_ns).map(|busy| busy.max(one.min(1.0)))
    }
}

impl Member {
    /// Adds what this process used since then, its children left out.
    fn add_since(&self, before: &Self, spent: &mut Spent) {
        let mut ran_ns = 0;
        for (tid, now) in &self.threads {
            let then = before.threads.get(tid).copied().unwrap_or_default();
            let thread_ns = now.time.ran_ns.saturating_sub(then.time.ran_ns);
            ran_ns += thread_ns;
            let waited_ns = now.time.waited_ns.saturating_sub(then.time.waited_ns);
            spent.busiest_thread_ns = spent.busiest_thread_ns.max(thread_ns);
            spent.waited_ns = spent.waited_ns.max(waited_ns);
            spent.restless_thread_ns = spent.restless_thread_ns.max(thread_ns + waited_ns);
            spent.voluntary_switches += now.switches.voluntary.saturating_sub(then.switches.voluntary);
            spent.involuntary_switches += now.switches.involuntary.saturating_sub(then.switches.involuntary);
        }
        // Threads that ended are in the ticks of their process alone.
        let certain = (self.stat.own - before.stat.own).ns().saturating_sub(TICKS_UNSURE * TICK_NS);
        spent.total_ns += ran_ns.max(certain);
    }
}

/// None when the process has ended meanwhile.
fn read_member(pid: u32) -> Option<(Identity, Member)> {
    let stat = texts::parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
    let threads: BTreeMap<_, _> = tasks(pid).filter_map(|task| read_thread(&task)).collect();
    let identity = Identity { pid, started: stat.started };
    (!threads.is_empty()).then_some((identity, Member { threads, stat }))
}

fn read_thread(task: &Path) -> Option<(u32, Thread)> {
    let tid = task.file_name()?.to_str()?.parse().ok()?;
    let time = texts::parse_schedstat(&fs::read_to_string(task.join("schedstat")).ok()?)?;
    let switches = texts::parse_switches(&fs::read_to_string(task.join("status")).ok()?);
    Some((tid, Thread { time, switches }))
}

fn tasks(pid: u32) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    entries.flatten().map(|entry| entry.path())
}

fn status(pid: u32, field: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|line| line.strip_prefix(field)).map(|value| value.trim().to_owned())
}

/// How many descriptors this process may open.
pub(crate) fn descriptors_max() -> Outcome<u64> {
    let text = fs::read_to_string("/proc/self/limits").context("/proc/self/limits")?;
    texts::parse_descriptors(&text).ok_or_else(|| Failure::new("/proc/self/limits: no \"Max open files\""))
}

/// Zero where kernel threads are hidden, as in most containers.
fn ksoftirqd_ns(cores: &[u32]) -> u64 {
    let Ok(entries) = fs::read_dir("/proc") else { return 0 };
    let ran_ns = |path: PathBuf| {
        let name = fs::read_to_string(path.join("comm")).ok()?;
        let core = name.trim_end().strip_prefix("ksoftirqd/")?.parse().ok()?;
        let text = cores.contains(&core).then(|| fs::read_to_string(path.join("schedstat")))?;
        Some(texts::parse_schedstat(&text.ok()?)?.ran_ns)
    };
    entries.flatten().filter_map(|entry| ran_ns(entry.path())).sum()
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Child, ChildStdout, Command, Stdio};
    use std::time::{Duration, Instant};

    use super::*;

    fn member(threads: &[(u32, u64, u64)], own: u64, children: u64) -> Member {
        let thread = |ran_ns, waited_ns| Thread {
            time: Schedstat { ran_ns, waited_ns },
            switches: Switches { voluntary: ran_ns, involuntary: waited_ns },
        };
        let ticks = |total| Ticks { user: total / 2, system: total - total / 2 };
        Member {
            threads: threads.iter().map(|&(tid, ran, waited)| (tid, thread(ran, waited))).collect(),
            stat: Stat { own: ticks(own), children: ticks(children), started: 0 },
        }
    }

    fn usage(members: Vec<(u32, Member)>, ksoftirqd_ns: u64) -> Usage {
        let named = |(pid, member)| (Identity { pid, started: 0 }, member);
        Usage { members: members.into_iter().map(named).collect(), ksoftirqd_ns }
    }

    #[test]
    fn busy_is_one_thread_without_rest_or_all_cores_without_rest() {
        let spent = |total_ns, busiest_thread_ns| Spent { total_ns, busiest_thread_ns, ..Spent::default() };
        assert_eq!(spent(100, 90).busy_ratio(4, 100), Some(0.9));
        assert_eq!(spent(380, 95).busy_ratio(4, 100), Some(0.95));
        assert_eq!(spent(360, 90).busy_ratio(2, 200), Some(0.9));
        assert_eq!(spent(0, 0).busy_ratio(1, 0), None);
        let held_up = Spent { restless_thread_ns: 97, ..spent(40, 40) };
        assert_eq!((held_up.busy_ratio(2, 100), held_up.restless_ratio(2, 100)), (Some(0.4), Some(0.97)));
        assert_eq!(spent(0, 0).restless_ratio(1, 0), None);
    }

    #[test]
    fn time_between_readings_is_counted_per_thread_and_new_threads_from_zero() {
        let before = usage(vec![(1, member(&[(1, 100, 1), (2, 1000, 0)], 0, 0))], 4);
        let after = usage(vec![(1, member(&[(1, 150, 7), (3, 30, 2)], 0, 0))], 9);
        let expected = Spent {
            total_ns: 80,
            busiest_thread_ns: 50,
            restless_thread_ns: 56,
            waited_ns: 6,
            ksoftirqd_ns: 5,
            voluntary_switches: 80,
            involuntary_switches: 8,
            system_ns: 0,
        };
        assert_eq!(after.since(&before), expected);
    }

    #[test]
    fn thread_that_ended_is_in_the_ticks_of_its_process() {
        let before = usage(vec![(1, member(&[(1, 0, 0), (2, 0, 0)], 0, 0))], 0);
        let after = usage(vec![(1, member(&[(1, TICK_NS, 0)], 102, 0))], 0);
        let spent = after.since(&before);
        assert_eq!(spent.total_ns, 100 * TICK_NS);
        assert_eq!(spent.system_ns, 50 * TICK_NS);
    }

    #[test]
    fn child_that_ended_counts_once_and_only_from_the_first_reading_on() {
        let parent = |reaped| member(&[(1, 0, 0)], 0, reaped);
        let child = || member(&[(2, 30 * TICK_NS, 0)], 30, 0);
        let before = usage(vec![(1, parent(0)), (2, child())], 0);
        assert_eq!(usage(vec![(1, parent(50))], 0).since(&before).total_ns, 20 * TICK_NS);
        let unborn = usage(vec![(1, parent(0))], 0);
        assert_eq!(usage(vec![(1, parent(50))], 0).since(&unborn).total_ns, 50 * TICK_NS);
        assert_eq!(usage(vec![(1, parent(0)), (2, child())], 0).since(&unborn).total_ns, 30 * TICK_NS);
    }

    /// A shell that starts another, which spins for a few million steps and tells the time that it took itself.
    struct Spinner {
        child: Child,
        told: BufReader<ChildStdout>,
    }

    impl Spinner {
        fn start(after: &str) -> Self {
            let spin = "i=0; while [ $i -lt 2000000 ]; do i=$((i+1)); done; times";
            let script = format!("read go; sh -c '{spin}; {after}'; echo ended; read end");
            let mut command = Command::new("sh");
            let mut child =
                command.args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let told = BufReader::new(child.stdout.take().unwrap());
            Self { child, told }
        }

        fn go(&mut self) {
            self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        }

        /// User and system time as `times` prints them: 0m1.230000s 0m0.010000s
        fn told_ns(&mut self) -> f64 {
            let line = self.line();
            let seconds = |text: &str| {
                let (minutes, seconds) = text.trim_end_matches('s').split_once('m').unwrap();
                minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
            };
            line.split_whitespace().map(seconds).sum::<f64>() * 1e9
        }

        fn line(&mut self) -> String {
            let mut line = String::new();
            self.told.read_line(&mut line).unwrap();
            line
        }
    }

    impl Drop for Spinner {
        fn drop(&mut self) {
            // Its readers find the end of their input, and both shells end.
            drop(self.child.stdin.take());
            let _ = self.child.wait();
        }
    }

    fn assert_within_two_percent(spent: Spent, told_ns: f64) {
        let ratio = spent.total_ns as f64 / told_ns;
        assert!((0.98..1.02).contains(&ratio), "{spent:?} but the target says {told_ns} ns");
    }

    #[test]
    fn child_that_spins_for_a_known_time_comes_out_within_two_percent() {
        let mut spinner = Spinner::start("read on");
        let process = Process::open(spinner.child.id()).unwrap();
        let before = process.usage().unwrap();
        spinner.go();
        let told_ns = spinner.told_ns();
        let spent = process.usage().unwrap().since(&before);
        assert_within_two_percent(spent, told_ns);
        assert!(spent.busiest_thread_ns as f64 > told_ns * 0.95, "{spent:?}");
        assert!(spent.system_ns < spent.total_ns / 2, "{spent:?}");
    }

    #[test]
    fn child_that_has_ended_comes_out_within_two_percent_too() {
        let mut spinner = Spinner::start("exit");
        let process = Process::open(spinner.child.id()).unwrap();
        let before = process.usage().unwrap();
        spinner.go();
        let told_ns = spinner.told_ns();
        while spinner.line() != "ended\n" {}
        assert_within_two_percent(process.usage().unwrap().since(&before), told_ns);
    }

    #[test]
    fn memory_and_cores_are_those_of_the_whole_tree() {
        let spinner = Spinner::start("read on");
        let process = Process::own().unwrap();
        let alone = Process::open(spinner.child.id()).unwrap();
        let (all, child) = (process.rss_bytes().unwrap(), alone.rss_bytes().unwrap());
        assert!(child > 100_000 && all > child + 100_000, "{all} {child}");
        assert!(!process.cores().unwrap().is_empty());
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
    }

    #[test]
    fn missing_process_is_named() {
        let failure = Process::open(u32::MAX).err().unwrap();
        assert!(failure.to_string().contains("--pid 4294967295"));
    }
}
