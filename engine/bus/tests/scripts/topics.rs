//! Topics: links, members, events, and that each command is carried out once.

use bus::script::Script;

use crate::node::{Bus, P};

const T: &str = "1/cpresence-a";

/// Two nodes, the first with a link.
fn two_nodes() -> Bus {
    let bus = Bus::start();
    bus.register("e1");
    bus.register("e2");
    bus.command("e1", &["J", T, "7", "1"]);
    bus.inbox("e1");
    bus
}

#[test]
fn who_joins_is_told_the_roster_and_the_cached_event_with_what_it_has_left() {
    let bus = two_nodes();
    bus.commands("e1", &[&["E", T, "ann", "{\"a\":1}", "5", "0", "9"], &["P", T, "last", "60000"]]);
    bus.command("e2", &["J", T, "8", "1"]);
    let told = bus.inbox("e2").remove(0);
    let rest = told.strip_prefix("joined 1/cpresence-a 8 ").unwrap_or_else(|| panic!("{told}"));
    let (left, roster) = rest.split_once(' ').unwrap();
    assert!((59_000..=60_000).contains(&left.parse::<u64>().unwrap()), "{told}");
    assert_eq!(roster, "last ann {\"a\":1}");
    assert_eq!(bus.hash(&format!("l:{T}")), [("e1".into(), "1".into()), ("e2".into(), "1".into())].into());
    assert_eq!(bus.set("i:e2"), [format!("C{T}")].into());
    bus.command("e2", &["J", "1/cempty", "9", "1"]);
    assert_eq!(bus.inbox("e2"), ["joined 1/cempty 9 0 "]);
}

#[test]
fn channels_with_links_are_listed_and_users_are_not() {
    let bus = two_nodes();
    bus.commands("e2", &[&["J", "1/uann", "1", "1"], &["J", "2/ca/cb", "2", "1"], &["J", T, "3", "1"]]);
    assert_eq!(bus.set("ch:1"), ["presence-a".into()].into());
    assert_eq!(bus.set("ch:2"), ["a/cb".into()].into());
    bus.commands("e2", &[&["C", T, "0"], &["C", "2/ca/cb", "0"]]);
    assert_eq!(bus.set("ch:1"), ["presence-a".into()].into());
    bus.command("e1", &["C", T, "0"]);
    assert!(!bus.keys().iter().any(|key| key.starts_with("ch:") || key.ends_with(T)), "{:?}", bus.keys());
}

#[test]
fn a_count_changes_a_link_that_is_there_and_makes_none() {
    let bus = two_nodes();
    bus.commands("e1", &[&["C", T, "12"], &["C", "1/cother", "3"]]);
    assert_eq!(bus.hash(&format!("l:{T}"))["e1"], "12");
    assert!(!bus.keys().contains("l:1/cother"));
    bus.commands("e1", &[&["C", T, "0"], &["C", T, "4"]]);
    assert!(!bus.keys().contains(&format!("l:{T}")) && !bus.keys().contains("i:e1"));
}

#[test]
fn members_are_told_to_links_at_their_first_and_last_epoch() {
    let bus = two_nodes();
    bus.command("e2", &["E", T, "ann", "first", "5", "0", "9"]);
    assert_eq!(bus.inbox("e1"), [format!("added {T} ann first")]);
    assert_eq!(bus.inbox("e2"), [format!("entered {T} ann 5")]);
    bus.command("e1", &["E", T, "ann", "second", "6", "0", "9"]);
    assert_eq!(bus.inbox("e1"), [format!("entered {T} ann 6")]);
    assert_eq!(bus.hash(&format!("f:{T}"))["ann"], "first", "the first user_info holds");
    bus.command("e2", &["X", T, "ann"]);
    assert_eq!(bus.inbox("e1"), Vec::<String>::new());
    bus.command("e2", &["X", T, "ann"]);
    assert_eq!(bus.hash(&format!("u:{T}"))["ann"], ",e1,", "an epoch takes out itself alone");
    bus.command("e1", &["X", T, "ann"]);
    assert_eq!(bus.inbox("e1"), [format!("removed {T} ann")]);
    assert!(!bus.keys().iter().any(|key| key.starts_with("u:") || key.starts_with("f:")));
    assert_eq!(bus.set("i:e1"), [format!("C{T}")].into());
}

