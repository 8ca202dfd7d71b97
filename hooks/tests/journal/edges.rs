//! Open edges: what was reported as there, exactly, after a kill.

use std::sync::Arc;

use hooks::journal::clear;
use protocol::app::App;
use protocol::channel::channel_of_user;
use protocol::hook_event::{HookEvent, OpenEdges};
use protocol::hook_kind::{HookKind, HookKinds};

use crate::bench::{Bench, Directory, apps, apps_that_want, in_another_process, role, settings, wait};

fn occupied(app: &Arc<App>, channel: &str) -> HookEvent {
    HookEvent::ChannelOccupied { app: Arc::clone(app), channel: channel.into() }
}

fn vacated(app: &Arc<App>, channel: &str) -> HookEvent {
    HookEvent::ChannelVacated { app: Arc::clone(app), channel: channel.into() }
}

fn added(app: &Arc<App>, channel: &str, user_id: &str) -> HookEvent {
    let (app, channel, user_id) = (Arc::clone(app), channel.into(), user_id.into());
    HookEvent::MemberAdded { app, channel, user_id, user_info: Some(r#"{"name":"A"}"#.into()) }
}

fn removed(app: &Arc<App>, channel: &str, user_id: &str) -> HookEvent {
    HookEvent::MemberRemoved { app: Arc::clone(app), channel: channel.into(), user_id: user_id.into() }
}

fn open(channel: &str, occupied: bool, members: &[&str]) -> OpenEdges {
    let members = members.iter().map(|member| (*member).into()).collect();
    OpenEdges { app_id: "1".into(), channel: channel.into(), occupied, members }
}

#[test]
fn open_edges_are_exact_after_a_kill() {
    if let Some(directory) = role() {
        let mut bench = Bench::start(&directory);
        let app = Arc::clone(&bench.app);
        for event in [
            occupied(&app, "a"),
            occupied(&app, "b"),
            vacated(&app, "a"),
            occupied(&app, "presence-c"),
            added(&app, "presence-c", "1"),
            added(&app, "presence-c", "2"),
            removed(&app, "presence-c", "1"),
            added(&app, "presence-c", "3"),
            occupied(&app, "a"),
            vacated(&app, "b"),
        ] {
            bench.offer(event);
        }
        bench.read(0, 10, 10);
        bench.release(10);
        wait("all rows are gone", || bench.counters.rows.now() == 0);
        std::process::abort();
    }
    let directory = Directory::new();
    let child = in_another_process("edges::open_edges_are_exact_after_a_kill", directory.path(), None);
    assert!(!child.wait_with_output().unwrap().status.success());
    let bench = Bench::start(directory.path());
    assert_eq!(bench.open_edges, [open("a", true, &[]), open("presence-c", true, &["2", "3"])]);
    bench.stop();
}

#[test]
fn edges_that_nobody_wants_closed_any_more_are_gone() {
    let directory = Directory::new();
    let apps_before = apps(&["1", "2"]);
    let mut bench =
        Bench::start_with(&settings(directory.path(), &apps_before, &["a"]), &apps_before).unwrap();
    let (one, two) = (Arc::clone(&bench.app), Arc::clone(apps_before.by_id("2").unwrap()));
    for event in [occupied(&one, "presence-a"), added(&one, "presence-a", "1"), occupied(&two, "b")] {
        bench.offer(event);
    }
    bench.stop();
    assert_eq!(directory.status().open_edges, 3);
    let apps = apps_that_want(&["1"], HookKinds::NONE.with(HookKind::MemberRemoved));
    let bench = Bench::start_with(&settings(directory.path(), &apps, &["a"]), &apps).unwrap();
    assert_eq!(bench.open_edges, [open("presence-a", false, &["1"])]);
    bench.stop();
    assert_eq!(directory.status().open_edges, 1);
}

#[test]
fn an_edge_of_a_kind_that_nobody_wants_is_kept_but_is_no_row() {
    let directory = Directory::new();
    let apps = apps_that_want(&["1"], HookKinds::NONE.with(HookKind::ChannelVacated));
    let settings = settings(directory.path(), &apps, &["a"]);
    let mut bench = Bench::start_with(&settings, &apps).unwrap();
    let app = Arc::clone(&bench.app);
    for event in
        [occupied(&app, "a"), occupied(&app, "b"), vacated(&app, "b"), added(&app, "presence-c", "1")]
    {
        bench.offer(event);
    }
    bench.stop();
    assert_eq!((directory.status().rows, directory.status().open_edges), (1, 1));
    let bench = Bench::start_with(&settings, &apps).unwrap();
    assert_eq!(bench.open_edges, [open("a", true, &[])]);
    bench.stop();
}

#[test]
fn a_user_who_was_online_is_kept_until_offline_where_that_is_wanted() {
    let directory = Directory::new();
    let apps = apps_that_want(&["1"], HookKinds::NONE.with(HookKind::UserOffline).in_pairs());
    let user = |app: &Arc<App>, id: &str| (Arc::clone(app), Arc::from(channel_of_user(id)));
    let mut bench = Bench::start_with(&settings(directory.path(), &apps, &["a"]), &apps).unwrap();
    let app = Arc::clone(&bench.app);
    for id in ["1", "2"] {
        let (app, channel) = user(&app, id);
        bench.offer(HookEvent::UserOnline { app, channel });
    }
    let (app_1, channel) = user(&app, "1");
    bench.offer(HookEvent::UserOffline { app: app_1, channel });
    // A channel of the same app, whose end nobody wants to hear of.
    bench.offer(occupied(&app, "a"));
    bench.stop();
    let bench = Bench::start_with(&settings(directory.path(), &apps, &["a"]), &apps).unwrap();
    assert_eq!(bench.open_edges, [open("#server-to-user-2", true, &[])]);
    bench.stop();
    let others = apps_that_want(&["1"], HookKinds::NONE.with(HookKind::ChannelVacated));
    let bench = Bench::start_with(&settings(directory.path(), &others, &["a"]), &others).unwrap();
    assert_eq!(bench.open_edges, []);
    bench.stop();
}

#[test]
fn a_cleared_journal_has_nothing_but_its_last_id() {
    let directory = Directory::new();
    let mut bench = Bench::start(directory.path());
    let app = Arc::clone(&bench.app);
    bench.offer(occupied(&app, "a"));
    bench.offer_client_events(9, 50);
    bench.read(0, 10, 10);
    assert!(clear(directory.path()).unwrap_err().to_string().contains("in use by another server"));
    bench.stop();
    assert_eq!(clear(directory.path()).unwrap(), 10);
    let status = directory.status();
    assert_eq!((status.rows, status.open_edges, status.places.len(), status.last_id), (0, 0, 0, 10));
}
