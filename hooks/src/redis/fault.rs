//! What can be wrong with a Redis server: a kind for code that decides, and a line that tells the operator what to do.
//!
//! No text here ever holds a password.

use std::error::Error;
use std::fmt;

use redis::{ErrorKind, RedisError, ServerError};

/// What is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RedisFaultKind {
    /// Something else; the text has it.
    Else,
    /// It is at its `maxmemory`.
    Full,
    /// It wants a user or password, or other ones.
    Login,
    /// It reads its data in, or cannot write them to its disk.
    NotReady,
    /// The user may not do this.
    Permission,
    /// The consumer group is gone.
    NoGroup,
    /// It is a replica.
    ReadOnly,
    /// There is no connection, or no answer.
    Unreachable,
    /// The key holds something that is no stream.
    WrongType,
}

/// A Redis server that does not do what it was asked.
#[derive(Clone, Debug)]
pub struct RedisFault {
    kind: RedisFaultKind,
    text: String,
}

impl RedisFault {
    /// A fault in these words.
    pub fn new(kind: RedisFaultKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    /// Which it is.
    pub fn kind(&self) -> RedisFaultKind {
        self.kind
    }

    /// True when nothing more can be asked over the same connection.
    pub fn ends_connection(&self) -> bool {
        matches!(self.kind, RedisFaultKind::Unreachable | RedisFaultKind::Login | RedisFaultKind::Else)
    }

    fn of_code(code: &str, detail: &str) -> Self {
        let kind = match code {
            "OOM" => RedisFaultKind::Full,
            "NOAUTH" | "WRONGPASS" => RedisFaultKind::Login,
            "LOADING" | "MISCONF" | "MASTERDOWN" | "NOREPLICAS" | "BUSY" | "TRYAGAIN" | "CLUSTERDOWN" => {
                RedisFaultKind::NotReady
            }
            "NOPERM" => RedisFaultKind::Permission,
            "NOGROUP" => RedisFaultKind::NoGroup,
            "READONLY" => RedisFaultKind::ReadOnly,
            "WRONGTYPE" => RedisFaultKind::WrongType,
            _ => RedisFaultKind::Else,
        };
        Self::new(kind, format!("{code} {detail}"))
    }

    /// What is wrong, in words.
    pub fn cause(&self) -> &str {
        self.text.trim()
    }

    /// What to do about it.
    pub fn advice(&self) -> &'static str {
        match self.kind {
            RedisFaultKind::Else => "look at the Redis server",
            RedisFaultKind::Full => {
                "Redis is at its maxmemory: raise it, or see why entries are not consumed"
            }
            RedisFaultKind::Login => {
                "set the user and the password in redis_url (redis://USER:PASSWORD@HOST:PORT)"
            }
            RedisFaultKind::NotReady => "Redis is not ready: see its own log if this lasts",
            RedisFaultKind::Permission => "allow the user of redis_url what the message names (ACL SETUSER)",
            RedisFaultKind::NoGroup => "the consumer group is gone: it is made again",
            RedisFaultKind::ReadOnly => "this is a replica: let redis_url name the primary",
            RedisFaultKind::Unreachable => "see whether Redis runs and whether redis_url is right",
            RedisFaultKind::WrongType => {
                "the key is in use for something else: choose another name for `stream`"
            }
        }
    }
}

impl fmt::Display for RedisFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.cause(), self.advice())
    }
}

impl Error for RedisFault {}

impl From<RedisError> for RedisFault {
    fn from(error: RedisError) -> Self {
        // What the client says of a refused password is more than a code.
        if error.kind() == ErrorKind::AuthenticationFailed {
            return Self::new(RedisFaultKind::Login, "Redis refuses the credentials");
        }
        match error.code() {
            Some(code) => Self::of_code(code, error.detail().unwrap_or_default()),
            None if error.is_timeout() => {
                Self::new(RedisFaultKind::Unreachable, "Redis does not answer in time")
            }
            None if error.is_io_error() => {
                Self::new(RedisFaultKind::Unreachable, format!("no connection to Redis: {error}"))
            }
            None => Self::new(RedisFaultKind::Else, error.to_string()),
        }
    }
}

impl From<&ServerError> for RedisFault {
    fn from(error: &ServerError) -> Self {
        Self::of_code(error.code(), error.details().unwrap_or_default())
    }
}