#[test]
fn a_full_roster_refuses_new_users_unless_they_were_in_it_before() {
    let bus = two_nodes();
    bus.command("e1", &["E", T, "ann", "", "1", "0", "1"]);
    bus.command("e2", &["E", T, "bob", "", "2", "0", "1"]);
    bus.command("e2", &["E", T, "ann", "", "3", "0", "1"]);
    assert_eq!(bus.inbox("e2"), [format!("refused {T} bob 2"), format!("entered {T} ann 3")]);
    assert_eq!(bus.hash(&format!("u:{T}")).len(), 1);
    assert_eq!(bus.set("i:e2"), [format!("M{T}|ann")].into());
    bus.command("e2", &["E", T, "bob", "", "4", "1", "1"]);
    assert_eq!(bus.inbox("e2"), [format!("entered {T} bob 4")]);
}

#[test]
fn events_reach_all_links_in_one_order_and_the_publisher_only_if_it_has_one() {
    let bus = two_nodes();
    bus.commands("e2", &[&["P", T, "one", "0"], &["P", "1/cnobody", "two", "0"], &["P", T, "three", "0"]]);
    assert_eq!(bus.inbox("e1"), [format!("event {T} one"), format!("event {T} three")]);
    assert_eq!(bus.inbox("e2"), Vec::<String>::new());
    bus.command("e2", &["J", T, "1", "1"]);
    bus.command("e2", &["P", T, "four", "0"]);
    assert_eq!(bus.inbox("e2").pop(), Some(format!("event {T} four")));
    let entries: u64 = bus.ask(&["XLEN", &format!("{P}:in:e1")]);
    // That the other node has a link was said, too.
    assert_eq!(entries, 4, "one entry for each script that has something to say");
}

#[test]
fn the_publish_script_does_what_the_commands_do() {
    let [by_commands, by_publish] = [Bus::start(), Bus::start()];
    for bus in [&by_commands, &by_publish] {
        bus.register("e1");
        bus.register("e2");
        bus.commands("e1", &[&["J", T, "1", "1"], &["J", "1/ccache-b", "2", "1"]]);
        bus.command("e2", &["J", T, "1", "1"]);
    }
    let by_name = ["e2", "2", "P", T, "a", "0", "P", "1/ccache-b", "b", "60000", "P", T, "c", "0"];
    assert_eq!(by_commands.says(Script::Commands, &by_name), "4");
    let (presence, cache) = (format!("P{T}"), "P1/ccache-b");
    let hot = ["e2", "2", &presence, "a", "0", cache, "b", "60000", &presence, "c", "0"];
    assert_eq!(by_publish.says(Script::Publish, &hot), "4");
    for epoch in ["e1", "e2"] {
        assert_eq!(by_commands.inbox(epoch), by_publish.inbox(epoch));
        assert_eq!(by_commands.state(epoch, "room"), by_publish.state(epoch, "room"));
        assert_eq!(by_commands.state(epoch, "done"), by_publish.state(epoch, "done"));
    }
    assert_eq!(by_commands.keys(), by_publish.keys());
    assert_eq!(by_publish.ask::<String>(&["GET", &format!("{P}:c:1/ccache-b")]), "b");
    assert!(by_publish.ask::<i64>(&["PTTL", &format!("{P}:c:1/ccache-b")]) > 59_000);
}

