//! What flags take: text of the command line to values, or a sentence that says what was expected.
//!
//! Pure but for names of hosts, which are looked up once, here. Called by clap alone.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use super::site::{App, Endpoint};

const WEEK_S: f64 = 7.0 * 86_400.0;
/// 127.0.0.2 up to 127.0.0.255.
const LOOPBACK_SOURCES_MAX: u8 = 254;

pub(crate) fn parse_app(text: &str) -> Result<App, String> {
    let mut parts = text.splitn(3, ':').map(str::to_owned);
    let mut next = || parts.next().filter(|part| !part.is_empty()).ok_or("expected ID:KEY:SECRET");
    Ok(App { id: next()?, key: next()?, secret: next()? })
}

pub(crate) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let mut addresses = text.to_socket_addrs().map_err(|error| format!("expected HOST:PORT ({error})"))?;
    addresses.next().ok_or_else(|| "this host has no address".to_owned())
}

/// The name stays beside its address: it is what the server is called in `Host` and in the TLS greeting.
pub(crate) fn parse_endpoint(text: &str) -> Result<Endpoint, String> {
    Ok(Endpoint { name: text.to_owned(), address: parse_address(text)? })
}

pub(crate) fn parse_rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    let usable = rate.is_finite() && rate > 0.0 && rate <= 1e7;
    usable.then_some(rate).ok_or_else(|| "expected a number above 0 and up to 10,000,000".to_owned())
}

/// Seconds, or minutes and hours as `90m` and `8h`.
pub(crate) fn parse_seconds(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.as_bytes().last() {
        Some(b'h') => (&text[..text.len() - 1], 3600.0),
        Some(b'm') => (&text[..text.len() - 1], 60.0),
        Some(b's') => (&text[..text.len() - 1], 1.0),
        _ => (text, 1.0),
    };
    let seconds = number.parse::<f64>().map_err(|_| "expected seconds, or 90m, or 8h".to_owned())? * unit;
    let usable = seconds.is_finite() && seconds > 0.0 && seconds <= WEEK_S;
    usable.then(|| Duration::from_secs_f64(seconds)).ok_or_else(|| "expected up to a week".to_owned())
}

/// Characters that need no escape in JSON.
pub(crate) fn parse_channel(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-=@,.;".contains(&byte);
    if text.is_empty() || text.len() > 150 || !text.bytes().all(plain) {
        return Err("expected up to 150 of a-z A-Z 0-9 _ - = @ , . ;".to_owned());
    }
    Ok(text.to_owned())
}

/// `/ws` and `ws/` mean the same; nothing means nothing.
pub(crate) fn parse_prefix(text: &str) -> Result<String, String> {
    let path = text.trim_matches('/');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./~".contains(&byte);
    if !path.bytes().all(plain) {
        return Err("expected a path of a-z A-Z 0-9 _ - . / ~".to_owned());
    }
    Ok(if path.is_empty() { String::new() } else { format!("/{path}") })
}

pub(crate) fn parse_percent(text: &str) -> Result<f64, String> {
    let percent: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    (0.0..=100.0).contains(&percent).then_some(percent).ok_or_else(|| "expected 0 to 100".to_owned())
}

/// The first `count` addresses of the loopback network behind 127.0.0.1.
pub(crate) fn loopback_sources(count: u8) -> Vec<IpAddr> {
    (2..=count.min(LOOPBACK_SOURCES_MAX).saturating_add(1))
        .map(|last| IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_needs_three_parts_and_the_secret_may_hold_colons() {
        let app = parse_app("1:key:se:cret").unwrap();
        assert_eq!((app.id.as_str(), app.key.as_str(), app.secret.as_str()), ("1", "key", "se:cret"));
        for bad in ["", "1", "1:key", "1:key:", ":key:secret"] {
            assert!(parse_app(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_and_durations_outside_their_range_are_refused() {
        for bad in ["0", "-1", "NaN", "inf", "1e9", "x", "", "h"] {
            assert!(parse_rate(bad).is_err(), "{bad}");
            assert!(parse_seconds(bad).is_err(), "{bad}");
        }
        let cases = [("0.5", 500), ("2s", 2000), ("1.5m", 90_000), ("1h", 3_600_000)];
        for (text, milliseconds) in cases {
            assert_eq!(parse_seconds(text).unwrap(), Duration::from_millis(milliseconds), "{text}");
        }
        assert!(parse_seconds("169h").is_err());
        assert!(
            parse_percent("101").is_err() && parse_percent("-1").is_err() && parse_percent("NaN").is_err()
        );
    }

    #[test]
    fn channels_that_need_an_escape_are_refused() {
        for bad in ["", "a\"b", "ä", &"x".repeat(151)] {
            assert!(parse_channel(bad).is_err(), "{bad}");
        }
        for good in ["prices.eur", "private-x", "presence-x"] {
            assert!(parse_channel(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn prefix_begins_with_one_slash_and_ends_with_none() {
        for (text, prefix) in [("", ""), ("/", ""), ("ws", "/ws"), ("/a/b/", "/a/b")] {
            assert_eq!(parse_prefix(text).unwrap(), prefix);
        }
        assert!(parse_prefix("a?b").is_err() && parse_prefix("a b").is_err());
    }

    #[test]
    fn names_are_looked_up_and_kept() {
        let endpoint = parse_endpoint("localhost:7001").unwrap();
        assert_eq!((endpoint.name.as_str(), endpoint.address.port()), ("localhost:7001", 7001));
        assert_eq!(endpoint.host(), "localhost");
        assert_eq!(parse_endpoint("[::1]:80").unwrap().host(), "::1");
        assert!(parse_endpoint("localhost").is_err());
    }

    #[test]
    fn sources_are_addresses_of_their_own() {
        assert_eq!(
            loopback_sources(2),
            ["127.0.0.2", "127.0.0.3"].map(|text| text.parse::<IpAddr>().unwrap())
        );
        assert!(loopback_sources(0).is_empty());
        assert_eq!(loopback_sources(255).len(), 254);
    }
}
