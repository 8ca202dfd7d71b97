//! What waits for which gate, in which order, and for how long.

use protocol::json::EventData;
use protocol::server_event::encode_event;
use protocol::socket_id::SocketId;

use super::*;
use crate::limits::PARKED_BYTES_MAX;
use crate::mesh::Origin;

const LATE_MS: u64 = 5_000;

#[test]
fn an_event_reaches_its_home_once_and_encoded() {
    let mut rig = Rig::new();
    let (publisher, channel) = (rig.open(), rig.channel(1, "c"));
    let body = format!(r#"{{"name":"e","channel":"{channel}","data":"\"x\"","socket_id":"1.2"}}"#);
    let request = rig.signed("POST", "/apps/1/events", &[], &body);
    rig.send(publisher, request);
    rig.run();
    assert_eq!(rig.responses(publisher), [(200, "{}".into())]);
    assert!(rig.mesh.sent[0].is_empty() && rig.mesh.sent[2].is_empty());
    let [Root::Publish(publish)] = &rig.mesh.sent[1][..] else { panic!("{:?}", rig.mesh.sent[1]) };
    let mut frame = Vec::new();
    encode_event(&mut frame, "e", &channel, &EventData::of_text("\"x\""), None);
    assert_eq!(publish.event.frame.as_bytes(), frame);
    assert_eq!(publish.event.except, Some(SocketId { first: 1, second: 2 }));
    assert_eq!(publish.event.origin, Origin::BackEnd);
    assert_eq!(publish.hook.as_ref().map(|hook| hook.name()), Some("server_event"));
    rig.assert_nothing_is_left();
}

#[test]
fn a_full_home_holds_back_its_own_publishers_alone() {
    let mut rig = Rig::new();
    rig.fill(0);
    let (to_full, to_other) = (rig.open(), rig.open());
    let (full, other) = (rig.channel(0, "c"), rig.channel(1, "c"));
    let (first, second) = (rig.event(&[&full], "a", ""), rig.event(&[&other], "b", ""));
    rig.send(to_full, first);
    rig.send(to_other, second);
    rig.run();
    assert_eq!(rig.statuses(to_other), [200]);
    assert_eq!(rig.statuses(to_full), NONE);
    assert_eq!(rig.core.roots.fullest(), BATCH_MAX, "a full batch does not grow");
    rig.reopen(0);
    assert_eq!(rig.statuses(to_full), [200]);
    assert_eq!(rig.events_at(0), ["fill", "fill", "fill", "fill", "a"]);
    rig.assert_nothing_is_left();
}

#[test]
fn a_newcomer_does_not_overtake_those_who_wait() {
    let mut rig = Rig::new();
    rig.fill(0);
    let channel = rig.channel(0, "c");
    let waiting: Vec<_> = (0..6).map(|_| rig.open()).collect();
    for (index, publisher) in waiting.iter().enumerate() {
        let request = rig.event(&[&channel], &index.to_string(), "");
        rig.send(*publisher, request);
    }
    rig.run();
    // The full batch goes, and before the waiting ones are let go a newcomer is read.
    rig.mesh.open[0] = true;
    assert!(rig.core.send_batches(&mut rig.mesh));
    let newcomer = rig.open();
    let request = rig.event(&[&channel], "new", "");
    let flow = rig.core.handle_bytes(newcomer, request.as_bytes(), rig.now);
    assert_eq!(flow, crate::api_core::requests::Flow::Pause);
    rig.inputs.pause(newcomer);
    rig.run();
    assert_eq!(rig.events_at(0)[BATCH_MAX..], ["0", "1", "2", "3", "4", "5", "new"]);
    assert_eq!(rig.statuses(newcomer), [200]);
    rig.assert_nothing_is_left();
}

#[test]
fn a_publish_to_several_homes_is_split_and_answered_with_its_last_part() {
    let mut rig = Rig::new();
    rig.fill(0);
    let publisher = rig.open();
    let (full, other) = (rig.channel(0, "c"), rig.channel(2, "c"));
    let request = rig.event(&[&full, &other], "both", "");
    rig.send(publisher, request);
    rig.run();
    assert_eq!(rig.events_at(2), ["both"], "an open gate is not waited at");
    assert_eq!(rig.statuses(publisher), NONE);
    rig.reopen(0);
    assert_eq!(rig.statuses(publisher), [200]);
    assert_eq!(rig.events_at(0).last().unwrap(), "both");
    assert_eq!(rig.events_at(2), ["both"]);
    rig.assert_nothing_is_left();
}

#[test]
fn a_publish_that_waits_too_long_is_refused_and_never_sent() {
    let mut rig = Rig::new();
    rig.fill(0);
    let publisher = rig.open();
    let (full, other) = (rig.channel(0, "c"), rig.channel(2, "c"));
    let request = rig.event(&[&full, &other], "late", "");
    rig.send(publisher, request);
    rig.run_after(LATE_MS - 1);
    rig.run_after(LATE_MS - 1);
    rig.run_after(1);
    let got = String::from_utf8(rig.got[&publisher].clone()).unwrap();
    assert!(got.contains("\r\nRetry-After: 1\r\n"), "{got}");
    assert_eq!(rig.statuses(publisher), [503]);
    assert_eq!(rig.events_at(2), ["late"], "a part that has gone stays gone");
    rig.reopen(0);
    assert!(!rig.events_at(0).contains(&"late".to_owned()));
    let request = rig.event(&[&full], "next", "");
    rig.send(publisher, request);
    rig.run();
    assert_eq!(rig.statuses(publisher), [200], "the connection goes on");
    rig.assert_nothing_is_left();
}

#[test]
fn a_publish_whose_peer_has_gone_is_completed() {
    let mut rig = Rig::new();
    rig.fill(0);
    let (publisher, channel) = (rig.open(), rig.channel(0, "c"));
    let request = rig.event(&[&channel], "orphan", "");
    rig.send(publisher, request);
    rig.run();
    // The driver may notice at once, whether or not the socket is paused.
    rig.core.handle_hangup(publisher);
    rig.run();
    assert!(!rig.closed.contains(&publisher), "an answer is owed to a peer that may still read");
    rig.reopen(0);
    assert_eq!(rig.events_at(0).last().unwrap(), "orphan");
    assert!(rig.closed.contains(&publisher));
    assert_eq!(rig.statuses(publisher), [200]);
    assert_eq!(rig.core.connections(), 1, "the one that filled the batch");
    rig.assert_nothing_is_left();
}

#[test]
fn requests_behind_a_waiting_one_wait_too() {
    let mut rig = Rig::new();
    rig.fill(0);
    let publisher = rig.open();
    let (full, other) = (rig.channel(0, "c"), rig.channel(1, "c"));
    let requests = rig.event(&[&full], "1", "")
        + &rig.event(&[&other], "2", "")
        + "GET /live HTTP/1.1\r\nHost: h\r\n\r\n";
    rig.send(publisher, requests);
    rig.run();
    assert!(rig.inputs.paused.contains(&publisher));
    assert!(rig.events_at(1).is_empty() && rig.statuses(publisher).is_empty());
    rig.reopen(0);
    let responses = rig.responses(publisher);
    let bodies: Vec<_> = responses.iter().map(|(_, body)| &**body).collect();
    assert_eq!(bodies, ["{}", "{}", r#"{"live":true}"#]);
    assert!(!rig.inputs.paused.contains(&publisher));
    rig.assert_nothing_is_left();
}

#[test]
fn what_waits_is_bounded_and_only_those_who_would_wait_are_refused() {
    let mut rig = Rig::new();
    rig.fill(0);
    rig.core.gates.charge_bytes(PARKED_BYTES_MAX);
    let publisher = rig.open();
    let (full, other) = (rig.channel(0, "c"), rig.channel(1, "c"));
    for channel in [&full, &other] {
        let request = rig.event(&[channel], "x", "");
        rig.send(publisher, request);
    }
    rig.run();
    assert_eq!(rig.statuses(publisher), [503, 200]);
    rig.core.gates.release_bytes(PARKED_BYTES_MAX);
    rig.assert_nothing_is_left();
}

#[test]
fn every_home_has_its_share_of_a_turn() {
    let mut rig = Rig::new();
    for home in [0, 1] {
        rig.fill(home);
        let channel = rig.channel(home, "c");
        for _ in 0..3 {
            let publisher = rig.open();
            let request = rig.event(&[&channel], "waits", "");
            rig.send(publisher, request);
        }
    }
    rig.run();
    rig.mesh.open = [true; SHARDS];
    rig.core.send_batches(&mut rig.mesh);
    (rig.core.limits.quantum, rig.core.limits.rounds_max) = (1, 1);
    rig.turn();
    for home in [0, 1] {
        assert_eq!(rig.events_at(home).iter().filter(|data| *data == "waits").count(), 1, "home {home}");
    }
    rig.run();
    rig.assert_nothing_is_left();
}
