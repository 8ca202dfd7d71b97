//! Units of figures: how a value stands in the JSON, and how people read it.
//!
//! Owns rounding and separators, for tables and plots alike, so that one figure looks the same everywhere. Pure; a value that
//! is not finite never gets here.

use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Count,
    /// A number that is not whole: calls per delivery.
    Plain,
    PerSecond,
    Bytes,
    Nanoseconds,
    Microseconds,
    Seconds,
    /// Of one: 0.5 is shown as 50 %.
    Ratio,
}

/// Up to here each byte counts, as in the memory of a connection.
const EXACT_BYTES_MAX: f64 = 10_000.0;

const NAMES: [(Unit, &str); 8] = [
    (Unit::Count, "count"),
    (Unit::Plain, "number"),
    (Unit::PerSecond, "per_second"),
    (Unit::Bytes, "bytes"),
    (Unit::Nanoseconds, "ns"),
    (Unit::Microseconds, "us"),
    (Unit::Seconds, "seconds"),
    (Unit::Ratio, "ratio"),
];

impl Unit {
    /// As the JSON names it.
    pub(crate) fn name(self) -> &'static str {
        NAMES.iter().find(|(unit, _)| *unit == self).map_or("", |(_, name)| name)
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        NAMES.iter().find(|(_, known)| *known == name).map(|(unit, _)| *unit)
    }

    /// Counts and times are whole numbers in the JSON, rates and ratios are not.
    pub(crate) fn encode(self, value: f64) -> Value {
        match self {
            Self::Count | Self::Bytes | Self::Microseconds => json!(value.round() as i64),
            Self::Nanoseconds | Self::PerSecond => json!((value * 10.0).round() / 10.0),
            Self::Plain | Self::Seconds | Self::Ratio => json!((value * 1e4).round() / 1e4),
        }
    }

    pub(crate) fn show(self, value: f64) -> String {
        match self {
            Self::Count => thousands(value),
            Self::Plain => format!("{value:.3}"),
            Self::PerSecond => format!("{} /s", thousands(value)),
            Self::Bytes if value.abs() < EXACT_BYTES_MAX => format!("{} B", thousands(value)),
            Self::Bytes => sized(value),
            Self::Nanoseconds if value.abs() >= 10_000.0 => format!("{:.1} µs", value / 1e3),
            Self::Nanoseconds => format!("{:.3} µs", value / 1e3),
            Self::Microseconds => format!("{:.2} ms", value / 1e3),
            Self::Seconds => format!("{value:.2} s"),
            Self::Ratio => format!("{:.0} %", value * 100.0),
        }
    }

    /// Short, for the ticks of an axis: `5 ms`, `2.5 M/s`.
    pub(crate) fn tick(self, value: f64) -> String {
        match self {
            Self::Count | Self::Plain => scaled(value, ""),
            Self::PerSecond => scaled(value, "/s"),
            Self::Bytes => scaled(value, "B"),
            Self::Nanoseconds => duration(value / 1e9),
            Self::Microseconds => duration(value / 1e6),
            Self::Seconds => format!("{} s", trimmed(value)),
            Self::Ratio => format!("{} %", trimmed(value * 100.0)),
        }
    }
}

/// `9.55 MB`, by powers of a thousand, as ticks are.
fn sized(bytes: f64) -> String {
    let (factor, unit) = match bytes.abs() {
        bytes if bytes >= 1e9 => (1e-9, "GB"),
        bytes if bytes >= 1e6 => (1e-6, "MB"),
        _ => (1e-3, "kB"),
    };
    format!("{:.2} {unit}", bytes * factor)
}

fn duration(seconds: f64) -> String {
    let (factor, unit) = match seconds.abs() {
        s if s >= 1.0 => (1.0, "s"),
        s if s >= 1e-3 => (1e3, "ms"),
        0.0 => return "0".to_owned(),
        s if s >= 1e-6 => (1e6, "µs"),
        _ => (1e9, "ns"),
    };
    format!("{} {unit}", trimmed(seconds * factor))
}

fn scaled(value: f64, unit: &str) -> String {
    let (factor, prefix) = match value.abs() {
        v if v >= 1e9 => (1e-9, "G"),
        v if v >= 1e6 => (1e-6, "M"),
        v if v >= 1e3 => (1e-3, "k"),
        0.0 => return "0".to_owned(),
        _ => (1.0, ""),
    };
    format!("{} {prefix}{unit}", trimmed(value * factor)).trim_end().to_owned()
}

/// Up to two digits behind the point, none of them a zero at the end.
fn trimmed(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut out = if value < -0.5 { "-".to_owned() } else { String::new() };
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        let cases =
            [(0.0, "0"), (999.0, "999"), (1000.0, "1,000"), (1_234_567.4, "1,234,567"), (-1000.0, "-1,000")];
        for (value, shown) in cases {
            assert_eq!(thousands(value), shown);
        }
    }

    #[test]
    fn bytes_have_a_unit_of_their_size() {
        let cases = [
            (322.0, "322 B"),
            (9_999.0, "9,999 B"),
            (10_000.0, "10.00 kB"),
            (9_551_872.0, "9.55 MB"),
            (-2_500_000.0, "-2.50 MB"),
            (17.5e9, "17.50 GB"),
        ];
        for (bytes, shown) in cases {
            assert_eq!(Unit::Bytes.show(bytes), shown);
        }
    }

    #[test]
    fn ticks_are_short_and_exact() {
        let cases = [
            (Unit::Microseconds, 5000.0, "5 ms"),
            (Unit::Microseconds, 0.0, "0"),
            (Unit::Microseconds, 2_500_000.0, "2.5 s"),
            (Unit::PerSecond, 2_500_000.0, "2.5 M/s"),
            (Unit::PerSecond, 0.0, "0"),
            (Unit::Count, 1000.0, "1 k"),
            (Unit::Seconds, 0.5, "0.5 s"),
            (Unit::Bytes, 512.0, "512 B"),
        ];
        for (unit, value, shown) in cases {
            assert_eq!(unit.tick(value), shown);
        }
    }

    #[test]
    fn every_unit_has_a_name_of_its_own() {
        for (unit, name) in NAMES {
            assert_eq!((unit.name(), Unit::parse(name)), (name, Some(unit)));
        }
        assert_eq!(Unit::parse("furlongs"), None);
    }
}
