//! The ports of a server: which listener each core gets, and where successors and the operator's tools connect.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::error::StartError;
use super::inherited::Inherited;
use crate::driver::accept::Entrance;
use crate::driver::allowed;
use crate::driver::introduction::{Introduction, Oneself};
use crate::driver::listen::{
    ListenError, Place, is_taken, listen, listen_for_tools, local_address, local_path,
};
use crate::driver::socket_file::{SocketFile, is_served, listen_at};
use crate::driver::steering::steer_by_cpu;
use crate::driver::transport::TransportKind;
use crate::settings::{AdminAddress, ListenAddress, Settings, Steering};
use crate::takeover::address::{self, Name};
use crate::tls::ServerTls;
use machines::cores::{CoreId, Cores, PerCore};
use machines::machine::Door;

/// What was taken of the machine's ports.
pub(super) struct Ports {
    pub(super) addresses: Vec<SocketAddr>,
    /// Those with TLS.
    pub(super) secure: Vec<SocketAddr>,
    /// Those of the file system.
    pub(super) files: Vec<SocketFile>,
    pub(super) admin: Option<Result<SocketAddr, ListenError>>,
    /// Those where each connection must begin with a PROXY header.
    pub(super) introduced: Vec<SocketAddr>,
    /// From where this process asks itself there.
    pub(super) oneself: Oneself,
    /// Of each core that turns.
    pub(super) entrances: PerCore<Vec<Entrance>>,
    /// Where successors ask.
    pub(super) names: Vec<Name>,
    /// Addresses that another process has as well.
    pub(super) shared: Vec<ListenAddress>,
    /// The public listeners were passed on by a supervisor, and outlive this process.
    pub(super) queues_stay: bool,
}

/// Takes all ports that the settings name, and with `share` the sockets where successors ask.
pub(super) fn take_ports(
    settings: &Settings,
    tls: Option<&ServerTls>,
    share: bool,
) -> Result<Ports, StartError> {
    let mut inherited = Inherited::take().map_err(StartError::Inherited)?;
    let wanted = Wanted::new(settings, &inherited);
    let mut ports = Ports {
        addresses: Vec::new(),
        secure: Vec::new(),
        files: Vec::new(),
        introduced: Vec::new(),
        oneself: Oneself::default(),
        admin: None,
        entrances: PerCore::of_turning(wanted.cores, |_| Vec::new()),
        names: Vec::new(),
        shared: wanted.shared(),
        queues_stay: !inherited.public.is_empty() || !inherited.tls.is_empty(),
    };
    let shards: Vec<_> = wanted.cores.each_shard().collect();
    let plain = TransportKind::Plain;
    for address in wanted.public {
        let taken = ports.take(&wanted, *address, &shards, &plain)?;
        ports.addresses.push(taken);
    }
    for listener in &inherited.public {
        if let Some(path) = local_path(listener) {
            ports.adopt_path(&wanted, listener, path)?;
        } else {
            let taken = ports.adopt(&wanted, listener, &shards, &plain)?;
            ports.addresses.push(taken);
        }
    }
    for path in wanted.unix {
        ports.take_path(&wanted, path)?;
    }
    for address in wanted.api {
        let taken = ports.take(&wanted, *address, &[CoreId::Api], &plain)?;
        ports.addresses.push(taken);
    }
    for listener in &inherited.api {
        let taken = ports.adopt(&wanted, listener, &[CoreId::Api], &plain)?;
        ports.addresses.push(taken);
    }
    if tls.is_some() == (wanted.tls.is_empty() && inherited.tls.is_empty()) {
        return Err(StartError::Inherited(half_of_tls(tls.is_some())));
    }
    if let Some(tls) = tls {
        let transport = TransportKind::Tls(tls.setup());
        for address in wanted.tls {
            let taken = ports.take(&wanted, *address, &shards, &transport)?;
            ports.secure.push(taken);
        }
        for listener in &inherited.tls {
            let taken = ports.adopt(&wanted, listener, &shards, &transport)?;
            ports.secure.push(taken);
        }
    }
    match inherited.admin.take() {
        Some(listener) => ports.adopt_admin(listener)?,
        None => ports.take_admin(&wanted)?,
    }
    if share {
        ports.take_names();
    }
    Ok(ports)
}

