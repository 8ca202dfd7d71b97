//! What an operator watches, as shards and the API core speak of it: connections that are looked at once, and what happens
//! on a channel or a connection for as long as somebody watches it.
//!
//! What is watched goes to the API core as a leaf, sampled and cut where it happens. What must never happen here: a channel
//! or a connection that waits because somebody watches it.

use std::sync::Arc;

use protocol::app::App;
use protocol::socket_id::SocketId;

use crate::cores::CoreId;
use crate::limits::WATCHED_BYTES_MAX;
use crate::token::Token;

/// A connection, as an operator sees it.
#[derive(Clone, Debug)]
pub struct ConnectionView {
    /// What clients know it by.
    pub socket_id: SocketId,
    /// The app that it belongs to.
    pub app: Arc<App>,
    /// Whom it is signed in as.
    pub user_id: Option<Box<str>>,
    /// How many subscriptions it has.
    pub subscriptions: usize,
    /// What it is subscribed to, as far as that is told.
    pub channels: Vec<Box<str>>,
    /// How many bytes wait to be written to it.
    pub waiting_bytes: usize,
    /// For how long something has waited that the kernel has refused, in milliseconds.
    pub waiting_ms: u64,
    /// What the driver knows of it.
    pub met: Met,
}

/// What the driver knows of a connection.
#[derive(Clone, Default, Debug)]
pub struct Met {
    /// Where its client is.
    pub address: Option<Box<str>>,
    /// What it says that it is.
    pub agent: Option<Box<str>>,
    /// For how long it has been a client's, in milliseconds.
    pub age_ms: Option<u64>,
    /// How many bytes came, and how many went.
    pub bytes: Option<(u64, u64)>,
}

/// Connections of whom the driver is asked what it knows, on their way to an asker.
#[derive(Debug)]
pub struct Introduction {
    /// The connections, and what is told of each.
    pub views: Vec<(Token, ConnectionView)>,
    /// Who is told.
    pub(crate) asker: CoreId,
    /// In answer to which query.
    pub(crate) query: u64,
    /// Whether one connection was asked for.
    pub(crate) is_one: bool,
}

/// What was seen of something that is watched.
#[derive(Debug)]
pub struct Seen {
    /// The name that the watcher has given to the watch.
    pub watch: u64,
    /// How much was not told since what was told last.
    pub left_out: u64,
    /// What was seen. None: only that more was left out.
    pub sight: Option<Sight>,
}

/// Something that was seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Sight {
    /// An event of the channel.
    Event(Excerpt),
    /// A message of the connection.
    Message {
        /// Who sent it.
        from: Side,
        /// Which kind of message it is.
        kind: MessageKind,
        /// What it says.
        excerpt: Excerpt,
    },
    /// The connection has gone, with this code. Nothing more will be seen.
    Gone(u16),
}

impl Sight {
    /// What it counts for in a batch, in bytes.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Event(excerpt) | Self::Message { excerpt, .. } => excerpt.start.len(),
            Self::Gone(_) => 0,
        }
    }
}

/// Who sends a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The client.
    Client,
    /// The server.
    Server,
}

/// Which kind of WebSocket message it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MessageKind {
    /// A text.
    Text,
    /// A ping.
    Ping,
    /// A pong.
    Pong,
    /// A close.
    Close,
}

/// The beginning of something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Excerpt {
    /// How long the whole is, in bytes.
    pub bytes: usize,
    /// The beginning of it, at most [`WATCHED_BYTES_MAX`] bytes.
    pub start: Box<[u8]>,
}

impl Excerpt {
    /// The beginning of these bytes.
    pub fn of(whole: &[u8]) -> Self {
        Self::cut(whole.len(), whole)
    }

    /// Of something so long, which begins like this.
    pub(crate) fn cut(bytes: usize, start: &[u8]) -> Self {
        let start = start.get(..WATCHED_BYTES_MAX).unwrap_or(start);
        Self { bytes, start: start.into() }
    }
}

/// A watch that somebody keeps on something: for how long, and how much of it is told.
#[derive(Debug)]
pub(crate) struct Watch {
    /// What its watcher calls it.
    pub(crate) name: u64,
    /// Who is told.
    pub(crate) watcher: CoreId,
    /// When it ends, in `mono_ms`.
    until_ms: u64,
    per_second: u32,
    /// The second of the monotonic clock in which something was told last.
    second: u64,
    /// How much was told in it.
    told: u32,
    /// How much was not, since.
    left_out: u64,
}

