//! The cookie of an operator who has signed in: a number, the time when it ends, and a signature of both.
//!
//! Cookies are of a host and not of a port, so its name has the port: two servers on one machine do not sign each other's
//! operators out.

use protocol::auth::ConsoleKey;
use protocol::http::Head;

const NAME: &str = "corecast_console";

/// How long an operator stays signed in, in seconds.
pub const SESSION_S: u64 = 12 * 60 * 60;

/// An operator who has signed in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Session {
    /// Which one, since the process began.
    pub number: u64,
    /// When it ends, in seconds since the Unix epoch.
    pub ends_s: u64,
}

impl Session {
    /// The session of a cookie's value, if it was signed with this key and has not ended.
    pub fn parse(value: &str, key: &ConsoleKey, now_s: u64) -> Option<Self> {
        let (text, signature) = value.rsplit_once('.')?;
        let (number, ends) = text.split_once('.')?;
        let session = Self { number: number.parse().ok()?, ends_s: ends.parse().ok()? };
        (key.is_session(text, signature) && now_s < session.ends_s).then_some(session)
    }

    /// The line that sets its cookie, for whom has asked with this head.
    pub fn cookie(&self, head: &Head<'_>, key: &ConsoleKey, secure: bool) -> String {
        let text = format!("{}.{}", self.number, self.ends_s);
        let signature = key.sign_session(&text);
        cookie(head, &format!("{text}.{signature}"), SESSION_S, secure)
    }
}

/// The line that takes the cookie away.
pub fn no_cookie(head: &Head<'_>, secure: bool) -> String {
    cookie(head, "", 0, secure)
}

fn cookie(head: &Head<'_>, value: &str, age_s: u64, secure: bool) -> String {
    let mut line = format!("{}={value}; Path=/; Max-Age={age_s}; HttpOnly; SameSite=Strict", name(head));
    if secure {
        line.push_str("; Secure");
    }
    line
}

/// The value of the cookie that a request has.
pub(super) fn session_of<'a>(head: &Head<'a>) -> Option<&'a str> {
    let name = name(head);
    let mut pairs = head.header_values("Cookie").flat_map(|line| line.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(&*name)?.strip_prefix('='))
}

fn name(head: &Head<'_>) -> String {
    let port = head.authority().and_then(|authority| authority.rsplit_once(':')?.1.parse::<u16>().ok());
    port.map_or_else(|| NAME.to_owned(), |port| format!("{NAME}_{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::http::{RequestParse, parse_request};

    fn with<T>(lines: &str, look: impl FnOnce(&Head<'_>) -> T) -> T {
        let bytes = format!("GET / HTTP/1.1\r\n{lines}\r\n").into_bytes();
        let RequestParse::Complete { request, .. } = parse_request(&bytes) else { panic!("{lines}") };
        look(&request.head)
    }

    #[test]
    fn a_session_is_what_was_signed_until_it_ends() {
        let key = ConsoleKey::new(&[1; 32], "t");
        let session = Session { number: 3, ends_s: 100 };
        let line = with("Host: localhost:9601\r\n", |head| session.cookie(head, &key, false));
        let (pair, flags) = line.split_once("; ").unwrap();
        assert_eq!(flags, "Path=/; Max-Age=43200; HttpOnly; SameSite=Strict");
        let value = with(&format!("Host: localhost:9601\r\nCookie: x=y; {pair}\r\n"), |head| {
            session_of(head).unwrap().to_owned()
        });
        assert_eq!(Session::parse(&value, &key, 99), Some(session));
        assert_eq!(Session::parse(&value, &key, 100), None);
        for bad in
            [value.replacen('3', "4", 1), value.replace("100", "101"), "3.100".to_owned(), String::new()]
        {
            assert_eq!(Session::parse(&bad, &key, 99), None, "{bad}");
        }
        let other = ConsoleKey::new(&[2; 32], "t");
        assert_eq!(Session::parse(&value, &other, 99), None);
    }

    #[test]
    fn a_cookie_is_of_its_port_and_secure_where_tls_is() {
        assert!(with("Host: h:1\r\nCookie: corecast_console_2=a\r\n", |head| session_of(head).is_none()));
        let line = with("Host: [::1]\r\n", |head| no_cookie(head, true));
        assert_eq!(line, "corecast_console=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict; Secure");
    }
}
