//! The time as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7), which every answer has. Made anew once
//! in a second, by the core that has answers to give, from the time that it was given.

use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use crate::limits::HTTP_DATE_UNIX_S_MAX;

/// The time of the last answer.
#[derive(Debug, Default)]
pub struct HttpDate {
    unix_s: u64,
    text: String,
}

impl HttpDate {
    /// The time in milliseconds since the Unix epoch, as HTTP writes it.
    pub fn at(&mut self, unix_ms: u64) -> &str {
        let unix_s = (unix_ms / 1_000).min(HTTP_DATE_UNIX_S_MAX);
        if unix_s != self.unix_s || self.text.is_empty() {
            self.unix_s = unix_s;
            self.text.clear();
            let date = httpdate::HttpDate::from(UNIX_EPOCH + Duration::from_secs(unix_s));
            // A string takes whatever it is given.
            let _ = write!(self.text, "{date}");
        }
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_follows_the_seconds() {
        let mut date = HttpDate::default();
        for (unix_ms, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777_000, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (784_111_777_999, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (784_111_778_000, "Sun, 06 Nov 1994 08:49:38 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(date.at(unix_ms), text);
        }
    }
}