/// A certificate is of no use without an address, nor the other way round.
fn half_of_tls(has_certificate: bool) -> io::Error {
    let what = if has_certificate {
        "LISTEN_FDNAMES has tls, but no such socket was passed on: set listen in [tls]"
    } else {
        "LISTEN_FDNAMES has tls, and there is no certificate: set cert and key in [tls]"
    };
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

impl Ports {
    /// Takes a port for these cores, a listener each.
    fn take(
        &mut self,
        wanted: &Wanted<'_>,
        address: SocketAddr,
        cores: &[CoreId],
        transport: &TransportKind,
    ) -> Result<SocketAddr, StartError> {
        let listeners =
            listen(wanted.place(address), cores.len(), wanted.takeover).map_err(StartError::Listen)?;
        if wanted.settings.shards.accept_steering == Steering::Cpu && cores.len() > 1 {
            let cpus = allowed::cpus();
            steer_by_cpu(&listeners, &cpus, wanted.takeover).map_err(StartError::Steering)?;
        }
        let taken = local_address(&listeners[0]).map_err(StartError::System)?;
        let introduction = self.introduction(wanted, address, taken);
        let entrances = listeners.into_iter().map(|listener| Entrance {
            transport: transport.clone(),
            introduction: introduction.clone(),
            ..entrance(Door::Public, listener)
        });
        cores.iter().zip(entrances).for_each(|(core, entrance)| self.entrances[*core].push(entrance));
        Ok(taken)
    }

    /// Whether connections must begin with a PROXY header at this address, which is `taken` now.
    fn introduction(&mut self, wanted: &Wanted<'_>, address: SocketAddr, taken: SocketAddr) -> Introduction {
        let introduction = self.introduction_at(wanted, &address.into());
        if let Introduction::By(..) = introduction {
            self.introduced.push(taken);
        }
        introduction
    }

    fn introduction_at(&self, wanted: &Wanted<'_>, address: &ListenAddress) -> Introduction {
        let proxies = &wanted.settings.proxies;
        match proxies.introduced.contains(address) {
            true => Introduction::By(proxies.trusted.clone(), self.oneself.clone()),
            false => Introduction::None,
        }
    }

    /// Takes a path for the API core, which spreads clients over the shards: a path has one listener.
    fn take_path(&mut self, wanted: &Wanted<'_>, path: &Path) -> Result<(), StartError> {
        let address = ListenAddress::Unix(path.to_owned());
        let (listener, file) = listen_at(path, wanted.takeover).map_err(|error| {
            let address = address.to_string();
            StartError::Listen(ListenError { address, option: "--listen", error })
        })?;
        let introduction = self.introduction_at(wanted, &address);
        self.entrances[CoreId::Api].push(Entrance { introduction, ..entrance(Door::Public, listener) });
        self.files.push(file);
        Ok(())
    }

    /// Where clients and back ends connect.
    pub(super) fn all(&self) -> Vec<ListenAddress> {
        let tcp = self.addresses.iter().chain(&self.secure).copied().map(ListenAddress::Tcp);
        tcp.chain(self.files.iter().map(|file| ListenAddress::Unix(file.path().to_owned()))).collect()
    }

    /// All these cores accept from one listener.
    fn adopt(
        &mut self,
        wanted: &Wanted<'_>,
        listener: &OwnedFd,
        cores: &[CoreId],
        transport: &TransportKind,
    ) -> Result<SocketAddr, StartError> {
        let taken = local_address(listener).map_err(StartError::System)?;
        let introduction = self.introduction(wanted, taken, taken);
        for core in cores {
            let listener = listener.try_clone().map_err(StartError::System)?;
            self.entrances[*core].push(Entrance {
                transport: transport.clone(),
                introduction: introduction.clone(),
                inherited: true,
                ..entrance(Door::Public, listener)
            });
        }
        Ok(taken)
    }

    /// The same as for a path that is taken.
    fn adopt_path(
        &mut self,
        wanted: &Wanted<'_>,
        listener: &OwnedFd,
        path: PathBuf,
    ) -> Result<(), StartError> {
        let introduction = self.introduction_at(wanted, &ListenAddress::Unix(path.clone()));
        let listener = listener.try_clone().map_err(StartError::System)?;
        let plain = entrance(Door::Public, listener);
        self.entrances[CoreId::Api].push(Entrance { introduction, inherited: true, ..plain });
        self.files.push(SocketFile::passed_on(path));
        Ok(())
    }

    fn adopt_admin(&mut self, listener: OwnedFd) -> Result<(), StartError> {
        self.admin = Some(Ok(local_address(&listener).map_err(StartError::System)?));
        self.entrances[CoreId::Api].push(Entrance { inherited: true, ..entrance(Door::Admin, listener) });
        Ok(())
    }

    fn take_admin(&mut self, wanted: &Wanted<'_>) -> Result<(), StartError> {
        let admin = wanted.settings.admin.address;
        let Some(address) = admin.address() else { return Ok(()) };
        let is_named = matches!(admin, AdminAddress::At(_));
        self.admin = match listen_for_tools(wanted.place(address), is_named, wanted.takeover) {
            Ok(listener) => {
                let address = local_address(&listener).map_err(StartError::System)?;
                self.entrances[CoreId::Api].push(entrance(Door::Admin, listener));
                Some(Ok(address))
            }
            Err(error) if is_named => return Err(StartError::Listen(error)),
            Err(error) => Some(Err(error)),
        };
        Ok(())
    }

    fn take_names(&mut self) {
        for address in self.all() {
            match address::listen(&address) {
                Ok((name, socket)) => {
                    self.names.push(name);
                    self.entrances[CoreId::Api].push(entrance(Door::Successor, socket));
                }
                Err(error) => {
                    logging::say!("takeover: successors cannot reach this process on {address}: {error}");
                }
            }
        }
    }
}

fn entrance(door: Door, listener: OwnedFd) -> Entrance {
    Entrance {
        listener,
        door,
        transport: TransportKind::Plain,
        inherited: false,
        introduction: Introduction::None,
    }
}

/// The ports that the settings ask for, without those that a supervisor has replaced.
struct Wanted<'a> {
    settings: &'a Settings,
    public: &'a [SocketAddr],
    api: &'a [SocketAddr],
    tls: &'a [SocketAddr],
    unix: &'a [PathBuf],
    cores: Cores,
    takeover: bool,
    /// The addresses of all cores.
    all: Vec<SocketAddr>,
}

