//! Random numbers of the system, for socket ids and for the hash of the topics.

use ring::rand::{SecureRandom, SystemRandom};

/// Random numbers for one shard, many of them with one system call.
pub(super) struct Random {
    system: SystemRandom,
    bytes: [u8; RANDOM_BYTES],
    used: usize,
}

/// What is asked of the system at once.
const RANDOM_BYTES: usize = 4096;

impl Random {
    pub(super) fn new() -> Self {
        Self { system: SystemRandom::new(), bytes: [0; RANDOM_BYTES], used: RANDOM_BYTES }
    }

    pub(super) fn numbers(mut self) -> impl FnMut() -> u64 {
        move || self.next()
    }

    /// No byte is used twice.
    fn next(&mut self) -> u64 {
        if let Some(number) = self.bytes[self.used..].first_chunk() {
            self.used += number.len();
            return u64::from_ne_bytes(*number);
        }
        fill(&self.system, &mut self.bytes);
        self.used = 0;
        self.next()
    }
}

/// One random number.
pub(super) fn random_u64() -> u64 {
    let mut bytes = [0; 8];
    fill(&SystemRandom::new(), &mut bytes);
    u64::from_ne_bytes(bytes)
}

/// What nobody can guess.
pub(super) fn random_bytes() -> [u8; 32] {
    let mut bytes = [0; 32];
    fill(&SystemRandom::new(), &mut bytes);
    bytes
}

fn fill(random: &SystemRandom, bytes: &mut [u8]) {
    let filled = random.fill(bytes).is_ok();
    assert!(filled, "the system has no random bytes, without which socket ids could be guessed");
}
