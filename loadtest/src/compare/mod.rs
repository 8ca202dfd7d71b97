//! `compare`: the same scenario on several servers in turn, over several rounds, so that what changes on the machine hits all alike.
//!
//! A B A B, never A A B B. Each run is a process of its own, like one started by hand, and its JSON is all that is known of it. Figures
//! are medians with their range; a ratio is taken within each round, before its median. `arguments` reads the command line, `floor`
//! runs the yardstick, `interrupt` ends all of it in order, `summary` is pure arithmetic, `median` writes its
//! figures, `verdict` and `show` tell it.

mod arguments;
mod floor;
mod interrupt;
mod median;
mod show;
mod summary;
mod verdict;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use serde_json::Value;

pub(crate) use self::arguments::{CompareOptions, in_order};
use self::arguments::{Contender, check_scenario};
use self::floor::Floor;
pub(crate) use self::floor::leave_with_parent;
use self::interrupt::Interrupt;
use self::summary::Comparison;
use crate::failure::{Context, Failure, Outcome};
use crate::output::say;

/// What one run said.
struct Run {
    contender: usize,
    round: u32,
    json: Value,
}

pub(crate) fn run(options: &CompareOptions) -> Outcome<()> {
    let (mut contenders, interrupt) = (options.targets.clone(), Interrupt::watch()?);
    let folder = Folder::create()?;
    let start = |mode| Floor::start(mode, &contenders, &options.scenario, folder.file("floor.json"));
    let floor = options.floor.map(start).transpose()?;
    contenders.extend(floor.as_ref().map(Floor::contender));
    check_names(&contenders)?;
    check_scenario(&options.scenario, &contenders)?;

    let mut runs = Vec::new();
    for round in 1..=options.rounds {
        for (index, contender) in contenders.iter().enumerate() {
            tell(round, options.rounds, contender);
            let json = measure(&options.scenario, contender, &folder.file("run.json"), &interrupt)
                .map_err(|failure| Failure::new(format!("round {round}, {}: {failure}", contender.name)))?;
            runs.push(Run { contender: index, round, json });
        }
    }
    let names = contenders.into_iter().map(|contender| contender.name).collect();
    // The floor is the yardstick where there is one; it is the last.
    let base = if floor.is_some() { options.targets.len() } else { 0 };
    let yardstick = floor.map(Floor::end).transpose()?;
    let comparison = Comparison { yardstick, ..Comparison::new(names, base, options.rounds, runs) };
    show::publish(&comparison, &options.scenario, options.json.as_deref(), options.report.as_deref())
}

/// One run, as if started by hand. Its live line is shown, its table is not.
fn measure(scenario: &[String], contender: &Contender, file: &Path, interrupt: &Interrupt) -> Outcome<Value> {
    let mut command = Command::new(own_executable()?);
    command.args(scenario).args(&contender.flags).arg("--json").arg(file);
    let run = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("cannot start a run")?;
    let status: ExitStatus = interrupt.wait_for(run)?;
    if !status.success() {
        return Err(Failure::new(format!("the run failed ({status})")));
    }
    let text = std::fs::read_to_string(file).context("cannot read the result of a run")?;
    serde_json::from_str(&text).context("cannot read the result of a run")
}

fn own_executable() -> Outcome<PathBuf> {
    std::env::current_exe().context("cannot find this program")
}

fn tell(round: u32, rounds: u32, contender: &Contender) {
    if std::io::stderr().is_terminal() {
        say(format_args!("round {round} of {rounds}: {}", contender.name));
    }
}

fn check_names(contenders: &[Contender]) -> Outcome<()> {
    if contenders.len() < 2 {
        return Err(Failure::new(
            "one target has nothing to be compared with: add another --target, or --floor",
        ));
    }
    let twin = contenders
        .iter()
        .enumerate()
        .find(|(index, one)| contenders.iter().take(*index).any(|other| other.name == one.name));
    twin.map_or(Ok(()), |(_, twin)| Err(Failure::new(format!("two targets are named {}", twin.name))))
}

/// A place for results on their way, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn create() -> Outcome<Self> {
        let path = std::env::temp_dir().join(format!("corecast-compare-{}", std::process::id()));
        std::fs::create_dir(&path).context(format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
