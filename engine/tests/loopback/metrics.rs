//! The operator's listener: metrics that agree with what clients see, and nothing else behind that door.

use std::collections::BTreeMap;
use std::net::TcpStream;

use crate::rig::http::Http;
use crate::rig::raw::Raw;
use crate::rig::server::{Server, free_port, run, wait_for};
use serde_json::json;

/// A server with its tools' port.
struct Watched {
    server: Server,
    admin: u16,
}

impl Watched {
    fn start(arguments: &[&str]) -> Self {
        let admin = free_port();
        let address = format!("127.0.0.1:{admin}");
        let server = Server::start(&[&["--shards", "3", "--admin", &address], arguments].concat());
        Self { server, admin }
    }

    fn tools(&self) -> Http {
        Http::on(TcpStream::connect(("127.0.0.1", self.admin)).unwrap())
    }

    /// Every sample by its name and labels.
    fn scrape(&self) -> BTreeMap<String, f64> {
        let answer = self.tools().ask(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        let samples = answer.body.lines().filter(|line| !line.starts_with('#'));
        let parse = |line: &str| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap())
        };
        samples.map(parse).collect()
    }

    /// The sum of a family.
    fn sum(&self, family: &str) -> f64 {
        let samples = self.scrape();
        let mut of_family =
            samples.iter().filter(|(name, _)| name.split('{').next() == Some(family)).peekable();
        assert!(of_family.peek().is_some(), "{family} is not there: {samples:?}");
        of_family.map(|(_, value)| value).sum()
    }
}

#[test]
fn gauges_are_the_live_tables_after_any_coming_and_going() {
    let watched = Watched::start(&[]);
    let (connected, foreign) = ("corecast_connected{app_id=\"7\"}", "corecast_connected{app_id=\"8\"}");
    let mut staying = Vec::new();
    for round in 0..30 {
        let mut client = watched.server.connect();
        match round % 5 {
            0 => client.abort(),
            1 => drop(client),
            2 => {
                let mut refused = Raw::open(&watched.server);
                assert_eq!(refused.upgrade("/app/no-such-key?protocol=7").status, 101);
                assert_eq!(refused.hear_error_and_close(), 4001);
            }
            _ => {
                client.subscribe(&format!("metrics-{}", round % 3));
                staying.push(client);
            }
        }
    }
    staying.truncate(9);
    wait_for("the gauges to settle", || {
        let now = watched.scrape();
        (now[connected] == 9.0 && now[foreign] == 0.0).then_some(())
    });
    assert_eq!(watched.sum("corecast_connections"), 9.0);
    let now = watched.scrape();
    let (opened, ended) = (
        now["corecast_new_connections_total{app_id=\"7\"}"],
        now["corecast_new_disconnections_total{app_id=\"7\"}"],
    );
    assert_eq!(opened - ended, 9.0);
    assert!(now["corecast_closes_total{by=\"server\",code=\"4001\"}"] == 6.0, "{now:?}");
    assert!(now.keys().any(|name| name.starts_with("corecast_closes_total{by=\"peer\"")), "{now:?}");
    let named: std::collections::HashSet<u32> = [3, 4, 8, 9, 13, 14, 18, 19, 23].map(|r| r % 3).into();
    assert_eq!(watched.sum("corecast_channels"), named.len() as f64);
    assert_eq!(watched.sum("corecast_subscriptions"), 9.0);
    assert_eq!(now["corecast_app_subscriptions{app_id=\"7\"}"], 9.0);
    assert_eq!(now["corecast_app_channels{app_id=\"7\"}"], named.len() as f64);
    drop(staying);
    wait_for("everybody to be gone", || (watched.sum("corecast_connections") == 0.0).then_some(()));
    assert_eq!((watched.sum("corecast_channels"), watched.sum("corecast_app_channels")), (0.0, 0.0));
    assert_eq!(
        (watched.sum("corecast_subscriptions"), watched.sum("corecast_app_subscriptions")),
        (0.0, 0.0)
    );
}

