//! Why a call of the REST API has failed.

use std::fmt;

use ureq::http::StatusCode;

/// Why a call of the REST API has failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ApiError {
    /// No answer came: the server cannot be reached, or not in time.
    Unreachable(String),
    /// The server has refused the call.
    Refused {
        /// The status of HTTP, such as 401.
        status: u16,
        /// What it says: a text, or JSON with an `error`.
        body: String,
    },
    /// The server has accepted the call and answers something that cannot be read.
    Unreadable {
        /// What it says.
        body: String,
        /// What is wrong with it.
        why: String,
    },
    /// The call cannot be made.
    Invalid(String),
}

impl ApiError {
    /// The status of HTTP of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) | Self::Invalid(why) => out.write_str(why),
            Self::Refused { status, body } => {
                let reason = StatusCode::from_u16(*status).ok().and_then(|status| status.canonical_reason());
                write!(out, "HTTP/1.1 {status} {}: {}", reason.unwrap_or_default(), body.trim())
            }
            Self::Unreadable { body, why } => write!(out, "the answer cannot be read ({why}): {body}"),
        }
    }
}

impl std::error::Error for ApiError {}
