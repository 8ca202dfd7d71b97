//! What `/metrics` tells of the process, under the names that every exporter uses.

use prometheus::proto::MetricType;

use crate::process::ProcessReading;
use machines::api_core::exposition::Exposition;

pub(super) fn describe_process(all: &mut Exposition, descriptors_max: u64) {
    use MetricType::{COUNTER, GAUGE};
    let process = ProcessReading::take();
    let number = |value: Option<u64>| value.map(|value| value as f64);
    let mut build = all.gauges("build_info", "Which Corecast this is.");
    build.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    all.add(build);
    if let Some(allocator) = process.allocator {
        all.gauge("allocated_bytes", "Bytes that the allocator has given out.", allocator.live_bytes);
        all.counter("allocations_total", "Blocks asked of the allocator.", allocator.allocations);
    }
    all.standard("process_cpu_seconds_total", "CPU time.", COUNTER, process.cpu_s);
    all.standard("process_resident_memory_bytes", "Memory in RAM.", GAUGE, number(process.resident_bytes));
    all.standard("process_virtual_memory_bytes", "Address space.", GAUGE, number(process.virtual_bytes));
    all.standard("process_start_time_seconds", "Start, since the epoch.", GAUGE, process.started_unix_s);
    all.standard("process_open_fds", "Open descriptors.", GAUGE, number(process.descriptors));
    all.standard("process_max_fds", "Descriptors that may be open.", GAUGE, Some(descriptors_max as f64));
}
