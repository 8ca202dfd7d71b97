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

#[test]
fn no_crate_is_banned() {
    let lines = list("deny");
    let banned: Vec<&str> = lines.iter().filter_map(|line| quoted(line).first().copied()).collect();
    assert!(banned.contains(&"tokio") && banned.contains(&"openssl"), "{banned:?}");
    for lock in ["Cargo.lock", "protocol/fuzz/Cargo.lock"] {
        let packages = locked(lock);
        assert!(packages.iter().any(|(name, _)| name == "tungstenite"), "{lock} was not understood");
        let found = packages.iter().filter(|(name, _)| banned.contains(&name.as_str()));
        assert_eq!(found.count(), 0, "{lock} holds one of {banned:?}");
    }
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
