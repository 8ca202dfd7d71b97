//! Which faults of a disk go away, by themselves or by an operator's hand: it is full or read-only, a right is missing.
//!
//! Whoever meets one of these waits and tries again. A file whose contents are wrong is set aside. What must never happen
//! here: patience with what stays wrong.

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

/// Whether it is the file's contents that are wrong: pages that do not fit, tables that are not there, values that cannot be.
pub(crate) fn is_damaged(error: &rusqlite::Error) -> bool {
    use ErrorCode::{
        ApiMisuse, NoLargeFileSupport, OperationAborted, OperationInterrupted, OutOfMemory, TooBig,
    };
    use rusqlite::Error::{
        FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, QueryReturnedNoRows, Utf8Error,
    };
    match error {
        FromSqlConversionFailure(..)
        | IntegralValueOutOfRange(..)
        | InvalidColumnType(..)
        | QueryReturnedNoRows
        | Utf8Error(..) => true,
        error => error.sqlite_error_code().is_some_and(|code| {
            let others =
                [ApiMisuse, NoLargeFileSupport, OperationAborted, OperationInterrupted, OutOfMemory, TooBig];
            !sqlite_passes(error) && !others.contains(&code)
        }),
    }
}
