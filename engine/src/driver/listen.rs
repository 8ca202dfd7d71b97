//! Listeners: how a port is taken, and how it is given up.
//!
//! Owns the socket options of all listeners, which their connections inherit. With SO_REUSEPORT a second server would
//! bind silently beside the first, so an exclusive probe bind comes first. What must never happen here: shutdown() of a
//! listener, which resets every client in its queue. Called by the server before the cores start, and by accept.rs.

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use protocol::address::Address;
use rustix::net::SocketFlags;
use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};

use super::limits::{
    BACKLOG_MAX, NOTSENT_LOWAT_BYTES, PROBE_PATIENCE, SILENCE_S_MAX, UNWANTED_PATIENCE, USER_TIMEOUT,
};
use super::ring;

/// Why a port could not be taken.
#[derive(Debug)]
pub struct ListenError {
    /// The address that was asked for, or the path behind `unix:`.
    pub address: String,
    /// The option that asked for it.
    pub option: &'static str,
    /// What the kernel said.
    pub error: io::Error,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, option, error } = self;
        let is_port = !address.starts_with("unix:");
        match error.kind() {
            io::ErrorKind::AddrInUse if !is_port => {
                write!(
                    f,
                    "socket taken: another process listens on {address}; stop it, or choose another {option}"
                )
            }
            io::ErrorKind::AddrInUse => {
                write!(
                    f,
                    "port taken: another process listens on {address}; stop it, or choose another {option}"
                )
            }
            io::ErrorKind::PermissionDenied if is_port => write!(
                f,
                "cannot listen on {address}: ports below 1024 need root, CAP_NET_BIND_SERVICE or a smaller \
                 net.ipv4.ip_unprivileged_port_start"
            ),
            io::ErrorKind::AddrNotAvailable if is_port => {
                write!(f, "cannot listen on {address}: no network interface has that address")
            }
            _ => write!(f, "cannot listen on {address}: {error}"),
        }
    }
}

impl std::error::Error for ListenError {}

/// Where to listen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The address.
    pub address: SocketAddr,
    /// `[::]` is every address of this machine, IPv4 included, unless this holds.
    pub ipv6_only: bool,
}

impl From<SocketAddr> for Place {
    fn from(address: SocketAddr) -> Self {
        Self { address, ipv6_only: false }
    }
}

impl Place {
    /// One of the places of a server that listens at `all` of these addresses. Where one of them is an IPv4 address with the
    /// same port, `[::]` leaves IPv4 to it.
    pub fn among(address: SocketAddr, all: &[SocketAddr], ipv6_only: bool) -> Self {
        let shares_port = |other: &SocketAddr| other.is_ipv4() && other.port() == address.port();
        let taken = address.port() != 0 && all.iter().any(shares_port);
        Self { address, ipv6_only: ipv6_only || taken }
    }
}

/// Makes `count` listeners on one address, one for each core that accepts there. With port 0 they share a port that
/// the kernel chooses. `takeover` skips the probe, so that a successor may join while its predecessor drains.
pub fn listen(place: impl Into<Place>, count: usize, takeover: bool) -> Result<Vec<OwnedFd>, ListenError> {
    let place = place.into();
    let patience = (!takeover).then_some(PROBE_PATIENCE);
    listen_within(place, count, patience).map_err(|error| ListenError {
        address: place.address.to_string(),
        option: "--listen",
        error,
    })
}

/// Makes the listener of the operator's tools. One that nobody has asked for may not delay the start.
pub fn listen_for_tools(place: Place, wanted: bool, takeover: bool) -> Result<OwnedFd, ListenError> {
    let patience = if wanted { PROBE_PATIENCE } else { UNWANTED_PATIENCE };
    let made = listen_within(place, 1, (!takeover).then_some(patience)).map(|mut one| one.remove(0));
    made.map_err(|error| ListenError { address: place.address.to_string(), option: "--admin", error })
}

