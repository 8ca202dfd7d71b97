//! A data directory has one writer: the process that holds the lock of its lock file.
//!
//! The system frees the lock when the process ends, however it ends. What must never happen here: a lock file that is
//! removed, because two servers could then lock two files of the same name.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use super::start_error::StartError;
use crate::data_dir::{self, Unusable};

/// The right to write in a data directory, held until it is dropped.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Makes the directory if need be and takes its lock, or says which process has it.
    pub(super) fn take(directory: &Path) -> Result<Self, StartError> {
        let broken = |error| StartError::Directory { path: directory.to_owned(), error };
        let unusable = |error| match error {
            Unusable::Exposed(exposed) => StartError::Exposed(exposed),
            Unusable::System(error) => broken(error),
        };
        data_dir::open(directory).map_err(unusable)?;
        let mut file = data_dir::open_lock(directory).map_err(unusable)?;
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
