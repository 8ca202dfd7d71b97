//! What the kernel allows TCP: the queue of newcomers, the ports of outgoing connections, and memory.

use std::fs;

use super::finding::Finding;

/// Newcomers that a listener should have room for: what the kernel allows by default.
const QUEUE: u64 = 4_096;

/// Outgoing connections that there should be ports for: less than the 28,232 of the default.
const PORTS: u32 = 20_000;

/// The settings of TCP, as far as this process can see them.
#[derive(Clone, Default, Debug)]
pub(super) struct Network {
    /// `net.core.somaxconn`.
    somaxconn: Option<u64>,
    /// `net.ipv4.ip_local_port_range`, first and last.
    port_range: Option<(u16, u16)>,
    /// `net.ipv4.ip_local_reserved_ports`.
    reserved: Vec<(u16, u16)>,
    /// `net.ipv4.tcp_mem`, in bytes: where TCP begins to save, and what it never exceeds.
    memory: Option<(u64, u64)>,
    /// What TCP uses now, in bytes.
    used: Option<u64>,
}

impl Network {
    /// Reads them.
    pub(super) fn read() -> Self {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        let page = rustix::param::page_size() as u64;
        Self {
            somaxconn: text("/proc/sys/net/core/somaxconn").trim().parse().ok(),
            port_range: parse_range(&text("/proc/sys/net/ipv4/ip_local_port_range")),
            reserved: parse_reserved(&text("/proc/sys/net/ipv4/ip_local_reserved_ports")),
            memory: parse_memory(&text("/proc/sys/net/ipv4/tcp_mem"), page),
            used: parse_used(&text("/proc/net/sockstat"), page),
        }
    }

    /// What there is to say of them, for a server that listens on these ports and has room for so many clients.
    pub(super) fn findings(&self, ports: &[u16], clients: usize) -> Vec<Finding> {
        let mut findings = vec![self.judge_queue()];
        findings.extend(self.judge_ports(ports));
        findings.push(self.judge_memory(clients as u64));
        findings
    }

    fn judge_queue(&self) -> Finding {
        match self.somaxconn {
            None => Finding::ok("somaxconn", "not visible here"),
            Some(most) if most < QUEUE => Finding::warn(
                "somaxconn",
                format!(
                    "{most} newcomers may wait for a core; when more come back at once, they try again after seconds"
                ),
                "`sysctl -w net.core.somaxconn=65535`, then start the server again (container: --sysctl)",
            ),
            Some(most) => Finding::ok("somaxconn", format!("{most} newcomers may wait for a core")),
        }
    }

    fn judge_ports(&self, ports: &[u16]) -> Vec<Finding> {
        const NAME: &str = "port_range";
        let Some((first, last)) = self.port_range else { return vec![Finding::ok(NAME, "not visible here")] };
        let shown = format!("{first} to {last} for outgoing connections");
        let is_reserved =
            |port: &u16| self.reserved.iter().any(|(first, last)| (first..=last).contains(&port));
        let in_danger = ports.iter().filter(|port| (first..=last).contains(port) && !is_reserved(port));
        let mut findings: Vec<Finding> = in_danger
            .map(|port| {
                Finding::warn(
                    NAME,
                    format!("{shown}: one of them may have port {port} when the server starts"),
                    format!("`sysctl -w net.ipv4.ip_local_reserved_ports={port}`, or let the server listen on another port"),
                )
            })
            .collect();
        let count = u32::from(last.saturating_sub(first)) + 1;
        if count < PORTS {
            findings.push(Finding::warn(
                NAME,
                format!("{shown}: a proxy on this machine has no more than {count} clients for each address of the server"),
                "`sysctl -w net.ipv4.ip_local_port_range=\"10240 65535\"`",
            ));
        }
        if findings.is_empty() { vec![Finding::ok(NAME, shown)] } else { findings }
    }

    fn judge_memory(&self, clients: u64) -> Finding {
        const NAME: &str = "tcp_memory";
        const MORE: &str = "raise it, such as `sysctl -w net.ipv4.tcp_mem=\"PAGES PAGES PAGES\"` with a tenth of the memory as the last, and look for clients that do not read (metrics: blocked_connections)";
        let Some((saving, most)) = self.memory else { return Finding::ok(NAME, "not visible here") };
        let used = self.used.unwrap_or(0);
        let shown = format!("{} MiB of {} MiB are in use", used >> 20, most >> 20);
        // An idle connection has nothing in the kernel's buffers, and one with something in them has a page.
        let page = 4 << 10;
        if used >= most {
            Finding::fail(NAME, format!("{shown}: the kernel drops packets"), MORE)
        } else if used >= saving {
            Finding::warn(NAME, format!("{shown}: the kernel makes all buffers smaller"), MORE)
        } else if most / page < clients {
            Finding::warn(
                NAME,
                format!("{shown}, which is less than a page for each of {clients} clients"),
                MORE,
            )
        } else {
            Finding::ok(NAME, shown)
        }
    }
}

