//! Edges for hooks: which are told, when, and in what order.

use bus::script::Script;

use crate::node::{Bus, P};

const T: &str = "1/cpresence-a";

fn one_node() -> Bus {
    let bus = Bus::start();
    bus.register("e1");
    bus.edges_max.set(1_000);
    bus
}

#[test]
fn a_level_is_told_at_once_when_it_rises_and_after_the_grace_when_it_falls() {
    let bus = one_node();
    bus.commands("e1", &[&["E", T, "ann", "", "1", "0", "9"], &["J", T, "1", "1"]]);
    let risen = [format!("up C{T}"), format!("up M{T}|ann")];
    assert_eq!(bus.edges(), risen);
    bus.commands("e1", &[&["X", T, "ann"], &["C", T, "0"]]);
    assert_eq!(bus.due_after(2_999), "2");
    bus.commands("e1", &[&["E", T, "ann", "", "1", "0", "9"], &["X", T, "ann"]]);
    assert_eq!(bus.due_after(2_999), "2", "the grace begins anew");
    assert_eq!(bus.edges(), risen);
    bus.due_after(1);
    bus.due_after(1_000);
    let all = [&risen[..], &[format!("down M{T}|ann"), format!("down C{T}")]].concat();
    assert_eq!(bus.edges(), all, "the member before its channel");
    assert_eq!(bus.due_after(10_000), "0");
    assert_eq!(bus.keys(), ["edges", "map", "n:e1", "nodes", "in:e1"].map(String::from).into());
}

#[test]
fn users_have_no_levels_and_nothing_has_without_hooks() {
    let bus = one_node();
    for (edges_max, topic) in [(0, T), (9, "1/upresence-a"), (9, "1/ua/cb")] {
        bus.edges_max.set(edges_max);
        bus.commands("e1", &[&["E", topic, "ann", "", "1", "0", "9"], &["J", topic, "1", "1"]]);
        bus.commands("e1", &[&["X", topic, "ann"], &["C", topic, "0"]]);
        assert_eq!((bus.edges().len(), bus.due_after(9_000)), (0, "0".into()), "{topic}");
    }
}

#[test]
fn a_channel_is_occupied_while_it_has_links_or_members() {
    let bus = one_node();
    bus.commands("e1", &[&["E", T, "ann", "", "1", "0", "9"], &["J", T, "1", "1"], &["C", T, "0"]]);
    bus.due_after(9_000);
    assert_eq!(bus.edges().len(), 2);
    bus.command("e1", &["X", T, "ann"]);
    bus.due_after(3_000);
    bus.due_after(1_000);
    assert_eq!(bus.edges().split_off(2), [format!("down M{T}|ann"), format!("down C{T}")]);
}

#[test]
fn a_full_stream_of_edges_delays_levels_and_loses_none() {
    let bus = one_node();
    bus.edges_max.set(1);
    bus.commands("e1", &[&["E", T, "ann", "", "1", "0", "9"], &["J", T, "1", "1"]]);
    assert_eq!(bus.edges(), [format!("up C{T}")]);
    assert_eq!(bus.due_after(1_000), "1");
    let () = bus.ask(&["XTRIM", &format!("{P}:edges"), "MAXLEN", "0"]);
    assert_eq!(bus.due_after(1_000), "0");
    assert_eq!(bus.edges(), [format!("up M{T}|ann")]);
    // What has changed back meanwhile is told of nobody.
    bus.command("e1", &["X", T, "ann"]);
    assert_eq!(bus.due_after(3_000), "1", "there is no room");
    bus.command("e1", &["E", T, "ann", "", "1", "0", "9"]);
    assert_eq!(bus.due_after(3_000), "0");
    assert_eq!(bus.edges().len(), 1);
}

#[test]
fn a_member_waits_for_its_channel_and_a_channel_for_its_members() {
    let bus = one_node();
    bus.edges_max.set(1);
    let () = bus.ask(&["XADD", &format!("{P}:edges"), "*", "up", "C1/cfull"]);
    bus.command("e1", &["E", T, "ann", "", "1", "0", "9"]);
    let () = bus.ask(&["DEL", &format!("{P}:edges")]);
    bus.edges_max.set(10);
    // The member is looked at alone.
    let () = bus.ask(&["ZREM", &format!("{P}:due"), &format!("C{T}")]);
    assert_eq!((bus.due_after(1_000), bus.edges().len()), ("1".into(), 0));
    bus.command("e1", &["J", T, "1", "1"]);
    bus.due_after(1_000);
    assert_eq!(bus.edges(), [format!("up C{T}"), format!("up M{T}|ann")]);
    bus.commands("e1", &[&["X", T, "ann"], &["C", T, "0"]]);
    let () = bus.ask(&["ZREM", &format!("{P}:due"), &format!("M{T}\0ann")]);
    assert_eq!(bus.due_after(3_000), "1");
    assert_eq!(bus.edges().len(), 2, "a member is still told to be there");
}

#[test]
fn a_dead_node_s_levels_fall_too() {
    let bus = one_node();
    bus.register("e2");
    bus.commands("e2", &[&["E", T, "ann", "", "1", "0", "9"], &["J", T, "1", "1"]]);
    bus.run(Script::Kill, &["e2", "0"]);
    assert_eq!(bus.says(Script::Sweep, &["e2", "256"]), "0");
    bus.due_after(3_000);
    bus.due_after(1_000);
    assert_eq!(bus.edges().split_off(2), [format!("down M{T}|ann"), format!("down C{T}")]);
}

#[test]
fn one_node_takes_edges_until_it_is_dead_and_what_it_has_journaled_goes() {
    let bus = one_node();
    bus.register("e2");
    bus.commands("e1", &[&["J", "1/ca", "1", "1"], &["J", "1/cb", "2", "1"], &["J", "1/cc", "3", "1"]]);
    let edges = |epoch: &str, words: &[&str]| bus.says(Script::Edges, &[&[epoch], words].concat());
    let first = edges("e1", &["", "2"]);
    let words: Vec<&str> = first.split(' ').collect();
    assert_eq!([&words[1..4], &words[5..8]].concat(), ["up", "C1/ca", "0", "up", "C1/cb", "0"]);
    assert_eq!(edges("e2", &["", "2"]), "", "the first one has them");
    assert_eq!(edges("e1", &["", "2"]), first, "nothing goes that is not journaled");
    let rest = edges("e1", &[words[0], "2", "C1/ca", "up"]);
    assert!(rest.starts_with(words[4]) && rest.ends_with("up C1/cc 0"), "{rest}");
    assert_eq!(bus.edges(), ["up C1/cb", "up C1/cc"]);
    assert_eq!(bus.set("passed"), ["C1/ca".into()].into());
    bus.command("e1", &["C", "1/ca", "0"]);
    bus.due_after(3_000);
    assert_eq!(edges("e9", &["", "9"]), "", "no session, no edges");
    bus.run(Script::Kill, &["e1", "0"]);
    let taken = edges("e2", &["", "9"]);
    assert!(taken.ends_with("down C1/ca 1"), "{taken}");
    assert_eq!(edges("e1", &["", "9"]), "");
}
