//! A data directory has one writer: whoever holds the lock of its lock file.
//!
//! The system frees the lock when the process ends, however it ends. What must never happen here: a lock file that is
//! removed, since two servers could then hold locks of two files of the same name.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::Path;

use super::StartError;

const FILE_NAME: &str = "lock";

/// The right to write in a data directory, held until it is dropped.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Makes the directory if need be and takes its lock, or says who has it.
    pub(super) fn take(directory: &Path) -> Result<Self, StartError> {
        let broken = |error| StartError::Directory { path: directory.to_owned(), error };
        fs::create_dir_all(directory).map_err(is_a_file).map_err(broken)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(directory.join(FILE_NAME)).map_err(broken)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StartError::InUse { path: directory.to_owned(), process: holder(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(broken(error)),
        }
        write_holder(&mut file).map_err(broken)?;
        Ok(Self { _file: file })
    }
}

// Said of a name that something else than a directory has.
fn is_a_file(error: std::io::Error) -> std::io::Error {
    match error.kind() {
        ErrorKind::AlreadyExists => ErrorKind::NotADirectory.into(),
        _ => error,
    }
}

// For people only: the lock is what counts.
fn write_holder(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
