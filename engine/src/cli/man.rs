//! `corecast man`: a manual page for every command.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use super::failure::Failure;
use super::output::print;

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// The directory to write them to, such as /usr/local/share/man/man1; it is made if it is not there
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// Writes the pages of this command line.
pub(super) fn run(args: &ManArgs, command: clap::Command) -> Result<(), Failure> {
    let shown = args.directory.display();
    let outside =
        |error: io::Error| Failure::outside(format!("{shown}: the pages cannot be written: {error}"));
    write_pages(&args.directory, command).map_err(outside)?;
    Ok(print(&format!("wrote the pages of all commands to {shown}; begin with `man {shown}/corecast.1`\n"))?)
}

fn write_pages(directory: &Path, command: clap::Command) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    clap_mangen::generate_to(command, directory)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    /// The names of all pages that a command and those below it have.
    fn pages(name: &str, command: &clap::Command) -> Vec<String> {
        let below = command.get_subcommands().flat_map(|it| pages(&format!("{name}-{}", it.get_name()), it));
        [format!("{name}.1")].into_iter().chain(below).collect()
    }

    #[test]
    fn every_command_has_a_page_with_its_options() {
        let directory = std::env::temp_dir().join(format!("corecast-man-{}", std::process::id()));
        write_pages(&directory, Cli::command()).unwrap();
        let mut wanted = pages("corecast", &Cli::command());
        let entries = fs::read_dir(&directory).unwrap();
        let mut written: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        let page = |name: &str| fs::read_to_string(directory.join(name)).unwrap();
        let (serve, replay) = (page("corecast-serve.1"), page("corecast-hooks-dlq-replay.1"));
        fs::remove_dir_all(&directory).unwrap();
        wanted.sort();
        written.sort();
        assert_eq!(written, wanted);
        assert!(serve.contains(".SH OPTIONS") && serve.contains("\\-\\-tls\\-listen"), "{serve}");
        assert!(replay.starts_with(".ie") || replay.contains(".TH "), "{replay}");
    }
}