#[test]
fn commands_are_carried_out_once_and_none_is_left_out() {
    let bus = two_nodes();
    let publish = |first: &str, events: &[&str]| {
        let words: Vec<&str> =
            ["e2", first].into_iter().chain(events.iter().flat_map(|event| ["P", T, event, "0"])).collect();
        bus.says(Script::Commands, &words)
    };
    let hot = |first: &str, events: &[&str]| {
        let topic = format!("P{T}");
        let words: Vec<&str> = ["e2", first]
            .into_iter()
            .chain(events.iter().flat_map(|event| [topic.as_str(), event, "0"]))
            .collect();
        bus.says(Script::Publish, &words)
    };
    assert_eq!(publish("2", &["b"]), "GAP");
    assert_eq!(hot("2", &["b"]), "GAP");
    assert_eq!(publish("1", &["a", "b"]), "2");
    assert_eq!(publish("1", &["a", "b"]), "2");
    assert_eq!(hot("1", &["a", "b"]), "2");
    assert_eq!(publish("1", &["a", "b", "c"]), "3");
    assert_eq!(hot("2", &["b", "c", "d"]), "4");
    assert_eq!(publish("6", &["f"]), "GAP");
    assert_eq!(bus.inbox("e1"), ["a", "b", "c", "d"].map(|event| format!("event {T} {event}")));
}

#[test]
fn what_is_acknowledged_gives_room_back_once() {
    let bus = two_nodes();
    let before: u64 = bus.state("e1", "room").parse().unwrap();
    for event in ["a", "b", "c"] {
        bus.command("e2", &["P", T, event, "0"]);
    }
    let left: u64 = bus.state("e1", "room").parse().unwrap();
    let each = (before - left) / 3;
    assert_eq!(each, 64 + 1 + T.len() as u64 + 1, "64 for each message, and its bytes");
    let joined = (1 << 26) - before;
    let taken = |messages: u64| (joined + messages * each).to_string();
    bus.run(Script::Ack, &["e1", "3", &taken(2)]);
    assert_eq!(bus.state("e1", "room"), ((1 << 26) - each).to_string());
    bus.run(Script::Ack, &["e1", "3", &taken(2)]);
    bus.run(Script::Ack, &["e1", "2", &taken(1)]);
    assert_eq!(bus.state("e1", "room"), ((1 << 26) - each).to_string(), "again, and late");
    let ids: Vec<(String, Vec<(String, String)>)> = bus.ask(&["XRANGE", &format!("{P}:in:e1"), "-", "+"]);
    assert_eq!(ids.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), ["0-4"]);
    bus.run(Script::Ack, &["e9", "3", "3"]);
    assert!(!bus.keys().contains("n:e9"));
}

#[test]
fn nodes_with_subscribers_hear_how_many_the_others_have() {
    let bus = Bus::start();
    for epoch in ["e1", "e2", "e3"] {
        bus.register(epoch);
    }
    bus.command("e1", &["J", T, "1", "3"]);
    bus.command("e2", &["J", T, "1", "2"]);
    bus.commands("e2", &[&["C", T, "5"], &["J", "1/uann", "2", "1"]]);
    bus.command("e1", &["J", "1/uann", "2", "1"]);
    bus.command("e1", &["C", T, "0"]);
    bus.command("e3", &["C", T, "9"]);
    assert_eq!(bus.elsewhere("e1"), [format!("{T} 2"), format!("{T} 5")]);
    assert_eq!(bus.elsewhere("e2"), [format!("{T} 0")]);
    assert_eq!(bus.elsewhere("e3"), Vec::<String>::new());
}

#[test]
fn an_inbox_that_is_half_full_is_spared_the_numbers_of_others() {
    let bus = Bus::start();
    bus.inbox_max.set(1_000);
    for epoch in ["e1", "e2"] {
        bus.register(epoch);
        bus.command(epoch, &["J", T, "1", "1"]);
    }
    for number in 2..50 {
        bus.command("e2", &["C", T, &number.to_string()]);
    }
    assert!(bus.elsewhere("e1").len() > 2);
    assert_eq!(bus.state("e1", "cut"), "");
}
