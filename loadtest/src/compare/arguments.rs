//! The command line of `compare`: its own flags, a scenario, and that scenario's flags, in any order.
//!
//! Owns the syntax of `--target` and the check that the scenario would take what it will be given, before anything runs. The
//! flags that say which server is meant belong to `--target` alone.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::{Args, Parser, ValueEnum};

use crate::failure::{Failure, Outcome};
use crate::options::FloorMode;
use crate::options::values::{parse_app, parse_endpoint, parse_prefix};
use crate::scenario::Scenario;

#[derive(Args)]
pub(crate) struct CompareOptions {
    /// A server to measure: NAME=ws=HOST:PORT,app=ID:KEY:SECRET and, after commas, http=HOST:PORT, pid=PID, path-prefix=P, tls; repeat for each
    #[arg(long = "target", value_name = "NAME=ws=…,app=…", required = true, value_parser = parse_contender)]
    pub(super) targets: Vec<Contender>,
    /// Also measures the built-in floor server, on the cores of the first target's pid, and uses it as the yardstick
    /// [default MODE: coalesced]
    #[arg(long, value_name = "MODE", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "coalesced")]
    pub(super) floor: Option<FloorMode>,
    /// Runs of each target
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) rounds: u32,
    /// Writes medians, ratios and the results of all runs as one JSON object
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Writes the comparison as one HTML page with charts, which opens without a network
    #[arg(long, value_name = "FILE.html")]
    pub(super) report: Option<PathBuf>,
    /// The scenario with its flags, without those that name the server
    #[arg(value_name = "SCENARIO", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub(super) scenario: Vec<String>,
}

/// The command line of a scenario, as `compare` gives it to each run.
#[derive(Parser)]
#[command(
    name = "corecast-loadtest",
    subcommand_value_name = "SCENARIO",
    subcommand_help_heading = "Scenarios"
)]
struct Line {
    #[command(subcommand)]
    _scenario: Scenario,
}

/// A server, and the flags by which a scenario reaches it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Contender {
    pub(super) name: String,
    pub(super) flags: Vec<String>,
    pub(super) pid: Option<u32>,
}

/// Own flags that take a value, and those that may.
const VALUED: [&str; 4] = ["--target", "--rounds", "--json", "--report"];

/// A command line of `compare` with its own flags in front, where the parser wants them; any other as it is.
pub(crate) fn in_order(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments = arguments.peekable();
    let head: Vec<OsString> = arguments.by_ref().take(2).collect();
    if head.get(1).is_none_or(|command| command != "compare") {
        return head.into_iter().chain(arguments).collect();
    }
    let (mut own, mut rest) = (Vec::new(), Vec::new());
    while let Some(argument) = arguments.next() {
        let name = argument.to_string_lossy().split('=').next().unwrap_or_default().to_owned();
        let is_joined = argument.to_string_lossy().contains('=');
        if VALUED.contains(&name.as_str()) {
            own.push(argument);
            own.extend(arguments.next_if(|_| !is_joined));
        } else if name == "--floor" {
            let mode = arguments.next_if(|next| !is_joined && is_floor_mode(next));
            own.push(mode.map_or(argument, |mode| OsString::from(format!("--floor={}", mode.display()))));
        } else {
            rest.push(argument);
        }
    }
    head.into_iter().chain(own).chain(rest).collect()
}

fn is_floor_mode(text: &OsStr) -> bool {
    text.to_str().is_some_and(|text| FloorMode::from_str(text, false).is_ok())
}

/// Whether the scenario takes its flags and those of each contender. Asked for help, it gives it.
pub(super) fn check_scenario(scenario: &[String], contenders: &[Contender]) -> Outcome<()> {
    for contender in contenders {
        let program = std::iter::once("corecast-loadtest");
        let arguments = scenario.iter().chain(&contender.flags).map(String::as_str);
        match Line::try_parse_from(program.chain(arguments)) {
            Ok(_) => {}
            Err(error) if !error.use_stderr() => error.exit(),
            Err(error) => {
                return Err(Failure::new(format!(
                    "for target {}, {}",
                    contender.name,
                    without_prefix(&error)
                )));
            }
        }
    }
    Ok(())
}

fn without_prefix(error: &clap::Error) -> String {
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    text.lines().next().unwrap_or_default().to_owned()
}

/// `NAME=ws=HOST:PORT,app=ID:KEY:SECRET[,http=HOST:PORT][,pid=PID][,path-prefix=P][,tls]`
fn parse_contender(text: &str) -> Result<Contender, String> {
    let (name, parts) = text.split_once('=').ok_or("expected NAME=ws=HOST:PORT,app=ID:KEY:SECRET")?;
    if name.is_empty() || name.contains([',', ':']) {
        return Err(format!("«{name}» is not a name: write it before the first =, as in A=ws=HOST:PORT,…"));
    }
    let mut contender = Contender { name: name.to_owned(), flags: Vec::new(), pid: None };
    let mut seen = Vec::new();
    for part in parts.split(',') {
        let (key, value) = part.split_once('=').map_or((part, None), |(key, value)| (key, Some(value)));
        if seen.contains(&key) {
            return Err(format!("{key} is given twice"));
        }
        seen.push(key);
        contender.add(key, value)?;
    }
    let missing = ["ws", "app"].into_iter().find(|needed| !seen.contains(needed));
    missing.map_or(Ok(contender), |missing| Err(format!("{missing}=… is missing")))
}

