//! The proxies whose word is taken for where a client is, and what they say of it in the head of a request.
//!
//! Anybody can send `X-Forwarded-For`. So its list is read from the right, where the nearest proxy has written, and only
//! as far as each address that is passed is a proxy of ours. The caller asks only for heads that came from a trusted
//! address. What must never happen here: a name that a client chose for itself, taken for its address.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use ipnet::IpNet;

use super::Head;
use crate::address::Address;

/// The addresses of trusted proxies; none by default.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TrustedProxies {
    networks: Arc<[IpNet]>,
    /// Somebody is trusted, though no network may be.
    unix: bool,
}

impl FromIterator<IpNet> for TrustedProxies {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        Self { networks: networks.into_iter().collect(), unix: false }
    }
}

impl TrustedProxies {
    /// A network such as `10.0.0.0/8`, or one address.
    pub fn parse_network(text: &str) -> Option<IpNet> {
        text.parse().or_else(|_| IpAddr::from_str(text).map(|ip| IpNet::from(ip.to_canonical()))).ok()
    }

    /// The same with those that come by a Unix socket, also where no network is trusted.
    pub fn with_unix_peers(self) -> Self {
        Self { unix: true, ..self }
    }

    /// True when nobody is trusted.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }

    /// Whether this peer is one of them. A peer without an address came by a Unix socket, whose file says who may: it is one
    /// where there are any.
    pub fn trust(&self, peer: Option<Address>) -> bool {
        peer.map_or(!self.is_empty(), |address| self.has(address))
    }

    fn has(&self, address: Address) -> bool {
        self.networks.iter().any(|network| network.contains(&address.ip()))
    }

    /// Where the client of a request is that `peer` has sent: there, unless that is a trusted proxy which says otherwise.
    pub fn client(&self, head: &Head<'_>, peer: Option<Address>) -> Option<Address> {
        if !self.trust(peer) {
            return peer;
        }
        self.last_untrusted(head.header_values("X-Forwarded-For"), parse_hop)
            .or_else(|| self.last_untrusted(head.header_values("Forwarded"), parse_for))
            .or_else(|| head.header_values("X-Real-IP").last().and_then(parse_hop))
            .or(peer)
    }

    /// Whether the client of a request came by TLS, as the trusted proxy says that has sent it. None: it does not say.
    pub fn client_is_secure(&self, head: &Head<'_>) -> Option<bool> {
        let said = head.header_values("X-Forwarded-Proto").last().and_then(|line| line.rsplit(',').next());
        said.map(is_secure).or_else(|| self.forwarded_is_secure(head.header_values("Forwarded")))
    }

    /// What the element of `Forwarded` that names the client says of how it came.
    fn forwarded_is_secure<'a>(&self, lines: impl Iterator<Item = &'a str>) -> Option<bool> {
        let lines: Vec<&str> = lines.collect();
        let mut nearest = None;
        for element in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
            nearest = parse_pair(element, "proto").map(is_secure);
            if !parse_for(element).is_some_and(|hop| self.has(hop)) {
                break;
            }
        }
        nearest
    }

    /// The last address of a list that is no proxy of ours; the first of all if every one is. What stands left of an
    /// entry that is no address is not believed. None: there is no list, or its end is no address.
    fn last_untrusted<'a>(
        &self,
        lines: impl Iterator<Item = &'a str>,
        parse: impl Fn(&str) -> Option<Address>,
    ) -> Option<Address> {
        let lines: Vec<&str> = lines.collect();
        let mut nearest = None;
        for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
            let Some(address) = parse(hop) else { break };
            nearest = Some(address);
            if !self.has(address) {
                break;
            }
        }
        nearest
    }
}

/// An address of `X-Forwarded-For`: some proxies add a port, some write IPv6 in brackets.
fn parse_hop(text: &str) -> Option<Address> {
    let text = text.trim();
    if let Ok(address) = SocketAddr::from_str(text) {
        return Some(address.into());
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    IpAddr::from_str(bare).ok().map(|ip| Address::new(ip, 0))
}

/// The address of one element of `Forwarded` (RFC 7239 §4).
fn parse_for(element: &str) -> Option<Address> {
    parse_pair(element, "for").and_then(parse_hop)
}

/// What one element of `Forwarded` says under a name.
fn parse_pair<'a>(element: &'a str, wanted: &str) -> Option<&'a str> {
    let mut pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))?;
    let value = value.trim();
    Some(value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value))
}