fn listen_within(place: Place, count: usize, probe_patience: Option<Duration>) -> io::Result<Vec<OwnedFd>> {
    if let Some(patience) = probe_patience.filter(|_| place.address.port() != 0) {
        probe(place, patience)?;
    }
    let mut listeners = Vec::with_capacity(count);
    let mut bound = place;
    for _ in 0..count {
        let listener = bind(bound)?;
        bound.address = local_address(&listener)?;
        listeners.push(listener);
    }
    Ok(listeners)
}

/// True when another process listens on this address.
pub fn is_taken(place: Place) -> bool {
    let is_in_use = |error: io::Error| error.kind() == io::ErrorKind::AddrInUse;
    place.address.port() != 0 && try_place(place).is_err_and(is_in_use)
}

/// Whether a server could listen there, found out without listening.
pub fn try_place(place: Place) -> io::Result<()> {
    probe(place, UNWANTED_PATIENCE)
}

/// Where a listener listens.
pub fn local_address(listener: &OwnedFd) -> io::Result<SocketAddr> {
    let address = SockRef::from(listener).local_addr()?;
    address.as_socket().ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))
}

/// The path of a listener; None: it has an address.
pub fn local_path(listener: &OwnedFd) -> Option<PathBuf> {
    let address = SockRef::from(listener).local_addr().ok()?;
    address.as_pathname().map(Path::to_owned)
}

/// Where a listener on this address is reached from this machine.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

/// Accepts one connection without waiting; with the address of its peer, if the peer has one.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<(OwnedFd, Option<Address>)> {
    let (socket, peer) = rustix::net::acceptfrom_with(listener, SocketFlags::CLOEXEC)?;
    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
    Ok((socket, peer.map(Address::from)))
}

/// Keeps newcomers out, while those in the queue can still be accepted: drops every bare SYN that reaches this listener,
/// so the caller's retransmission finds a successor.
pub fn turn_newcomers_away(listener: &OwnedFd) -> io::Result<()> {
    const FLAGS_BYTE: u32 = 13;
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    let filter = [
        SockFilter::new((libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16, 0, 0, FLAGS_BYTE),
        SockFilter::new((libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16, 0, 0, SYN | ACK),
        SockFilter::new((libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, 0, 1, SYN),
        SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, 0),
        SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, u32::MAX),
    ];
    SockRef::from(listener).attach_filter(&filter)
}

/// Binds the address for a moment without SO_REUSEPORT. With SO_REUSEADDR alone this neither trips over the TIME_WAITs
/// of our own closes nor misses a live server. io_uring keeps a dead process' port for some 50 ms, hence the patience.
fn probe(place: Place, patience: Duration) -> io::Result<()> {
    let give_up = Instant::now() + patience;
    loop {
        match bind_exclusively(place) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < give_up => {
                thread::sleep(Duration::from_millis(10));
            }
            result => return result,
        }
    }
}

fn bind_exclusively(place: Place) -> io::Result<()> {
    let socket = stream_socket(place)?;
    socket.set_reuse_address(true)?;
    socket.bind(&place.address.into())
}

/// Gives a listener that this process was started with the options of its own.
pub fn adopt(listener: OwnedFd) -> io::Result<OwnedFd> {
    let socket = Socket::from(listener);
    if socket.r#type()? != Type::STREAM || !socket.is_listener()? {
        return Err(not_ours());
    }
    let address = socket.local_addr()?;
    match (address.as_socket(), address.as_pathname()) {
        (Some(_), _) => set_options(&socket)?,
        (None, Some(_)) => socket.set_nonblocking(true)?,
        (None, None) => return Err(not_ours()),
    }
    Ok(socket.into())
}

fn not_ours() -> io::Error {
    let what =
        "not a listening stream socket with an address or a path (in its unit: ListenStream=, Accept=no)";
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

/// The options that connections inherit.
fn set_options(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(NOTSENT_LOWAT_BYTES)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    socket.set_nonblocking(true)?;
    ring::defer_accept(socket.as_fd(), SILENCE_S_MAX)
}

fn bind(place: Place) -> io::Result<OwnedFd> {
    let socket = stream_socket(place)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    set_options(&socket)?;
    socket.bind(&place.address.into())?;
    socket.listen(backlog())?;
    Ok(socket.into())
}

fn stream_socket(place: Place) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(place.address), Type::STREAM, Some(Protocol::TCP))?;
    if place.address.is_ipv6() {
        // Whatever net.ipv6.bindv6only says.
        socket.set_only_v6(place.ipv6_only)?;
    }
    Ok(socket)
}