impl Contender {
    fn add(&mut self, key: &str, value: Option<&str>) -> Result<(), String> {
        let value = match (key, value) {
            ("tls", None) => {
                self.flags.push("--tls".to_owned());
                return Ok(());
            }
            ("tls", Some(_)) => return Err("tls takes no value".to_owned()),
            ("ws" | "http" | "app" | "pid" | "path-prefix", Some(value)) => value,
            ("ws" | "http" | "app" | "pid" | "path-prefix", None) => {
                return Err(format!("{key} needs a value: {key}=…"));
            }
            _ => {
                return Err(format!("«{key}» is not known: expected ws, http, app, pid, path-prefix or tls"));
            }
        };
        let named = |error: String| format!("{key}={value}: {error}");
        match key {
            "ws" | "http" => drop(parse_endpoint(value).map_err(named)?),
            "app" => drop(parse_app(value)?),
            "pid" => {
                let pid = value.parse().map_err(|_| format!("pid={value}: expected a process id"))?;
                self.pid = Some(pid);
            }
            _ => drop(parse_prefix(value).map_err(named)?),
        }
        self.flags.extend([format!("--{key}"), value.to_owned()]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_gives_the_flags_of_a_scenario() {
        let text = "A=ws=127.0.0.1:6001,app=1:k:s,http=127.0.0.1:6002,pid=42,path-prefix=/x,tls";
        let contender = parse_contender(text).unwrap();
        assert_eq!((contender.name.as_str(), contender.pid), ("A", Some(42)));
        let flags = "--ws 127.0.0.1:6001 --app 1:k:s --http 127.0.0.1:6002 --pid 42 --path-prefix /x --tls";
        assert_eq!(contender.flags.join(" "), flags);
    }

    #[test]
    fn target_that_cannot_be_meant_says_why() {
        let cases = [
            ("", "expected NAME"),
            ("ws", "expected NAME"),
            ("=ws=127.0.0.1:1,app=1:k:s", "is not a name"),
            ("A=ws=127.0.0.1:1", "app=… is missing"),
            ("A=app=1:k:s", "ws=… is missing"),
            ("A=ws=127.0.0.1:1,app=1:k", "ID:KEY:SECRET"),
            ("A=ws=127.0.0.1,app=1:k:s", "HOST:PORT"),
            ("A=ws=127.0.0.1:1,ws=127.0.0.1:2,app=1:k:s", "twice"),
            ("A=ws=127.0.0.1:1,app=1:k:s,pid=x", "process id"),
            ("A=ws=127.0.0.1:1,app=1:k:s,tls=yes", "takes no value"),
            ("A=ws=127.0.0.1:1,app=1:k:s,pid", "needs a value"),
            ("A=ws=127.0.0.1:1,app=1:k:s,colour=red", "«colour» is not known"),
        ];
        for (text, reason) in cases {
            let error = parse_contender(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn own_flags_may_stand_anywhere() {
        let order = |line: &str| {
            let arguments = in_order(line.split(' ').map(OsString::from));
            arguments.iter().map(|argument| argument.to_str().unwrap()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            order("x compare fanout --rate 5 --target A=ws --floor --json=f --size 9 --rounds 2"),
            "x compare --target A=ws --floor --json=f --rounds 2 fanout --rate 5 --size 9"
        );
        assert_eq!(order("x compare --floor each fanout"), "x compare --floor=each fanout");
        assert_eq!(order("x compare --floor fanout"), "x compare --floor fanout");
        assert_eq!(order("x fanout --json f --rate 5"), "x fanout --json f --rate 5");
    }

    #[test]
    fn scenario_that_would_not_take_its_flags_is_found_before_it_runs() {
        let contender = [parse_contender("A=ws=127.0.0.1:1,app=1:k:s").unwrap()];
        let check = |line: &str| {
            let scenario: Vec<_> = line.split(' ').map(str::to_owned).collect();
            check_scenario(&scenario, &contender).map_err(|failure| failure.to_string())
        };
        check("fanout --rate 5").unwrap();
        for (line, reason) in [
            ("fanout --rate x", "for target A, invalid value"),
            ("fanout --ws 127.0.0.1:2", "cannot be used multiple times"),
            ("nonsense", "unrecognized subcommand"),
        ] {
            let told = check(line).unwrap_err();
            assert!(told.contains(reason), "{line}: {told}");
        }
    }
}
