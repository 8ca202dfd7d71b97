//! `corecast completions`: what a shell needs to complete commands, options and their values.

use clap::Args;
use clap_complete::{Shell, generate};

use super::failure::Failure;
use super::output::print;

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// For which shell
    shell: Shell,
}

/// Prints the script of a shell for this command line.
pub(super) fn run(args: &CompletionsArgs, command: clap::Command) -> Result<(), Failure> {
    Ok(print(&script(args.shell, command))?)
}

fn script(shell: Shell, mut command: clap::Command) -> String {
    let mut script = Vec::new();
    let name = command.get_name().to_owned();
    generate(shell, &mut command, name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use clap::{CommandFactory, ValueEnum};
    use logging::is_printable;

    use super::*;
    use crate::cli::Cli;

    /// What bash offers for the last of these words.
    fn offered(words: &[&str]) -> Vec<String> {
        let (last, previous) = (words.len() - 1, words[words.len() - 2]);
        let script = format!(
            "{}\nCOMP_WORDS=({})\nCOMP_CWORD={last}\n_corecast corecast {:?} {previous:?}\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
            script(Shell::Bash, Cli::command()),
            words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" "),
            words[last],
        );
        let mut shell = Command::new("bash");
        let shell = shell.arg("--norc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut shell = shell.unwrap();
        shell.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let output = shell.wait_with_output().unwrap();
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn bash_completes_commands_and_options() {
        assert_eq!(offered(&["corecast", "doc"]), ["doctor"]);
        assert_eq!(offered(&["corecast", "serve", "--tls-l"]), ["--tls-listen"]);
        assert_eq!(offered(&["corecast", "hooks", "dlq", "rep"]), ["replay"]);
        assert_eq!(offered(&["corecast", "completions", "fi"]), ["fish"]);
    }

    #[test]
    fn every_shell_gets_every_command() {
        let commands: Vec<String> =
            Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
        assert!(commands.len() > 10, "{commands:?}");
        for shell in Shell::value_variants() {
            let script = script(*shell, Cli::command());
            assert!(
                script.chars().all(|c| is_printable(c) || c == '\n'),
                "{shell}: printing would change it"
            );
            let missing = commands.iter().filter(|command| !script.contains(command.as_str()));
            assert_eq!(missing.collect::<Vec<_>>(), Vec::<&String>::new(), "{shell}");
        }
    }
}
