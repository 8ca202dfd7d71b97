//! Which addresses a webhook may be sent to, and that it is sent to no other.
//!
//! Names are resolved here, and the addresses that were looked at are those that are connected to: a name that changes
//! its mind in between gains nothing. What must never happen here: a second look-up after the check.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Why this address is no place for a webhook, if it is none. `strict` refuses private ones too.
pub(crate) fn refusal(address: IpAddr, strict: bool) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => refusal_v4(address, strict),
        IpAddr::V6(address) => match embedded_v4(address) {
            Some(inner) => refusal_v4(inner, strict),
            None => refusal_v6(address, strict),
        },
    }
}

/// Resolves names to addresses that may be sent to.
#[derive(Debug)]
pub(crate) struct GuardedResolver {
    inner: DefaultResolver,
    strict: bool,
}

impl GuardedResolver {
    pub(crate) fn new(strict: bool) -> Self {
        Self { inner: DefaultResolver::default(), strict }
    }
}

impl Resolver for GuardedResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = match literal(uri) {
            Some(address) => {
                let mut found = self.empty();
                found.push(address);
                found
            }
            None => self.inner.resolve(uri, config, timeout)?,
        };
        let mut allowed = self.empty();
        let mut refused = None;
        for address in found.iter() {
            match refusal(address.ip(), self.strict) {
                Some(reason) => refused = Some(RefusedAddress { address: address.ip(), reason }),
                None => allowed.push(*address),
            }
        }
        match refused {
            Some(refused) if allowed.is_empty() => Err(ureq::Error::Other(Box::new(refused))),
            _ => Ok(allowed),
        }
    }
}

/// The address that a URL names itself.
pub(crate) fn literal(uri: &Uri) -> Option<SocketAddr> {
    let port = uri.port_u16().unwrap_or_else(|| if uri.scheme_str() == Some("https") { 443 } else { 80 });
    let host = uri.host()?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Some(SocketAddr::new(bare.parse().ok()?, port))
}

/// An address to which no webhook goes.
#[derive(Debug)]
pub(crate) struct RefusedAddress {
    pub(crate) address: IpAddr,
    pub(crate) reason: &'static str,
}

impl fmt::Display for RefusedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no webhook is sent to {}: {}", self.address, self.reason)
    }
}

impl std::error::Error for RefusedAddress {}

const PRIVATE: &str = "a private address, and strict_endpoints is set";

fn refusal_v4(address: Ipv4Addr, strict: bool) -> Option<&'static str> {
    let [a, b, c, d] = address.octets();
    match (a, b, c, d) {
        (0, ..) => Some("no address of a host"),
        (169, 254, ..) => Some("a link-local address, where clouds keep credentials"),
        (100, 100, 100, 200) | (192, 0, 0, 192) => Some("a metadata address, where clouds keep credentials"),
        (224..=239, ..) => Some("a multicast address"),
        (255, 255, 255, 255) => Some("a broadcast address"),
        (10, ..) | (127, ..) | (192, 168, ..) if strict => Some(PRIVATE),
        (172, 16..=31, ..) | (100, 64..=127, ..) | (198, 18..=19, ..) if strict => Some(PRIVATE),
        (192, 0, 0, _) | (240..=255, ..) if strict => Some("a reserved address, and strict_endpoints is set"),
        _ => None,
    }
}

fn refusal_v6(address: Ipv6Addr, strict: bool) -> Option<&'static str> {
    const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    let [first, ..] = address.segments();
    match first {
        _ if address.is_unspecified() => Some("no address of a host"),
        0xfe80..=0xfebf => Some("a link-local address"),
        _ if address == METADATA => Some("a metadata address, where clouds keep credentials"),
        0xff00..=0xffff => Some("a multicast address"),
        0xfc00..=0xfdff | 0xfec0..=0xfeff if strict => Some(PRIVATE),
        _ if strict && address.is_loopback() => Some(PRIVATE),
        _ => None,
    }
}

/// The IPv4 address that is reached through this one: mapped, compatible, translated (RFC 6052) or by 6to4.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let of = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0xffff) | (0x64, 0xff9b, 0, 0, 0, 0) => Some(of(g, h)),
        (0, 0, 0, 0, 0, 0) if g != 0 => Some(of(g, h)),
        (0x2002, ..) => Some(of(b, c)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(address: &str, strict: bool) -> bool {
        refusal(address.parse().unwrap(), strict).is_some()
    }

    #[test]
    fn addresses_that_no_webhook_may_reach() {
        for address in [
            "169.254.169.254",
            "169.254.0.1",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "fe80::1",
            "febf::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "192.0.0.192",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
        ] {
            assert!(is_refused(address, false), "{address} is let through");
            assert!(is_refused(address, true), "{address} is let through when strict");
        }
    }

    #[test]
    fn private_addresses_are_refused_only_when_strict() {
        for address in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "198.18.0.1",
            "::1",
            "fd12::1",
            "fc00::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(!is_refused(address, false), "{address} is refused");
            assert!(is_refused(address, true), "{address} is let through when strict");
        }
    }

    #[test]
    fn public_addresses_are_allowed() {
        for address in
            ["1.1.1.1", "172.32.0.1", "192.169.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8"]
        {
            assert!(!is_refused(address, true), "{address} is refused");
        }
    }

    #[test]
    fn addresses_in_urls_are_seen() {
        let of = |text: &str| literal(&text.parse().unwrap()).map(|address| address.to_string());
        assert_eq!(of("http://127.0.0.1:80/x").as_deref(), Some("127.0.0.1:80"));
        assert_eq!(of("https://[fe80::1]/x").as_deref(), Some("[fe80::1]:443"));
        assert_eq!(of("http://localhost/"), None);
    }
}
