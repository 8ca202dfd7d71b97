//! What REST asks of the bus.

use std::collections::BTreeSet;

use bus::script::Script;
use redis::Value;

use crate::node::{Bus, shown};

fn words(value: Value) -> Vec<String> {
    let Value::Array(values) = value else { panic!("{value:?}") };
    values.iter().map(shown).collect()
}

/// All slices of a reader, without their cursors.
fn slices(bus: &Bus, script: Script, of: &[&str], words_each: usize) -> BTreeSet<Vec<String>> {
    let mut found = BTreeSet::new();
    let mut cursor = "0".to_owned();
    loop {
        let mut slice = words(bus.run(script, &[of, &[&cursor, "50"]].concat()));
        cursor = slice.remove(0);
        found.extend(slice.chunks(words_each).map(<[String]>::to_vec));
        if cursor == "0" {
            return found;
        }
    }
}

#[test]
fn channels_are_listed_in_slices_with_what_is_in_them_on_all_nodes() {
    let bus = Bus::start();
    bus.register("e1");
    bus.register("e2");
    let topics: Vec<String> = (0..700).map(|number| format!("1/cc{number}")).collect();
    for some in topics.chunks(64) {
        let joins: Vec<[&str; 4]> = some.iter().map(|topic| ["J", topic, "1", "3"]).collect();
        let joins: Vec<&[&str]> = joins.iter().map(<[&str; 4]>::as_slice).collect();
        bus.commands("e1", &joins);
    }
    bus.commands("e2", &[&["J", "1/cc5", "1", "4"], &["E", "1/cc5", "ann", "", "1", "0", "9"]]);
    bus.command("e2", &["J", "2/cother", "1", "1"]);
    let all = slices(&bus, Script::List, &["", "1", ""], 3);
    assert_eq!(all.len(), 700);
    assert!(all.contains(["c5", "7", "1"].map(String::from).as_slice()));
    assert!(all.contains(["c6", "3", "0"].map(String::from).as_slice()));
    let one = shown(&bus.run(Script::List, &["", "1", "", "0", "50"]));
    assert!(one.split(' ').count() < 400, "a slice is no list: {one}");
    assert_eq!(bus.says(Script::List, &["", "3", "", "0", "50"]), "0");
    let of_prefix = slices(&bus, Script::List, &["", "1", "c69"], 3);
    assert_eq!(of_prefix.len(), 11, "{of_prefix:?}");
    let elsewhere = slices(&bus, Script::List, &["e0 e1", "1", ""], 3);
    assert!(elsewhere.iter().eq([&["c5", "4", "1"].map(String::from)]));
    for (topic, all, elsewhere) in
        [("1/cc5", "7 1", "4 1"), ("1/cnone", "0 0", "0 0"), ("1/cc6", "3 0", "0 0")]
    {
        assert_eq!(bus.says(Script::Counts, &["", topic, "1"]), all);
        assert_eq!(bus.says(Script::Counts, &["e0 e1", topic, "1"]), elsewhere);
    }
}

#[test]
fn what_a_channel_remembers_is_told_with_the_time_that_is_left() {
    let bus = Bus::start();
    bus.register("e1");
    bus.command("e1", &["P", "1/ccache-a", "event", "60000"]);
    let told = bus.says(Script::Counts, &["", "1/ccache-a", "1"]);
    let left = told.strip_prefix("0 0 event ").expect(&told).parse::<u64>().unwrap();
    assert!((1..=60_000).contains(&left), "{left}");
    assert_eq!(bus.says(Script::Counts, &["", "1/ccache-a", "0"]), "0 0");
}

#[test]
fn users_are_listed_in_slices() {
    let bus = Bus::start();
    bus.register("e1");
    let users: Vec<String> = (0..600).map(|number| format!("user \0 {number}")).collect();
    for some in users.chunks(64) {
        let all: Vec<[&str; 7]> =
            some.iter().map(|user| ["E", "1/ca", user, "info", "1", "0", "999"]).collect();
        let all: Vec<&[&str]> = all.iter().map(<[&str; 7]>::as_slice).collect();
        bus.commands("e1", &all);
    }
    let found = slices(&bus, Script::Users, &["1/ca"], 1);
    assert_eq!(found, users.iter().map(|user| vec![user.replace('\0', "|")]).collect());
    assert_eq!(bus.says(Script::Users, &["1/cnone", "0", "50"]), "0");
}
