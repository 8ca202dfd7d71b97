//! Sessions: their begin, their signs of life, their end.

use bus::script::Script;

use crate::node::{Bus, P};

const T: &str = "1/cnews";

#[test]
fn a_session_begins_alive_with_all_its_room_and_closes_the_one_before() {
    let bus = Bus::start();
    let identity = bus.says(Script::Register, &["e1", "", "servers", ""]);
    assert_eq!(identity.split(' ').next().map(str::len), Some(80), "a run and a replication id: {identity}");
    bus.command("e1", &["J", T, "1", "1"]);
    bus.command("e1", &["E", T, "ann", "{}", "1", "0", "9"]);
    assert_eq!(bus.says(Script::Register, &["e2", "e1", "servers", ""]), identity);
    assert_eq!((bus.state("e1", "st"), bus.state("e2", "st")), ("closed".into(), "live".into()));
    assert_eq!((bus.state("e2", "room"), bus.state("e2", "done")), ((1 << 26).to_string(), "0".into()));
    assert_eq!(bus.set("nodes"), ["e1".into(), "e2".into()].into());
    assert!(!bus.keys().contains("in:e1"), "the inbox of a closed epoch is gone");
    assert_eq!(bus.hash(&format!("l:{T}"))["e1"], "1", "what it holds stays until it is retired");
    for late in [&["e1", "3", "C", T, "5"][..], &["e1", "3", "X", T, "ann"]] {
        assert_eq!(bus.says(Script::Commands, late), "FENCED");
    }
    assert_eq!(bus.says(Script::Publish, &["e1", "3", &format!("P{T}"), "late", "0"]), "FENCED");
    assert_eq!(bus.says(Script::Beat, &["e1"]), "FENCED");
    assert_eq!(bus.hash(&format!("u:{T}"))["ann"], ",e1,");
}

#[test]
fn nodes_with_another_list_of_servers_are_refused_while_one_of_the_others_lives() {
    let bus = Bus::start();
    bus.register("e1");
    assert_eq!(bus.says(Script::Register, &["e2", "", "others", ""]), "MAP");
    assert_eq!(bus.set("nodes"), ["e1".into()].into(), "who is refused leaves nothing");
    bus.now.set(bus.now.get() + 110_000);
    bus.run(Script::Beat, &["e1"]);
    bus.now.set(bus.now.get() + 119_000);
    assert_eq!(bus.says(Script::Register, &["e2", "", "others", ""]), "MAP");
    bus.now.set(bus.now.get() + 1_001);
    assert!(!bus.says(Script::Register, &["e2", "", "others", ""]).starts_with("MAP"), "nobody lives");
    assert_eq!(bus.says(Script::Register, &["e3", "e1", "servers", ""]), "MAP");
    // Who stops in order is not waited for.
    bus.command("e2", &["R", "e1"]);
    bus.run(Script::Kill, &["e2", "0"]);
    assert!(!bus.says(Script::Register, &["e3", "", "servers", ""]).starts_with("MAP"));
}

#[test]
fn a_session_is_resumed_where_it_was_and_only_in_the_same_memory() {
    let bus = Bus::start();
    let identity = bus.says(Script::Register, &["e1", "", "servers", ""]);
    let identity = identity.split(' ').next().unwrap();
    assert_eq!(bus.says(Script::Hello, &["e1", identity]), "0");
    bus.commands("e1", &[&["J", T, "1", "1"], &["C", T, "2"]]);
    assert_eq!(bus.says(Script::Hello, &["e1", identity]), "2");
    assert_eq!(bus.says(Script::Hello, &["e1", "elsewhere"]), "GONE");
    assert_eq!(bus.says(Script::Hello, &["e9", identity]), "GONE");
    assert_eq!(bus.says(Script::Kill, &["e1", "0"]), "1");
    assert_eq!(bus.says(Script::Hello, &["e1", identity]), "GONE");
}

