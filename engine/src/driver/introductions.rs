//! What the driver adds to what a machine tells an operator of its connections: where they are, what they say that they are,
//! their age, and their bytes.

use machines::machine::Now;
use machines::watching::{Introduction, Met};

use super::sockets::Sockets;

/// Adds what is known of each. Asks the kernel for the bytes.
pub(super) fn complete(mut introduction: Introduction, sockets: &Sockets, now: Now) -> Introduction {
    for (token, view) in &mut introduction.views {
        let met = sockets.met(*token, now.mono_ms);
        view.met = Met {
            address: met.address.map(|address| address.to_string().into_boxed_str()),
            agent: met.agent.map(Box::from),
            age_ms: met.open_ds.map(|open_ds| u64::from(open_ds) * 100),
            bytes: met.bytes,
        };
    }
    introduction
}
