//! The addresses of the file, for clients and back ends.

use std::net::SocketAddr;

use protocol::path_prefix::PathPrefix;

use super::fault::Fault;
use super::section::{Section, Value};
use crate::settings::Listen;

pub(super) fn parse_listen(top: &mut Section<'_>) -> Result<Listen, Fault> {
    let mut listen = Listen::default();
    let mut placed = addresses(top.take("listen"))?;
    let public = placed.len();
    placed.extend(addresses(top.take("api_listen"))?);
    refuse_twins(&placed)?;
    let mut all = placed.into_iter().map(|(address, _)| address);
    if public > 0 {
        listen.public = all.by_ref().take(public).collect();
    }
    listen.api = all.collect();
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
type Placed<'a> = (SocketAddr, Value<'a>);

fn addresses(value: Option<Value<'_>>) -> Result<Vec<Placed<'_>>, Fault> {
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

/// An address may be given once. Port 0 is a different port each time.
fn refuse_twins(placed: &[Placed<'_>]) -> Result<(), Fault> {
    let mut seen: Vec<SocketAddr> = Vec::new();
    for (address, value) in placed {
        if address.port() != 0 && seen.contains(address) {
            return Err(value.wrong(&format!("{:?}", address.to_string()), "listed twice"));
        }
        seen.push(*address);
    }
    Ok(())
}
