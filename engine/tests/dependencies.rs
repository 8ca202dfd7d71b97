//! The tree of dependencies keeps to deny.toml: no banned crate, no licence that is not allowed, no other source.
//!
//! What cargo-deny does with the same file, as far as the lock files and cargo's metadata say it, so that every test
//! run does it. Advisories are not here: they need their database.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The lines of the list of this name in deny.toml.
fn list(name: &str) -> Vec<String> {
    let text = read("deny.toml");
    let start = format!("{name} = [");
    let lines = text.lines().skip_while(|line| !line.starts_with(&start)).skip(1);
    let lines: Vec<_> = lines.take_while(|line| !line.starts_with(']')).map(str::to_owned).collect();
    assert!(!lines.is_empty(), "deny.toml has no list {name}");
    lines
}

/// What stands in quotes in a line.
fn quoted(line: &str) -> Vec<&str> {
    line.split('"').skip(1).step_by(2).collect()
}

/// Name and source of every package of a lock file. Ours have no source.
fn locked(path: &str) -> Vec<(String, Option<String>)> {
    let text = read(path);
    let packages = text.split("[[package]]").skip(1);
    let field = |package: &str, name: &str| {
        let line = package.lines().find(|line| line.starts_with(&format!("{name} = ")))?;
        quoted(line).first().map(|value| (*value).to_owned())
    };
    packages.map(|package| (field(package, "name").unwrap(), field(package, "source"))).collect()
}

/// Whether a licence expression can be met with the allowed licences.
fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    // The old way to write OR, and a way to write «or later».
    let text = expression.replace('/', " OR ").replace(['(', ')'], " ");
    text.split(" AND ").all(|part| {
        part.split(" OR ").any(|name| {
            let name = name.split(" WITH ").next().unwrap_or_default().trim();
            allowed.contains(&name.strip_suffix('+').unwrap_or(name))
        })
    })
}

/// The banned crates, each with those that may depend on it all the same.
fn banned(lines: &[String]) -> Vec<(&str, Vec<&str>)> {
    let wrappers = |line: &str| line.split_once("wrappers = [").map_or("", |(_, rest)| rest).to_owned();
    lines
        .iter()
        .filter_map(|line| {
            let wrapped = wrappers(line);
            let names = quoted(wrapped.split(']').next().unwrap_or_default()).len();
            let all = quoted(line);
            let (name, rest) = all.split_first()?;
            Some((*name, rest.iter().take(names).copied().collect()))
        })
        .collect()
}

#[test]
fn no_crate_is_banned() {
    let lines = list("deny");
    let banned = banned(&lines);
    let names: Vec<&str> = banned.iter().map(|(name, _)| *name).collect();
    assert!(names.contains(&"tokio") && names.contains(&"openssl"), "{banned:?}");
    for lock in ["Cargo.lock", "protocol/fuzz/Cargo.lock"] {
        let packages = locked(lock);
        assert!(packages.iter().any(|(name, _)| name == "tungstenite"), "{lock} was not understood");
        for (name, wrappers) in &banned {
            let text = read(lock);
            let depends = |package: &&str| package.lines().any(|line| line.trim() == format!("\"{name}\","));
            let users = text
                .split("[[package]]")
                .filter(depends)
                .filter_map(|package| quoted(package).first().copied());
            let others: Vec<&str> = users.filter(|user| !wrappers.contains(user)).collect();
            assert_eq!(others, [""; 0], "{lock}: {name} is banned");
            let is_there = packages.iter().any(|(found, _)| found == name);
            assert!(!is_there || !wrappers.is_empty(), "{lock} holds {name}");
        }
    }
}

/// The lock file holds what any feature of any crate may ask for. This is what is built.
#[test]
fn nothing_that_is_built_by_default_is_banned() {
    let lines = list("deny");
    let banned: Vec<&str> = banned(&lines).into_iter().map(|(name, _)| name).collect();
    let metadata = metadata();
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let name_of = |id: &Value| {
        let package = metadata["packages"].as_array().unwrap().iter().find(|package| package["id"] == *id);
        package.unwrap()["name"].as_str().unwrap().to_owned()
    };
    let mut reached: Vec<&Value> =
        nodes.iter().map(|node| &node["id"]).filter(|id| name_of(id) == "corecast").collect();
    assert_eq!(reached.len(), 1);
    let mut next = 0;
    while let Some(id) = reached.get(next).copied() {
        let node = nodes.iter().find(|node| node["id"] == *id).unwrap();
        for dependency in node["dependencies"].as_array().unwrap() {
            if !reached.contains(&dependency) {
                reached.push(dependency);
            }
        }
        next += 1;
    }
    let names: Vec<String> = reached.into_iter().map(name_of).collect();
    assert!(names.iter().any(|name| name == "corecast-client"), "{names:?}");
    assert!(!names.iter().any(|name| banned.contains(&name.as_str())), "{names:?}");
}

#[test]
fn every_crate_is_ours_or_of_the_public_registry() {
    for lock in ["Cargo.lock", "protocol/fuzz/Cargo.lock"] {
        for (name, source) in locked(lock) {
            let is_ours = source.is_none() && (name == "corecast" || name.starts_with("corecast-"));
            assert!(is_ours || source.as_deref() == Some(REGISTRY), "{lock}: {name} comes from {source:?}");
        }
    }
}

#[test]
fn every_licence_is_allowed() {
    let (allow, exceptions) = (list("allow"), list("exceptions"));
    let allowed: Vec<&str> = allow.iter().flat_map(|line| quoted(line)).collect();
    let excepted: HashMap<&str, Vec<&str>> = exceptions
        .iter()
        .filter_map(|line| quoted(line).split_first().map(|(name, allowed)| (*name, allowed.to_vec())))
        .collect();
    for package in metadata()["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let license = package["license"].as_str().unwrap_or_default();
        let allowed = excepted.get(name).unwrap_or(&allowed);
        assert!(is_allowed(license, allowed), "{name} is under {license:?}");
    }
}

fn metadata() -> Value {
    let arguments =
        ["metadata", "--locked", "--format-version", "1", "--filter-platform", "x86_64-unknown-linux-gnu"];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_licence_is_met_by_one_of_its_choices_and_all_of_its_parts() {
    let allowed = ["MIT", "ISC", "Unicode-3.0", "MPL-2.0"];
    for good in ["MIT", "GPL-3.0 OR MIT", "Apache-2.0/MIT", "(MIT OR Apache-2.0) AND Unicode-3.0", "MPL-2.0+"]
    {
        assert!(is_allowed(good, &allowed), "{good}");
    }
    for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND GPL-3.0", "MIT-0"] {
        assert!(!is_allowed(bad, &allowed), "{bad}");
    }
}
