//! The proxies of the file.

use protocol::http::TrustedProxies;

use super::fault::Fault;
use super::section::Section;
use crate::settings::Proxies;

const NETWORK_WANTED: &str =
    "not a network; write ADDRESS/BITS, such as \"10.0.0.0/8\", or one address, such as \"127.0.0.1\"";

pub(super) fn parse_proxies(top: &mut Section<'_>) -> Result<Proxies, Fault> {
    let mut proxies = Proxies::default();
    if let Some(value) = top.take("trusted_proxies") {
        let networks = value.texts()?.into_iter().map(|value| {
            let text = value.text()?;
            TrustedProxies::parse_network(text)
                .ok_or_else(|| value.wrong(&format!("{text:?}"), NETWORK_WANTED))
        });
        proxies.trusted = networks.collect::<Result<_, Fault>>()?;
    }
    Ok(proxies)
}
