//! A publish over HTTP: head, MD5 of the body, signature and JSON, up to the events that it asks for.

use api::call::{Arrival, parse_call};
use corecast_benches::world::{DATA_BYTES, app};
use corecast_benches::{criterion, legend};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use protocol::app::Apps;
use protocol::auth::sign_request;
use protocol::http::{RequestParse, parse_request};
use protocol::path_prefix::PathPrefix;

const NOW_UNIX_S: u64 = 1_700_000_000;
const ARRIVAL: Arrival = Arrival { secure: false, unix_s: NOW_UNIX_S };

criterion_group! {
    name = benches;
    config = criterion();
    targets = rest_call
}
criterion_main!(benches);

fn rest_call(criterion: &mut Criterion) {
    legend("REST: one request parsed and its signature checked. One elem is one event of 200 bytes.");
    let apps = Apps::new(vec![app()]).expect("one app has no twin");
    let data = "x".repeat(DATA_BYTES);
    let event = format!(r#"{{"name":"update","channels":["dashboard"],"data":"{data}"}}"#);
    let one = format!(r#"{{"name":"update","channel":"dashboard","data":"{data}"}}"#);
    let batch = format!(r#"{{"batch":[{}]}}"#, vec![one; 10].join(","));
    let mut group = criterion.benchmark_group("parse and authorise a publish");
    for (path, events, body) in [("/apps/1/events", 1, event), ("/apps/1/batch_events", 10, batch)] {
        let bytes = request(path, &body);
        group.throughput(Throughput::Elements(events));
        group.bench_function(BenchmarkId::new(path, events), |bencher| {
            bencher.iter(|| {
                let RequestParse::Complete { request, .. } = parse_request(&bytes) else {
                    panic!("a request")
                };
                parse_call(&apps, &PathPrefix::default(), &request, ARRIVAL).expect("signed");
            });
        });
    }
    group.finish();
}

fn request(path: &str, body: &str) -> Vec<u8> {
    let query = sign_request(&app(), "POST", path, &[], body.as_bytes(), NOW_UNIX_S);
    let length = body.len();
    format!("POST {path}?{query} HTTP/1.1\r\nHost: b\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}
