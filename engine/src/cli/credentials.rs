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
    let random = SystemRandom::new();
    let mut id = [0; 3];
    let mut key = [0; 10];
    let mut secret = [0; 10];
    for bytes in [&mut id[..], &mut key[..], &mut secret[..]] {
        random.fill(bytes).map_err(|_| NoRandomness)?;
    }
    let id = u32::from_be_bytes([0, id[0], id[1], id[2]]);
    Ok(format!("{id}:{}:{}", hex(&key), hex(&secret)))
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
