//! Processors: how many the server may use, on which memory they sit, and who serves the network cards.

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::thread::available_parallelism;

use super::finding::Finding;
use crate::driver::allowed;
use crate::settings::{Shards, Steering};

/// The processors of a machine and what is beside them.
#[derive(Clone, Debug)]
pub(super) struct Processors {
    /// Those that this process may run on.
    allowed: BTreeSet<usize>,
    /// How many of them it may use at a time: a control group may allow fewer.
    usable: usize,
    /// Of each node of memory, its processors.
    nodes: Vec<BTreeSet<usize>>,
    cards: Vec<Card>,
}

/// A network card that is up.
#[derive(Clone, Default, Debug)]
struct Card {
    name: String,
    /// Queues of what is received.
    queues: usize,
    /// How many of them the kernel spreads over processors (RPS).
    spread: usize,
    /// The processors that take its interrupts; none if that is not visible.
    interrupted: BTreeSet<usize>,
}

impl Processors {
    /// Reads them.
    pub(super) fn read() -> Self {
        let node = |name: &str| {
            let is_node = name.strip_prefix("node").is_some_and(|number| number.parse::<u32>().is_ok());
            is_node.then(|| cpus_of(&format!("/sys/devices/system/node/{name}/cpulist")))
        };
        let nodes = names("/sys/devices/system/node");
        let nodes = nodes.iter().filter_map(|name| node(name));
        Self {
            allowed: allowed::cpus().into_iter().collect(),
            usable: available_parallelism().map_or(1, NonZeroUsize::get),
            nodes: nodes.filter(|cpus| !cpus.is_empty()).collect(),
            cards: names("/sys/class/net").iter().filter_map(|name| Card::read(name)).collect(),
        }
    }

    /// What there is to say of them, for these shards.
    pub(super) fn findings(&self, shards: &Shards) -> Vec<Finding> {
        let mut findings = vec![self.judge_cores(shards.count.get()), self.judge_nodes()];
        if self.cards.is_empty() {
            findings.push(Finding::ok("irq_affinity", "no network card is visible here"));
            findings.push(Finding::ok("rps", "no network card is visible here"));
        }
        for card in &self.cards {
            findings.push(self.judge_interrupts(card));
            findings.push(self.judge_spreading(card, shards.accept_steering));
        }
        findings
    }

    fn judge_cores(&self, shards: usize) -> Finding {
        let usable = self.usable;
        let what = format!("{shards} shard(s) and the API core on {usable} processor(s)");
        if shards > usable {
            let fitting = usable.saturating_sub(1).max(1);
            return Finding::warn(
                "cores",
                format!("{what}: shards take each other's time"),
                format!(
                    "--shards {fitting}, or more processors (container: --cpus; systemd: CPUQuota, AllowedCPUs)"
                ),
            );
        }
        if usable < self.allowed.len() {
            return Finding::warn(
                "cores",
                format!(
                    "{what}, of {} that are there: the control group has a quota, which stops all cores for milliseconds when it is used up",
                    self.allowed.len()
                ),
                "give it whole processors in place of a quota (container: --cpuset-cpus; systemd: AllowedCPUs)",
            );
        }
        Finding::ok("cores", what)
    }

    fn judge_nodes(&self) -> Finding {
        let used = self.nodes.iter().filter(|node| !node.is_disjoint(&self.allowed)).count();
        match (self.nodes.len(), used) {
            (0 | 1, _) => Finding::ok("numa", "one node: all memory is as near"),
            (nodes, 0 | 1) => Finding::ok("numa", format!("the server keeps to one of {nodes} nodes")),
            (nodes, used) => Finding::warn(
                "numa",
                format!(
                    "the processors belong to {used} of {nodes} nodes, so part of the memory is far from each"
                ),
                "keep the server on the node of its network card: `numactl --cpunodebind=0 --membind=0` (systemd: \
                 CPUAffinity=numa, NUMAPolicy=bind, NUMAMask=0)",
            ),
        }
    }

    fn judge_interrupts(&self, card: &Card) -> Finding {
        const NAME: &str = "irq_affinity";
        let Card { name, queues, interrupted, .. } = card;
        let cpus: Vec<String> = interrupted.iter().map(usize::to_string).collect();
        match interrupted.len() {
            0 => Finding::ok(NAME, format!("{name}: its interrupts are not visible here")),
            1 if *queues > 1 && self.allowed.len() > 1 => Finding::warn(
                NAME,
                format!("{name}: processor {} takes the interrupts of all {queues} queues", cpus.join("")),
                format!(
                    "spread them: run irqbalance, or write a processor into /proc/irq/N/smp_affinity_list for each queue of {name}"
                ),
            ),
            _ => Finding::ok(
                NAME,
                format!("{name}: processors {} take the interrupts of {queues} queue(s)", cpus.join(", ")),
            ),
        }
    }

    fn judge_spreading(&self, card: &Card, steering: Steering) -> Finding {
        const NAME: &str = "rps";
        let Card { name, queues, spread, .. } = card;
        let cpus = self.allowed.len();
        if *queues == 1 && *spread == 0 && cpus > 2 {
            return Finding::warn(
                NAME,
                format!(
                    "{name}: one queue and no RPS, so one of {cpus} processors does the work of the network for all"
                ),
                format!(
                    "`echo {:x} > /sys/class/net/{name}/queues/rx-0/rps_cpus`, or more queues (`ethtool -L {name} combined N`)",
                    mask(&self.allowed)
                ),
            );
        }
        if *queues == 1 && *spread == 0 && steering == Steering::Cpu && cpus > 1 {
            return Finding::warn(
                NAME,
                format!("{name}: accept_steering is \"cpu\", and one processor receives everything"),
                "accept_steering = \"hash\", RPS, or more queues",
            );
        }
        let how = if *spread > 0 { format!("on for {spread}") } else { "off".to_owned() };
        Finding::ok(NAME, format!("{name}: {queues} queue(s), RPS {how}"))
    }
}

