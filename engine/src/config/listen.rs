//! The addresses of the file, for clients and back ends.

use std::net::SocketAddr;

use protocol::path_prefix::PathPrefix;

use super::fault::Fault;
use super::section::{Section, Value};
use crate::settings::{Listen, ListenAddress};

/// The addresses beside those with TLS.
pub(super) fn parse_listen<'a>(top: &mut Section<'a>, secure: Vec<Placed<'a>>) -> Result<Listen, Fault> {
    let mut listen = Listen::default();
    let (public, api) = (top.take("listen"), addresses(top.take("api_listen"))?);
    listen.api = api.iter().map(|(address, _)| *address).collect();
    let mut placed: Vec<(ListenAddress, Value<'a>)> = Vec::new();
    if let Some(public) = public {
        if public.is_empty_list() && secure.is_empty() {
            return Err(public.fault(
                "is an empty list: leave the key out, list at least one value, or set listen in [tls]",
            ));
        }
        placed = public.texts_if_any().into_iter().map(public_address).collect::<Result<_, _>>()?;
        listen.public.clear();
        for (address, _) in &placed {
            match address {
                ListenAddress::Tcp(address) => listen.public.push(*address),
                ListenAddress::Unix(path) => listen.unix.push(path.clone()),
            }
        }
    }
    placed.extend(api.into_iter().chain(secure).map(|(address, value)| (address.into(), value)));
    refuse_twins(&placed)?;
    if let Some(value) = top.take("ipv6_only") {
        listen.ipv6_only = value.boolean()?;
    }
    if let Some(value) = top.take("path_prefix") {
        listen.path_prefix = path_prefix(&value)?;
    }
    Ok(listen)
}

fn path_prefix(value: &Value<'_>) -> Result<PathPrefix, Fault> {
    let text = value.text()?;
    let what = "not a path prefix; write \"\", or a path that begins with a slash, such as \"/realtime\"";
    PathPrefix::parse(text).map_err(|_| value.wrong(&format!("{text:?}"), what))
}

/// An address and where it stands.
pub(super) type Placed<'a> = (SocketAddr, Value<'a>);

pub(super) fn addresses(value: Option<Value<'_>>) -> Result<Vec<Placed<'_>>, Fault> {
    value.map_or_else(|| Ok(Vec::new()), Value::texts)?.into_iter().map(address).collect()
}

fn address(value: Value<'_>) -> Result<Placed<'_>, Fault> {
    let text = value.text()?;
    match text.parse() {
        Ok(address) => Ok((address, value)),
        Err(_) => {
            let why =
                format!("not an address; write IP:PORT, such as {:?} or {:?}", "0.0.0.0:6001", "[::]:6001");
            Err(value.wrong(&format!("{text:?}"), &why))
        }
    }
}

/// One of `listen`, which may be a path of the file system.
fn public_address(value: Value<'_>) -> Result<(ListenAddress, Value<'_>), Fault> {
    let text = value.text()?;
    match text.parse() {
        Ok(address) => Ok((address, value)),
        Err(_) => {
            let why = format!(
                "not an address; write IP:PORT, such as {:?} or {:?}, or unix:PATH",
                "0.0.0.0:6001", "[::]:6001"
            );
            Err(value.wrong(&format!("{text:?}"), &why))
        }
    }
}

/// An address may be given once. Port 0 is a different port each time.
fn refuse_twins(placed: &[(ListenAddress, Value<'_>)]) -> Result<(), Fault> {
    let mut seen: Vec<&ListenAddress> = Vec::new();
    for (address, value) in placed {
        let is_any = matches!(address, ListenAddress::Tcp(address) if address.port() == 0);
        if !is_any && seen.contains(&address) {
            return Err(value.wrong(&format!("{:?}", address.to_string()), "listed twice"));
        }
        seen.push(address);
    }
    Ok(())
}