/// Whether a scheme is one over TLS; some proxies name that of WebSocket.
fn is_secure(scheme: &str) -> bool {
    let scheme = scheme.trim();
    scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("wss")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{HeadParse, parse_head};

    fn client(peer: &str, lines: &str) -> String {
        let networks = ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"].map(TrustedProxies::parse_network);
        let trusted: TrustedProxies = networks.into_iter().flatten().collect();
        let lines: String = lines.lines().map(|line| format!("{}\r\n", line.trim())).collect();
        let bytes = format!("GET / HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
        let HeadParse::Complete { head, .. } = parse_head(bytes.as_bytes()) else { panic!("{bytes}") };
        let peer = peer.parse::<SocketAddr>().ok().map(Address::from);
        trusted.client(&head, peer).map_or_else(|| "nowhere".to_owned(), |address| address.to_string())
    }

    #[test]
    fn an_untrusted_peer_speaks_for_itself_alone() {
        for peer in ["203.0.113.9:5", "[2001:db9::1]:5", "192.0.2.8:5", "11.0.0.1:5"] {
            for line in [
                "X-Forwarded-For: 10.0.0.1",
                "X-Forwarded-For: 1.2.3.4",
                "Forwarded: for=1.2.3.4",
                "X-Real-IP: 1.2.3.4",
            ] {
                assert_eq!(client(peer, line), peer, "{line}");
            }
        }
    }

    #[test]
    fn a_trusted_proxy_is_believed_as_far_as_it_has_written_itself() {
        let table = [
            ("", "10.0.0.1:5"),
            ("X-Forwarded-For: 1.2.3.4", "1.2.3.4"),
            ("X-Forwarded-For: 1.2.3.4:77", "1.2.3.4:77"),
            ("X-Forwarded-For: ::ffff:1.2.3.4", "1.2.3.4"),
            ("X-Forwarded-For: 2a00::1", "2a00::1"),
            ("X-Forwarded-For: [2a00::1]:8", "[2a00::1]:8"),
            // What a client has put there itself stands on the left.
            ("X-Forwarded-For: 6.6.6.6, 1.2.3.4", "1.2.3.4"),
            ("X-Forwarded-For: 6.6.6.6, 10.9.9.9, 1.2.3.4", "1.2.3.4"),
            ("X-Forwarded-For: 6.6.6.6, 1.2.3.4, 10.0.0.2, 192.0.2.7", "1.2.3.4"),
            ("X-Forwarded-For: 6.6.6.6\nX-Forwarded-For: 1.2.3.4, 10.0.0.2", "1.2.3.4"),
            ("X-Forwarded-For: 1.2.3.4\nX-Forwarded-For: 2001:db8::9", "1.2.3.4"),
            ("X-Forwarded-For: 10.0.0.3, 10.0.0.2", "10.0.0.3"),
            // Nothing left of what is no address.
            ("X-Forwarded-For: 6.6.6.6, unknown, 10.0.0.2", "10.0.0.2"),
            ("X-Forwarded-For: 6.6.6.6, unknown", "10.0.0.1:5"),
            ("X-Forwarded-For: 6.6.6.6,", "10.0.0.1:5"),
            ("X-Forwarded-For:", "10.0.0.1:5"),
            ("X-Forwarded-For: garbage\nX-Real-IP: 1.2.3.4", "1.2.3.4"),
            ("Forwarded: for=6.6.6.6, for=1.2.3.4;proto=https;by=10.0.0.2", "1.2.3.4"),
            ("Forwarded: proto=http;For=\"[2a00::1]:47011\"", "[2a00::1]:47011"),
            ("Forwarded: for=6.6.6.6, for=_hidden", "10.0.0.1:5"),
            ("Forwarded: for=1.2.3.4, for=10.0.0.2", "1.2.3.4"),
            ("X-Real-IP: 1.2.3.4", "1.2.3.4"),
            ("X-Real-IP: 6.6.6.6\nX-Real-IP: 1.2.3.4", "1.2.3.4"),
            // The first of them that says something.
            ("X-Real-IP: 6.6.6.6\nForwarded: for=5.5.5.5\nX-Forwarded-For: 1.2.3.4", "1.2.3.4"),
            ("X-Real-IP: 6.6.6.6\nForwarded: for=1.2.3.4", "1.2.3.4"),
        ];
        for (lines, expected) in table {
            assert_eq!(client("10.0.0.1:5", lines), expected, "{lines}");
        }
        assert_eq!(client("[::ffff:10.0.0.1]:5", "X-Forwarded-For: 1.2.3.4"), "1.2.3.4");
        assert_eq!(client("[2001:db8::1]:5", "X-Forwarded-For: 1.2.3.4"), "1.2.3.4");
        let by_unix_socket = "unix:";
        assert_eq!(client(by_unix_socket, "X-Forwarded-For: 6.6.6.6, 1.2.3.4"), "1.2.3.4");
        assert_eq!(client(by_unix_socket, ""), "nowhere");
        assert!(!TrustedProxies::default().trust(None));
        assert!(TrustedProxies::default().with_unix_peers().trust(None));
    }

    #[test]
    fn a_proxy_says_whether_its_client_came_by_tls() {
        let table = [
            ("", None),
            ("X-Forwarded-Proto: https", Some(true)),
            ("X-Forwarded-Proto: HTTPS ", Some(true)),
            ("X-Forwarded-Proto: wss", Some(true)),
            ("X-Forwarded-Proto: http", Some(false)),
            ("X-Forwarded-Proto: ws", Some(false)),
            ("X-Forwarded-Proto:", Some(false)),
            // What a client has put there itself stands on the left.
            ("X-Forwarded-Proto: https, http", Some(false)),
            ("X-Forwarded-Proto: https\nX-Forwarded-Proto: http", Some(false)),
            ("X-Forwarded-Proto: http, https", Some(true)),
            ("Forwarded: for=1.2.3.4;proto=https", Some(true)),
            ("Forwarded: proto=\"https\"; for=1.2.3.4", Some(true)),
            ("Forwarded: for=1.2.3.4;proto=http", Some(false)),
            ("Forwarded: for=1.2.3.4", None),
            // The hop between two proxies of ours is not the client's.
            ("Forwarded: for=1.2.3.4;proto=https, for=10.0.0.2;proto=http", Some(true)),
            ("Forwarded: for=6.6.6.6;proto=https, for=1.2.3.4;proto=http", Some(false)),
            ("Forwarded: for=6.6.6.6;proto=https, for=_hidden;proto=http", Some(false)),
            ("Forwarded: for=10.0.0.3;proto=https", Some(true)),
            ("X-Forwarded-Proto: http\nForwarded: for=1.2.3.4;proto=https", Some(false)),
        ];
        let trusted: TrustedProxies = TrustedProxies::parse_network("10.0.0.0/8").into_iter().collect();
        for (lines, expected) in table {
            let head: String = lines.lines().map(|line| format!("{line}\r\n")).collect();
            let bytes = format!("GET / HTTP/1.1\r\nHost: h\r\n{head}\r\n");
            let HeadParse::Complete { head, .. } = parse_head(bytes.as_bytes()) else { panic!("{bytes}") };
            assert_eq!(trusted.client_is_secure(&head), expected, "{lines}");
        }
    }

    #[test]
    fn a_network_is_written_with_its_length_or_is_one_address() {
        for (text, good) in [
            ("10.0.0.0/8", true),
            ("10.1.2.3/8", true),
            ("127.0.0.1", true),
            ("::1", true),
            ("fd00::/8", true),
            ("10.0.0.0/33", false),
            ("10.0.0", false),
            ("localhost", false),
            ("", false),
            ("*", false),
        ] {
            assert_eq!(TrustedProxies::parse_network(text).is_some(), good, "{text}");
        }
    }
}
