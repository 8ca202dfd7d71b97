//! A sink that appends JSON lines to a file, one write per batch.
//!
//! A file that was moved away is left, and its name begun anew, so that rotation by renaming works. What must never happen
//! here: success before the kernel has the whole batch, or half a line before another batch.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

use super::line;
use crate::sink::{Batch, Outcome, Sink};

/// The mode of a new file: its group may read it, as log shippers do. A file that exists keeps its mode.
const MODE: u32 = 0o640;

pub(crate) struct File {
    path: PathBuf,
    /// Success means that it survives a power loss.
    power: bool,
    open: Option<fs::File>,
    lines: Vec<u8>,
}

impl File {
    pub(crate) fn new(path: PathBuf, power: bool) -> Self {
        Self { path, power, open: None, lines: Vec::new() }
    }

    fn append(&mut self) -> io::Result<()> {
        let file = match self.open.take().filter(|file| is_at(file, &self.path)) {
            Some(file) => file,
            None => OpenOptions::new().create(true).append(true).mode(MODE).open(&self.path)?,
        };
        let bytes_before = file.metadata()?.len();
        let written = (&file).write_all(&self.lines).and_then(|()| self.sync(&file));
        if written.is_err() {
            // What was written of it comes again with the next try. A device cannot be cut, and has no lines to spoil.
            let _ = file.set_len(bytes_before);
        }
        self.open = Some(file);
        written
    }

    fn sync(&self, file: &fs::File) -> io::Result<()> {
        if self.power { file.sync_data() } else { Ok(()) }
    }
}

impl Sink for File {
    fn deliver(&mut self, batch: &Batch) -> Outcome {
        self.lines.clear();
        line::encode_lines(&mut self.lines, batch);
        match self.append() {
            Ok(()) => Outcome::Done,
            Err(error) => Outcome::Unreachable(format!("{}: {error}", self.path.display())),
        }
    }
}

fn is_at(file: &fs::File, path: &PathBuf) -> bool {
    let (Ok(open), Ok(named)) = (file.metadata(), fs::metadata(path)) else { return false };
    (open.dev(), open.ino()) == (named.dev(), named.ino())
}
