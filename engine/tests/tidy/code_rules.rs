//! Rules about Rust code: what each part of the house may not know, and what stands nowhere.
//!
//! Each is a function from one file to its findings. A file that a rule does not speak of has none. Only the tidy test
//! calls this.

use crate::code::{code_of, has_word, lines, names};

const RING: &str = "engine/src/driver/ring.rs";
/// The ring of the floor.
const FLOOR_RING: &str = "loadtest/src/floor/uring.rs";
const JSON: &str = "protocol/src/json.rs";

/// A machine is a value: it can be simulated with a seed and no socket. What its manifest forbids is not repeated here.
pub(crate) fn machines_are_pure(path: &str, text: &str) -> Vec<String> {
    let words = [
        "async",
        "await",
        "Instant::now",
        "SystemTime",
        "std::fs",
        "std::thread",
        "TcpListener",
        "TcpStream",
        "thread_rng",
    ];
    words_in(path, text, is_under(path, &["engine/machines/src/"]), &words)
}

/// Settings are values, and config reads a file into them: both know none of those who use them.
pub(crate) fn settings_are_values(path: &str, text: &str) -> Vec<String> {
    let parts = ["cli", "driver", "server"].map(|part| format!("crate::{part}"));
    let others = ["glommio", "TcpListener", "machines::api_core"];
    let words: Vec<&str> = parts.iter().map(String::as_str).chain(others).collect();
    let folders = ["engine/src/config/", "engine/src/settings/"];
    let mut findings = words_in(path, text, is_under(path, &folders), &words);
    findings.extend(words_in(path, text, is_under(path, &folders[..1]), &["machines::shard"]));
    findings.extend(words_in(path, text, is_under(path, &folders[1..]), &["crate::config"]));
    findings
}

/// Parsers and encoders take the time as an argument and bytes as slices.
pub(crate) fn parsers_are_pure(path: &str, text: &str) -> Vec<String> {
    let words =
        ["async", "await", "Instant", "SystemTime", "std::thread", "TcpStream", "TcpListener", "std::fs"];
    words_in(path, text, is_under(path, &["protocol/src/", "api/src/"]), &words)
}

/// Raw calls and ring operations stand together, where they can be read together: those of the server in one file,
/// and in another the one push of the floor that servers are compared with.
pub(crate) fn unsafe_is_in_rings(path: &str, text: &str) -> Vec<String> {
    words_in(path, text, path != RING && path != FLOOR_RING, &["unsafe"])
}

/// A crate without raw calls says so to the compiler. Engine and loadtest deny instead, for their one file.
pub(crate) fn crate_forbids_unsafe(path: &str, text: &str) -> Vec<String> {
    let lint =
        if path == "loadtest/src/main.rs" { "#![deny(unsafe_code)]" } else { "#![forbid(unsafe_code)]" };
    let is_root = path.ends_with("/src/lib.rs") || path == "loadtest/src/main.rs";
    let bad = is_root && path != "engine/src/lib.rs" && !code_of(text).contains(lint);
    found(bad, || format!("{path}: does not say {lint}"))
}

/// Bytes from a peer never reach an unwrap, an index out of range or a panic.
pub(crate) fn peers_cannot_panic(path: &str, text: &str) -> Vec<String> {
    if !["protocol/src/lib.rs", "api/src/lib.rs", "engine/machines/src/lib.rs"].contains(&path) {
        return Vec::new();
    }
    let code = code_of(text);
    let lints = ["unwrap_used", "expect_used", "indexing_slicing", "panic"];
    let missing = lints.into_iter().filter(|lint| !has_word(&code, &format!("clippy::{lint}")));
    missing.map(|lint| format!("{path}: does not deny clippy::{lint}")).collect()
}

/// A queue without a bound turns a slow consumer into an end by memory.
pub(crate) fn queues_are_bounded(path: &str, text: &str) -> Vec<String> {
    in_code(path, text, |line| {
        names(line)
            .find(|name| name.contains("unbounded"))
            .map(str::to_owned)
            .or_else(|| has_word(line, "mpsc::channel").then(|| "mpsc::channel has no bound".to_owned()))
    })
}

/// Peer JSON goes through one door, behind the scan of its depth.
pub(crate) fn json_has_one_door(path: &str, text: &str) -> Vec<String> {
    words_in(path, text, path != JSON, &["sonic_rs"])
}

/// What the print macros of std cannot write, they panic of; and they wait for the reader. The log and the output of
/// commands have doors that do neither. Tests, examples and benchmarks may print.
pub(crate) fn nothing_prints_past_its_door(path: &str, text: &str) -> Vec<String> {
    if !path.contains("/src/") || path.starts_with("benches/") {
        return Vec::new();
    }
    in_code(path, text, |line| {
        let calls = ["eprintln", "println", "eprint", "print"].map(|name| (name, format!("{name}!")));
        let found = calls.into_iter().find(|(name, call)| has_word(line, name) && line.contains(call));
        found.map(|(_, call)| {
            format!("has {call}: a line of the log is logging::say!, what a command prints is output::print")
        })
    })
}

