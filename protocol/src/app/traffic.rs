//! What has passed between an app and those who speak with it. Each core sums it up by itself and adds it here now and then,
//! so that no cache line is shared while events pass.

use std::sync::atomic::{AtomicU64, Ordering};

use super::App;

macro_rules! traffic {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Since some moment: counts and bytes.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub struct Traffic { $($(#[$doc])* pub $name: u64,)* }

        /// Since the start, of all cores.
        #[derive(Debug, Default)]
        pub(super) struct Totals { $($name: AtomicU64,)* }

        impl Totals {
            fn add(&self, more: &Traffic) { $(add(&self.$name, more.$name);)* }

            fn read(&self) -> Traffic { Traffic { $($name: self.$name.load(Ordering::Relaxed),)* } }
        }
    };
}

traffic! {
    /// Bytes that came from WebSocket clients.
    received_bytes,
    /// Bytes that their sockets took.
    sent_bytes,
    /// Messages of WebSocket clients.
    received,
    /// Messages to them.
    sent,
    /// Calls of back ends.
    calls,
    /// Bytes of these calls.
    calls_bytes,
    /// Bytes of the answers to them.
    answers_bytes,
}

impl App {
    /// A core has summed up so much.
    pub fn add_traffic(&self, more: &Traffic) {
        self.shared.traffic.add(more);
    }

    /// All of it, as far as cores have added it.
    pub fn traffic(&self) -> Traffic {
        self.shared.traffic.read()
    }
}

fn add(total: &AtomicU64, more: u64) {
    if more > 0 {
        total.fetch_add(more, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cores_add_is_summed_up() {
        let app = App::new("1", "k", "s");
        app.add_traffic(&Traffic { received: 2, sent_bytes: 7, ..Traffic::default() });
        app.add_traffic(&Traffic { received: 3, calls: 1, ..Traffic::default() });
        assert_eq!(app.traffic(), Traffic { received: 5, sent_bytes: 7, calls: 1, ..Traffic::default() });
    }
}
