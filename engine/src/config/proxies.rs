//! The proxies of the file.

use protocol::http::TrustedProxies;

use super::fault::Fault;
use super::section::{Section, Value};
use crate::settings::{Listen, ListenAddress, Proxies, Tls};

/// Proxies that come by a Unix socket.
const UNIX: &str = "unix";

const NETWORK_WANTED: &str = "not a network; write ADDRESS/BITS, such as \"10.0.0.0/8\", or one address, such as \"127.0.0.1\", or \"unix\"";

pub(super) fn parse_proxies(top: &mut Section<'_>, listen: &Listen, tls: &Tls) -> Result<Proxies, Fault> {
    let mut proxies = Proxies::default();
    if let Some(value) = top.take("trusted_proxies") {
        let (unix, networks): (Vec<_>, Vec<_>) =
            value.texts()?.into_iter().partition(|value| value.text().is_ok_and(|text| text == UNIX));
        let networks = networks.into_iter().map(|value| {
            let text = value.text()?;
            TrustedProxies::parse_network(text)
                .ok_or_else(|| value.wrong(&format!("{text:?}"), NETWORK_WANTED))
        });
        proxies.trusted = networks.collect::<Result<_, Fault>>()?;
        if !unix.is_empty() {
            proxies.trusted = proxies.trusted.with_unix_peers();
        }
    }
    if let Some(value) = top.take("proxy_protocol") {
        let tcp = [&listen.public, &listen.api, &tls.listen].into_iter().flatten().copied().map(Into::into);
        let unix = listen.unix.iter().cloned().map(ListenAddress::Unix);
        let listeners: Vec<ListenAddress> = tcp.chain(unix).collect();
        let addresses = value.texts()?.into_iter().map(|value| introduced(&value, &listeners));
        proxies.introduced = addresses.collect::<Result<_, Fault>>()?;
    }
    Ok(proxies)
}

/// A listener that stands elsewhere too.
fn introduced(value: &Value<'_>, listeners: &[ListenAddress]) -> Result<ListenAddress, Fault> {
    let text = value.text()?;
    let address = text.parse::<ListenAddress>().ok().filter(|address| listeners.contains(address));
    let what =
        "not an address of a listener; write one that also stands in listen, api_listen or [tls] listen";
    address.ok_or_else(|| value.wrong(&format!("{text:?}"), what))
}