/// What skips its checks is undefined on hostile bytes.
pub(crate) fn checks_are_not_skipped(path: &str, text: &str) -> Vec<String> {
    in_code(path, text, |line| names(line).find(|name| name.ends_with("_unchecked")).map(str::to_owned))
}

/// The first lines of a file say what it is, what it owns, and what must never happen in it.
pub(crate) fn file_opens_with_its_doc(path: &str, text: &str) -> Vec<String> {
    found(path.ends_with(".rs") && !text.starts_with("//! "), || format!("{path}:1: does not open with //!"))
}

/// A module is named by its noun. These names let anything in.
pub(crate) fn module_names_say_something(path: &str, text: &str) -> Vec<String> {
    const BANNED: [&str; 12] = [
        "util",
        "utils",
        "common",
        "helper",
        "helpers",
        "misc",
        "manager",
        "service",
        "processor",
        "core",
        "type",
        "types",
    ];
    let is_source = [".rs", ".mjs", ".js", ".py"].iter().any(|ending| path.ends_with(ending));
    let mut parts = path.split('/').flat_map(|part| part.split('.').take(1));
    let by_path = parts.find(|part| is_source && BANNED.contains(part));
    let mut findings: Vec<String> =
        by_path.map(|part| format!("{path}: is named {part}")).into_iter().collect();
    findings.extend(in_code(path, text, |line| {
        let mut words = names(line).skip_while(|name| *name != "mod").skip(1);
        words.next().filter(|name| BANNED.contains(name)).map(|name| format!("mod {name}"))
    }));
    findings
}

/// A test that is not run is none.
pub(crate) fn tests_are_run(path: &str, text: &str) -> Vec<String> {
    let skips =
        [".skip(", "test.todo(", "test.only(", "skip: true", "mark.skip", "mark.xfail", "pytest.skip"];
    let in_sdk_tests = path.ends_with(".mjs") || path.ends_with(".py");
    let by_line =
        lines(text).filter(|(_, line)| in_sdk_tests && skips.iter().any(|skip| line.contains(skip)));
    let mut findings: Vec<String> =
        by_line.map(|(number, line)| format!("{path}:{number}: {}", line.trim())).collect();
    findings.extend(in_code(path, text, |line| line.contains("#[ignore").then(|| line.trim().to_owned())));
    findings
}

/// A build with other features must have the same values of the same size, or it tests another program.
pub(crate) fn features_add_no_field(path: &str, text: &str) -> Vec<String> {
    let mut after_feature = false;
    in_code(path, text, |line| {
        let line = line.trim();
        if line.starts_with("#[cfg") && has_word(line, "feature") {
            after_feature = !line.ends_with(',');
            return line.ends_with(',').then(|| "a feature adds a field".to_owned());
        }
        let is_field = after_feature && looks_like_field(line);
        after_feature &= line.is_empty() || line.starts_with('#');
        is_field.then(|| format!("a feature adds the field {line}"))
    })
}

/// All bounds of a crate stand in one file, where they can be read together and weighed against each other. What an
/// operator may set has its bound beside the setting; what measures the server is no part of it.
pub(crate) fn bounds_stand_together(path: &str, text: &str) -> Vec<String> {
    let crates = [
        "protocol/src/",
        "api/src/",
        "hooks/src/",
        "engine/src/",
        "engine/bus/src/",
        "engine/logging/",
        "engine/machines/src/",
    ];
    let elsewhere = ["engine/src/config/", "engine/machines/src/api_core/tests/"];
    if !is_under(path, &crates) || is_under(path, &elsewhere) || path.ends_with("/limits.rs") {
        return Vec::new();
    }
    in_code(path, text, |line| {
        // What is indented belongs to a function or to tests.
        let (declared, value) = line.split_once('=').filter(|_| !line.starts_with(' '))?;
        let mut words = names(declared).skip_while(|word| *word != "const").skip(1);
        let (name, kind) = (words.next()?, words.next()?);
        let is_named_so = name.ends_with("_MAX") || name.ends_with("_MIN");
        let is_bound =
            is_named_so && matches!(kind, "usize" | "u64" | "u32" | "Duration") && !value.is_empty();
        is_bound.then(|| format!("{name} is a bound: it belongs into limits.rs"))
    })
}

fn looks_like_field(line: &str) -> bool {
    let line = line.strip_prefix("pub(crate) ").or_else(|| line.strip_prefix("pub ")).unwrap_or(line);
    let Some((name, ty)) = line.split_once(':') else { return false };
    !name.is_empty() && names(name).next() == Some(name) && !ty.starts_with(':') && line.ends_with(',')
}