#[test]
fn a_beat_tells_of_all_epochs_and_of_the_connections_of_the_others() {
    let bus = Bus::start();
    let now = bus.now.get();
    bus.register("e1");
    assert_eq!(bus.says(Script::Beat, &["e1", "0", "app", "7", "b", "1"]), format!("{now} 0 e1 1 0 "));
    assert_eq!(bus.says(Script::Beat, &["e1"]), format!("{now} 0 e1 2 0 "));
    for epoch in ["e2", "e3"] {
        bus.register(epoch);
    }
    let heard = bus.says(Script::Beat, &["e2", "0", "app", "2"]);
    assert!(heard.contains("e1 2 0") && heard.contains("e2 1 0") && heard.contains("app 7"), "{heard}");
    bus.run(Script::Beat, &["e1", "0", "b", "0", "app", "5"]);
    let heard = bus.says(Script::Beat, &["e3", "0", "app", "9"]);
    assert!(heard.ends_with(" app 7"), "the living others together: {heard}");
    bus.run(Script::Kill, &["e2", "1"]);
    let heard = bus.says(Script::Beat, &["e3"]);
    assert!(heard.contains("e2 1 1") && heard.ends_with(" app 5"), "{heard}");
    bus.run(Script::Sweep, &["e2", "9"]);
    bus.run(Script::Register, &["e4", "e1", "servers", ""]);
    assert!(bus.keys().iter().filter(|key| key.starts_with("k:")).eq(["k:e3"]));
    assert_eq!(bus.says(Script::Beat, &["e2"]), "FENCED");
    assert_eq!(bus.says(Script::Beat, &["e9"]), "FENCED", "one that was never registered");
}

#[test]
fn a_beat_tells_who_stops_soon() {
    let bus = Bus::start();
    bus.register("e1");
    bus.register("e2");
    bus.run(Script::Beat, &["e2", "1"]);
    let heard = bus.says(Script::Beat, &["e1", "0"]);
    assert!(heard.contains("e1 1 0") && heard.contains("e2 1 2"), "{heard}");
    bus.run(Script::Kill, &["e2", "1"]);
    assert!(bus.says(Script::Beat, &["e1", "0"]).contains("e2 1 1"), "it is dead");
}

#[test]
fn a_beat_tells_what_waits_in_the_inbox_of_its_epoch() {
    let bus = Bus::start();
    let waits = |epoch| -> u64 {
        bus.says(Script::Beat, &[epoch]).split(' ').nth(1).and_then(|bytes| bytes.parse().ok()).unwrap()
    };
    bus.register("e1");
    bus.register("e2");
    bus.command("e1", &["J", T, "1", "1"]);
    bus.inbox("e1");
    let joined = waits("e1");
    bus.command("e2", &["P", T, "event", "0"]);
    assert_eq!(waits("e1"), joined + (64 + 1 + T.len() + 5) as u64);
    assert_eq!(waits("e2"), 0, "it has no subscribers");
    bus.run(Script::Ack, &["e1", "2", &waits("e1").to_string()]);
    assert_eq!(waits("e1"), 0);
}

#[test]
fn only_an_epoch_whose_beat_stands_still_is_killed_and_only_a_dead_one_is_swept() {
    let bus = Bus::start();
    bus.register("e1");
    bus.register("e2");
    bus.run(Script::Beat, &["e2"]);
    assert_eq!(bus.says(Script::Kill, &["e2", "0"]), "0", "it has beaten since");
    bus.commands("e1", &[&["J", T, "1", "1"]]);
    bus.commands(
        "e2",
        &[
            &["E", T, "ann", "{}", "1", "1", "9"],
            &["E", T, "bob", "{}", "2", "1", "9"],
            &["J", T, "1", "3"],
            &["J", "1/cother", "2", "1"],
        ],
    );
    bus.command("e1", &["E", T, "bob", "{}", "3", "0", "9"]);
    assert_eq!(bus.says(Script::Sweep, &["e2", "256"]), "0");
    assert_eq!(bus.hash(&format!("l:{T}")).len(), 2, "the living are not swept");
    bus.inbox("e1");
    assert_eq!(bus.says(Script::Kill, &["e2", "1"]), "1");
    assert_eq!(bus.says(Script::Kill, &["e2", "1"]), "0", "once");
    assert_eq!(bus.says(Script::Sweep, &["e2", "1"]), "3");
    assert_eq!(bus.says(Script::Sweep, &["e2", "256"]), "0");
    assert_eq!(bus.inbox("e1"), [format!("removed {T} ann")], "bob is elsewhere too");
    assert_eq!(bus.hash(&format!("u:{T}")), [("bob".into(), ",e1,".into())].into());
    assert_eq!(bus.set("ch:1"), ["news".into()].into());
    assert_eq!(bus.set("nodes"), ["e1".into()].into());
    let keys = bus.keys();
    assert!(!keys.iter().any(|key| key.ends_with(":e2")), "nothing of it is left: {keys:?}");
}

