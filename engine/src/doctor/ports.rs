//! The addresses of a server: whether each is free, or a server of ours or another program has it.
//!
//! Nothing listens for it, not even for a moment.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;

use super::finding::Finding;
use crate::config::Config;
use crate::driver::listen::{Place, try_place};
use crate::driver::socket_file::try_path;
use crate::settings::{AdminAddress, ListenAddress};
use crate::takeover::address::find;

const NAME: &str = "port";

/// An address that the settings ask for, and who has it.
#[derive(Debug)]
pub(super) struct Port {
    address: ListenAddress,
    /// The flag or key that asks for it.
    option: &'static str,
    /// Whether a server starts without it.
    is_optional: bool,
    holder: Holder,
}

/// Who has an address.
#[derive(Debug)]
enum Holder {
    Nobody,
    /// A Corecast, and its process.
    Ours(u32),
    /// Another program: its process and name, as far as they are visible.
    Other(Option<(u32, String)>),
    /// Nobody may have it.
    Refused(io::Error),
}

impl Port {
    /// Looks at all addresses of these settings.
    pub(super) fn read_all(config: &Config) -> Vec<Self> {
        let wanted = wanted(config);
        let is_tcp = |address: &ListenAddress| match address {
            ListenAddress::Tcp(address) => Some(*address),
            ListenAddress::Unix(_) => None,
        };
        let all: Vec<SocketAddr> = wanted.iter().filter_map(|(address, ..)| is_tcp(address)).collect();
        let mut servers: Vec<u32> = Vec::new();
        let mut ports = Vec::new();
        for (address, option, is_optional) in wanted {
            let holder = Holder::of(&address, &all, config.listen.ipv6_only, &servers);
            if let Holder::Ours(process) = holder {
                servers.push(process);
            }
            ports.push(Self { address, option, is_optional, holder });
        }
        ports
    }

    /// The number of the port, if it is one.
    pub(super) fn number(&self) -> Option<u16> {
        match &self.address {
            ListenAddress::Tcp(address) => Some(address.port()),
            ListenAddress::Unix(_) => None,
        }
    }

    /// The process of the server of ours that has it.
    pub(super) fn server(&self) -> Option<u32> {
        match self.holder {
            Holder::Ours(process) => Some(process),
            _ => None,
        }
    }

    /// What there is to say of it.
    pub(super) fn finding(&self) -> Finding {
        let Self { address, option, is_optional, .. } = self;
        let error = match &self.holder {
            Holder::Nobody => return Finding::ok(NAME, format!("{address} is free")),
            Holder::Ours(process) => {
                return Finding::ok(
                    NAME,
                    format!("{address} belongs to the Corecast that runs (process {process})"),
                );
            }
            Holder::Other(Some((1, name))) if name == "systemd" => {
                return Finding::ok(
                    NAME,
                    format!("{address} belongs to systemd, which passes it on (socket unit)"),
                );
            }
            Holder::Other(who) => {
                let who = who.as_ref().map_or_else(
                    || "another process".to_owned(),
                    |(process, name)| format!("{name} (process {process})"),
                );
                let cure = format!("stop it, or choose another address with {option}");
                return match is_optional {
                    false => Finding::fail(NAME, format!("{address} is taken by {who}"), cure),
                    true => Finding::warn(
                        NAME,
                        format!("{address} is taken by {who}: there will be no metrics"),
                        cure,
                    ),
                };
            }
            Holder::Refused(error) => error,
        };
        let (what, cure) = match error.kind() {
            _ if self.number().is_none() => (
                error.to_string(),
                format!("choose another path with {option}, in a folder that the user of the server may write in"),
            ),
            io::ErrorKind::PermissionDenied => (
                "this user may not listen there".to_owned(),
                "ports below 1024 need root, CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE) or a \
                 smaller net.ipv4.ip_unprivileged_port_start"
                    .to_owned(),
            ),
            io::ErrorKind::AddrNotAvailable => (
                "no network interface has that address".to_owned(),
                format!("0.0.0.0 or [::] for all addresses of this machine, or one that `ip address` shows, with {option}"),
            ),
            _ => (error.to_string(), format!("choose another address with {option}")),
        };
        Finding::fail(NAME, format!("{address}: {what}"), cure)
    }
}

/// Each address with its option, and whether a server starts without it; that of the operator's tools last.
fn wanted(config: &Config) -> Vec<(ListenAddress, &'static str, bool)> {
    let of = |addresses: &[SocketAddr], option| {
        addresses.iter().map(|address| ((*address).into(), option, false)).collect::<Vec<_>>()
    };
    let mut all = of(&config.listen.public, "--listen");
    all.extend(config.listen.unix.iter().map(|path| (ListenAddress::Unix(path.clone()), "--listen", false)));
    all.extend(of(&config.listen.api, "api_listen"));
    all.extend(of(&config.tls.listen, "--tls-listen"));
    let admin = config.admin.address;
    let is_optional = matches!(admin, AdminAddress::IfFree(_));
    all.extend(admin.address().map(|address| (address.into(), "--admin", is_optional)));
    all
}

