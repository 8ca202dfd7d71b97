//! Edges for hooks: which are told, when, and in what order.

use bus::script::Script;

use crate::node::{Bus, P};

const T: &str = "1/cpresence-a";

fn one_node() -> Bus {
    let bus = Bus::start();
    bus.register("e1");
    bus.edges_max.set(1_000);
    assert_eq!(bus.says(Script::Edges, &["e1", "", "9", "1"]), "TAKEN ");
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
    assert_eq!(bus.keys(), ["edges", "hooks", "map", "n:e1", "nodes", "in:e1"].map(String::from).into());
}

#[test]
fn the_users_of_topics_that_are_no_channels_have_no_levels_and_nothing_has_without_hooks() {
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
    let first = edges("e1", &["", "2", "1"]);
    let words: Vec<&str> = first.split(' ').collect();
    assert_eq!(
        [&words[..2], &words[3..5], &words[7..9]].concat(),
        ["HELD", "", "up", "C1/ca", "up", "C1/cb"]
    );
    assert_eq!(edges("e2", &["", "2", "1"]), "OTHER ", "the first one has them");
    assert_eq!(edges("e1", &["", "2", "1"]), first, "nothing goes that is not journaled");
    let rest = edges("e1", &[words[2], "2", "1", "C1/ca", "up"]);
    assert!(rest.contains(words[6]) && rest.ends_with("up C1/cc "), "{rest}");
    assert_eq!(bus.edges(), ["up C1/cb", "up C1/cc"]);
    assert_eq!(bus.set("passed"), ["C1/ca".into()].into());
    assert_eq!(bus.says(Script::Passed, &["0", "9"]), "0 C1/ca");
    bus.command("e1", &["C", "1/ca", "0"]);
    bus.due_after(3_000);
    assert_eq!(edges("e9", &["", "9", "1"]), "FENCED ", "no session, no edges");
    bus.run(Script::Kill, &["e1", "0"]);
    let taken = edges("e2", &[words[6], "9", "1", "C1/cc", "up"]);
    assert!(taken.starts_with("TAKEN e1 ") && taken.ends_with("down C1/ca "), "{taken}");
    assert_eq!(bus.set("passed"), ["C1/ca".into()].into(), "only who has them says what was passed on");
    assert_eq!(edges("e1", &["", "9", "1"]), "FENCED ");
}

#[test]
fn a_node_goes_on_with_edges_in_its_next_session_and_gives_them_up_when_it_leaves() {
    let bus = one_node();
    bus.register("e2");
    bus.run(Script::Register, &["e3", "e1", "servers", ""]);
    let edges = |epoch: &str, wish: &str| bus.says(Script::Edges, &[epoch, "", "9", wish]);
    assert_eq!(edges("e3", "1"), "HELD ");
    assert_eq!(edges("e2", "1"), "OTHER ");
    assert_eq!(edges("e2", "leave"), "OTHER ", "only its own");
    assert_eq!(edges("e3", "leave"), "OTHER ");
    assert_eq!(edges("e2", "0"), "TAKEN left");
}

#[test]
fn nobody_takes_edges_that_somebody_else_may_know_more_of() {
    let bus = Bus::start();
    bus.register("e1");
    assert_eq!(bus.says(Script::Edges, &["e1", "", "9", "0"]), "NONE ");
    assert_eq!(bus.says(Script::Edges, &["e1", "", "9", "1"]), "TAKEN ");
}

#[test]
fn what_was_there_before_anybody_had_hooks_is_told_when_somebody_looks() {
    let bus = Bus::start();
    bus.edges_max.set(9);
    bus.register("e1");
    bus.register("e2");
    bus.command("e1", &["J", "1/ca", "1", "1"]);
    bus.commands("e2", &[&["E", T, "ann", "{}", "1", "0", "9"], &["E", "1/uann", "", "", "2", "1", "9"]]);
    assert!(bus.edges().is_empty(), "nobody listens");
    bus.run(Script::Edges, &["e1", "", "9", "1"]);
    let (mut at, mut names) = (("".to_owned(), "0".to_owned()), Vec::new());
    loop {
        let slice = bus.says(Script::There, &[&at.0, &at.1, "9"]);
        let mut words = slice.split(' ').map(str::to_owned);
        at = (words.next().unwrap(), words.next().unwrap());
        names.extend(words);
        if at.0.is_empty() {
            break;
        }
    }
    names.sort();
    assert_eq!(names, ["C1/ca", &format!("C{T}"), &format!("M{T}|ann"), "M1/uann|"]);
    let mut edges = bus.edges();
    edges.sort();
    assert_eq!(edges, ["up C1/ca", &format!("up C{T}"), &format!("up M{T}|ann"), "up M1/uann|"]);
}

#[test]
fn a_comparison_names_what_is_down_and_what_nobody_will_tell_of() {
    let bus = one_node();
    bus.commands("e1", &[&["J", "1/ca", "1", "1"], &["J", "1/cb", "2", "1"], &["C", "1/cb", "0"]]);
    assert_eq!(bus.says(Script::Compare, &["C1/ca", "C1/cb", "C1/cc", "M1/ca\0ann"]), "C1/cc M1/ca|ann");
    assert_eq!(bus.set("passed"), ["C1/ca".into(), "C1/cb".into()].into());
}

#[test]
fn a_user_who_is_signed_in_has_a_level_of_its_own() {
    let bus = one_node();
    bus.command("e1", &["E", "1/uann", "", "", "1", "1", "9"]);
    bus.command("e1", &["J", "1/uann", "1", "1"]);
    bus.commands("e1", &[&["X", "1/uann", ""], &["C", "1/uann", "0"]]);
    assert_eq!(bus.due_after(3_000), "0");
    assert_eq!(bus.edges(), ["up M1/uann|", "down M1/uann|"]);
}
