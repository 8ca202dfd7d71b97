//! What operators sign in with, and the signature of what they hold afterwards. A key that each process draws signs both, so
//! tokens are compared in constant time and whatever their lengths, and a session ends with its process.

use std::fmt;

use ring::hmac;

use super::{is_signature, sign_hex};

/// What is signed begins with what it is for.
const TOKEN: &str = "token:";
const SESSION: &str = "session:";

/// The token of operators, and the key of their sessions.
#[derive(Clone)]
pub struct ConsoleKey {
    key: hmac::Key,
    token: Box<str>,
}

impl ConsoleKey {
    /// Of this token. `random` is known to nobody.
    pub fn new(random: &[u8; 32], token: &str) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, random);
        Self { token: sign_hex(&key, &format!("{TOKEN}{token}")).into(), key }
    }

    /// Whether this is the token.
    pub fn is_token(&self, guess: &str) -> bool {
        is_signature(&self.key, &format!("{TOKEN}{guess}"), &self.token)
    }

    /// The signature of a session that this text describes.
    pub fn sign_session(&self, text: &str) -> String {
        sign_hex(&self.key, &format!("{SESSION}{text}"))
    }

    /// Whether a session of this text was signed here.
    pub fn is_session(&self, text: &str, signature: &str) -> bool {
        is_signature(&self.key, &format!("{SESSION}{text}"), signature)
    }
}

impl fmt::Debug for ConsoleKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_is_the_token() {
        let key = ConsoleKey::new(&[7; 32], "let me in");
        assert!(key.is_token("let me in"));
        for guess in ["", "let me i", "let me in ", "LET ME IN"] {
            assert!(!key.is_token(guess), "{guess}");
        }
    }

    #[test]
    fn a_session_is_of_its_process_and_no_token() {
        let (key, other) = (ConsoleKey::new(&[7; 32], "t"), ConsoleKey::new(&[8; 32], "t"));
        let signature = key.sign_session("1.2");
        assert!(key.is_session("1.2", &signature) && !key.is_session("1.3", &signature));
        assert!(!other.is_session("1.2", &signature) && !key.is_session("t", &key.token));
    }
}
