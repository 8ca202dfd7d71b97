//! SQLite's integers are signed; ours are not. Numbers that do not fit are brought to the nearest that does.

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn unsigned(number: i64) -> u64 {
    number.max(0) as u64
}