impl<'a> Wanted<'a> {
    fn new(settings: &'a Settings, inherited: &Inherited) -> Self {
        let public = unless_replaced(&settings.listen.public, &inherited.public);
        let api = unless_replaced(&settings.listen.api, &inherited.api);
        let tls = unless_replaced(&settings.tls.listen, &inherited.tls);
        let unix = unless_replaced(&settings.listen.unix, &inherited.public);
        let all = public.iter().chain(api).chain(tls).copied();
        let all = all.chain(settings.admin.address.address());
        Self {
            settings,
            public,
            api,
            tls,
            unix,
            cores: Cores::new(settings.shards.count.get()),
            takeover: settings.ending.takeover,
            all: all.collect(),
        }
    }

    fn place(&self, address: SocketAddr) -> Place {
        Place::among(address, &self.all, self.settings.listen.ipv6_only)
    }

    /// Public addresses that a running server has, which this one joins.
    fn shared(&self) -> Vec<ListenAddress> {
        if !self.takeover {
            return Vec::new();
        }
        let public = self.public.iter().chain(self.tls).copied();
        let public = public.filter(|address| is_taken(self.place(*address))).map(ListenAddress::Tcp);
        let unix = self.unix.iter().filter(|path| is_served(path)).cloned().map(ListenAddress::Unix);
        public.chain(unix).collect()
    }
}

fn unless_replaced<'a, T>(addresses: &'a [T], inherited: &[OwnedFd]) -> &'a [T] {
    if inherited.is_empty() { addresses } else { &[] }
}
