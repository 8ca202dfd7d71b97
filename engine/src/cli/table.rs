//! Text in columns. Pure.

use logging::blanked;

/// Rows under a head, each column as wide as its widest cell; numbers stand on the right.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with this head, or none at all.
    pub(super) fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(|cell| (*cell).to_owned()).collect()] }
    }

    /// Adds a row. Unprintable characters, which a peer or an endpoint may have sent, become blanks.
    pub(super) fn push<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.iter().map(|cell| blanked(cell).into_owned()).collect());
    }

    /// The text, a line per row.
    pub(super) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in self.rows.iter().filter(|row| !row.is_empty()) {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| fill(cell, *width)).collect();
            text.push_str(cells.join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

fn fill(cell: &str, width: usize) -> String {
    let is_number = !cell.is_empty() && cell.chars().all(|c| c.is_ascii_digit() || c == ',');
    if is_number { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
}

/// The beginning of an endpoint's answer.
pub(super) fn one_line(text: &str) -> String {
    blanked(text).chars().take(120).collect()
}

/// A number with commas between its thousands.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in the unit that a reader would choose.
pub(super) fn bytes(number: u64) -> String {
    match number {
        0..10_000 => format!("{number} B"),
        10_000..10_000_000 => format!("{} KiB", number >> 10),
        _ => format!("{} MiB", number >> 20),
    }
}

/// How long ago that was, in whole seconds; `-` for never.
pub(super) fn ago(then_ms: Option<u64>, now_ms: u64) -> String {
    let Some(then_ms) = then_ms else { return "-".to_owned() };
    let seconds = now_ms.saturating_sub(then_ms) / 1_000;
    format!("{} ago", humantime::format_duration(std::time::Duration::from_secs(seconds)))
}

/// A Unix time in UTC, in whole seconds. A database may hold one past the last year that has four digits.
pub(super) fn utc(time_ms: u64) -> String {
    const YEAR_10000_MS: u64 = 253_402_300_800_000;
    if time_ms >= YEAR_10000_MS {
        return format!("{time_ms} ms");
    }
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(time_ms);
    humantime::format_rfc3339_seconds(time).to_string()
}

/// Now, in milliseconds of Unix time.
pub(super) fn now_ms() -> u64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_numbers_stand_on_the_right() {
        let mut table = Table::new(&["endpoint", "done"]);
        table.push(["a".to_owned(), "7".to_owned()]);
        table.push(["back-end-1".to_owned(), thousands(12_345)]);
        assert_eq!(table.render(), "endpoint    done\na                7\nback-end-1  12,345\n");
    }

    #[test]
    fn numbers_are_made_for_readers() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([17, 20_480, 1 << 30].map(bytes), ["17 B", "20 KiB", "1024 MiB"]);
        assert_eq!(ago(None, 5), "-");
        assert_eq!(ago(Some(1_000), 91_500), "1m 30s ago");
        assert_eq!(utc(1_700_000_000_042), "2023-11-14T22:13:20Z");
        assert_eq!(utc(253_402_300_799_999), "9999-12-31T23:59:59Z");
        assert_eq!(
            [253_402_300_800_000, u64::MAX].map(utc),
            ["253402300800000 ms", "18446744073709551615 ms"]
        );
        assert_eq!(ago(Some(0), u64::MAX).split(' ').next_back(), Some("ago"));
    }
}
