//! Whether a client may subscribe: the signature of its back end over connection, channel and member.

use corecast_benches::world::app;
use corecast_benches::{criterion, legend};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use protocol::auth::{sign_subscription, verify_subscription};
use protocol::presence::parse_channel_data;
use protocol::socket_id::{Place, SocketId};

criterion_group! {
    name = benches;
    config = criterion();
    targets = subscribe_auth
}
criterion_main!(benches);

fn subscribe_auth(criterion: &mut Criterion) {
    legend(
        "Subscribe auth: one HMAC-SHA256 over what was signed, compared in constant time. One elem is one subscription.",
    );
    let (app, socket_id) = (app(), SocketId::new(Place { node: 1, shard: 2 }, 3, 4));
    let member = r#"{"user_id":"7","user_info":{"name":"Ada"}}"#;
    let mut group = criterion.benchmark_group("authorise a subscription");
    group.throughput(Throughput::Elements(1));
    let auth = sign_subscription(&app, socket_id, "private-room", None);
    group.bench_function("private", |bencher| {
        bencher.iter(|| verify_subscription(&app, socket_id, "private-room", None, &auth).expect("signed"));
    });
    let auth = sign_subscription(&app, socket_id, "presence-room", Some(member));
    group.bench_function("presence, with its member", |bencher| {
        bencher.iter(|| {
            verify_subscription(&app, socket_id, "presence-room", Some(member), &auth).expect("signed");
            parse_channel_data(member, &app.limits).expect("a member")
        });
    });
    group.finish();
}
