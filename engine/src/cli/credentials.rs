//! Random credentials.

use std::fmt;

use ring::rand::{SecureRandom, SystemRandom};

/// The system gave no random bytes.
#[derive(Debug)]
pub(super) struct NoRandomness;

impl fmt::Display for NoRandomness {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the system provides no random bytes; give credentials with --app ID:KEY:SECRET")
    }
}

/// `ID:KEY:SECRET`, random.
pub(super) fn fresh_credentials() -> Result<String, NoRandomness> {
    let [a, b, c] = random_bytes()?;
    let id = u32::from_be_bytes([0, a, b, c]);
    let (key, secret) = fresh_key()?;
    Ok(format!("{id}:{key}:{secret}"))
}

/// A key and its secret, random.
pub(super) fn fresh_key() -> Result<(String, String), NoRandomness> {
    Ok((hex(&random_bytes::<10>()?), hex(&random_bytes::<10>()?)))
}

/// A token to sign in with, random.
pub(super) fn fresh_token() -> Result<String, NoRandomness> {
    Ok(hex(&random_bytes::<16>()?))
}

fn random_bytes<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use protocol::app::App;

    use super::*;

    #[test]
    fn fresh_credentials_are_an_app_and_never_the_same() {
        let (one, other) = (fresh_credentials().unwrap(), fresh_credentials().unwrap());
        assert!(App::parse(&one).is_ok(), "{one}");
        assert_ne!(one, other);
    }
}
