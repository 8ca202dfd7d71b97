//! A client's bytes become a message: the frame is unmasked in place and its JSON read as far as needed.

use corecast_benches::world::client_frame;
use corecast_benches::{criterion, legend};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use protocol::message::parse_client_message;
use protocol::ws::{Decoder, Message};

const MESSAGE_BYTES_MAX: usize = 100_000;

criterion_group! {
    name = benches;
    config = criterion();
    targets = decode
}
criterion_main!(benches);

fn decode(criterion: &mut Criterion) {
    legend(
        "Decode: one client frame, unmasked, checked for UTF-8 and nesting, and parsed. Bytes are those of the frame.",
    );
    let long = format!(
        r#"{{"event":"client-move","channel":"private-room","data":{{"text":"{}"}}}}"#,
        "x".repeat(5_000)
    );
    let messages = [
        ("ping", r#"{"event":"pusher:ping","data":{}}"#),
        ("subscribe", r#"{"event":"pusher:subscribe","data":{"channel":"dashboard"}}"#),
        ("client event of 5 kB", &long),
    ];
    let mut group = criterion.benchmark_group("decode a client message");
    for (name, message) in messages {
        let bytes = client_frame(message);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        let mut decoder = Decoder::default();
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                || bytes.clone(),
                |bytes| {
                    let (_, message) = decoder.decode(bytes, MESSAGE_BYTES_MAX).expect("a good frame");
                    let Some(Message::Text(text)) = message else { panic!("a text message") };
                    parse_client_message(text).is_ok()
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}
