//! The machine a run took place on: what a reader needs to judge figures, or to refuse to compare them.
//!
//! Owns these facts and their order. Read once, at the end of a run; what cannot be read is left out, never guessed. The command
//! line is shown without the secret of an app.

use std::fs;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use serde_json::{Value, json};

#[derive(Default)]
pub(crate) struct Host {
    facts: Vec<Fact>,
}

struct Fact {
    key: &'static str,
    label: &'static str,
    text: String,
}

impl Host {
    pub(crate) fn read() -> Self {
        let mut host = Self::default();
        host.add("cpu", "CPU", cpu_model());
        host.add("cores", "cores", cores());
        host.add("memory", "memory", memory());
        host.add("kernel", "kernel", read_line("/proc/sys/kernel/osrelease"));
        host.add("date", "date", Some(humantime::format_rfc3339_seconds(SystemTime::now()).to_string()));
        host.add("commit", "commit of the current folder", commit());
        host.add("version", "harness", Some(format!("corecast-loadtest {}", env!("CARGO_PKG_VERSION"))));
        host.add("command", "command", Some(command_line(std::env::args())));
        host
    }

    /// Label and text of each fact.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&str, &str)> {
        self.facts.iter().map(|fact| (fact.label, fact.text.as_str()))
    }

    pub(crate) fn encode(&self) -> Value {
        self.facts.iter().map(|fact| (fact.key.to_owned(), json!(fact.text))).collect()
    }

    fn add(&mut self, key: &'static str, label: &'static str, text: Option<String>) {
        let text = text.filter(|text| !text.is_empty());
        self.facts.extend(text.map(|text| Fact { key, label, text }));
    }
}

fn read_line(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// The value of a line `name : value`.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
}

/// ARM kernels name no model.
fn cpu_model() -> Option<String> {
    field("/proc/cpuinfo", "model name").or_else(|| Some(std::env::consts::ARCH.to_owned()))
}

fn cores() -> Option<String> {
    let online = field("/proc/self/status", "Cpus_allowed_list")?;
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let all = text.lines().filter(|line| line.starts_with("processor")).count();
    Some(format!("{all}, the harness on {online}"))
}

fn memory() -> Option<String> {
    let kib: f64 = field("/proc/meminfo", "MemTotal")?.split_whitespace().next()?.parse().ok()?;
    Some(format!("{:.1} GiB", kib / (1024.0 * 1024.0)))
}

/// None outside of a checkout, or without git.
fn commit() -> Option<String> {
    let mut command = Command::new("git");
    command
        .args(["describe", "--always", "--dirty", "--abbrev=12"])
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}

fn command_line(arguments: impl Iterator<Item = String>) -> String {
    let mut is_app = false;
    let shown = arguments.map(|argument| {
        let hidden = if is_app { hide_secret(&argument) } else { hide_app(&argument) };
        is_app = argument == "--app";
        hidden
    });
    shown.collect::<Vec<_>>().join(" ")
}

/// Hides the secret of every `app=ID:KEY:SECRET` in an argument.
fn hide_app(argument: &str) -> String {
    if let Some(app) = argument.strip_prefix("--app=") {
        return format!("--app={}", hide_secret(app));
    }
    let parts = argument.split(',').map(|part| match part.rsplit_once("app=") {
        Some((before, app)) => format!("{before}app={}", hide_secret(app)),
        None => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join(",")
}

fn hide_secret(app: &str) -> String {
    let mut parts = app.splitn(3, ':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(id), Some(key), Some(_)) => format!("{id}:{key}:…"),
        _ => "…".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let cases = [
            ("x --app 1:key:sec:ret --size 9", "x --app 1:key:… --size 9"),
            ("x --app=1:key:sec,ret", "x --app=1:key:…"),
            ("x --app secret", "x --app …"),
            ("--target A=ws=h:1,app=1:key:secret,tls", "--target A=ws=h:1,app=1:key:…,tls"),
            ("--target=A=app=1:key:secret,ws=h:1", "--target=A=app=1:key:…,ws=h:1"),
        ];
        for (given, shown) in cases {
            assert_eq!(command_line(given.split(' ').map(str::to_owned)), shown);
        }
    }

    #[test]
    fn facts_of_this_machine_are_read() {
        let host = Host::read();
        let keys: Vec<_> = host.facts.iter().map(|fact| fact.key).collect();
        for key in ["cpu", "cores", "memory", "kernel", "date", "command"] {
            assert!(keys.contains(&key), "{keys:?}");
        }
        assert!(host.encode()["kernel"].as_str().is_some_and(|kernel| !kernel.is_empty()));
    }
}
