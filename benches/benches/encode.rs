//! An event becomes the bytes of a WebSocket frame: once per publish, whatever the number of its subscribers.

use corecast_benches::{criterion, legend};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use protocol::json::EventData;
use protocol::server_event::encode_event;

criterion_group! {
    name = benches;
    config = criterion();
    targets = encode
}
criterion_main!(benches);

fn encode(criterion: &mut Criterion) {
    legend("Encode: one event to one frame, shared by all subscribers. Bytes are those of its data.");
    let mut group = criterion.benchmark_group("encode an event, bytes of data");
    let mut out = Vec::new();
    for size in [20, 200, 10_000] {
        let data = EventData::of_text(&"x".repeat(size));
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| {
                out.clear();
                encode_event(&mut out, "update", "dashboard", &data, None);
                out.len()
            });
        });
    }
    group.finish();
}