#[test]
fn cached_events_replays_and_misses_are_counted() {
    let watched = Watched::start(&[]);
    let mut clients: Vec<_> = (0..5).map(|_| watched.server.connect()).collect();
    for client in &mut clients {
        client.subscribe("cache-empty");
        client.hear_event("pusher:cache_miss");
    }
    for channel in ["cache-a", "cache-b", "cache-a"] {
        watched.server.publish(channel, "e", "x");
    }
    for client in &mut clients {
        client.subscribe("cache-a");
        client.expect("cache-a", "e", "x");
    }
    let now = watched.scrape();
    let of = |name: &str| now[&format!("corecast_{name}")];
    assert_eq!((of("cache_events"), of("cache_evicted_total"), of("cache_expired_total")), (2.0, 0.0, 0.0));
    assert_eq!((of("cache_misses_total"), of("cache_hits_total")), (5.0, 5.0));
    assert!((100.0..2000.0).contains(&of("cache_bytes")), "{now:?}");
}

#[test]
fn deliveries_messages_and_bytes_are_counted() {
    let watched = Watched::start(&[]);
    let mut clients: Vec<_> = (0..5).map(|_| watched.server.connect()).collect();
    clients.iter_mut().for_each(|client| drop(client.subscribe("counted")));
    // Until they know how many they are, more is delivered than what is published.
    clients.iter_mut().for_each(|client| while client.hear_count("counted") != 5 {});
    let before = watched.scrape();
    (0..20).for_each(|_| watched.server.publish("counted", "e", "x"));
    for client in &mut clients {
        (0..20).for_each(|_| client.expect("counted", "e", "x"));
    }
    let after = watched.scrape();
    assert!(after["corecast_subscription_counts_told_total"] >= 1.0);
    let grown = |name: &str| after[name] - before[name];
    assert_eq!(grown("corecast_deliveries_total"), 100.0);
    assert_eq!(grown("corecast_ws_messages_sent_total"), 100.0);
    assert_eq!(grown("corecast_published_total"), 20.0);
    assert_eq!(grown("corecast_rest_published_total"), 20.0);
    let event = json!({"event": "e", "channel": "counted", "data": "x"}).to_string();
    assert_eq!(grown("corecast_socket_transmitted_bytes"), 100.0 * (event.len() + 2) as f64);
    clients[0].expect_pong();
    let pinged = watched.scrape();
    assert_eq!(
        pinged["corecast_ws_messages_received_total"] - after["corecast_ws_messages_received_total"],
        1.0
    );
    assert!(pinged["corecast_socket_received_bytes"] > after["corecast_socket_received_bytes"]);
    for name in [
        "corecast_gated_seconds_total{gate=\"flush\"}",
        "corecast_slow_consumers_total",
        "corecast_queue_bytes{queue=\"roots\"}",
        "corecast_hooks_queued",
        "corecast_hooks_dropped_total{kind=\"client_event\"}",
        "corecast_hooks_dropped_total{kind=\"subscription_count\"}",
        "corecast_subscription_counts_put_off_total",
        "corecast_subscription_counts_hurried_total",
        "corecast_stuck_batches_total",
        "corecast_invariant_violations_total{core=\"shard-0\"}",
        "corecast_invariant_violations_total{core=\"shard-2\"}",
        "corecast_invariant_violations_total{core=\"api\"}",
        "corecast_invariant_violations_total{core=\"takeover\"}",
    ] {
        assert_eq!(after[name], 0.0, "{name} of a server at ease");
    }
    for name in ["process_resident_memory_bytes", "process_cpu_seconds_total", "process_max_fds"] {
        assert!(after[name] >= 0.0, "{name}");
    }
}

