//! The ports of a server: which listener each core gets, and where successors and the operator's tools connect.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use super::{AdminPlan, Plan, StartError};
use crate::driver::accept::Entrance;
use crate::driver::listen::{ListenError, Place, is_taken, listen, listen_for_tools, local_address};
use crate::driver::ring;
use crate::driver::steering::steer_by_cpu;
use crate::driver::transport::TransportKind;
use crate::takeover::address::{self, Name};
use machines::machine::Door;

/// What was taken of the machine's ports.
pub(super) struct Ports {
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) admin: Option<Result<SocketAddr, ListenError>>,
    /// By core.
    pub(super) entrances: Vec<Vec<Entrance>>,
    /// Where successors ask.
    pub(super) names: Vec<Name>,
    /// Addresses that another process has as well.
    pub(super) shared: Vec<SocketAddr>,
}

/// Takes all ports that the plan names.
pub(super) fn take_ports(plan: &Plan) -> Result<Ports, StartError> {
    let mut of_cores: Vec<Vec<Entrance>> = (0..=plan.shards).map(|_| Vec::new()).collect();
    let mut addresses = Vec::new();
    let all = plan.addresses();
    let shared = plan
        .listen
        .iter()
        .copied()
        .filter(|address| plan.takeover && is_taken(Place::among(*address, &all, plan.ipv6_only)));
    let shared = shared.collect();
    let shards = 0..plan.shards;
    let wanted = plan.listen.iter().map(|address| (*address, shards.clone()));
    let api = plan.api_listen.iter().map(|address| (*address, plan.shards..plan.shards + 1));
    for (address, cores) in wanted.chain(api) {
        let place = Place::among(address, &all, plan.ipv6_only);
        let listeners = listen(place, cores.len(), plan.takeover).map_err(StartError::Listen)?;
        if plan.steer_by_cpu && cores.len() > 1 {
            let cpus = ring::allowed_cpus();
            steer_by_cpu(&listeners, &cpus, plan.takeover).map_err(StartError::Steering)?;
        }
        addresses.push(local_address(&listeners[0]).map_err(StartError::System)?);
        let doors = listeners.into_iter().map(|listener| entrance(Door::Public, listener));
        cores.zip(doors).for_each(|(core, entrance)| of_cores[core].push(entrance));
    }
    let take_admin_port = |admin: AdminPlan| {
        take_admin_port(admin, Place::among(admin.address, &all, plan.ipv6_only), plan.takeover)
    };
    let admin = plan.admin.map(take_admin_port).transpose()?;
    let admin = admin.map(|taken| {
        taken.map(|(address, listener)| {
            of_cores[plan.shards].push(entrance(Door::Admin, listener));
            address
        })
    });
    let mut names = Vec::new();
    if plan.share.is_some() {
        for address in &addresses {
            match address::listen(*address) {
                Ok((name, socket)) => {
                    names.push(name);
                    of_cores[plan.shards].push(entrance(Door::Successor, socket));
                }
                Err(error) => logging::say!("takeover: successors cannot ask on {address}: {error}"),
            }
        }
    }
    Ok(Ports { addresses, admin, entrances: of_cores, names, shared })
}

fn entrance(door: Door, listener: OwnedFd) -> Entrance {
    Entrance { listener, door, transport: TransportKind::Plain }
}

/// The inner error is of a port that was not asked for.
fn take_admin_port(
    plan: AdminPlan,
    place: Place,
    takeover: bool,
) -> Result<Result<(SocketAddr, OwnedFd), ListenError>, StartError> {
    match listen_for_tools(place, plan.wanted, takeover) {
        Ok(listener) => Ok(Ok((local_address(&listener).map_err(StartError::System)?, listener))),
        Err(error) if plan.wanted => Err(StartError::Listen(error)),
        Err(error) => Ok(Err(error)),
    }
}
