#!/usr/bin/env bash
# Builds Corecast and the load test, runs every scenario against Corecast and the floor, each pinned to a core of its own, and
# writes PERFORMANCE.md and target/report/*.html. Takes about half an hour; --quick shows in a few minutes that all of it runs.
# Needs Linux, a Rust toolchain, Python 3 and redis-server; perf and inferno (`cargo install inferno`) to show where time goes.
# Nothing else should run on the machine. See --help for what can be chosen.
set -euo pipefail
cd "$(dirname "$0")/.."
export PYTHONDONTWRITEBYTECODE=1
for argument in "$@"; do
    # What can be chosen is told at once: nothing is built for it.
    if [[ $argument == -h || $argument == --help ]]; then exec python3 loadtest/reproduce/main.py --help; fi
done
# The build whose allocator counts takes the place of the other for a moment.
cargo build --locked --release -p corecast --features counting
mkdir -p target/counting
cp target/release/corecast target/counting/corecast
cargo build --locked --release -p corecast -p corecast-loadtest
cargo build --locked --release -p corecast-hooks --example throughput
exec python3 loadtest/reproduce/main.py "$@"
