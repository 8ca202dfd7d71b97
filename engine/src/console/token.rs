//! A token that replaces the one before while the server runs.

use std::sync::{Arc, Mutex, PoisonError};

use crate::settings::AdminToken;

/// From where settings are read again to where the console is.
#[derive(Clone, Debug, Default)]
pub struct NextToken(Arc<Mutex<Option<AdminToken>>>);

impl NextToken {
    /// From now on this is the token.
    pub fn set(&self, token: AdminToken) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(token);
    }

    /// The token that was set since somebody has asked.
    pub fn take(&self) -> Option<AdminToken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
