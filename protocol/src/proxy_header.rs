//! The header of the PROXY protocol, in which a proxy names its client before anything else is said: version 2, in bytes
//! (haproxy.org, proxy-protocol.txt). Version 1, a line of text, is told apart so that its sender can be told.
//!
//! Pure, and bounded: no header is longer than [`PROXY_HEADER_BYTES_MAX`]. Called by the driver, for the listeners that
//! want one.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::address::Address;
use crate::limits::PROXY_HEADER_BYTES_MAX;

/// What a header begins with.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What one of version 1 begins with.
const TEXT_START: &[u8] = b"PROXY ";

/// What bytes are as a PROXY header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProxyHeader {
    /// A header.
    Complete {
        /// The client; None where the proxy speaks for itself, as in a health check, or of no IP address.
        client: Option<Address>,
        /// The length of the header.
        bytes: usize,
    },
    /// More is needed.
    Partial,
    /// None that is taken, and why.
    Refused(&'static str),
}

/// Why bytes are refused that begin no header.
pub const NO_HEADER: &str = "it does not begin with a PROXY header (proxy_protocol): let the proxy send one of version 2, in HAProxy by \
     send-proxy-v2, or connect to a listener that is not in proxy_protocol";

const TEXT: &str = "its PROXY header is of version 1: let the proxy send version 2, in HAProxy by send-proxy-v2 in place \
                    of send-proxy";

const MALFORMED: &str =
    "its PROXY header is malformed, or speaks of something else than TCP and Unix sockets";

const LONG: &str = "its PROXY header is longer than 2 KiB: let the proxy send fewer fields in it";

/// The PROXY header at the beginning of `bytes`.
pub fn parse_proxy_header(bytes: &[u8]) -> ProxyHeader {
    if begins(bytes, SIGNATURE) {
        return parse_binary(bytes).unwrap_or(ProxyHeader::Partial);
    }
    match begins(bytes, TEXT_START) {
        true if bytes.len() < TEXT_START.len() => ProxyHeader::Partial,
        true => ProxyHeader::Refused(TEXT),
        false => ProxyHeader::Refused(NO_HEADER),
    }
}

/// Whether these bytes begin with `start`, as far as they go.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    bytes.iter().zip(start).all(|(byte, wanted)| byte == wanted)
}

/// None: more is needed.
fn parse_binary(bytes: &[u8]) -> Option<ProxyHeader> {
    let [version_and_command, family, high, low] = *bytes.get(12..16)?.first_chunk()?;
    let header_bytes = 16 + usize::from(u16::from_be_bytes([high, low]));
    if header_bytes > PROXY_HEADER_BYTES_MAX {
        return Some(ProxyHeader::Refused(LONG));
    }
    let is_local = match version_and_command {
        0x20 => true,
        0x21 => false,
        _ => return Some(ProxyHeader::Refused(MALFORMED)),
    };
    // Behind the addresses there may be further fields.
    let addresses = bytes.get(16..header_bytes)?;
    let client = match family {
        _ if is_local => Some(None),
        0x11 => four(addresses).map(Some),
        0x21 => six(addresses).map(Some),
        // Unspecified, or a Unix socket.
        0x00 | 0x31 => Some(None),
        _ => None,
    };
    let complete = |client| ProxyHeader::Complete { client, bytes: header_bytes };
    Some(client.map_or(ProxyHeader::Refused(MALFORMED), complete))
}

/// Addresses of source and destination, then both ports.
fn four(addresses: &[u8]) -> Option<Address> {
    let ip: [u8; 4] = *addresses.first_chunk()?;
    let port = *addresses.get(8..12)?.first_chunk()?;
    Some(Address::new(Ipv4Addr::from(ip).into(), u16::from_be_bytes(port)))
}

