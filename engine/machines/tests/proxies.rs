//! What a shard tells the driver of the clients behind proxies.

use std::sync::Arc;

use corecast_machines::cores::CoreId;
use corecast_machines::limits::Limits;
use corecast_machines::machine::{Door, Effect, Inputs, Machine, Now, Socket, Token};
use corecast_machines::mesh::{Leaf, Root};
use corecast_machines::shard::ending::drain::DrainPlan;
use corecast_machines::shard::{Shard, ShardConfig};
use corecast_machines::topic::TopicHash;
use protocol::app::{App, Apps};
use protocol::http::TrustedProxies;

const NOW: Now = Now::at(1000, 1000);

struct Head(Token, Vec<u8>, bool);

impl Inputs for Head {
    fn next_leaves(&mut self) -> Option<(CoreId, Vec<Leaf>)> {
        None
    }

    fn next_roots(&mut self) -> Option<(CoreId, Vec<Root>)> {
        None
    }

    fn release_leaves(&mut self, _from: CoreId) {}

    fn release_roots(&mut self, _from: CoreId) {}

    fn next_socket(&mut self) -> Option<Socket<'_>> {
        let is_read = std::mem::replace(&mut self.2, true);
        (!is_read).then_some(Socket::Bytes(self.0, &mut self.1))
    }

    fn pause(&mut self, _token: Token) {}
}

/// What the driver is told of a connection from `peer`, whose head has these lines and asks for the app of this key.
fn effects(peer: &str, secure: bool, key: &str, lines: &str) -> Vec<String> {
    let mut tls_only = App::new("2", "tls-only", "s");
    tls_only.tls_only = true;
    let mut shard = Shard::new(ShardConfig {
        number: 0,
        node: 0,
        apps: Arc::new(Apps::new(vec![App::new("1", "a", "s"), tls_only]).unwrap()),
        path_prefix: Default::default(),
        trusted_proxies: TrustedProxies::parse_network("10.0.0.0/8").into_iter().collect(),
        address_caps: Default::default(),
        topics: TopicHash::new(7, 1),
        limits: Limits::default(),
        hook_grace_ms: 0,
        witness: None,
        drain: DrainPlan::default(),
        random: Box::new(|| 0),
    });
    let token = Token { slot: 0, generation: 1 };
    shard.handle_open(token, Door::Public, secure, NOW);
    shard.handle_peer(token, peer.parse::<std::net::SocketAddr>().ok().map(Into::into));
    let head = format!(
        "GET /app/{key} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{lines}\r\n"
    );
    shard.decide(&mut Head(token, head.into_bytes(), false), NOW);
    let effect = |effect| match effect {
        Effect::Client { address, .. } => address.unwrap().to_string(),
        Effect::Close { .. } => "close".to_owned(),
        Effect::HandOver { .. } => "hand over".to_owned(),
        _ => "other".to_owned(),
    };
    std::iter::from_fn(|| shard.poll_effect()).map(effect).filter(|effect| effect != "other").collect()
}

#[test]
fn a_trusted_proxy_speaks_for_its_client_before_anything_comes_of_it() {
    let lines = "X-Forwarded-For: 6.6.6.6, 1.2.3.4\r\n";
    assert_eq!(effects("10.0.0.1:5", false, "a", lines), ["1.2.3.4"]);
    assert_eq!(effects("10.0.0.1:5", false, "unknown", lines), ["1.2.3.4", "close"]);
    assert_eq!(effects("10.0.0.1:5", false, "a", ""), [""; 0]);
    assert_eq!(effects("11.0.0.1:5", false, "a", lines), [""; 0]);
}

#[test]
fn an_app_that_is_there_by_tls_only_takes_the_word_of_trusted_proxies_for_it() {
    let (https, http) = ("X-Forwarded-Proto: https\r\n", "X-Forwarded-Proto: http\r\n");
    let table = [
        ("10.0.0.1:5", false, https, true),
        ("10.0.0.1:5", false, "Forwarded: for=10.0.0.9;proto=https\r\n", true),
        ("10.0.0.1:5", false, http, false),
        ("10.0.0.1:5", false, "", false),
        ("10.0.0.1:5", true, "", true),
        ("10.0.0.1:5", true, http, false),
        ("11.0.0.1:5", false, https, false),
        ("11.0.0.1:5", true, http, true),
        ("11.0.0.1:5", false, "", false),
    ];
    for (peer, secure, lines, is_let_in) in table {
        let closes = effects(peer, secure, "tls-only", lines).contains(&"close".to_owned());
        assert_eq!(closes, !is_let_in, "{peer} {secure} {lines}");
        assert!(!effects(peer, secure, "a", lines).contains(&"close".to_owned()), "{peer} {secure} {lines}");
    }
}
