//! The ports of a server: which listener each core gets, and where successors and the operator's tools connect.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use super::error::StartError;
use crate::driver::accept::Entrance;
use crate::driver::allowed;
use crate::driver::listen::{ListenError, Place, is_taken, listen, listen_for_tools, local_address};
use crate::driver::steering::steer_by_cpu;
use crate::driver::transport::TransportKind;
use crate::settings::{AdminAddress, Settings, Steering};
use crate::takeover::address::{self, Name};
use crate::tls::ServerTls;
use machines::cores::{CoreId, Cores, PerCore};
use machines::machine::Door;

/// What was taken of the machine's ports.
pub(super) struct Ports {
    pub(super) addresses: Vec<SocketAddr>,
    /// Those with TLS.
    pub(super) secure: Vec<SocketAddr>,
    pub(super) admin: Option<Result<SocketAddr, ListenError>>,
    /// Of each core that turns.
    pub(super) entrances: PerCore<Vec<Entrance>>,
    /// Where successors ask.
    pub(super) names: Vec<Name>,
    /// Addresses that another process has as well.
    pub(super) shared: Vec<SocketAddr>,
}

/// Takes all ports that the settings name, and with `share` the sockets where successors ask.
pub(super) fn take_ports(
    settings: &Settings,
    tls: Option<&ServerTls>,
    share: bool,
) -> Result<Ports, StartError> {
    let wanted = Wanted::new(settings);
    let mut ports = Ports {
        addresses: Vec::new(),
        secure: Vec::new(),
        admin: None,
        entrances: PerCore::of_turning(wanted.cores, |_| Vec::new()),
        names: Vec::new(),
        shared: wanted.shared(),
    };
    let shards: Vec<_> = wanted.cores.each_shard().collect();
    for address in &settings.listen.public {
        let taken = ports.take(&wanted, *address, &shards, &TransportKind::Plain)?;
        ports.addresses.push(taken);
    }
    for address in &settings.listen.api {
        let taken = ports.take(&wanted, *address, &[CoreId::Api], &TransportKind::Plain)?;
        ports.addresses.push(taken);
    }
    if let Some(tls) = tls {
        let transport = TransportKind::Tls(tls.setup());
        for address in &settings.tls.listen {
            let taken = ports.take(&wanted, *address, &shards, &transport)?;
            ports.secure.push(taken);
        }
    }
    ports.take_admin(&wanted)?;
    if share {
        ports.take_names();
    }
    Ok(ports)
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
        let entrances = listeners.into_iter().map(|listener| Entrance {
            listener,
            door: Door::Public,
            transport: transport.clone(),
        });
        cores.iter().zip(entrances).for_each(|(core, entrance)| self.entrances[*core].push(entrance));
        Ok(taken)
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
        for address in self.addresses.iter().chain(&self.secure) {
            match address::listen(*address) {
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
    Entrance { listener, door, transport: TransportKind::Plain }
}

/// The ports that the settings ask for.
struct Wanted<'a> {
    settings: &'a Settings,
    cores: Cores,
    takeover: bool,
    /// The addresses of all cores.
    all: Vec<SocketAddr>,
}

impl<'a> Wanted<'a> {
    fn new(settings: &'a Settings) -> Self {
        let listen = &settings.listen;
        let all = listen.public.iter().chain(&listen.api).chain(&settings.tls.listen).copied();
        let all = all.chain(settings.admin.address.address());
        Self {
            settings,
            cores: Cores::new(settings.shards.count.get()),
            takeover: settings.ending.takeover,
            all: all.collect(),
        }
    }

    fn place(&self, address: SocketAddr) -> Place {
        Place::among(address, &self.all, self.settings.listen.ipv6_only)
    }

    /// Public addresses that a running server has, which this one joins.
    fn shared(&self) -> Vec<SocketAddr> {
        let public = self.settings.listen.public.iter().chain(&self.settings.tls.listen).copied();
        public.filter(|address| self.takeover && is_taken(self.place(*address))).collect()
    }
}
