//! Which faults of a disk may pass, by themselves or with the operator's help: it is full or read-only, a right is missing.
//!
//! Callers wait for these to pass and try again. A file whose contents are wrong is set aside instead. What must never
//! happen here: patience with a fault that stays.

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

/// Whether the file's contents are wrong: pages that do not fit, missing tables, impossible values.
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