#[test]
fn a_node_retires_its_own_former_epoch() {
    let bus = Bus::start();
    bus.register("e1");
    bus.run(Script::Register, &["e2", "e1", "servers", ""]);
    bus.commands("e2", &[&["R", "e1"], &["R", "e2"], &["R", "e9"]]);
    assert_eq!((bus.state("e1", "st"), bus.state("e2", "st")), ("dead".into(), "live".into()));
    assert!(!bus.keys().contains("n:e9"));
}

#[test]
fn an_order_reaches_all_that_live_and_later_who_was_away() {
    let bus = Bus::start();
    let (seconds, _): (u64, u64) = bus.ask(&["TIME"]);
    bus.now.set(seconds * 1_000);
    for epoch in ["e1", "e2", "e3"] {
        bus.register(epoch);
    }
    bus.run(Script::Kill, &["e3", "0"]);
    for (age_s, text) in [(601, "old"), (599, "one"), (5, "two")] {
        let () =
            bus.ask(&["XADD", &format!("{P}:orders"), &format!("{}-1", (seconds - age_s) * 1_000), "", text]);
    }
    bus.command("e1", &["A", "three"]);
    for epoch in ["e1", "e2"] {
        assert_eq!(bus.inbox(epoch), ["order three"]);
    }
    assert!(!bus.keys().contains("in:e3"));
    let missed_since = |since: &str| {
        let answer = bus.says(Script::Register, &["e4", "e3", "servers", since]);
        let words: Vec<String> = answer.split(' ').skip(1).map(str::to_owned).collect();
        assert_eq!(words[0], (seconds * 1_000).to_string(), "its time");
        words[1..].to_vec()
    };
    assert_eq!(missed_since(&((seconds - 6) * 1_000).to_string()), ["two", "three"]);
    assert_eq!(missed_since("-6000"), ["two", "three"], "of the last six seconds");
    assert_eq!(missed_since("-9999999999999"), ["one", "two", "three"], "of a time before its clock");
    assert_eq!(missed_since("0"), ["one", "two", "three"], "they are kept for ten minutes");
    assert_eq!(missed_since(""), Vec::<String>::new(), "who has heard nothing was not there");
}

#[test]
fn a_node_that_stops_in_order_leaves_nothing_and_only_its_own_session_ends() {
    let bus = Bus::start();
    bus.register("e1");
    bus.register("e2");
    for (epoch, user) in [("e1", "ann"), ("e2", "bob")] {
        bus.commands(epoch, &[&["J", T, "1", "1"], &["E", T, user, "{}", "1", "0", "9"]]);
    }
    bus.inbox("e2");
    assert_eq!(bus.says(Script::Retire, &["e1"]), "1");
    assert_eq!(bus.says(Script::Retire, &["e1"]), "0");
    assert_eq!(bus.says(Script::Sweep, &["e1", "256"]), "0");
    assert_eq!(bus.inbox("e2"), [format!("removed {T} ann")]);
    assert_eq!(bus.set("nodes"), ["e2".into()].into());
    assert!(!bus.keys().iter().any(|key| key.ends_with(":e1")), "{:?}", bus.keys());
}
