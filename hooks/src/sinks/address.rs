//! Which addresses a webhook may be sent to, and that it is sent to no other.
//!
//! Names are resolved here, and the addresses that were looked at are those that are connected to: a name that changes
//! its mind in between gains nothing. What must never happen here: a second look-up after the check.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{NextTimeout, time};

/// Why this address is no place for a webhook, if it is none. `strict` refuses private ones too.
pub(crate) fn refusal(address: IpAddr, strict: bool) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => refusal_v4(address, strict),
        IpAddr::V6(address) => {
            let inner = embedded_v4(address).into_iter().flatten();
            let refused = inner.map(|address| refusal_v4(address, strict)).find(Option::is_some);
            refused.unwrap_or_else(|| refusal_v6(address, strict))
        }
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
            None => self.inner.resolve(uri, config, on_this_thread(timeout))?,
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

/// With a limit of time the resolver would start a thread per look-up, and panic where the process may have no more. The
/// thread of a sink waits for nobody else: a look-up may take as long as the system lets it, and the delivery is out of time
/// after that.
fn on_this_thread(timeout: NextTimeout) -> NextTimeout {
    NextTimeout { after: time::Duration::NotHappening, ..timeout }
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
struct RefusedAddress {
    pub(crate) address: IpAddr,
    pub(crate) reason: &'static str,
}

impl fmt::Display for RefusedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no webhook is sent to {}: {}", self.address, self.reason)
    }
}

impl std::error::Error for RefusedAddress {}

const NOWHERE: &str = "no address of a host";
const LINK_LOCAL: &str = "a link-local address, where clouds keep credentials";
const METADATA: &str = "a metadata address, where clouds keep credentials";
const MULTICAST: &str = "a multicast address";
const PRIVATE: &str = "a private address, and strict_endpoints is set";
const RESERVED: &str = "a reserved address, and strict_endpoints is set";

fn refusal_v4(address: Ipv4Addr, strict: bool) -> Option<&'static str> {
    match address.octets() {
        [0, ..] => Some(NOWHERE),
        [169, 254, ..] => Some(LINK_LOCAL),
        // Alibaba, Oracle and Azure.
        [100, 100, 100, 200] | [192, 0, 0, 192] | [168, 63, 129, 16] => Some(METADATA),
        [224..=239, ..] => Some(MULTICAST),
        [255, 255, 255, 255] => Some("a broadcast address"),
        _ if !strict => None,
        [10 | 127, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] | [198, 18..=19, ..] => {
            Some(PRIVATE)
        }
        // Protocols, documentation, relays of 6to4, and class E.
        [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [192, 88, 99, _] | [240..=255, ..] => {
            Some(RESERVED)
        }
        _ => None,
    }
}

fn refusal_v6(address: Ipv6Addr, strict: bool) -> Option<&'static str> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some(NOWHERE),
        [0xfe80..=0xfebf, ..] => Some(LINK_LOCAL),
        // Amazon, Oracle, Scaleway and Google.
        [0xfd00, 0xec2 | 0xc1 | 0x42, ..] | [0xfd20, 0xce, ..] => Some(METADATA),
        [0xff00..=0xffff, ..] => Some(MULTICAST),
        [0x100, 0, 0, 0, ..] => Some("an address that is discarded"),
        // The local translator decides where in it the IPv4 address stands.
        [0x64, 0xff9b, 1, ..] => Some("an address of a local translator (NAT64), which may lead anywhere"),
        _ if !strict => None,
        [0, 0, 0, 0, 0, 0, 0, 1] | [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => Some(PRIVATE),
        // Protocols (Teredo, benchmarks, ORCHID), documentation, and identifiers of segments.
        [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] | [0x5f00, ..] => Some(RESERVED),
        _ => None,
    }
}

