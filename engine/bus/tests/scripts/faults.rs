//! What goes wrong on the server: inboxes that nobody reads, keys and entries of others, no memory.

use bus::script::Script;

use crate::node::{Bus, P};

const T: &str = "1/cnews";

fn two_nodes() -> Bus {
    let bus = Bus::start();
    for epoch in ["e1", "e2"] {
        bus.register(epoch);
        bus.command(epoch, &["J", T, "1", "1"]);
        bus.inbox(epoch);
    }
    bus
}

#[test]
fn an_inbox_that_nobody_reads_is_cut_and_its_node_alone_is_told() {
    let bus = Bus::start();
    bus.inbox_max.set(1_000);
    bus.register("e1");
    bus.command("e1", &["J", T, "1", "1"]);
    bus.inbox_max.set(1 << 20);
    bus.register("e2");
    bus.command("e2", &["J", T, "1", "1"]);
    let events = 40;
    for number in 2..2 + events {
        if number % 2 == 0 {
            bus.run(Script::Commands, &["e2", &number.to_string(), "P", T, "event", "0"]);
        } else {
            bus.run(Script::Publish, &["e2", &number.to_string(), &format!("P{T}"), "event", "0"]);
        }
    }
    let entries: Vec<(String, Vec<(String, String)>)> = bus.ask(&["XRANGE", &format!("{P}:in:e1"), "-", "+"]);
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].1[0].0, "!");
    assert_ne!(entries[0].0, "0-1", "it stands behind what was read");
    assert_eq!(bus.says(Script::Commands, &["e1", "2", "C", T, "2"]), "FENCED");
    assert_eq!(bus.says(Script::Beat, &["e1"]), "FENCED");
    assert_eq!(bus.says(Script::Publish, &["e1", "2", &format!("P{T}"), "x", "0"]), "FENCED");
    assert_eq!(bus.inbox("e2").len(), events + 1, "the other has its own");
    bus.run(Script::Ack, &["e1", "1", "1000000"]);
    assert!(bus.state("e1", "room").starts_with('-'), "acknowledging makes no room in it");
}

#[test]
fn a_key_that_holds_something_else_is_cleared_away() {
    let bus = two_nodes();
    for key in ["l:1/cx", "u:1/cx", "f:1/cx", "due", "edges", "told", "m:1/cx", "ch:1", "i:e1", "orders"] {
        let () = bus.ask(&["DEL", &format!("{P}:{key}")]);
        let () = bus.ask(&["SET", &format!("{P}:{key}"), "garbage"]);
    }
    let () = bus.ask(&["RPUSH", &format!("{P}:c:1/cx"), "garbage"]);
    let reading = [
        (Script::List, vec!["", "1", "", "0", "9"]),
        (Script::Counts, vec!["", "1/cx", "1"]),
        (Script::Users, vec!["1/cx", "0", "9"]),
    ];
    for (script, words) in reading {
        bus.run(script, &words);
    }
    bus.inbox("e1");
    bus.edges_max.set(100);
    bus.run(Script::Edges, &["e1", "", "9", "1"]);
    bus.commands(
        "e1",
        &[
            &["E", "1/cx", "ann", "info", "1", "0", "9"],
            &["J", "1/cx", "1", "1"],
            &["A", "everybody"],
            &["P", "1/cx", "event", "0"],
        ],
    );
    let joined = "joined 1/cx 1 0  ann info";
    assert_eq!(bus.inbox("e1"), ["entered 1/cx ann 1", joined, "order everybody", "event 1/cx event"]);
    assert_eq!(bus.edges(), ["up C1/cx", "up M1/cx|ann"]);
    bus.commands("e1", &[&["X", "1/cx", "ann"], &["C", "1/cx", "0"]]);
    assert_eq!(bus.due_after(4_000), "1");
}

#[test]
fn garbage_where_the_links_are_makes_no_publish_fail() {
    let bus = two_nodes();
    let () = bus.ask(&["DEL", &format!("{P}:l:{T}")]);
    let () = bus.ask(&["SET", &format!("{P}:l:{T}"), "garbage"]);
    assert_eq!(bus.says(Script::Publish, &["e1", "2", &format!("P{T}"), "x", "0"]), "2");
    assert_eq!(bus.says(Script::Commands, &["e1", "3", "P", T, "x", "0"]), "3");
    assert_eq!(bus.inbox("e2"), Vec::<String>::new());
}

