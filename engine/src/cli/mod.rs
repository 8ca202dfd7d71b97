//! The command line: `serve`, `check`, `config`, `doctor`, `health`, `dev`, `publish`, `watch`, `top`, `conform`, `app`, `hooks`,
//! `completions` and `man`, each in a file or folder of its name.
//!
//! It is parsed once into values that are right, or refused with one message that says what to change. `sources` are where
//! settings come from, `overrides` the flags that win over all others; `running` is a server that a command runs. Nothing here knows of cores and
//! sockets.

mod app;
mod app_file;
mod check;
mod completions;
mod config;
mod conform;
mod credentials;
mod dev;
mod doctor;
mod failure;
mod health;
mod hooks;
mod man;
mod output;
mod overridden;
mod overrides;
mod publish;
mod reload;
mod running;
mod serve;
mod sources;
mod table;
mod target;
mod top;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use logging::event;

use self::app::AppArgs;
use self::check::Check;
use self::completions::CompletionsArgs;
use self::config::ConfigArgs;
use self::conform::ConformArgs;
use self::dev::Dev;
use self::doctor::Doctor;
use self::failure::{EXIT_CONFIG, EXIT_READER_GONE, Failure};
use self::health::Health;
use self::hooks::HooksArgs;
use self::man::ManArgs;
use self::output::OutputError;
use self::publish::PublishArgs;
use self::serve::Serve;
use self::top::TopArgs;
use self::watch::WatchArgs;

/// Realtime server for Pusher clients.
#[derive(Debug, Parser)]
#[command(name = "corecast", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(Serve),
    /// Check a configuration file without starting the server
    Check(Check),
    /// Show and check what file, environment and flags come to
    Config(ConfigArgs),
    /// Find out what is wrong on this machine and with the settings, and what to do about it
    Doctor(Doctor),
    /// Ask a running server whether it lives: exit code 0 if so, for health checks of containers
    Health(Health),
    /// Run the server on loopback, with its own credentials, a demo page and code to paste
    Dev(Dev),
    /// Publish one event to a running server, signed like a server SDK
    Publish(PublishArgs),
    /// Print the events of channels as they come
    Watch(WatchArgs),
    /// Show what a running server does, live, in a terminal
    Top(TopArgs),
    /// Check whether a running server, of any make, speaks the Pusher protocol as the SDKs expect it
    Conform(ConformArgs),
    /// Add, change and remove apps of an app store, which a server reads
    App(AppArgs),
    /// Inspect hook delivery, retry failed events, deliver from a stream
    Hooks(HooksArgs),
    /// Print what a shell needs to complete commands and options
    Completions(CompletionsArgs),
    /// Write a manual page for every command
    Man(ManArgs),
}

/// Runs the command that the arguments of this process ask for.
pub fn run() -> ExitCode {
    logging::collect();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let asked_for_help = !error.use_stderr();
            let printed = error.print().map_err(OutputError::from);
            return match printed {
                Err(OutputError::ReaderGone) => ExitCode::from(EXIT_READER_GONE),
                _ if asked_for_help => ExitCode::SUCCESS,
                _ => ExitCode::from(EXIT_CONFIG),
            };
        }
    };
    let outcome = match cli.command {
        Command::Serve(serve) => serve::run(&serve),
        Command::Check(check) => check::run(check),
        Command::Config(args) => config::run(args),
        Command::Doctor(doctor) => doctor::run(&doctor),
        Command::Health(health) => health::run(&health),
        Command::Dev(dev) => dev::run(&dev),
        Command::Publish(publish) => publish::run(publish),
        Command::Watch(args) => watch::run(args),
        Command::Top(args) => top::run(args),
        Command::Conform(args) => conform::run(args),
        Command::App(args) => app::run(args),
        Command::Hooks(args) => hooks::run(args),
        Command::Completions(args) => completions::run(&args, Cli::command()),
        Command::Man(args) => man::run(&args, Cli::command()),
    };
    let code = match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, text }) => {
            if !text.is_empty() {
                event!(ERROR, "failed", { code = code, }, "{text}");
            }
            ExitCode::from(code)
        }
    };
    logging::finish();
    code
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;
    use crate::doc_pages::pages;

    /// The words of a command as a shell hands them over; remarks, and what happens to its output, are left out.
    fn words(line: &str) -> Option<Vec<String>> {
        let line = line.trim_start().trim_start_matches("$ ");
        let line = line.strip_prefix("target/release/").unwrap_or(line);
        let line = line.strip_prefix("corecast ")?.split("    ").next()?;
        let mut words = vec!["corecast".to_owned()];
        for (index, part) in line.split('\'').enumerate() {
            if index % 2 == 1 {
                words.push(part.to_owned());
                continue;
            }
            for word in part.split_whitespace() {
                if word.starts_with(['#', '&', '|', '>', '…']) {
                    return Some(words);
                }
                if !word.starts_with('[') && !word.ends_with(']') {
                    words.push(word.to_owned());
                }
            }
        }
        Some(words)
    }

    #[test]
    fn every_command_that_a_page_shows_exists_with_its_options() {
        let mut found = 0;
        for (page, text) in pages() {
            let is_code = |line: &&str| line.starts_with("    ") || line.starts_with("corecast ");
            for words in text.lines().filter(is_code).filter_map(words) {
                found += 1;
                let Err(error) = Cli::try_parse_from(&words) else { continue };
                // What stands for a value is a word in capitals.
                let is_placeholder =
                    matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue);
                assert!(is_placeholder, "{page}: {words:?}: {error}");
            }
        }
        assert!(found > 30, "{found}");
    }
}
