//! `corecast doctor`: what is wrong on this machine or with the settings, and what to do about it.

use clap::Args;

use super::failure::Failure;
use super::output::{print, print_json_lines};
use super::overrides::Overrides;
use super::running::read_stored_apps;
use super::sources::{Found, SourceArgs, Sources};
use crate::config::{Config, IgnoredKey, Setting, quoted};
use crate::doctor::{Clients, Finding, Report, Snippet, State, examine, examine_machine};

/// The arguments of `corecast doctor`: everything that `serve` reads.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Print one JSON object: {"state", "checks": [{"name", "state", "what", "cure"}], "clients"}
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    files: SourceArgs,
    #[command(flatten)]
    overrides: Overrides,
}

pub(super) fn run(doctor: &Doctor) -> Result<(), Failure> {
    let report = report(&Sources::new(&doctor.files, &doctor.overrides));
    if doctor.json {
        print_json_lines(&json(&report))?;
    } else {
        print(&text(&report))?;
    }
    match worst(&report.findings) {
        State::Fail => Err(Failure::told()),
        State::Ok | State::Warn => Ok(()),
    }
}

fn report(sources: &Sources) -> Report {
    let Found { mut config, settings, file, service_links, ignored, .. } = match sources.read() {
        Ok(found) => found,
        Err(failure) => return without_settings(failure.text),
    };
    let from = file.map_or_else(|| "flags and variables".to_owned(), |file| file.display().to_string());
    let mut findings = vec![Finding::ok("settings", format!("{from}: every setting is good"))];
    findings.extend(ignored.iter().map(ignored_key));
    findings.extend(service_links.iter().map(|name| {
        let what = format!("{name} is ignored: Kubernetes sets it for a Service");
        Finding::warn("settings", what, "enableServiceLinks: false in the pod's spec leaves it out")
    }));
    findings.push(judge_apps(&mut config));
    let secret = secret_place(&config, &settings);
    let Report { findings: others, clients } = examine(&config, &secret);
    findings.extend(others);
    Report { findings, clients }
}

/// The machine can be looked at all the same.
fn without_settings(what: String) -> Report {
    let cure = "mend that setting: `corecast config check` looks at the settings alone, docs/settings.md has all of them. \
        Data directory, certificates, Redis and ports are looked at when the settings can be read";
    let mut findings = vec![Finding::fail("settings", what, cure)];
    findings.extend(examine_machine());
    Report { findings, clients: None }
}

fn ignored_key(ignored: &IgnoredKey) -> Finding {
    let IgnoredKey { place, why, .. } = ignored;
    Finding::warn("settings", format!("{place} is ignored: {why}"), "leave it out, or see docs/migrating.md")
}

fn judge_apps(config: &mut Config) -> Finding {
    const ADD: &str = "--app ID:KEY:SECRET, --app-file FILE, CORECAST_APPS, [[apps]] or [app_store] in the file, or apps_url";
    if let Err(failure) = read_stored_apps(config) {
        return Finding::fail("apps", failure.text, "mend the app store, or name another in [app_store]");
    }
    let count = config.apps.len() + config.stored_apps.len();
    if config.has_no_apps() {
        return Finding::fail("apps", "no app is configured, and there are no built-in credentials", ADD);
    }
    let more = if config.apps_url.is_some() { ", and those of apps_url" } else { "" };
    Finding::ok("apps", format!("{count} app(s){more}"))
}

/// Where the secret of the first app stands.
fn secret_place(config: &Config, settings: &[Setting]) -> String {
    if config.apps.is_empty() {
        let store = config.app_store.as_ref();
        return store.map_or_else(
            || "none of the settings".to_owned(),
            |store| format!("{} (`corecast app show ID --show-secrets`)", store.display()),
        );
    }
    let is_it = |setting: &&Setting| {
        let rest = setting.path.strip_prefix("apps.0.");
        setting.place.is_some() && rest.is_some_and(|rest| rest.contains("secret"))
    };
    settings
        .iter()
        .find(is_it)
        .and_then(|setting| setting.place.clone())
        .unwrap_or_else(|| "the settings".to_owned())
}

