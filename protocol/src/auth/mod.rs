//! Signatures: of subscriptions and sign-ins (made by an app's back end for one connection) and of REST requests. All are
//! HMAC-SHA256 in lower-case hex and compared in constant time. `encrypted` makes the keys of encrypted channels.
//!
//! Error texts show what was to be signed, which is what an integrator needs, and never the secret or the right
//! signature.

mod client;
mod console;
mod encrypted;
mod rest;
mod signin;
mod subscription;

pub use client::ClientAuthError;
pub use console::ConsoleKey;
pub use encrypted::shared_secret;
pub use rest::{AuthVersion, RestAuthError, sign_request, verify_request, verify_request_head};
pub use signin::{sign_signin, verify_signin};
pub use subscription::{sign_subscription, verify_subscription};

use ring::digest::SHA256_OUTPUT_LEN;
use ring::hmac;

use crate::hex::{encode_hex, parse_hex};

fn sign_hex(key: &hmac::Key, text: &str) -> String {
    let mut hex = String::with_capacity(2 * SHA256_OUTPUT_LEN);
    encode_hex(&mut hex, hmac::sign(key, text.as_bytes()).as_ref());
    hex
}

fn is_signature(key: &hmac::Key, text: &str, signature: &str) -> bool {
    let tag = parse_hex::<SHA256_OUTPUT_LEN>(signature);
    tag.is_some_and(|tag| hmac::verify(key, text.as_bytes(), &tag).is_ok())
}

// The beginning of a text from a peer, for an error message.
fn excerpt(text: &str, bytes_max: usize) -> Box<str> {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or_default().into()
}
