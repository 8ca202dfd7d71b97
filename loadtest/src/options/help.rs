//! How the help of a scenario differs from what the flags of all scenarios say of themselves.

use clap::Arg;

/// Flags that scenarios refuse when their connections act.
pub(crate) const ONE_PROCESS: [&str; 2] = ["threads", "processes"];
/// Flags that mean nothing without subscribers.
pub(crate) const SUBSCRIBERS: [&str; 4] = ["connections", "opening", "sources", "source_addresses"];

/// What --rate means to a scenario.
pub(crate) fn rate(help: &'static str) -> impl FnMut(Arg) -> Arg {
    say("rate", help)
}

/// What --duration means to a scenario.
pub(crate) fn duration(help: &'static str) -> impl FnMut(Arg) -> Arg {
    say("duration", help)
}

fn say(name: &'static str, help: &'static str) -> impl FnMut(Arg) -> Arg {
    move |arg| if arg.get_id() == name { arg.help(help) } else { arg }
}

/// Hides these flags; they are still accepted, since a comparison may run other scenarios with the same line.
pub(crate) fn without(names: &'static [&'static str]) -> impl FnMut(Arg) -> Arg {
    move |arg| {
        let is_without = names.contains(&arg.get_id().as_str());
        if is_without { arg.hide(true) } else { arg }
    }
}
