//! Why a server cannot be used, in a line for the operator. No text here ever holds a password.

use std::fmt;

use redis::{ErrorKind, RedisError, ServerError};

/// Why a server cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault(String);

impl Fault {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// A server is not given its scripts for ever.
    pub(crate) fn forgets() -> Self {
        Self::new("it forgets its scripts again and again")
    }

    /// What the server says of a question.
    pub(crate) fn answered(error: &ServerError) -> Self {
        Self::of_code(error.code(), error.details().unwrap_or_default())
    }

    fn of_code(code: &str, detail: &str) -> Self {
        let advice = match code {
            "OOM" => "it is at its maxmemory: raise it",
            "NOAUTH" | "WRONGPASS" => {
                "set user and password in the cluster's URL (redis://USER:PASSWORD@HOST:PORT)"
            }
            "NOPERM" => "allow the user of the cluster's URL what the message names (ACL SETUSER)",
            "READONLY" => "this is a replica: let the cluster's URL name the primary",
            "LOADING" | "MISCONF" | "MASTERDOWN" | "NOREPLICAS" | "BUSY" => {
                "it is not ready: see its own log if this lasts"
            }
            _ => "look at the Redis server",
        };
        Self(format!("{} ({advice})", format!("{code} {detail}").trim()))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<RedisError> for Fault {
    fn from(error: RedisError) -> Self {
        // What the client says of a refused password is more than a code.
        if error.kind() == ErrorKind::AuthenticationFailed {
            return Self::of_code("WRONGPASS", "it refuses the credentials");
        }
        match error.code() {
            Some(code) => Self::of_code(code, error.detail().unwrap_or_default()),
            None if error.is_timeout() => Self::new("it does not answer in time"),
            None if error.is_io_error() => Self(format!("no connection: {error}")),
            None => Self(error.to_string()),
        }
    }
}
