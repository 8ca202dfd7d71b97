//! Certificates that change while clients are there: what the log says of them, and that nobody notices anything else.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::thread;

use rustls::{ClientConfig, HandshakeKind};
use serde_json::Value;
use tungstenite::WebSocket;

use crate::rig::server::wait_for;
use crate::rig::tls::{Pair, Secure, TlsStream, hear};

const CLIENTS: usize = 1_000;
const THREADS: usize = 4;

fn hang_up(secure: &Secure) {
    let pid = secure.server.pid().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
}

fn subscribe(secure: &Secure, config: &Arc<ClientConfig>, channel: &str) -> Vec<WebSocket<TlsStream>> {
    // From here on all of them have a ticket.
    let first = secure.subscribed(config, "localhost", channel);
    thread::scope(|scope| {
        let subscribe = || {
            (0..(CLIENTS - 1).div_ceil(THREADS))
                .map(|_| secure.subscribed(config, "localhost", channel))
                .collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(subscribe)).collect();
        let others = threads.into_iter().flat_map(|thread| thread.join().unwrap());
        [first].into_iter().chain(others).collect()
    })
}

fn events<'a>(lines: &'a [Value], name: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["event"] == name).collect()
}

#[test]
fn a_thousand_clients_hear_everything_while_certificates_change_and_a_bad_pair_changes_nothing() {
    let pair = Pair::make("swap", "localhost");
    let mut secure = Secure::start(&pair, "3", &["--log-format", "json"]);
    let before = pair.client();
    let mut clients = subscribe(&secure, &before, "tls-swap");
    assert!(secure.handshakes("resumed") > 0.9 * CLIENTS as f64, "they come back with tickets");
    let mut rest = secure.server.http();
    let mut published = 0;
    let mut publish = |times: usize| {
        for _ in 0..times {
            rest.publish("tls-swap", "news", &published.to_string());
            published += 1;
        }
    };
    publish(5);
    let good = fs::read(&pair.key).unwrap();
    fs::write(&pair.key, "nonsense").unwrap();
    hang_up(&secure);
    publish(5);
    // They go on with the old one, and its tickets are good.
    thread::sleep(std::time::Duration::from_millis(300));
    let kind = |client: &WebSocket<TlsStream>| client.get_ref().conn.handshake_kind();
    assert_eq!(kind(&secure.connect(&before, "localhost")), Some(HandshakeKind::Resumed));
    assert!((28.0..=30.0).contains(&secure.metric("corecast_certificate_days_left")));
    fs::write(&pair.key, good).unwrap();
    let after = Pair::make_for_days("swap", "localhost", 9).client();
    hang_up(&secure);
    publish(5);
    wait_for("the new certificate", || secure.shake_hands(&after, "localhost").ok().map(drop));
    assert!((7.0..=9.0).contains(&secure.metric("corecast_certificate_days_left")));
    publish(5);
    // Without SIGHUP, within ten seconds.
    let last = Pair::make("swap", "localhost").client();
    wait_for("the certificate after that", || {
        thread::sleep(std::time::Duration::from_millis(100));
        secure.shake_hands(&last, "localhost").ok().map(drop)
    });
    publish(5);
    for client in &mut clients {
        for number in 0..25 {
            assert_eq!(hear(client)["data"], number.to_string());
        }
    }
    drop(clients);
    assert_eq!(secure.server.terminate().code(), Some(0));
    let said = secure.server.take_errors();
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let listening = events(&lines, "listening");
    for (line, port, tls) in [(listening[0], secure.server.port(), false), (listening[1], secure.port, true)]
    {
        assert_eq!((&line["address"], &line["tls"]), (&format!("127.0.0.1:{port}").into(), &tls.into()));
    }
    let told: Vec<_> = events(&lines, "certificate")
        .iter()
        .map(|line| (line["level"].as_str().unwrap(), line["days_left"].as_i64().unwrap()))
        .collect();
    assert!(
        matches!(told[..], [("info", 28..=30), ("warn", 7..=9), ("info", 28..=30)]),
        "at the start, and at each change: {told:?}"
    );
    let failed = events(&lines, "reload_failed");
    assert!(failed.len() == 1 && failed[0]["message"].as_str().unwrap().contains("swap.key"), "{failed:?}");
}
