//! `KEY:HEX`, which a back end signs for its client: what subscriptions and sign-ins have in common.

use std::fmt;

use super::{excerpt, sign_hex};
use crate::app::{App, AppKey};
use crate::limits::CLIENT_EXCERPT_BYTES_MAX;

/// The key of an `auth`, if it is an enabled one of the app, and the signature. `what` is authorised by it.
pub(super) fn parse_client_auth<'a>(
    app: &'a App,
    auth: &'a str,
    what: &'static str,
) -> Result<(&'a AppKey, &'a str), ClientAuthError> {
    let (name, signature) = auth.split_once(':').ok_or(ClientAuthError::Format)?;
    let unknown = || ClientAuthError::Key { what, key: excerpt(name, CLIENT_EXCERPT_BYTES_MAX) };
    let key = app.enabled_key(name).ok_or_else(unknown)?;
    Ok((key, signature))
}

/// The `auth` for this text, by the oldest enabled key.
pub(super) fn sign_client_auth(app: &App, text: &str) -> String {
    let key = app.oldest_key();
    format!("{}:{}", key.name, sign_hex(key.signing(), text))
}

/// Why a subscription or a sign-in is not authorised. The text goes to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientAuthError {
    /// Not `key:signature`.
    Format,
    /// The key is none of the app's enabled keys.
    Key {
        /// `subscription` or `signin`.
        what: &'static str,
        /// The beginning of what came.
        key: Box<str>,
    },
    /// The signature is not that of this connection and of what it asks for.
    Signature {
        /// The beginning of what was to be signed.
        expected: Box<str>,
        /// The beginning of what came.
        got: Box<str>,
    },
}

impl ClientAuthError {
    pub(super) fn signature(text: &str, got: &str) -> Self {
        Self::Signature {
            expected: excerpt(text, CLIENT_EXCERPT_BYTES_MAX),
            got: excerpt(got, CLIENT_EXCERPT_BYTES_MAX),
        }
    }
}

impl fmt::Display for ClientAuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format => write!(f, "Invalid format: auth must have the format key:signature"),
            Self::Key { what, key } => write!(f, "Invalid key in {what} auth data: '{key}'"),
            Self::Signature { expected, got } => {
                write!(f, "Invalid signature: Expected HMAC SHA256 hex digest of {expected}, but got {got}")
            }
        }
    }
}

impl std::error::Error for ClientAuthError {}