pub(super) fn backlog() -> i32 {
    let somaxconn = fs::read_to_string("/proc/sys/net/core/somaxconn");
    somaxconn
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .map_or(BACKLOG_MAX, |most: i32| most.min(BACKLOG_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback() -> SocketAddr {
        ([127, 0, 0, 1], 0).into()
    }

    #[test]
    fn listeners_of_one_address_share_its_port() {
        let listeners = listen(loopback(), 3, false).unwrap();
        let ports: Vec<u16> =
            listeners.iter().map(|listener| local_address(listener).unwrap().port()).collect();
        assert!(ports[0] != 0 && ports.iter().all(|port| *port == ports[0]));
    }

    #[test]
    fn a_second_server_finds_the_port_taken_unless_it_takes_over() {
        let first = listen(loopback(), 1, false).unwrap();
        let address = local_address(&first[0]).unwrap();
        let refused = listen(address, 1, false).unwrap_err().to_string();
        assert!(refused.starts_with("port taken") && !refused.contains('\n'), "{refused}");
        assert!(listen(address, 1, true).is_ok());
    }

    #[test]
    fn connections_inherit_the_options_of_their_listener() {
        let listeners = listen(loopback(), 1, false).unwrap();
        let mut near = std::net::TcpStream::connect(local_address(&listeners[0]).unwrap()).unwrap();
        let silent = accept(listeners[0].as_fd()).unwrap_err();
        assert_eq!(silent.kind(), io::ErrorKind::WouldBlock);
        io::Write::write_all(&mut near, b"x").unwrap();
        let (far, peer) = accept(listeners[0].as_fd()).unwrap();
        assert_eq!(peer, Some(near.local_addr().unwrap().into()));
        let far = SockRef::from(&far);
        assert!(far.tcp_nodelay().unwrap());
        assert_eq!(far.tcp_notsent_lowat().unwrap(), NOTSENT_LOWAT_BYTES);
        assert_eq!(far.tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
    }

    /// Whether a client that connects over IPv4 and says a byte is accepted.
    fn is_reached_over_ipv4(listener: &OwnedFd) -> bool {
        let port = local_address(listener).unwrap().port();
        let Ok(mut near) = std::net::TcpStream::connect(("127.0.0.1", port)) else { return false };
        io::Write::write_all(&mut near, b"x").unwrap();
        accept(listener.as_fd()).is_ok()
    }

    #[test]
    fn every_address_of_ipv6_is_every_address_unless_it_is_of_ipv6_only() {
        let any: SocketAddr = "[::]:0".parse().unwrap();
        let both = listen(any, 1, false).unwrap();
        assert!(is_reached_over_ipv4(&both[0]));
        let one = listen(Place { address: any, ipv6_only: true }, 1, false).unwrap();
        assert!(!is_reached_over_ipv4(&one[0]));
    }

    #[test]
    fn every_address_of_both_families_may_share_a_port() {
        let four = listen(SocketAddr::from(([0, 0, 0, 0], 0)), 2, false).unwrap();
        let port = local_address(&four[0]).unwrap().port();
        let all = [SocketAddr::from(([0, 0, 0, 0], port)), format!("[::]:{port}").parse().unwrap()];
        let six = listen(Place::among(all[1], &all, false), 2, false).unwrap();
        assert!(local_address(&six[0]).unwrap().is_ipv6());
        // Alone it would want IPv4 as well, which is taken.
        let refused = listen(Place::among(all[1], &all[1..], false), 1, false).unwrap_err();
        assert_eq!(refused.error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn an_address_of_another_machine_is_named_as_such() {
        let refused = listen(SocketAddr::from(([192, 0, 2, 1], 6001)), 1, false).unwrap_err().to_string();
        assert!(refused.contains("no network interface"), "{refused}");
    }
}