impl Holder {
    /// Who has one of all these addresses, where these servers of ours are known.
    fn of(address: &ListenAddress, all: &[SocketAddr], ipv6_only: bool, servers: &[u32]) -> Self {
        let tried = match address {
            ListenAddress::Tcp(address) if address.port() == 0 => Ok(()),
            ListenAddress::Tcp(address) => try_place(Place::among(*address, all, ipv6_only)),
            ListenAddress::Unix(path) => try_path(path),
        };
        match tried {
            Ok(()) => return Self::Nobody,
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => return Self::Refused(error),
            Err(_) => {}
        }
        let named = find(std::slice::from_ref(address), &[]).unwrap_or_default();
        if let Some(process) = named.iter().find_map(|name| name.process()) {
            return Self::Ours(process);
        }
        let ListenAddress::Tcp(address) = address else { return Self::Other(None) };
        match listener(address.port()) {
            Some((process, _)) if servers.contains(&process) => Self::Ours(process),
            other => Self::Other(other),
        }
    }
}

/// The process that listens on this port and its name, if this user may see it.
fn listener(port: u16) -> Option<(u32, String)> {
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    let sockets: Vec<String> = tables
        .iter()
        .flat_map(|table| parse_listeners(table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let process = numbers.find(|process| has_one_of(*process, &sockets))?;
    let name = fs::read_to_string(format!("/proc/{process}/comm")).ok()?;
    Some((process, name.trim().to_owned()))
}

fn has_one_of(process: u32, sockets: &[String]) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    let mut targets = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
    targets.any(|target| sockets.iter().any(|socket| target.as_os_str().as_bytes() == socket.as_bytes()))
}

/// The inodes of the sockets that listen on this port: the second column ends with it, the fourth is 0A, the tenth is the
/// inode.
fn parse_listeners(table: &str, port: u16) -> Vec<u64> {
    let end = format!(":{port:04X}");
    let inode = |line: &str| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let is_it = columns.get(1)?.ends_with(&end) && *columns.get(3)? == "0A";
        columns.get(9).filter(|_| is_it)?.parse().ok()
    };
    table.lines().filter_map(inode).collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::doctor::finding::State;

    fn port(holder: Holder, is_optional: bool) -> Port {
        Port {
            address: SocketAddr::from(([127, 0, 0, 1], 6001)).into(),
            option: "--listen",
            is_optional,
            holder,
        }
    }

    #[test]
    fn a_port_is_judged_by_who_has_it() {
        let error = |kind| Holder::Refused(io::Error::from(kind));
        for (holder, is_optional, state, words) in [
            (Holder::Nobody, false, State::Ok, "is free"),
            (Holder::Ours(7), false, State::Ok, "process 7"),
            (Holder::Other(Some((1, "systemd".to_owned()))), false, State::Ok, "socket unit"),
            (Holder::Other(Some((8, "nginx".to_owned()))), false, State::Fail, "taken by nginx (process 8)"),
            (Holder::Other(None), true, State::Warn, "no metrics"),
            (error(io::ErrorKind::PermissionDenied), false, State::Fail, "may not listen"),
            (error(io::ErrorKind::AddrNotAvailable), false, State::Fail, "no network interface"),
        ] {
            let finding = port(holder, is_optional).finding();
            assert_eq!(finding.state, state, "{finding:?}");
            assert!(finding.what.contains(words), "{finding:?}");
            assert_eq!(finding.cure.is_some(), state != State::Ok);
        }
    }

    #[test]
    fn the_process_that_listens_is_found() {
        let listener_of_ours = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener_of_ours.local_addr().unwrap();
        let (process, _) = listener(address.port()).unwrap();
        assert_eq!(process, std::process::id());
        let holder = |servers: &[u32]| Holder::of(&address.into(), &[address], false, servers);
        let Holder::Other(Some((found, _))) = holder(&[]) else { panic!() };
        assert_eq!(found, process);
        assert!(matches!(holder(&[process]), Holder::Ours(_)));
        drop(listener_of_ours);
        assert!(matches!(holder(&[]), Holder::Nobody));
    }

    #[test]
    fn a_path_is_free_or_no_socket() {
        let of = |path: &str| Holder::of(&ListenAddress::Unix(path.into()), &[], false, &[]);
        let free = std::env::temp_dir().join(format!("corecast-doctor-{}.sock", std::process::id()));
        assert!(matches!(of(free.to_str().unwrap()), Holder::Nobody));
        for path in ["/proc/version", "/nowhere/a.sock"] {
            let port = Port { address: ListenAddress::Unix(path.into()), ..port(of(path), false) };
            let finding = port.finding();
            assert!(
                finding.state == State::Fail && finding.what.starts_with(&format!("unix:{path}: ")),
                "{finding:?}"
            );
            assert!(finding.cure.is_some_and(|cure| cure.contains("another path")));
        }
    }

    #[test]
    fn only_sockets_that_listen_on_the_port_are_taken() {
        let table = "sl local_address rem_address st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode\n\
            0: 0100007F:1771 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 111 1\n\
            1: 0100007F:1771 0100007F:9999 01 00000000:00000000 00:00000000 00000000 0 0 222 1\n\
            2: 00000000:1772 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 333 1\n\
            broken\n";
        assert_eq!(parse_listeners(table, 6001), [111]);
    }
}
