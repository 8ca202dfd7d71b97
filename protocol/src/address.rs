//! Where the other end of a connection is.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// An IP address and a port, in 20 bytes. An IPv4 address that came as IPv6 is an IPv4 address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Address {
    ip: IpAddr,
    port: u16,
}

impl Address {
    /// This address; port 0 where nobody has told it.
    pub fn new(ip: IpAddr, port: u16) -> Self {
        Self { ip: ip.to_canonical(), port }
    }

    /// Without the port.
    pub fn ip(self) -> IpAddr {
        self.ip
    }

    /// The port; 0 where nobody has told it.
    pub fn port(self) -> u16 {
        self.port
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::new(address.ip(), address.port())
    }
}

impl fmt::Display for Address {
    /// `192.0.2.1:50000`, `[2001:db8::1]:50000`; `192.0.2.1`, `2001:db8::1` where nobody has told the port.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let IpAddr::V4(ip) = self.ip else {
            return match self.port {
                0 => self.ip.fmt(f),
                port => SocketAddr::new(self.ip, port).fmt(f),
            };
        };
        // The way of `SocketAddr` costs ten times as much, for each line about a connection.
        let [a, b, c, d] = ip.octets();
        let mut digits = itoa::Buffer::new();
        for number in [a, b, c] {
            f.write_str(digits.format(number))?;
            f.write_str(".")?;
        }
        f.write_str(digits.format(d))?;
        if self.port == 0 {
            return Ok(());
        }
        f.write_str(":")?;
        f.write_str(digits.format(self.port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_address_within_ipv6_is_shown_as_such_and_none_takes_more_than_20_bytes() {
        let table = [
            ("[::ffff:192.0.2.1]:5", "192.0.2.1:5"),
            ("[2001:db8::1]:5", "[2001:db8::1]:5"),
            ("192.0.2.1:0", "192.0.2.1"),
            ("[2001:db8::1]:0", "2001:db8::1"),
        ];
        for (address, shown) in table {
            assert_eq!(Address::from(address.parse::<SocketAddr>().unwrap()).to_string(), shown);
        }
        assert!(size_of::<Option<Address>>() <= 20);
    }
}
