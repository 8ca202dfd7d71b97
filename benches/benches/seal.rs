//! What the encryption of a write alone costs, with nothing of TLS around it: AES-256-GCM over its bytes, sealed in place. It is
//! what deliveries over TLS are measured against.

use corecast_benches::{criterion, legend};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

criterion_group! {
    name = benches;
    config = criterion();
    targets = seal
}
criterion_main!(benches);

/// One event of the load generator with its frame, and the most that a record of TLS holds.
const SIZES: [usize; 2] = [320, 16 << 10];

fn seal(criterion: &mut Criterion) {
    legend("Seal: AES-256-GCM over the bytes of one write, in place. One elem is one record.");
    let key = UnboundKey::new(&AES_256_GCM, &[7; 32]).map(LessSafeKey::new).expect("its length is right");
    let mut group = criterion.benchmark_group("seal");
    for size in SIZES {
        let (mut bytes, mut number) = (vec![1u8; size], 0u64);
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("record", size), |bencher| {
            bencher.iter(|| {
                number += 1;
                let mut nonce = [0; 12];
                nonce[4..].copy_from_slice(&number.to_be_bytes());
                let nonce = Nonce::assume_unique_for_key(nonce);
                key.seal_in_place_separate_tag(nonce, Aad::from([0x17, 3, 3, 1, 0x50]), &mut bytes)
                    .expect("there is room")
            });
        });
    }
    group.finish();
}
