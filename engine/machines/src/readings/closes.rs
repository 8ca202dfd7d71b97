//! How connections have ended: by whom, and with which code. The codes of our own closes are few; a peer may send any
//! code, so those that we do not know are one.

use std::collections::BTreeMap;

use protocol::close::Close;

/// Who has ended a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum By {
    /// The server, with a close frame or before there was a connection.
    Server,
    /// The peer, with a close frame or without a word.
    Peer,
}

/// Which code it had.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Code {
    /// No close frame came.
    None,
    /// A code of the protocol.
    Known(u16),
    /// A code of the peer's own.
    Other,
}

/// Counts since the start of the shard.
#[derive(Clone, Debug, Default)]
pub struct Closes(BTreeMap<(By, Code), u64>);

impl Closes {
    /// The server ends a connection, or refuses one, with this code.
    pub fn by_server(&mut self, close: Close) {
        self.count(By::Server, Code::Known(close.code));
    }

    /// The peer has ended its connection: with this code, or without a word.
    pub fn by_peer(&mut self, code: Option<u16>) {
        let code = match code {
            None => Code::None,
            Some(code) if Close::is_known(code) => Code::Known(code),
            Some(_) => Code::Other,
        };
        self.count(By::Peer, code);
    }

    /// Adds another shard's.
    pub fn add(&mut self, other: &Self) {
        for (of, count) in &other.0 {
            *self.0.entry(*of).or_default() += count;
        }
    }

    /// Each combination that was seen.
    pub fn iter(&self) -> impl Iterator<Item = (By, Code, u64)> {
        self.0.iter().map(|((by, code), count)| (*by, *code, *count))
    }

    fn count(&mut self, by: By, code: Code) {
        *self.0.entry((by, code)).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_cannot_make_the_table_long() {
        let mut closes = Closes::default();
        (0..=u16::MAX).for_each(|code| closes.by_peer(Some(code)));
        closes.by_peer(None);
        let other = closes.iter().find(|(_, code, _)| *code == Code::Other).unwrap();
        assert!(closes.iter().count() < 40 && other.2 > 65_000, "{closes:?}");
    }

    #[test]
    fn who_has_closed_is_told_apart() {
        let mut closes = Closes::default();
        closes.by_server(Close::NORMAL);
        closes.by_peer(Some(1000));
        let mut sum = closes.clone();
        sum.add(&closes);
        let all: Vec<_> = sum.iter().collect();
        assert_eq!(all, [(By::Server, Code::Known(1000), 2), (By::Peer, Code::Known(1000), 2)]);
    }
}
