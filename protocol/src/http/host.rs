//! The host that a request names (RFC 9112 §3.2): once, and in the form `HOST` or `HOST:PORT`.
//!
//! A proxy may choose by a host which we would read differently, or hide one behind a comma, a slash or an at sign.
//! Called by `request` alone.

use super::error::HttpError;
use super::head::Head;

const MISSING: HttpError = HttpError::bad("HTTP/1.1 needs a Host header");
const TWICE: HttpError = HttpError::bad("There must be one Host header");
const MALFORMED: HttpError = HttpError::bad("Host must be one name or address, with a port at most");

/// Checks the Host lines. HTTP/1.0 may be without one.
pub(super) fn check_host(head: &Head<'_>) -> Result<(), HttpError> {
    let mut hosts = head.raw_values("Host");
    let Some(host) = hosts.next() else {
        return if head.version_minor == 0 { Ok(()) } else { Err(MISSING) };
    };
    if hosts.next().is_some() {
        return Err(TWICE);
    }
    if is_authority(host) { Ok(()) } else { Err(MALFORMED) }
}

/// Whether this is a host, with or without a port.
pub(super) fn is_authority(text: &[u8]) -> bool {
    if let Some(rest) = text.strip_prefix(b"[") {
        let Some(end) = rest.iter().position(|byte| *byte == b']') else { return false };
        let (address, port) = rest.split_at_checked(end).unwrap_or_default();
        return is_ip_literal(address) && is_port(port.get(1..).unwrap_or_default());
    }
    let end = text.iter().position(|byte| *byte == b':').unwrap_or(text.len());
    let (name, port) = text.split_at_checked(end).unwrap_or_default();
    !name.is_empty() && name.iter().all(|byte| is_name(*byte)) && is_port(port)
}

// What may stand in a name by RFC 3986 §3.2.2, but for the comma, which some read as the end of a first host.
fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'%' | b'!' | b'$' | b'&'..=b'+' | b';' | b'=')
}

fn is_ip_literal(address: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    address.len() >= 2 && address.iter().all(is_part)
}

// Nothing, or a colon and digits.
fn is_port(text: &[u8]) -> bool {
    match text {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for good in [
            "h",
            "h:80",
            "h:",
            "a.b-c.example",
            "my_service",
            "1.2.3.4:6001",
            "[::1]",
            "[::1]:80",
            "[::ffff:1.2.3.4]",
            "xn--bcher-kva.example",
            "h.",
        ] {
            assert!(is_authority(good.as_bytes()), "{good}");
        }
        for bad in [
            "", ":80", "a b", "a, b", "a,b", "user@h", "h/path", "h?x", "h#x", "h:80:80", "h:x", "h:123456",
            "[::1", "::1", "[::1]x", "[]", "[h]", "http://h", "h\\x", "é", "\"h\"", "h\t",
        ] {
            assert!(!is_authority(bad.as_bytes()), "{bad}");
        }
    }
}
