//! Which faults of a disk go away, by themselves or by an operator's hand: it is full or read-only, a right is missing.
//!
//! Whoever meets one of these waits and tries again. What must never happen here: patience with what stays wrong, such as
//! a file that is no journal.

use std::io;

use rusqlite::ErrorCode;

/// Whether the same call may succeed later.
pub(crate) fn io_passes(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, InvalidFilename, InvalidInput, IsADirectory, NotADirectory};
    !matches!(error.kind(), AlreadyExists | InvalidFilename | InvalidInput | IsADirectory | NotADirectory)
}

/// Whether the same statement may succeed later.
pub(crate) fn sqlite_passes(error: &rusqlite::Error) -> bool {
    use ErrorCode::{
        CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, PermissionDenied, ReadOnly, SystemIoFailure,
    };
    let passing =
        [CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, PermissionDenied, ReadOnly, SystemIoFailure];
    error.sqlite_error_code().is_some_and(|code| passing.contains(&code))
}