#[test]
fn each_event_is_measured_once_for_each_shard_until_it_is_written() {
    let watched = Watched::start(&[]);
    let measured = || watched.sum("corecast_fanout_seconds_count");
    let mut client = watched.server.connect();
    watched.server.publish("nobody-is-here", "e", "x");
    client.subscribe("measured");
    for number in 0..20 {
        watched.server.publish("measured", "e", &number.to_string());
    }
    wait_for("the events to be measured", || (measured() >= 20.0).then_some(()));
    let now = watched.scrape();
    assert_eq!(measured(), 20.0, "what nobody hears, and what the server says itself, is not measured");
    assert_eq!(now["corecast_fanout_seconds_bucket{le=\"+Inf\"}"], 20.0);
    let (sum, longest) =
        (now["corecast_fanout_seconds_sum"], now["corecast_fanout_seconds_bucket{le=\"5\"}"]);
    assert!(sum > 0.0 && longest <= 20.0, "{now:?}");
    let busy = |core: &str| now[&format!("corecast_core_busy_seconds_total{{core=\"{core}\"}}")];
    assert!(busy("api") > 0.0 && busy("shard-0") > 0.0 && busy("shard-2") > 0.0, "{now:?}");
}

#[test]
fn a_reader_that_stops_shows_before_and_after_it_is_closed() {
    let watched = Watched::start(&[]);
    let nothing = watched.sum("corecast_outbox_bytes");
    let mut deaf = watched.server.connect();
    deaf.subscribe("stopped");
    let data = "x".repeat(9_000);
    let mut http = watched.server.http();
    let blocked = (0..1_000).find(|_| {
        http.publish("stopped", "e", &data);
        watched.sum("corecast_blocked_connections") == 1.0
    });
    assert!(blocked.is_some() && watched.sum("corecast_outbox_bytes") > nothing + 9_000.0);
    let closed = (0..1_000).find(|_| {
        http.publish("stopped", "e", &data);
        watched.sum("corecast_slow_consumers_total") == 1.0
    });
    assert!(closed.is_some());
    assert_eq!(watched.scrape()["corecast_closes_total{by=\"server\",code=\"4100\"}"], 1.0);
    assert_eq!(watched.sum("corecast_outbox_bytes"), nothing);
}

#[test]
fn behind_each_door_is_only_what_belongs_there() {
    let watched = Watched::start(&[]);
    let public = watched.server.http().ask(b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(public.status, 404);
    let mut tools = watched.tools();
    assert_eq!(tools.get("/apps/7/channels", &[]).status, 404);
    assert_eq!(tools.post("/apps/7/events", "{}").status, 404);
    assert_eq!(tools.ask(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n").body, r#"{"ready":true}"#);
    let upgrade = b"GET /app/loopback-key?protocol=7 HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    assert_eq!(tools.ask(upgrade).status, 404, "nobody becomes a client there");
    assert_eq!(
        tools.ask(b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n").status,
        405
    );
}

#[test]
fn a_port_for_tools_that_was_asked_for_and_is_taken_stops_the_start() {
    let watched = Watched::start(&[]);
    let (listen, admin) = (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", watched.admin));
    let (code, _, errors) = run(&["serve", "--listen", &listen, "--app", "1:k:s", "--admin", &admin]);
    assert_eq!(code, Some(1), "{errors}");
    assert!(
        errors.contains("port taken") && errors.contains(&admin) && errors.contains("--admin"),
        "{errors}"
    );
}

#[test]
fn two_servers_without_a_word_about_tools_run_side_by_side() {
    let mut servers = [Server::start(&["--shards", "1"]), Server::start(&["--shards", "1"])];
    servers.iter().for_each(|server| server.connect().expect_pong());
    let told = servers.each_mut().map(|server| {
        server.terminate();
        server.take_errors()
    });
    // Another test's server may have the port: then both go without.
    assert!(
        told.iter().any(|text| text.contains("no metrics: port taken") && text.contains("--admin")),
        "{told:?}"
    );
}

#[test]
fn no_port_for_tools_where_none_is_wanted() {
    let mut server = Server::start(&["--admin", "off"]);
    server.terminate();
    let told = server.take_errors();
    assert!(!told.contains("metrics"), "{told}");
}