fn six(addresses: &[u8]) -> Option<Address> {
    let ip: [u8; 16] = *addresses.first_chunk()?;
    let port = *addresses.get(32..36)?.first_chunk()?;
    Some(Address::new(Ipv6Addr::from(ip).into(), u16::from_be_bytes(port)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = (rest.len() as u16).to_be_bytes();
        [SIGNATURE.as_slice(), &[command, family], &length, rest].concat()
    }

    fn shown(bytes: &[u8]) -> String {
        match parse_proxy_header(bytes) {
            ProxyHeader::Complete { client, bytes: length } => {
                let client = client.map_or_else(|| "nobody".to_owned(), |client| client.to_string());
                format!("{client}, {} left", bytes.len() - length)
            }
            ProxyHeader::Partial => "partial".to_owned(),
            ProxyHeader::Refused(NO_HEADER) => "none".to_owned(),
            ProxyHeader::Refused(TEXT) => "version 1".to_owned(),
            ProxyHeader::Refused(LONG) => "long".to_owned(),
            ProxyHeader::Refused(_) => "malformed".to_owned(),
        }
    }

    #[test]
    fn a_header_names_a_client_by_its_address() {
        let four = [1, 2, 3, 4, 10, 0, 0, 1, 0x01, 0x00, 0x1b, 0x58];
        let mut six = [0; 36];
        (six[0], six[1], six[15], six[32], six[33]) = (0x20, 0x01, 9, 0x01, 0x01);
        let mut within = [0; 36];
        within[10..16].copy_from_slice(&[0xff, 0xff, 1, 2, 3, 4]);
        within[33] = 7;
        let table = [
            (header(0x21, 0x11, &four), "1.2.3.4:256, 0 left"),
            (header(0x21, 0x21, &six), "[2001::9]:257, 0 left"),
            (header(0x21, 0x21, &within), "1.2.3.4:7, 0 left"),
            // Further fields follow.
            (header(0x21, 0x11, &[&four[..], &[3, 0, 4, 1, 2, 3, 4]].concat()), "1.2.3.4:256, 0 left"),
            ([header(0x21, 0x11, &four), b"GET /".to_vec()].concat(), "1.2.3.4:256, 5 left"),
            (header(0x20, 0x11, &four), "nobody, 0 left"),
            (header(0x20, 0x00, &[]), "nobody, 0 left"),
            (header(0x21, 0x00, &[]), "nobody, 0 left"),
            (header(0x21, 0x31, &[0; 216]), "nobody, 0 left"),
        ];
        for (bytes, expected) in table {
            assert_eq!(shown(&bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_no_header_of_version_2_is_refused_as_soon_as_that_is_certain() {
        let four = [1, 2, 3, 4, 10, 0, 0, 1, 0x01, 0x00, 0x1b, 0x58];
        let table = [
            (header(0x21, 0x11, &four[..11]), "malformed"),
            (header(0x21, 0x21, &[0; 35]), "malformed"),
            (header(0x21, 0x12, &four), "malformed"),
            (header(0x21, 0x32, &[0; 216]), "malformed"),
            (header(0x21, 0xff, &four), "malformed"),
            (header(0x22, 0x11, &four), "malformed"),
            (header(0x11, 0x11, &four), "malformed"),
            (header(0x21, 0x11, &[0; PROXY_HEADER_BYTES_MAX]), "long"),
            (header(0x21, 0x11, &[0; 0xffff])[..16].to_vec(), "long"),
            (b"PROXY TCP4 1.2.3.4 10.0.0.1 56324 443\r\nGET /".to_vec(), "version 1"),
            (b"PROXY UNKNOWN\r\n".to_vec(), "version 1"),
            (b"PROXY ".to_vec(), "version 1"),
            (b"GET / HTTP/1.1\r\n".to_vec(), "none"),
            (b"\x16\x03\x01".to_vec(), "none"),
            (b"\r\n\r\n\0\r\nQUIX".to_vec(), "none"),
            (b"\r\nG".to_vec(), "none"),
            (b"PROXI".to_vec(), "none"),
            (b"".to_vec(), "partial"),
            (b"\r\n\r\n".to_vec(), "partial"),
            (b"PROX".to_vec(), "partial"),
        ];
        for (bytes, expected) in table {
            assert_eq!(shown(&bytes), expected, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn a_header_in_pieces_is_partial_until_it_is_whole(client in any::<[u8; 12]>(), rest in prop::collection::vec(any::<u8>(), 0..40)) {
            let whole = header(0x21, 0x11, &[&client[..], &rest].concat());
            for end in 0..whole.len() {
                prop_assert_eq!(parse_proxy_header(&whole[..end]), ProxyHeader::Partial);
            }
            let is_complete = matches!(parse_proxy_header(&whole), ProxyHeader::Complete { bytes, .. } if bytes == whole.len());
            prop_assert!(is_complete);
        }

        #[test]
        fn no_bytes_are_too_much(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            parse_proxy_header(&bytes);
            if let ProxyHeader::Complete { bytes: length, .. } = parse_proxy_header(&[SIGNATURE.as_slice(), &bytes].concat()) {
                prop_assert!(length <= SIGNATURE.len() + bytes.len());
            }
        }
    }
}
