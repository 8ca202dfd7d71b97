//! Rules about the manifests: which crate may know which, who has a runtime, and that each dependency says why.
//!
//! The arrows are those of ARCHITECTURE.md. A new arrow is a decision: it changes the table here and the picture there
//! together. Only the tidy test calls this.

use crate::code::lines;

/// Each crate and those of ours that it may know.
const ARROWS: [(&str, &[&str]); 14] = [
    ("protocol", &[]),
    ("protocol/fuzz", &["protocol", "api"]),
    ("api", &["protocol"]),
    ("api/client", &[]),
    ("api/conform", &["client"]),
    ("engine/bus", &["protocol", "machines", "vitals"]),
    ("engine/logging", &[]),
    ("engine/vitals", &[]),
    ("hooks", &["protocol", "logging", "vitals"]),
    ("engine/machines", &["protocol", "api"]),
    ("engine/machines/mutants", &["protocol", "api"]),
    ("engine", &["protocol", "api", "client", "conform", "logging", "hooks", "bus", "machines", "vitals"]),
    ("benches", &["protocol", "api", "machines"]),
    ("loadtest", &[]),
];

/// Manifests of workspaces: the project's, and that of the fuzz targets, which the default build never sees.
const ROOTS: [&str; 2] = ["Cargo.toml", "protocol/fuzz/Cargo.toml"];

/// Our own crates, as dependencies name them.
const OURS: [&str; 12] = [
    "protocol", "api", "client", "conform", "logging", "hooks", "bus", "machines", "vitals", "corecast",
    "benches", "loadtest",
];

/// A crate knows only those of ours that the picture lets it know.
pub(crate) fn arrows(path: &str, text: &str) -> Vec<String> {
    let Some(folder) = path.strip_suffix("/Cargo.toml") else { return Vec::new() };
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == folder) else {
        return vec![format!("{path}: is no crate of the picture")];
    };
    let bad = dependencies(text).filter(|(_, dependency)| {
        let name = dependency.name.strip_prefix("corecast-").unwrap_or(dependency.name);
        OURS.contains(&name) && !allowed.contains(&name)
    });
    bad.map(|(number, dependency)| format!("{path}:{number}: may not know {}", dependency.name)).collect()
}

/// One crate knows executors, rings and client sockets, and nobody brings a second runtime. Users of the client may run on
/// tokio: there it is optional, and no other crate of ours may ask for it.
pub(crate) fn runtime_is_in_engine(path: &str, text: &str) -> Vec<String> {
    let is_manifest = path.ends_with("Cargo.toml");
    let bad = dependencies(text).filter(|(_, dependency)| match dependency.name {
        "tokio" if path == "api/client/Cargo.toml" => !dependency.line.contains("optional = true"),
        "tokio" if path == "Cargo.toml" => false,
        "corecast-client" => dependency.line.contains("features"),
        "tokio" | "async-std" | "smol" | "monoio" | "actix-rt" => true,
        "glommio" => path != "engine/Cargo.toml" && path != "Cargo.toml",
        // The floor of the load test submits its sends to a ring, without any runtime.
        "io-uring" => !["Cargo.toml", "engine/Cargo.toml", "loadtest/Cargo.toml"].contains(&path),
        _ => false,
    });
    bad.filter(|_| is_manifest)
        .map(|(number, found)| format!("{path}:{number}: has {}", found.name))
        .collect()
}

/// A dependency of the workspace has its reason beside it. Our own crates are explained by the picture.
pub(crate) fn dependencies_say_why(path: &str, text: &str) -> Vec<String> {
    let bad = dependencies(text).filter(|(_, dependency)| {
        let reason = dependency.line.rsplit_once(" # ").map_or("", |(_, reason)| reason);
        reason.len() < 8 && !dependency.line.contains("path = \"")
    });
    bad.filter(|_| ROOTS.contains(&path))
        .map(|(number, found)| format!("{path}:{number}: {} says no reason", found.name))
        .collect()
}

/// Versions and features are chosen once, in the root of a workspace.
pub(crate) fn versions_are_in_one_place(path: &str, text: &str) -> Vec<String> {
    let is_crate = path.ends_with("/Cargo.toml") && !ROOTS.contains(&path);
    let bad = dependencies(text).filter(|(_, dependency)| !dependency.line.contains("workspace = true"));
    bad.filter(|_| is_crate)
        .map(|(number, found)| format!("{path}:{number}: {} has its own", found.name))
        .collect()
}

