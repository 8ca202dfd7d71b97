//! Where processes that serve the same ports find each other: sockets with names in the kernel alone (abstract Unix
//! sockets), which vanish with their process and leave nothing behind.
//!
//! A name begins with the address that is listened on, so a newcomer finds its predecessors without being told; what
//! follows keeps several of them apart. Names are visible exactly where ports are: within a network namespace. They have
//! no permissions, so each side of a connection asks the kernel which user the other process belongs to; and the kernel
//! shares a port only among processes of one user. What must never happen here: a wait.

use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener, UnixStream};
use std::path;

use rustix::process::geteuid;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::driver::ring;
use crate::limits::FOUND_SOCKETS_MAX;
use crate::settings::ListenAddress;

/// How often the table of sockets is read. The kernel returns it in pieces, and skips a socket if an earlier one closes
/// between two pieces.
const LOOKS: usize = 5;

/// How the table marks a listening socket.
const LISTENING: &str = "00010000";

/// The name of a socket.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name(String);

impl Name {
    /// The process that has it, as it calls itself.
    pub fn process(&self) -> Option<u32> {
        let (_, process) = self.0.rsplit_once('/')?;
        process.split('.').next()?.parse().ok()
    }
}

/// Opens the socket to which successors on this address connect. Also returns its name.
pub fn listen(address: &ListenAddress) -> io::Result<(Name, OwnedFd)> {
    let apart = RandomState::new().build_hasher().finish();
    let name = format!("{}{}.{apart:016x}", beginning(address), std::process::id());
    let listener = UnixListener::bind_addr(&UnixAddress::from_abstract_name(&name)?)?;
    listener.set_nonblocking(true)?;
    Ok((Name(name), listener.into()))
}

/// The sockets of other processes on these addresses.
pub fn find(addresses: &[ListenAddress], own: &[Name]) -> io::Result<Vec<Name>> {
    let mut found: Vec<Name> = Vec::new();
    for _ in 0..LOOKS {
        // Other programs may use any bytes in a name.
        let table = fs::read("/proc/net/unix")?;
        let mut names = names(&String::from_utf8_lossy(&table), addresses);
        names.retain(|name| !own.contains(name) && !found.contains(name));
        found.append(&mut names);
    }
    found.truncate(FOUND_SOCKETS_MAX);
    Ok(found)
}

/// Connects to a process of the same user, and returns its process id too; None if it belongs to another user.
pub fn connect(name: &Name) -> io::Result<Option<(i32, UnixStream)>> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // So a full queue is an error at once, not a wait.
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(format!("\0{}", name.0))?)?;
    let (process, user) = ring::peer_of(socket.as_fd())?;
    Ok((user == geteuid().as_raw()).then(|| (process, UnixStream::from(OwnedFd::from(socket)))))
}

fn beginning(address: &ListenAddress) -> String {
    match address {
        ListenAddress::Tcp(address) => format!("corecast/{address}/"),
        // A path may be too long for a name, and have spaces in it.
        ListenAddress::Unix(path) => {
            let path = path::absolute(path).unwrap_or_else(|_| path.clone());
            format!("corecast/unix:{:016x}/", fnv(path.as_os_str().as_encoded_bytes()))
        }
    }
}

/// A hash that is the same in every version (FNV-1a).
fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The eighth column is the name; the fourth says whether the socket listens.
fn names(table: &str, addresses: &[ListenAddress]) -> Vec<Name> {
    let beginnings: Vec<String> =
        addresses.iter().map(|address| format!("@{}", beginning(address))).collect();
    let listened = table.lines().filter_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        let is_listening = columns.nth(3)? == LISTENING;
        let name = columns.nth(3)?;
        is_listening.then_some(name)
    });
    let ours = listened.filter(|name| beginnings.iter().any(|beginning| name.starts_with(beginning)));
    ours.filter_map(|name| name.strip_prefix('@')).map(|name| Name(name.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> ListenAddress {
        ListenAddress::Tcp(([127, 0, 0, 1], 6001).into())
    }

    #[test]
    fn only_sockets_that_listen_on_the_same_address_are_found() {
        let table = "Num RefCount Protocol Flags Type St Inode Path\n\
            0: 2 0 00010000 0001 01 1 @corecast/127.0.0.1:6001/7.a\n\
            0: 3 0 00000000 0001 03 2 @corecast/127.0.0.1:6001/7.a\n\
            0: 2 0 00010000 0001 01 3 @corecast/127.0.0.1:60010/8.b\n\
            0: 2 0 00010000 0001 01 4 /corecast/127.0.0.1:6001/9.c\n\
            0: 2 0 00010000 0001 01 5\n\
            garbage\n";
        assert_eq!(names(table, &[address()]), [Name("corecast/127.0.0.1:6001/7.a".to_owned())]);
    }

    #[test]
    fn a_process_finds_and_reaches_what_another_listens_on() {
        let (name, listener) = listen(&address()).unwrap();
        let (second, _kept) = listen(&address()).unwrap();
        let found = find(&[address()], std::slice::from_ref(&second)).unwrap();
        assert!(found.contains(&name) && !found.contains(&second), "{found:?}");
        assert_eq!(name.process(), Some(std::process::id()));
        let (process, _stream) = connect(&name).unwrap().unwrap();
        assert_eq!(process as u32, std::process::id());
        drop(listener);
        assert!(connect(&name).is_err(), "nothing is left behind");
    }

    #[test]
    fn a_path_of_any_length_has_a_name_of_its_own() {
        let unix = |path: &str| ListenAddress::Unix(path.into());
        let long = format!("/run/a name with spaces/{}", "x".repeat(90));
        let (name, _kept) = listen(&unix(&long)).unwrap();
        let found = find(&[unix(&long)], &[]).unwrap();
        assert_eq!(found, [name]);
        assert!(find(&[unix("/run/other")], &[]).unwrap().is_empty());
    }
}
