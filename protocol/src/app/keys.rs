//! The keys of an app, each with a secret of its own.
//!
//! An app has several keys while an operator replaces one by the next: clients and back ends change over one by one, and
//! every enabled key works for all of them. The server signs its webhooks with the oldest enabled key, as Pusher does.

use std::fmt;

use ring::hmac;

use super::{AppParseError, check_name};

/// A key of an app and what signs with its secret.
#[derive(Clone)]
pub struct AppKey {
    /// Names the app to clients and in signatures. Public.
    pub name: Box<str>,
    /// A disabled key opens nothing, as if it were unknown.
    pub enabled: bool,
    signing: hmac::Key,
}

impl AppKey {
    /// An enabled key.
    pub(super) fn new(name: &str, secret: &str) -> Self {
        let signing = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        Self { name: name.into(), enabled: true, signing }
    }

    /// An enabled key from what somebody wrote, if it can be one.
    pub fn parse(name: &str, secret: &str) -> Result<Self, AppParseError> {
        check_name("key", name)?;
        if secret.is_empty() {
            return Err(AppParseError::Empty("secret"));
        }
        if secret.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(AppParseError::SecretCharacter);
        }
        Ok(Self::new(name, secret))
    }

    /// What signs and verifies with the key's secret.
    pub fn signing(&self) -> &hmac::Key {
        &self.signing
    }
}

impl PartialEq for AppKey {
    fn eq(&self, other: &Self) -> bool {
        // Secrets are the same if they sign the same.
        let signed = |key: &Self| hmac::sign(&key.signing, b"corecast").as_ref().to_vec();
        self.name == other.name && self.enabled == other.enabled && signed(self) == signed(other)
    }
}

impl Eq for AppKey {}

impl fmt::Debug for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppKey")
            .field("name", &self.name)
            .field("enabled", &self.enabled)
            .field("secret", &"[redacted]")
            .finish()
    }
}

/// At least one key, the oldest first.
#[derive(Debug)]
pub(super) struct AppKeys {
    first: AppKey,
    later: Vec<AppKey>,
}

impl AppKeys {
    pub(super) fn new(first: AppKey) -> Self {
        Self { first, later: Vec::new() }
    }

    pub(super) fn push(&mut self, key: AppKey) {
        self.later.push(key);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &AppKey> {
        std::iter::once(&self.first).chain(&self.later)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut AppKey> {
        std::iter::once(&mut self.first).chain(&mut self.later)
    }

    /// The enabled key of this name.
    pub(super) fn enabled(&self, name: &str) -> Option<&AppKey> {
        self.iter().find(|key| key.enabled && *key.name == *name)
    }

    /// The oldest that is enabled, or the oldest of all.
    pub(super) fn oldest(&self) -> &AppKey {
        self.iter().find(|key| key.enabled).unwrap_or(&self.first)
    }
}
