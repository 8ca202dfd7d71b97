//! Where endpoints go on, and who may hold rows back.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use hooks::pipeline::Hooks;
use hooks::row::Position;
use hooks::settings::{Endpoint, Format, SinkSettings};
use hooks::source::Source;
use protocol::app::Apps;
use protocol::hook_event::Happened;

use crate::bench::{Bench, Directory, apps, client_event, settings, wait};

#[test]
fn an_endpoint_goes_on_where_it_was() {
    let directory = Directory::new();
    let apps = apps(&["1"]);
    let both = settings(directory.path(), &apps, &["a", "b"]);
    let mut bench = Bench::start_with(&both, &apps).unwrap();
    bench.offer_client_events(100, 50);
    bench.read(0, 100, 100);
    bench.source.release(Position(30, 0), &[("a", Position(70, 0)), ("b", Position(30, 0))]).unwrap();
    bench.stop();
    let mut bench = Bench::start_with(&both, &apps).unwrap();
    assert_eq!(bench.source.place_of("a").unwrap(), Position(70, 0));
    assert_eq!(bench.source.place_of("b").unwrap(), Position(30, 0));
    assert_eq!(bench.read(30, 100, 9).len(), 70);
    bench.stop();
}

#[test]
fn a_new_endpoint_begins_at_the_start_of_what_is_kept() {
    let directory = Directory::new();
    let mut bench = Bench::start(directory.path());
    assert_eq!(bench.source.place_of("new").unwrap(), Position(0, 0));
    bench.offer_client_events(100, 50);
    bench.read(0, 100, 100);
    bench.release(40);
    bench.stop();
    let mut bench = Bench::start(directory.path());
    assert_eq!(bench.source.place_of("new").unwrap(), Position(40, 0));
    bench.stop();
}

#[test]
fn an_endpoint_that_was_gone_for_one_start_is_new() {
    let directory = Directory::new();
    let apps = apps(&["1"]);
    let with = |names| settings(directory.path(), &apps, names);
    let mut bench = Bench::start_with(&with(&["a", "b"]), &apps).unwrap();
    bench.offer_client_events(10, 50);
    bench.read(0, 10, 10);
    bench.source.release(Position(0, 0), &[("a", Position(2, 0)), ("b", Position(9, 0))]).unwrap();
    bench.stop();
    Bench::start_with(&with(&["a"]), &apps).unwrap().stop();
    let mut bench = Bench::start_with(&with(&["a", "b"]), &apps).unwrap();
    assert_eq!(bench.source.place_of("a").unwrap(), Position(2, 0));
    assert_eq!(bench.source.place_of("b").unwrap(), Position(0, 0));
    bench.stop();
}

#[test]
fn rows_of_an_app_that_is_gone_are_passed_over() {
    let directory = Directory::new();
    let before = apps(&["1", "2"]);
    let mut bench = Bench::start_with(&settings(directory.path(), &before, &["a"]), &before).unwrap();
    let two = Arc::clone(before.by_id("2").unwrap());
    for n in 0..300 {
        let app = if n % 100 == 0 { Arc::clone(&bench.app) } else { Arc::clone(&two) };
        bench.offer(client_event(&app, 50));
    }
    bench.stop();
    let mut bench = Bench::start(directory.path());
    let (mut place, mut ids) = (Position(0, 0), Vec::new());
    for _ in 0..3 {
        let mut rows = Vec::new();
        bench.source.read(place, 10, &mut rows).unwrap();
        place = rows.last().unwrap().0;
        ids.extend(rows.iter().map(|(_, row)| row.id));
    }
    assert_eq!(ids, [1, 101, 201]);
    let mut rows = Vec::new();
    bench.source.read(place, 10, &mut rows).unwrap();
    assert!(rows.is_empty());
    assert_eq!(bench.counters.undecodable.now(), 297);
    bench.release(201);
    wait("all rows are gone", || bench.counters.rows.now() == 0);
    bench.stop();
}

/// The pipeline as a server starts it: an endpoint that takes everything, and one at a port where nobody listens.
fn with_a_dead_endpoint(directory: &Directory, apps: &Apps, dead: bool) -> hooks::settings::Settings {
    let mut settings = settings(directory.path(), apps, &["alive"]);
    if dead {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let sink = SinkSettings::Webhook {
            url: format!("http://127.0.0.1:{port}/"),
            format: Format::Pusher,
            headers: Vec::new(),
        };
        settings.endpoints.push(Endpoint::new("dead", Arc::clone(apps.iter().next().unwrap()), sink));
    }
    settings
}

#[test]
fn an_endpoint_that_fails_holds_rows_back_and_one_that_is_gone_does_not() {
    let (directory, apps) = (Directory::new(), apps(&["1"]));
    let settings = with_a_dead_endpoint(&directory, &apps, true);
    let (hooks, queue, _) = Hooks::start(&settings, Arc::clone(&apps)).unwrap();
    for time_ms in 0..1_000 {
        let event = client_event(apps.by_id("1").unwrap(), 50);
        queue.offer(Happened { event, time_ms }).unwrap();
    }
    let counters = hooks.counters().clone();
    wait("the other endpoint has all", || counters.delivery.endpoints[0].accepted.now() == 1_000);
    drop(queue);
    hooks.stop(Duration::from_secs(2));
    assert_eq!(directory.status().rows, 1_000);
    assert_eq!(directory.status().places["alive"], Position(1_000, 0));

    let settings = with_a_dead_endpoint(&directory, &apps, false);
    let (hooks, queue, _) = Hooks::start(&settings, apps).unwrap();
    let counters = hooks.counters().clone();
    wait("all rows are gone", || counters.journal.rows.now() == 0);
    assert_eq!(counters.delivery.endpoints[0].accepted.now(), 0);
    drop(queue);
    hooks.stop(Duration::from_secs(2));
    assert_eq!(directory.status().rows, 0);
}
