//! How many connections wait to be accepted, by listener, as the kernel says in /proc/net/tcp. Sockets that listen stand first there,
//! so the others, which may be tens of thousands, are not read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;

use machines::api_core::exposition::Exposition;

/// As the tables name the state of a socket that listens.
const LISTENS: &str = "0A";

/// Tells of these listeners. Of those with the same port, which other processes may have as well, all count together.
pub(super) fn describe_backlog(all: &mut Exposition, listeners: &[SocketAddr]) {
    let mut waiting = BTreeMap::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        if let Ok(table) = File::open(table) {
            add_queues(&mut waiting, BufReader::new(table));
        }
    }
    let mut family = all.gauges("accept_backlog", "Connections that wait to be accepted, by listener.");
    for listener in listeners {
        if let Some(waiting) = waiting.get(&listener.port()) {
            family.sample(&[("listener", &listener.to_string())], *waiting as f64);
        }
    }
    all.add(family);
}

/// Adds the queue of each socket that listens to that of its port.
fn add_queues(waiting: &mut BTreeMap<u16, u64>, table: impl BufRead) {
    for line in table.lines().skip(1).map_while(Result::ok) {
        let mut columns = line.split_ascii_whitespace();
        let (local, state, queues) = (columns.nth(1), columns.nth(1), columns.next());
        if state != Some(LISTENS) {
            return;
        }
        let port = local.and_then(|local| u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok());
        let queue = queues.and_then(|queues| u64::from_str_radix(queues.split_once(':')?.1, 16).ok());
        if let (Some(port), Some(queue)) = (port, queue) {
            *waiting.entry(port).or_default() += queue;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn listeners_of_a_port_count_together_and_nothing_else_is_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n\
            0: 0100007F:1771 00000000:0000 0A 00000000:0000000B 00:00000000 00000000 0 0 1 1 x 100 0 0 10 0\n\
            1: 0100007F:1771 00000000:0000 0A 00000000:00000002 00:00000000 00000000 0 0 2 1 x 100 0 0 10 0\n\
            2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 3 1 x 100 0 0 10 0\n\
            3: 0100007F:1771 0100007F:8000 01 00000000:000000FF 00:00000000 00000000 0 0 4 1 x 20 4 30 10 -1\n\
            4: 0100007F:1772 00000000:0000 0A 00000000:00000001 00:00000000 00000000 0 0 5 1 x 100 0 0 10 0\n";
        let mut waiting = BTreeMap::new();
        add_queues(&mut waiting, table.as_bytes());
        assert_eq!(waiting, BTreeMap::from([(0x1771, 13), (22, 0)]));
    }

    #[test]
    fn who_is_not_accepted_is_seen() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let clients: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
        let mut all = Exposition::new("x_");
        describe_backlog(&mut all, &[address]);
        let sample = format!("x_accept_backlog{{listener=\"{address}\"}} {}\n", clients.len());
        assert!(all.encode().ends_with(&sample), "{}", all.encode());
    }
}