#[test]
fn an_entry_of_others_in_an_inbox_cuts_it_and_no_publisher_notices() {
    let inbox = format!("{P}:in:e1");
    let others: [&[&str]; 2] = [&["XADD", &inbox, "7-7", "who", "me"], &["SET", &inbox, "garbage"]];
    for (script, other) in
        [Script::Publish, Script::Commands].into_iter().flat_map(|it| others.map(|other| (it, other)))
    {
        let bus = two_nodes();
        let () = bus.ask(other);
        let topic = format!("P{T}");
        let words: &[&str] = match script {
            Script::Publish => &["e2", "2", &topic, "x", "0"],
            _ => &["e2", "2", "P", T, "x", "0"],
        };
        assert_eq!(bus.says(script, words), "2");
        assert_eq!(bus.inbox("e2"), [format!("event {T} x")]);
        let entries: Vec<(String, Vec<(String, String)>)> =
            bus.ask(&["XRANGE", &format!("{P}:in:e1"), "-", "+"]);
        assert_eq!((entries.len(), entries[0].1[0].0.as_str()), (1, "!"));
        assert!(!entries[0].0.starts_with("0-"), "it stands behind what was read");
        assert_eq!(bus.says(Script::Beat, &["e1"]), "FENCED");
    }
}

#[test]
fn what_is_acknowledged_in_an_inbox_that_is_no_stream_any_more_cuts_it() {
    let bus = two_nodes();
    bus.command("e2", &["P", T, "x", "0"]);
    let () = bus.ask(&["SET", &format!("{P}:in:e1"), "garbage"]);
    bus.run(Script::Ack, &["e1", "1", "1000"]);
    let entries: Vec<(String, Vec<(String, String)>)> = bus.ask(&["XRANGE", &format!("{P}:in:e1"), "-", "+"]);
    assert_eq!((entries.len(), entries[0].1[0].0.as_str()), (1, "!"));
    assert_eq!(bus.says(Script::Beat, &["e1"]), "FENCED");
}

#[test]
fn a_link_of_an_epoch_that_is_not_registered_leaves_nothing_behind() {
    let bus = two_nodes();
    let () = bus.ask(&["HSET", &format!("{P}:l:{T}"), "ghost", "1"]);
    bus.command("e1", &["P", T, "x", "0"]);
    assert_eq!(bus.says(Script::Publish, &["e1", "3", &format!("P{T}"), "x", "0"]), "3");
    assert_eq!(bus.inbox("e2").len(), 2);
    let keys = bus.keys();
    assert!(!keys.contains("in:ghost") && !keys.contains("n:ghost"), "{keys:?}");
}

#[test]
fn without_memory_nothing_is_begun_and_what_frees_some_goes_on() {
    let bus = two_nodes();
    bus.register("e3");
    bus.run(Script::Kill, &["e3", "0"]);
    let () = bus.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    for (script, words) in [
        (Script::Commands, &["e1", "2", "P", T, "x", "0"][..]),
        (Script::Publish, &["e1", "2", "P1/cnews", "x", "0"]),
        (Script::Register, &["e4", "", "servers", ""]),
    ] {
        let error = bus.try_run(script, words).unwrap_err();
        assert_eq!(error.code(), Some("OOM"), "{error}");
    }
    for (script, words) in [
        (Script::Beat, &["e1"][..]),
        (Script::Ack, &["e1", "1", "1000"]),
        (Script::Kill, &["e2", "0"]),
        (Script::Sweep, &["e3", "256"]),
        (Script::Edges, &["e1", "", "9", "1"]),
        (Script::Hello, &["e1", "x"]),
        (Script::List, &["", "1", "", "0", "9"]),
    ] {
        bus.run(script, words);
    }
    let () = bus.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    bus.command("e1", &["P", T, "x", "0"]);
    assert_eq!(bus.inbox("e1"), [format!("event {T} x")]);
}

#[test]
fn no_argument_makes_a_script_fail_half_way() {
    let bus = two_nodes();
    let odd: [&[&str]; 6] = [
        &["e1", "2", "P", T],
        &["e1", "2", "E", T, "ann"],
        &["e1", "2", "?", T, "x"],
        &["e1", "2", "P", T, "x", "never", "P", T, "y", "-1"],
        &["e1", "2", "E", T, "ann", "", "1", "0", "many"],
        &["e1", "2", "J", "no app", "1", "1"],
    ];
    for words in odd {
        let before = bus.state("e1", "done");
        match bus.try_run(Script::Commands, words) {
            Ok(_) => {}
            Err(error) => assert_eq!(bus.state("e1", "done"), before, "{words:?} {error}"),
        }
    }
}