impl Watch {
    /// A new one, of which so much is told in a second.
    pub(crate) fn new(name: u64, watcher: CoreId, until_ms: u64, per_second: u32) -> Self {
        Self { name, watcher, until_ms, per_second, second: 0, told: 0, left_out: 0 }
    }

    /// It goes on until then.
    pub(crate) fn renew(&mut self, until_ms: u64) {
        self.until_ms = until_ms;
    }

    /// Whether it goes on.
    pub(crate) fn is_kept(&self, now_ms: u64) -> bool {
        self.until_ms > now_ms
    }

    /// Something was seen. Returns what is told of it, if this second has room for it.
    pub(crate) fn see(&mut self, now_ms: u64, has_room: bool, sight: impl FnOnce() -> Sight) -> Option<Seen> {
        let second = now_ms / 1_000;
        if self.second != second {
            (self.second, self.told) = (second, 0);
        }
        if self.told >= self.per_second || !has_room {
            self.left_out += 1;
            return None;
        }
        self.told += 1;
        let left_out = std::mem::take(&mut self.left_out);
        Some(Seen { watch: self.name, left_out, sight: Some(sight()) })
    }

    /// What happens last. It is told however much was told before.
    pub(crate) fn end(&mut self, sight: Sight) -> Seen {
        Seen { watch: self.name, left_out: std::mem::take(&mut self.left_out), sight: Some(sight) }
    }

    /// Tells in a later second how much was left out, if nothing else does.
    pub(crate) fn count_left_out(&mut self, now_ms: u64, has_room: bool) -> Option<Seen> {
        if self.left_out == 0 || self.second == now_ms / 1_000 {
            return None;
        }
        self.second = now_ms / 1_000;
        self.told = 0;
        if !has_room {
            return None;
        }
        Some(Seen { watch: self.name, left_out: std::mem::take(&mut self.left_out), sight: None })
    }

    /// When something of it is due, in `mono_ms`.
    pub(crate) fn deadline_ms(&self) -> u64 {
        if self.left_out > 0 { self.until_ms.min((self.second + 1) * 1_000) } else { self.until_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: u8) -> Sight {
        Sight::Event(Excerpt::of(&[number]))
    }

    #[test]
    fn a_second_tells_so_much_and_what_was_left_out_is_counted_with_the_next() {
        let mut watch = Watch::new(7, CoreId::Api, 60_000, 3);
        let mut told = |at_ms, number| {
            let seen = watch.see(at_ms, true, || event(number))?;
            Some((seen.watch, seen.left_out, seen.sight == Some(event(number))))
        };
        let first: Vec<_> = (0..10).filter_map(|number| told(1_999, number)).collect();
        assert_eq!(first, [(7, 0, true); 3]);
        assert_eq!(told(2_000, 11), Some((7, 7, true)));
        assert_eq!(told(2_001, 12), Some((7, 0, true)));
    }

    #[test]
    fn what_was_left_out_is_told_when_nothing_follows() {
        let mut watch = Watch::new(7, CoreId::Api, 60_000, 1);
        assert_eq!(watch.deadline_ms(), 60_000);
        for _ in 0..3 {
            watch.see(1_500, true, || event(1));
        }
        assert_eq!(watch.deadline_ms(), 2_000);
        assert!(watch.count_left_out(1_999, true).is_none());
        assert!(watch.count_left_out(2_000, false).is_none());
        assert_eq!(watch.deadline_ms(), 3_000, "it is tried again a second later");
        let seen = watch.count_left_out(3_000, true).unwrap();
        assert!(seen.left_out == 2 && seen.sight.is_none());
        assert!(watch.count_left_out(4_000, true).is_none());
    }

    #[test]
    fn what_finds_no_room_is_left_out_and_an_end_is_told_in_any_case() {
        let mut watch = Watch::new(7, CoreId::Api, 60_000, 9);
        assert!(watch.see(1_000, false, || event(1)).is_none());
        let last = watch.end(Sight::Gone(1000));
        assert!(last.left_out == 1 && last.sight == Some(Sight::Gone(1000)));
        assert!(watch.is_kept(59_999) && !watch.is_kept(60_000));
    }

    #[test]
    fn an_excerpt_is_the_beginning_and_says_how_long_the_whole_is() {
        let whole = vec![b'x'; 1 << 20];
        let excerpt = Excerpt::of(&whole);
        assert_eq!((excerpt.bytes, excerpt.start.len()), (1 << 20, WATCHED_BYTES_MAX));
        assert_eq!(Excerpt::of(b"ab"), Excerpt { bytes: 2, start: (*b"ab").into() });
    }
}
