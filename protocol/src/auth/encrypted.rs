//! The key of an encrypted channel. Clients and back ends encrypt with it; the server never sees it in use.
//!
//! As Pusher's libraries make it: SHA-256 over the channel's name and a master key of 32 bytes. The master key of the sample
//! endpoints follows from the app's secret, so it is the same after a restart and a back end can be given it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac};

use crate::app::App;

/// What the app's secret signs to make the master key.
const MASTER_KEY_TEXT: &[u8] = b"encryption master key";

/// The `shared_secret` of a channel, in base64, by the master key that follows from the app's oldest enabled key.
pub fn shared_secret(app: &App, channel: &str) -> String {
    shared_secret_by(hmac::sign(app.oldest_key().signing(), MASTER_KEY_TEXT).as_ref(), channel)
}

fn shared_secret_by(master_key: &[u8], channel: &str) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(channel.as_bytes());
    hash.update(master_key);
    STANDARD.encode(hash.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_secret_is_the_one_that_pushers_libraries_make() {
        let secret = shared_secret_by(&[b'0'; 32], "private-encrypted-foo");
        assert_eq!(secret, "If3QrzJqCCrjPVA/mh9eNOnnk0VEHhgfN4RmHBMj2kk=");
    }

    #[test]
    fn the_master_key_follows_from_the_secret() {
        let channel = "private-encrypted-foo";
        // printf 'encryption master key' | openssl dgst -sha256 -hmac secret -binary
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"secret"), b"encryption master key");
        let of = |secret| shared_secret(&App::new("1", "key", secret), channel);
        assert_eq!(of("secret"), shared_secret_by(tag.as_ref(), channel));
        assert_ne!(of("secret"), of("other"));
        assert_ne!(of("secret"), shared_secret(&App::new("1", "key", "secret"), "private-encrypted-bar"));
    }
}
