//! What can be wrong with a Redis server: a kind for whoever decides, and one line for the operator that says what to do.
//!
//! No text here ever holds a password.

use std::error::Error;
use std::fmt;

use redis::{ErrorKind, RedisError, ServerError};

/// What is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TroubleKind {
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
    /// The journal cannot be read or written.
    Journal,
    /// There is no connection, or no answer.
    Unreachable,
    /// The key holds something that is no stream.
    WrongType,
}

/// A Redis server that does not do what it was asked.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// What is wrong.
    pub kind: TroubleKind,
    text: String,
}

impl Trouble {
    /// Trouble in these words.
    pub fn new(kind: TroubleKind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    /// True when nothing more can be asked over the same connection.
    pub fn ends_connection(&self) -> bool {
        matches!(self.kind, TroubleKind::Unreachable | TroubleKind::Login | TroubleKind::Else)
    }

    pub(super) fn of_code(code: &str, detail: &str) -> Self {
        let kind = match code {
            "OOM" => TroubleKind::Full,
            "NOAUTH" | "WRONGPASS" => TroubleKind::Login,
            "LOADING" | "MISCONF" | "MASTERDOWN" | "NOREPLICAS" | "BUSY" | "TRYAGAIN" | "CLUSTERDOWN" => {
                TroubleKind::NotReady
            }
            "NOPERM" => TroubleKind::Permission,
            "NOGROUP" => TroubleKind::NoGroup,
            "READONLY" => TroubleKind::ReadOnly,
            "WRONGTYPE" => TroubleKind::WrongType,
            _ => TroubleKind::Else,
        };
        Self::new(kind, format!("{code} {detail}"))
    }

    fn advice(&self) -> &'static str {
        match self.kind {
            TroubleKind::Else => "look at the Redis server",
            TroubleKind::Full => "Redis is at its maxmemory: raise it, or see why entries are not consumed",
            TroubleKind::Login => {
                "set the user and the password in redis_url (redis://USER:PASSWORD@HOST:PORT)"
            }
            TroubleKind::NotReady => "Redis is not ready: see its own log if this lasts",
            TroubleKind::Permission => "allow the user of redis_url what the message names (ACL SETUSER)",
            TroubleKind::NoGroup => "the consumer group is gone: it is made again",
            TroubleKind::ReadOnly => "this is a replica: let redis_url name the primary",
            TroubleKind::Journal => "look at the disk and at data_dir",
            TroubleKind::Unreachable => "see whether Redis runs and whether redis_url is right",
            TroubleKind::WrongType => {
                "the key is in use for something else: choose another name for `stream`"
            }
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text.trim(), self.advice())
    }
}

impl Error for Trouble {}

impl From<RedisError> for Trouble {
    fn from(error: RedisError) -> Self {
        // What the client says of a refused password is more than a code.
        if error.kind() == ErrorKind::AuthenticationFailed {
            return Self::new(TroubleKind::Login, "Redis refuses the credentials");
        }
        match error.code() {
            Some(code) => Self::of_code(code, error.detail().unwrap_or_default()),
            None if error.is_timeout() => {
                Self::new(TroubleKind::Unreachable, "Redis does not answer in time")
            }
            None if error.is_io_error() => {
                Self::new(TroubleKind::Unreachable, format!("no connection to Redis: {error}"))
            }
            None => Self::new(TroubleKind::Else, error.to_string()),
        }
    }
}

impl From<&ServerError> for Trouble {
    fn from(error: &ServerError) -> Self {
        Self::of_code(error.code(), error.details().unwrap_or_default())
    }
}