impl Card {
    /// The card of this name, if there is one behind it and it is up.
    fn read(name: &str) -> Option<Self> {
        let place = Path::new("/sys/class/net").join(name);
        let device = place.join("device").canonicalize().ok()?;
        let state = fs::read_to_string(place.join("operstate")).unwrap_or_default();
        if state.trim() == "down" {
            return None;
        }
        let queues = names(place.join("queues"));
        let queues: Vec<&String> = queues.iter().filter(|queue| queue.starts_with("rx-")).collect();
        let is_spread = |queue: &&&String| {
            let mask =
                fs::read_to_string(place.join("queues").join(queue).join("rps_cpus")).unwrap_or_default();
            mask.contains(|c: char| c.is_ascii_hexdigit() && c != '0')
        };
        // The interrupts of a virtual card belong to what is above it.
        let above = device.parent().map(|above| above.join("msi_irqs"));
        let of_device = names(device.join("msi_irqs"));
        let interrupts = if of_device.is_empty() { above.map_or_else(Vec::new, names) } else { of_device };
        let interrupted =
            interrupts.iter().flat_map(|irq| cpus_of(&format!("/proc/irq/{irq}/effective_affinity_list")));
        Some(Self {
            name: name.to_owned(),
            spread: queues.iter().filter(is_spread).count(),
            queues: queues.len(),
            interrupted: interrupted.collect(),
        })
    }
}

/// As RPS wants it, of the first 64 processors.
fn mask(cpus: &BTreeSet<usize>) -> u64 {
    cpus.iter().filter(|cpu| **cpu < 64).fold(0, |mask, cpu| mask | 1 << cpu)
}

/// What is in a folder, in order; nothing if it cannot be read.
fn names(folder: impl AsRef<Path>) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn cpus_of(file: &str) -> BTreeSet<usize> {
    fs::read_to_string(file).map_or_else(|_| BTreeSet::new(), |text| parse_list(&text))
}

/// Processors as the kernel lists them: `0-3,8`.
fn parse_list(text: &str) -> BTreeSet<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse::<usize>().ok()?..=last.parse().ok()?)
    };
    text.trim().split(',').filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;
    use crate::settings::ShardCount;

    fn machine(cpus: usize) -> Processors {
        Processors {
            allowed: (0..cpus).collect(),
            usable: cpus,
            nodes: vec![(0..cpus).collect()],
            cards: Vec::new(),
        }
    }

    fn card(queues: usize, spread: usize, interrupted: &[usize]) -> Card {
        Card { name: "eth0".to_owned(), queues, spread, interrupted: interrupted.iter().copied().collect() }
    }

    #[test]
    fn more_shards_than_processors_and_a_quota_are_warned_of() {
        for (processors, shards, state) in [
            (machine(4), 3, State::Ok),
            (machine(1), 1, State::Ok),
            (machine(2), 3, State::Warn),
            (Processors { usable: 2, ..machine(8) }, 1, State::Warn),
        ] {
            assert_eq!(processors.judge_cores(shards).state, state, "{shards} on {processors:?}");
        }
        assert!(machine(2).judge_cores(3).cure.is_some_and(|cure| cure.starts_with("--shards 1")));
    }

    #[test]
    fn several_nodes_matter_if_the_server_is_on_several() {
        let nodes = vec![(0..4).collect(), (4..8).collect()];
        assert_eq!(Processors { nodes: nodes.clone(), ..machine(8) }.judge_nodes().state, State::Warn);
        assert_eq!(Processors { nodes, ..machine(4) }.judge_nodes().state, State::Ok);
        assert_eq!(machine(8).judge_nodes().state, State::Ok);
    }

    #[test]
    fn one_processor_that_serves_the_whole_card_is_named() {
        for (cpus, card, steering, interrupts, rps) in [
            (8, card(8, 0, &[0, 1, 2, 3]), Steering::Hash, State::Ok, State::Ok),
            (8, card(8, 0, &[3]), Steering::Hash, State::Warn, State::Ok),
            (8, card(1, 0, &[3]), Steering::Hash, State::Ok, State::Warn),
            (8, card(1, 1, &[3]), Steering::Cpu, State::Ok, State::Ok),
            (2, card(1, 0, &[0]), Steering::Hash, State::Ok, State::Ok),
            (2, card(1, 0, &[0]), Steering::Cpu, State::Ok, State::Warn),
            (8, card(2, 0, &[]), Steering::Hash, State::Ok, State::Ok),
        ] {
            let processors = Processors { cards: vec![card], ..machine(cpus) };
            let count = ShardCount::new(1).unwrap();
            let shards = Shards { count, accept_steering: steering, ..Shards::default() };
            let states: Vec<State> = processors.findings(&shards).iter().map(|it| it.state).collect();
            assert_eq!(states[2..], [interrupts, rps], "{processors:?}");
        }
        let processors = Processors { cards: vec![card(1, 0, &[0])], ..machine(8) };
        let cure = processors.judge_spreading(&processors.cards[0], Steering::Hash).cure;
        assert!(cure.is_some_and(|cure| cure.contains("echo ff > /sys/class/net/eth0/queues/rx-0/rps_cpus")));
    }

    #[test]
    fn lists_of_processors_are_read() {
        assert_eq!(parse_list("0-2,8\n"), [0, 1, 2, 8].into());
        assert_eq!(parse_list("\n"), BTreeSet::new());
    }
}
