//! What benchmarks of the pure parts share: how they are measured, what they say beforehand, and shards without sockets.
//!
//! Each benchmark is one file in `benches/` with one idea. `cargo bench` runs all; `cargo bench --bench fan_out` one.
//! Nothing here may touch a socket or a clock of its own: what is measured is our code alone, never the kernel.
#![forbid(unsafe_code)]

use std::time::Duration;

use criterion::Criterion;

pub mod world;

/// How all of them are measured: long enough for figures that repeat within a few percent on a quiet core.
pub fn criterion() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args()
}

/// Says in plain words what the figures below are, for readers who have not read the code.
pub fn legend(text: &str) {
    println!(
        "\n{text}\n  (time: per call, with its range; thrpt: what «elem» or bytes that makes per second)\n"
    );
}
