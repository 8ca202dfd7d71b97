//! Nothing lives here: the benchmarks are in benches/, one file each.
#![forbid(unsafe_code)]