fn parse_range(text: &str) -> Option<(u16, u16)> {
    let mut numbers = text.split_ascii_whitespace().map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Ports and ranges of them: `8080,9000-9100`.
fn parse_reserved(text: &str) -> Vec<(u16, u16)> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    text.trim().split(',').filter_map(range).collect()
}

/// The second and the third of three numbers of pages.
fn parse_memory(text: &str, page_bytes: u64) -> Option<(u64, u64)> {
    let mut pages = text.split_ascii_whitespace().skip(1).map(str::parse::<u64>);
    let (saving, most) = (pages.next()?.ok()?, pages.next()?.ok()?);
    Some((saving.saturating_mul(page_bytes), most.saturating_mul(page_bytes)))
}

/// The number behind `mem` in the line of TCP, in pages.
fn parse_used(text: &str, page_bytes: u64) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("TCP:"))?;
    let pages: u64 = line.split_ascii_whitespace().skip_while(|word| *word != "mem").nth(1)?.parse().ok()?;
    Some(pages.saturating_mul(page_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;

    fn network() -> Network {
        Network {
            somaxconn: Some(4_096),
            port_range: Some((32_768, 60_999)),
            reserved: Vec::new(),
            memory: Some((200 << 20, 300 << 20)),
            used: Some(0),
        }
    }

    fn states(network: &Network, port: u16, clients: usize) -> Vec<State> {
        network.findings(&[port], clients).iter().map(|it| it.state).collect()
    }

    #[test]
    fn the_defaults_of_a_kernel_are_well() {
        assert_eq!(states(&network(), 6_001, 20_000), [State::Ok; 3]);
        assert_eq!(states(&Network::default(), 6_001, 20_000), [State::Ok; 3]);
    }

    #[test]
    fn a_short_queue_is_warned_of() {
        let finding = Network { somaxconn: Some(128), ..network() }.judge_queue();
        assert!(finding.state == State::Warn && finding.what.starts_with("128 "), "{finding:?}");
        assert!(finding.cure.is_some_and(|cure| cure.contains("net.core.somaxconn")));
    }

    #[test]
    fn a_port_among_those_of_outgoing_connections_is_in_danger_unless_it_is_reserved() {
        assert_eq!(states(&network(), 40_000, 1), [State::Ok, State::Warn, State::Ok]);
        let reserved = Network { reserved: vec![(39_000, 40_000)], ..network() };
        assert_eq!(states(&reserved, 40_000, 1), [State::Ok; 3]);
        let narrow = Network { port_range: Some((50_000, 50_999)), ..network() };
        assert!(narrow.judge_ports(&[6_001])[0].what.contains("no more than 1000 clients"));
    }

    #[test]
    fn memory_of_tcp_is_judged_by_what_is_used_and_by_what_clients_may_need() {
        for (used, clients, state) in [
            (10 << 20, 1_000, State::Ok),
            (250 << 20, 1_000, State::Warn),
            (300 << 20, 1_000, State::Fail),
            (0, 1_000_000, State::Warn),
        ] {
            let network = Network { used: Some(used), ..network() };
            assert_eq!(network.judge_memory(clients).state, state, "{used} {clients}");
        }
    }

    #[test]
    fn the_tables_of_the_kernel_are_read() {
        assert_eq!(parse_range("32768\t60999\n"), Some((32_768, 60_999)));
        assert_eq!(parse_reserved("8080,9000-9100\n"), [(8_080, 8_080), (9_000, 9_100)]);
        assert_eq!(parse_reserved("\n"), []);
        assert_eq!(parse_memory("1\t2\t3\n", 4_096), Some((8_192, 12_288)));
        let sockstat = "sockets: used 9\nTCP: inuse 5 orphan 0 tw 1 alloc 7 mem 2\nUDP: inuse 1 mem 9\n";
        assert_eq!(parse_used(sockstat, 4_096), Some(8_192));
        assert_eq!((parse_range(""), parse_memory("1", 1), parse_used("", 1)), (None, None, None));
    }
}