/// The IPv4 addresses that are reached through this one: mapped, compatible or translated (RFC 4291, 6052, 7915), by 6to4 or
/// ISATAP; by Teredo two.
fn embedded_v4(address: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let of = |high: u16, low: u16| Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0..=1] => [None, None],
        [0, 0, 0, 0, 0, 0 | 0xffff, g, h] | [0, 0, 0, 0, 0xffff, 0, g, h] => [of(g, h), None],
        [0x64, 0xff9b, 0, 0, 0, 0, g, h] => [of(g, h), None],
        [0x2002, b, c, ..] => [of(b, c), None],
        [0x2001, 0, c, d, _, _, g, h] => [of(c, d), of(!g, !h)],
        [.., 0 | 0x200, 0x5efe, g, h] => [of(g, h), None],
        _ => [None, None],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether addresses are let through: by default, and with strict_endpoints.
    #[track_caller]
    fn assert_allowed(addresses: &[&str], by_default: bool, when_strict: bool) {
        for address in addresses {
            let parsed: IpAddr = address.parse().unwrap_or_else(|error| panic!("{address}: {error}"));
            assert_eq!(refusal(parsed, false).is_none(), by_default, "{address}");
            assert_eq!(refusal(parsed, true).is_none(), when_strict, "{address} when strict");
        }
    }

    #[test]
    fn metadata_of_clouds_is_never_reached() {
        let clouds = [
            "169.254.169.254",    // Amazon, Google, Azure, DigitalOcean, Hetzner, IBM, OpenStack
            "169.254.170.2",      // Amazon ECS
            "169.254.170.23",     // Amazon EKS
            "169.254.0.23",       // Tencent
            "169.254.42.42",      // Scaleway
            "100.100.100.200",    // Alibaba
            "192.0.0.192",        // Oracle
            "168.63.129.16",      // Azure
            "fd00:ec2::254",      // Amazon
            "fd00:ec2::23",       // Amazon EKS
            "fd20:ce::254",       // Google
            "fd00:c1::a9fe:a9fe", // Oracle
            "fd00:42::42",        // Scaleway
            "fe80::a9fe:a9fe",    // OpenStack
        ];
        assert_allowed(&clouds, false, false);
    }

    #[test]
    fn addresses_of_no_host_are_never_sent_to() {
        assert_allowed(&["0.0.0.0", "0.1.2.3", "0.255.255.255", "::", "::5", "::ffff:0.0.0.0"], false, false);
        assert_allowed(&["169.254.0.1", "169.254.255.255", "fe80::1", "febf:ffff::1"], false, false);
        assert_allowed(&["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"], false, false);
        assert_allowed(&["255.255.255.255", "100::", "100::1", "100:0:0:0:ffff::"], false, false);
    }

    #[test]
    fn private_addresses_are_refused_only_when_strict() {
        assert_allowed(&["127.0.0.1", "127.255.255.255", "::1"], true, false);
        assert_allowed(&["10.0.0.0", "10.255.255.255", "172.16.0.1", "172.31.255.255"], true, false);
        assert_allowed(&["192.168.0.1", "192.168.255.255", "100.64.0.1", "100.127.255.255"], true, false);
        assert_allowed(&["198.18.0.1", "198.19.255.255", "fc00::1", "fd12::1", "fec0::1"], true, false);
    }

    #[test]
    fn reserved_addresses_are_refused_only_when_strict() {
        assert_allowed(&["192.0.0.1", "192.0.2.1", "198.51.100.1", "203.0.113.1"], true, false);
        assert_allowed(&["192.88.99.1", "240.0.0.1", "255.255.255.254"], true, false);
        assert_allowed(&["2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "3fff::1"], true, false);
        assert_allowed(&["5f00::1"], true, false);
    }

    #[test]
    fn an_address_inside_another_is_judged_as_itself() {
        let ways = [
            ("mapped", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "::ffff:8.8.8.8"),
            ("translated", "::ffff:0:169.254.169.254", "::ffff:0:10.0.0.1", "::ffff:0:8.8.8.8"),
            ("compatible", "::169.254.169.254", "::10.0.0.1", "::8.8.8.8"),
            ("NAT64", "64:ff9b::169.254.169.254", "64:ff9b::10.0.0.1", "64:ff9b::8.8.8.8"),
            ("NAT64 to Azure", "64:ff9b::168.63.129.16", "64:ff9b::127.0.0.1", "64:ff9b::1.1.1.1"),
            ("6to4", "2002:a9fe:a9fe::1", "2002:a00:1::1", "2002:808:808::1"),
            ("ISATAP", "2600::5efe:169.254.169.254", "2600::5efe:10.0.0.1", "2600::5efe:8.8.8.8"),
            ("ISATAP, global", "2600::200:5efe:a9fe:a9fe", "2600::200:5efe:a00:1", "2600::200:5efe:808:808"),
        ];
        for (_, never, private, public) in ways {
            assert_allowed(&[never], false, false);
            assert_allowed(&[private], true, false);
            assert_allowed(&[public], true, true);
        }
        // Teredo: the server's address, and the client's with all bits turned.
        assert_allowed(&["2001:0:a9fe:a9fe::f7f7:f7f7", "2001:0:808:808::5601:5601"], false, false);
        assert_allowed(&["2001:0:808:808::f7f7:f7f7"], true, false);
        // A local NAT64 puts it where it likes.
        assert_allowed(&["64:ff9b:1::808:808", "64:ff9b:1:a9fe:a9:fe00::"], false, false);
    }

    #[test]
    fn public_addresses_are_allowed() {
        assert_allowed(&["1.1.1.1", "172.15.0.1", "172.32.0.1", "192.169.0.1", "100.63.0.1"], true, true);
        assert_allowed(
            &["100.128.0.1", "168.63.129.17", "198.17.0.1", "198.20.0.1", "192.0.1.1"],
            true,
            true,
        );
        assert_allowed(
            &["2606:4700::1111", "2001:4860:4860::8888", "2001:200::1", "100:0:0:1::1"],
            true,
            true,
        );
        assert_allowed(&["64:ff9b:2::1", "3ffe::1"], true, true);
    }

    #[test]
    fn addresses_in_urls_are_seen() {
        let of = |text: &str| literal(&text.parse().unwrap()).map(|address| address.to_string());
        assert_eq!(of("http://127.0.0.1:80/x").as_deref(), Some("127.0.0.1:80"));
        assert_eq!(of("https://[fe80::1]/x").as_deref(), Some("[fe80::1]:443"));
        assert_eq!(of("http://localhost/"), None);
    }
}