struct Dependency<'a> {
    name: &'a str,
    line: &'a str,
}

/// The numbered lines of all dependency tables. `[dependencies.NAME]` is refused by its shape: it has no such line.
fn dependencies(text: &str) -> impl Iterator<Item = (usize, Dependency<'_>)> {
    let mut inside = false;
    lines(text).filter_map(move |(number, line)| {
        if line.starts_with('[') {
            let title = line.trim_matches(['[', ']']);
            inside = title.ends_with("dependencies");
            let own_table = title.rsplit_once("dependencies.").map(|(_, name)| Dependency { name, line });
            return own_table.map(|dependency| (number, dependency));
        }
        let name = line.split([' ', '=', '.']).next()?;
        let is_entry = inside && !name.is_empty() && !name.starts_with('#');
        is_entry.then_some((number, Dependency { name, line }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRONG_ARROW: &str = "[dependencies]\napi.workspace = true\n";

    #[test]
    fn an_arrow_that_is_not_drawn_bites() {
        for folder in ["protocol", "hooks", "loadtest"] {
            let path = format!("{folder}/Cargo.toml");
            assert_eq!(arrows(&path, WRONG_ARROW).len(), 1, "{folder}");
        }
        assert_eq!(arrows("loadtest/Cargo.toml", "[dev-dependencies]\ncorecast-protocol = \"1\"\n").len(), 1);
        assert_eq!(arrows("api/Cargo.toml", "[dependencies.corecast]\nworkspace = true\n").len(), 1);
        assert_eq!(arrows("extra/Cargo.toml", "").len(), 1);
        assert!(arrows("engine/Cargo.toml", WRONG_ARROW).is_empty());
        assert!(arrows("benches/Cargo.toml", WRONG_ARROW).is_empty());
    }

    #[test]
    fn a_runtime_elsewhere_bites() {
        assert_eq!(
            runtime_is_in_engine("hooks/Cargo.toml", "[dependencies]\nglommio.workspace = true\n").len(),
            1
        );
        for (path, text) in [
            ("Cargo.toml", "smol = \"1\" # why"),
            ("engine/Cargo.toml", "tokio.workspace = true"),
            ("api/client/Cargo.toml", "tokio.workspace = true"),
            ("engine/Cargo.toml", "corecast-client = { workspace = true, features = [\"tokio\"] }"),
        ] {
            assert_eq!(
                runtime_is_in_engine(path, &format!("[dependencies]\n{text}\n")).len(),
                1,
                "{path}: {text}"
            );
        }
        let optional = "[dependencies]\ntokio = { workspace = true, optional = true }\n";
        assert!(runtime_is_in_engine("api/client/Cargo.toml", optional).is_empty());
        assert!(
            runtime_is_in_engine("engine/Cargo.toml", "[dependencies]\nglommio.workspace = true\n")
                .is_empty()
        );
    }

    #[test]
    fn a_dependency_without_reason_bites() {
        assert_eq!(dependencies_say_why("Cargo.toml", "[workspace.dependencies]\nitoa = \"1\"\n").len(), 1);
        assert_eq!(
            dependencies_say_why("Cargo.toml", "[workspace.dependencies]\nitoa = \"1\" # x\n").len(),
            1
        );
        let good = "[workspace.dependencies]\nitoa = \"1\" # integers into frames\napi = { path = \"api\" }\n[profile.a]\nb = 1\n";
        assert!(dependencies_say_why("Cargo.toml", good).is_empty());
    }

    #[test]
    fn a_version_of_its_own_bites() {
        assert_eq!(versions_are_in_one_place("api/Cargo.toml", "[dependencies]\nitoa = \"1\"\n").len(), 1);
        let good = "[package]\nversion.workspace = true\n[dependencies]\nitoa.workspace = true\n";
        assert!(versions_are_in_one_place("api/Cargo.toml", good).is_empty());
        let own = "[dependencies]\nitoa = \"1\" # integers into frames\n";
        assert!(versions_are_in_one_place("protocol/fuzz/Cargo.toml", own).is_empty());
        assert_eq!(
            dependencies_say_why("protocol/fuzz/Cargo.toml", "[dependencies]\nitoa = \"1\"\n").len(),
            1
        );
    }
}