fn is_under(path: &str, folders: &[&str]) -> bool {
    folders.iter().any(|folder| path.starts_with(folder))
}

/// Findings for each line of code that has one of the words, in a file that the rule speaks of.
fn words_in(path: &str, text: &str, applies: bool, words: &[&str]) -> Vec<String> {
    if !applies {
        return Vec::new();
    }
    in_code(path, text, |line| {
        words.iter().find(|word| has_word(line, word)).map(|word| format!("has {word}"))
    })
}

fn in_code(path: &str, text: &str, mut finding: impl FnMut(&str) -> Option<String>) -> Vec<String> {
    if !path.ends_with(".rs") {
        return Vec::new();
    }
    let code = code_of(text);
    lines(&code).filter_map(|(number, line)| Some(format!("{path}:{number}: {}", finding(line)?))).collect()
}

fn found(bad: bool, finding: impl FnOnce() -> String) -> Vec<String> {
    bad.then(finding).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A rule bites on each of the first texts and on none of the second.
    fn bites(rule: crate::Rule, path: &str, bad: &[&str], good: &[&str]) {
        for text in bad {
            assert!(!rule(path, text).is_empty(), "nothing found in {path}: {text}");
        }
        for text in good {
            assert_eq!(rule(path, text), Vec::<String>::new(), "in {path}: {text}");
        }
    }

    #[test]
    fn purity_of_the_machines_bites() {
        let bad = [
            "async fn f() {}",
            "x.await",
            "let t = Instant::now();",
            "SystemTime::now()",
            "std::fs::read(path)",
        ];
        let good = ["// no await here", "fn handle(now: Now) {}", "let s = \"async\";", "struct Instant;"];
        bites(machines_are_pure, "engine/machines/src/shard/home.rs", &bad, &good);
        bites(machines_are_pure, "engine/src/driver/turn.rs", &[], &bad);
    }

    #[test]
    fn purity_of_the_parsers_bites() {
        bites(
            parsers_are_pure,
            "protocol/src/auth.rs",
            &["SystemTime::now()", "std::thread::spawn(f)"],
            &["fn f() {}"],
        );
        bites(parsers_are_pure, "api/src/call.rs", &["use std::time::Instant;"], &["use std::fmt;"]);
        bites(parsers_are_pure, "engine/src/server/mod.rs", &[], &["std::thread::spawn(f)"]);
    }

    #[test]
    fn unsafe_outside_the_rings_bites() {
        let bad = ["unsafe { f() }", "unsafe fn f() {}", "unsafe impl Send for A {}"];
        for path in ["engine/src/driver/turn.rs", "loadtest/src/floor/fan.rs"] {
            bites(unsafe_is_in_rings, path, &bad, &["#![deny(unsafe_code)]", "// unsafe"]);
        }
        bites(unsafe_is_in_rings, RING, &[], &bad);
        bites(unsafe_is_in_rings, FLOOR_RING, &[], &bad);
    }

    #[test]
    fn missing_forbid_bites() {
        let good = ["//! A crate.\n#![forbid(unsafe_code)]\n"];
        bites(
            crate_forbids_unsafe,
            "api/src/lib.rs",
            &["//! A crate.\n", "// #![forbid(unsafe_code)]"],
            &good,
        );
        let denies = ["//! A program.\n#![deny(unsafe_code)]\n"];
        bites(crate_forbids_unsafe, "loadtest/src/main.rs", &["fn main() {}"], &denies);
        bites(crate_forbids_unsafe, "engine/src/lib.rs", &[], &["//! The engine.\n"]);
    }

    #[test]
    fn missing_panic_lints_bite() {
        let all =
            "#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]";
        let three = "#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)]";
        bites(peers_cannot_panic, "engine/machines/src/lib.rs", &["", three], &[all]);
        bites(peers_cannot_panic, "engine/src/driver/mod.rs", &[], &[""]);
    }

    #[test]
    fn queues_without_bound_bite() {
        let bad = [
            "let q = unbounded();",
            "use crossbeam_channel::unbounded;",
            "unbounded_channel()",
            "mpsc::channel()",
        ];
        bites(
            queues_are_bounded,
            "hooks/src/queue.rs",
            &bad,
            &["bounded(8)", "// unbounded", "mpsc::sync_channel(1)"],
        );
    }

    #[test]
    fn a_second_door_for_json_bites() {
        bites(
            json_has_one_door,
            "protocol/src/message.rs",
            &["use sonic_rs::LazyValue;"],
            &["use crate::json;"],
        );
        bites(json_has_one_door, JSON, &[], &["use sonic_rs::LazyValue;"]);
    }

    #[test]
    fn a_config_that_knows_its_users_bites() {
        let bad =
            ["use machines::shard::Shard;", "use crate::driver::ring;", "crate::server::start(settings)"];
        let good =
            ["use machines::limits::Limits;", "use protocol::app::App;", "// machines::shard has its own"];
        bites(settings_are_values, "engine/src/config/mod.rs", &bad, &good);
        bites(settings_are_values, "engine/src/cli/mod.rs", &[], &bad);
        let bad = ["use crate::config::Config;", "crate::cli::run()"];
        bites(settings_are_values, "engine/src/settings/mod.rs", &bad, &["use machines::shard::ending::X;"]);
    }

    #[test]
    fn prints_past_the_door_bite() {
        let bad = ["println!(\"a\");", "eprintln!(\"a\")", "print!(\"a\")", "std::eprint!(\"a\")"];
        let good = ["say!(\"a\")", "print(text)?", "// println!", "let s = \"println!\";"];
        for path in ["engine/src/cli/mod.rs", "hooks/src/delivery/endpoint_state.rs", "loadtest/src/main.rs"]
        {
            bites(nothing_prints_past_its_door, path, &bad, &good);
        }
        bites(nothing_prints_past_its_door, "engine/tests/sim/main.rs", &[], &bad);
    }

    #[test]
    fn skipped_checks_bite() {
        let bad = ["s.get_unchecked(0)", "from_utf8_unchecked(b)", "sonic_rs::get_unchecked(j, p)"];
        bites(
            checks_are_not_skipped,
            "engine/src/driver/ring.rs",
            &bad,
            &["checked_add(1)", "fn unchecked() {}"],
        );
    }

    #[test]
    fn a_missing_doc_bites() {
        bites(
            file_opens_with_its_doc,
            "api/src/call.rs",
            &["", "use a;\n", "\n//! Late.\n"],
            &["//! A call.\n"],
        );
        bites(file_opens_with_its_doc, "test.sh", &[], &["#!/bin/sh\n"]);
    }

    #[test]
    fn empty_names_bite() {
        for path in [
            "api/src/util.rs",
            "engine/src/core/mod.rs",
            "hooks/src/service/a.rs",
            "engine/tests/common/mod.rs",
        ] {
            bites(module_names_say_something, path, &["//! A."], &[]);
        }
        bites(
            module_names_say_something,
            "api/src/call.rs",
            &["mod types;", "pub mod helpers {"],
            &["mod score;"],
        );
        bites(module_names_say_something, "hooks/README.md", &[], &["the core of it"]);
    }

    #[test]
    fn ignored_tests_bite() {
        bites(
            tests_are_run,
            "a/src/b.rs",
            &["#[ignore]\nfn f() {}", "#[ignore = \"slow\"]"],
            &["// ignored", "ignore()"],
        );
        bites(
            tests_are_run,
            "a/b.test.mjs",
            &["test.skip(\"x\", f)", "test(\"x\", { skip: true }, f)"],
            &["test(f)"],
        );
        bites(tests_are_run, "a/test_b.py", &["@pytest.mark.skip"], &["def test_skip(): pass"]);
    }

    #[test]
    fn scattered_bounds_bite() {
        let bad = [
            "const ROWS_MAX: usize = 1;",
            "pub(crate) const ROWS_MAX: u64 = 1 << 20;",
            "pub const ROWS_MAX: u32 = 1;",
            "const ROWS_MIN: usize = 1;",
            "const PAUSE_MAX: Duration = Duration::from_secs(1);",
        ];
        let good = [
            "    const ROWS_MAX: usize = 1;",
            "const PAUSE: Duration = Duration::from_secs(1);",
            "const ROWS: usize = 1;",
            "// const ROWS_MAX: usize = 1;",
            "use crate::limits::ROWS_MAX;",
        ];
        bites(bounds_stand_together, "hooks/src/journal/tail.rs", &bad, &good);
        for path in
            ["hooks/src/limits.rs", "engine/src/config/app.rs", "loadtest/src/link.rs", "hooks/tests/a.rs"]
        {
            bites(bounds_stand_together, path, &[], &bad);
        }
    }

    #[test]
    fn fields_by_feature_bite() {
        let bad = [
            "struct A {\n    #[cfg(feature = \"x\")]\n    seen: u32,\n}",
            "struct A {\n    #[cfg(feature = \"x\")]\n    /// Seen.\n    pub seen: u32,\n}",
        ];
        let good = [
            "#[cfg(feature = \"x\")]\nfn f() {}",
            "#[cfg(test)]\nseen: u32,",
            "#[cfg(feature = \"x\")]\nuse a::b;",
        ];
        bites(features_add_no_field, "engine/machines/src/shard/home.rs", &bad, &good);
    }
}