fn worst(findings: &[Finding]) -> State {
    findings.iter().map(|finding| finding.state).max().unwrap_or(State::Ok)
}

fn text(report: &Report) -> String {
    let Report { findings, clients } = report;
    let width = findings.iter().map(|finding| finding.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Finding { name, state, what, cure } in findings {
        text.push_str(&format!("{:<4}  {name:<width$}  {}\n", state.name(), one_line(what)));
        if let Some(cure) = cure {
            text.push_str(&format!("      {:width$}  → {}\n", "", one_line(cure)));
        }
    }
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    let (fail, warn, ok) = (count(State::Fail), count(State::Warn), count(State::Ok));
    text.push_str(&format!("\n{fail} fail, {warn} warn, {ok} ok\n"));
    if let Some(clients) = clients {
        text.push_str(&format!("\n{}", clients.introduction()));
        for Snippet { client, text: lines } in clients.snippets() {
            text.push_str(&format!("\n{client}:\n\n"));
            lines.lines().for_each(|line| text.push_str(&format!("    {line}\n")));
        }
    }
    text
}

/// What others have said may have lines of its own.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

fn json(report: &Report) -> String {
    let member = |finding: &Finding| {
        let Finding { name, state, what, cure } = finding;
        let cure = cure.as_deref().map_or_else(|| "null".to_owned(), quoted);
        let (name, state, what) = (quoted(name), quoted(state.name()), quoted(what));
        format!("    {{ \"name\": {name}, \"state\": {state}, \"what\": {what}, \"cure\": {cure} }}")
    };
    let checks: Vec<String> = report.findings.iter().map(member).collect();
    let snippets = report.clients.iter().flat_map(Clients::snippets);
    let clients: Vec<String> =
        snippets.map(|it| format!("    {}: {}", quoted(it.client), quoted(&it.text))).collect();
    format!(
        "{{\n  \"state\": {},\n  \"checks\": [\n{}\n  ],\n  \"clients\": {{\n{}\n  }}\n}}\n",
        quoted(worst(&report.findings).name()),
        checks.join(",\n"),
        clients.join(",\n")
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn report_of(findings: Vec<Finding>) -> Report {
        Report { findings, clients: None }
    }

    #[test]
    fn the_json_is_one_object_with_every_check() {
        let report = report_of(vec![
            Finding::ok("kernel", "Linux \"6\"\n"),
            Finding::fail("nofile", "256\u{1b}", "more"),
        ]);
        let read: Value = serde_json::from_str(&json(&report)).unwrap();
        assert_eq!(
            read,
            json!({
                "state": "fail",
                "checks": [
                    { "name": "kernel", "state": "ok", "what": "Linux \"6\"\n", "cure": null },
                    { "name": "nofile", "state": "fail", "what": "256\u{1b}", "cure": "more" },
                ],
                "clients": {},
            })
        );
    }

    #[test]
    fn each_finding_is_a_line_and_each_cure_another() {
        let report = report_of(vec![Finding::ok("kernel", "a\nb"), Finding::warn("rps", "off", "on")]);
        let text = text(&report);
        assert_eq!(
            text,
            "ok    kernel  a b\nwarn  rps     off\n              → on\n\n0 fail, 1 warn, 1 ok\n"
        );
    }

    #[test]
    fn the_place_of_a_secret_is_told_and_not_the_secret() {
        let file = "[[apps]]\nid = \"1\"\nkey = \"k\"\nsecret = \"hunter2\"\n";
        let path = std::env::temp_dir().join(format!("corecast-doctor-{}.toml", std::process::id()));
        std::fs::write(&path, file).unwrap();
        let (config, settings) = Config::read_whole(Some(&path), &[]).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(secret_place(&config, &settings), format!("{}:4", path.display()));
        assert_eq!(secret_place(&Config::default(), &[]), "none of the settings");
    }

    #[test]
    fn settings_that_cannot_be_read_leave_the_machine_to_be_looked_at() {
        let report = without_settings("corecast.toml:3: nonsense".to_owned());
        assert_eq!((report.findings[0].name, report.findings[0].state), ("settings", State::Fail));
        assert!(report.findings.iter().any(|finding| finding.name == "io_uring"));
    }
}
