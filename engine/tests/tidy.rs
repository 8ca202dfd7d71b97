//! The invariants of the project that are facts about its own text, held by tests of the tree.
//!
//! Each rule is a function from one file to its findings, beside small tests that show it bites; here it meets every
//! file of the project. What a compiler or a lint can hold is not here. A rule that must be broken once is wrong:
//! change it with its reason, never make an exception by a mark in a file.
#![forbid(unsafe_code)]

#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/code.rs"]
mod code;
#[path = "tidy/code_rules.rs"]
mod code_rules;
#[path = "tidy/manifest_rules.rs"]
mod manifest_rules;
#[path = "tidy/modules.rs"]
mod modules;
#[path = "tidy/page_rules.rs"]
mod page_rules;
#[path = "tidy/text_rules.rs"]
mod text_rules;
#[path = "tidy/tree.rs"]
mod tree;
#[path = "tidy/unused.rs"]
mod unused;

/// A rule: the path of a file from the root, its text, and what is wrong with it, one line each.
type Rule = fn(&str, &str) -> Vec<String>;

fn tree_holds(rule: Rule) {
    let findings: Vec<String> = tree::files().iter().flat_map(|file| rule(&file.path, &file.text)).collect();
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn tree_has_all_crates() {
    let files = tree::files();
    for path in [
        "Cargo.toml",
        "engine/src/lib.rs",
        "engine/machines/src/lib.rs",
        "protocol/src/lib.rs",
        "api/src/lib.rs",
        "loadtest/src/main.rs",
    ] {
        assert!(files.iter().any(|file| file.path == path), "{path} is not among the {} files", files.len());
    }
}

#[test]
fn machines_know_no_runtime_and_no_clock() {
    tree_holds(code_rules::machines_are_pure);
}

#[test]
fn settings_and_config_know_nobody_who_uses_them() {
    tree_holds(code_rules::settings_are_values);
}

#[test]
fn protocol_and_api_know_no_socket_no_clock_and_no_thread() {
    tree_holds(code_rules::parsers_are_pure);
}

#[test]
fn unsafe_stands_in_the_rings_alone() {
    tree_holds(code_rules::unsafe_is_in_rings);
}

#[test]
fn crates_deny_unsafe() {
    tree_holds(code_rules::crate_forbids_unsafe);
}

#[test]
fn code_that_reads_peers_denies_panics() {
    tree_holds(code_rules::peers_cannot_panic);
}

#[test]
fn every_queue_is_bounded() {
    tree_holds(code_rules::queues_are_bounded);
}

#[test]
fn one_file_names_the_json_crate() {
    tree_holds(code_rules::json_has_one_door);
}

#[test]
fn no_call_skips_its_checks() {
    tree_holds(code_rules::checks_are_not_skipped);
}

#[test]
fn nothing_prints_past_its_door() {
    tree_holds(code_rules::nothing_prints_past_its_door);
}

#[test]
fn every_file_says_what_it_is() {
    tree_holds(code_rules::file_opens_with_its_doc);
}

#[test]
fn no_module_has_a_name_that_says_nothing() {
    tree_holds(code_rules::module_names_say_something);
}

#[test]
fn no_test_is_ignored() {
    tree_holds(code_rules::tests_are_run);
}

#[test]
fn no_feature_adds_a_field() {
    tree_holds(code_rules::features_add_no_field);
}

#[test]
fn bounds_of_a_crate_stand_together() {
    tree_holds(code_rules::bounds_stand_together);
}

#[test]
fn nothing_is_left_to_do() {
    tree_holds(text_rules::nothing_is_left_to_do);
}

#[test]
fn no_file_names_a_package_registry() {
    tree_holds(text_rules::registries_are_unnamed);
}

#[test]
fn no_file_names_a_place_on_one_machine() {
    tree_holds(text_rules::places_are_unnamed);
}

#[test]
fn lock_files_name_no_address() {
    tree_holds(text_rules::lock_names_no_address);
}

#[test]
fn pages_say_for_whom_they_are() {
    tree_holds(page_rules::page_says_for_whom);
}

#[test]
fn tables_of_pages_can_be_read_at_a_glance() {
    tree_holds(page_rules::cells_are_short);
}

#[test]
fn tables_that_name_tests_name_those_that_are_there() {
    let files = tree::files();
    let text_of = |path: &str| files.iter().find(|file| file.path == path).map(|file| file.text.clone());
    let lies = |file: &tree::File| page_rules::rows_link_to_their_tests(&file.path, &file.text, text_of);
    let findings: Vec<String> = files.iter().flat_map(lies).collect();
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn code_map_names_what_is_there() {
    let files = tree::files();
    let is_declared = |text: &str, name: &str| {
        let kinds = ["struct ", "enum ", "trait "];
        kinds.iter().any(|kind| {
            code::code_of(text).split(kind).skip(1).any(|rest| {
                rest.strip_prefix(name).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
            })
        })
    };
    let sources: Vec<&tree::File> = files.iter().filter(|file| file.path.ends_with(".rs")).collect();
    let has_type =
        |name: &str| sources.iter().any(|file| file.text.contains(name) && is_declared(&file.text, name));
    let has_file = |name: &str| {
        let (folder, file) = (format!("/{}/", name.trim_end_matches('/')), format!("/{name}.rs"));
        let is_it = |path: String| path.ends_with(&file) || path.contains(&folder);
        sources.iter().any(|source| is_it(format!("/{}", source.path)))
    };
    let lies = |file: &tree::File| page_rules::map_is_true(&file.path, &file.text, has_type, has_file);
    let findings: Vec<String> = files.iter().flat_map(lies).collect();
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn links_between_pages_lead_somewhere() {
    let files = tree::files();
    let exists = |path: &str| files.iter().any(|file| file.path == path) || tree::has_picture(path);
    let dead = |file: &tree::File| page_rules::links_lead_somewhere(&file.path, &file.text, exists);
    let findings: Vec<String> = files.iter().flat_map(dead).collect();
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn the_index_for_language_models_has_every_page() {
    let files = tree::files();
    let index = files.iter().find(|file| file.path == "llms.txt").unwrap();
    let links = |page: &str| index.text.contains(&format!("({page})"));
    let is_page =
        |path: &str| path.starts_with("docs/") && path.ends_with(".md") && !path.ends_with(".zh-CN.md");
    let missing: Vec<&str> =
        files.iter().map(|file| file.path.as_str()).filter(|path| is_page(path) && !links(path)).collect();
    assert!(missing.is_empty(), "llms.txt lacks {missing:?}");
    let exists = |path: &str| files.iter().any(|file| file.path == path);
    // Its form is that of a page.
    let dead = page_rules::links_lead_somewhere("llms.md", &index.text, exists);
    assert!(dead.is_empty(), "{dead:?}");
}

#[test]
fn no_modules_stand_in_a_circle() {
    let circles = circles::circles(&tree::files());
    let findings: Vec<String> = circles
        .iter()
        .map(|circle| format!("{}:\n    {}", circle.modules.join(", "), circle.ties.join("\n    ")))
        .collect();
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn no_public_item_is_unused() {
    let findings = unused::unused_items(&tree::files());
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn arrows_between_crates_are_as_drawn() {
    tree_holds(manifest_rules::arrows);
}

#[test]
fn only_the_engine_has_a_runtime() {
    tree_holds(manifest_rules::runtime_is_in_engine);
}

#[test]
fn every_dependency_says_why() {
    tree_holds(manifest_rules::dependencies_say_why);
}

#[test]
fn crates_take_their_versions_from_the_workspace() {
    tree_holds(manifest_rules::versions_are_in_one_place);
}
