//! The result of a run: one list of figures, shown as a table and written as one JSON object.
//!
//! Owns labels, units and the shape of the JSON. Each figure is given once, with its path in the JSON and its label, so table and
//! file cannot disagree. A figure that was not measured is null, never zero. Notes say what a reader must know to believe the rest.

use std::fmt::Write;
use std::path::Path;

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use crate::failure::{Context, Outcome};

#[derive(Clone, Copy)]
pub(crate) enum Unit {
    Count,
    PerSecond,
    Bytes,
    Nanoseconds,
    Microseconds,
    Seconds,
    /// Of one: 0.5 is shown as 50 %.
    Ratio,
}

pub(crate) struct Report {
    json: Map<String, Value>,
    rows: Vec<(String, String)>,
    notes: Vec<String>,
}

impl Report {
    pub(crate) fn new(scenario: &str) -> Self {
        let json = Map::from_iter([("scenario".to_owned(), json!(scenario))]);
        Self { json, rows: vec![("scenario".to_owned(), scenario.to_owned())], notes: Vec::new() }
    }

    /// A figure by its path in the JSON (`server.rss_bytes`) and its label in the table.
    pub(crate) fn figure(&mut self, path: &str, label: &str, value: impl Into<Option<f64>>, unit: Unit) {
        let value = value.into().filter(|value| value.is_finite());
        if let Some(value) = value {
            self.rows.push((label.to_owned(), show(value, unit)));
        }
        self.insert(path, value.map_or(Value::Null, |value| encode(value, unit)));
    }

    pub(crate) fn count(&mut self, path: &str, label: &str, count: u64) {
        self.figure(path, label, count as f64, Unit::Count);
    }

    pub(crate) fn text(&mut self, path: &str, label: &str, text: &str) {
        self.rows.push((label.to_owned(), text.to_owned()));
        self.insert(path, json!(text));
    }

    pub(crate) fn flag(&mut self, path: &str, label: &str, flag: bool) {
        self.rows.push((label.to_owned(), if flag { "yes" } else { "no" }.to_owned()));
        self.insert(path, json!(flag));
    }

    /// Percentiles of microseconds, in one row.
    pub(crate) fn latency(&mut self, label: &str, latency: &Histogram<u64>) {
        if latency.is_empty() {
            return self.insert("latency_us", Value::Null);
        }
        let quantiles = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)];
        let values = quantiles.map(|(name, quantile)| (name, latency.value_at_quantile(quantile)));
        let shown = values.map(|(name, us)| format!("{name} {}", show(us as f64, Unit::Microseconds)));
        self.rows.push((label.to_owned(), shown.join(" · ")));
        self.insert(
            "latency_us",
            values.into_iter().map(|(name, us)| (name.to_owned(), json!(us))).collect(),
        );
    }

    pub(crate) fn note(&mut self, sentence: impl Into<String>) {
        self.notes.push(sentence.into());
    }

    /// Prints the table; writes the JSON where asked to.
    pub(crate) fn publish(mut self, file: Option<&Path>) -> Outcome<()> {
        print!("{}", self.table());
        let Some(file) = file else { return Ok(()) };
        self.insert("notes", json!(self.notes));
        let text = format!("{:#}\n", Value::Object(self.json));
        std::fs::write(file, text).context(format!("cannot write {}", file.display()))
    }

    fn table(&self) -> String {
        let width = self.rows.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
        let mut out = String::new();
        for (label, value) in &self.rows {
            writeln!(out, "{label:<width$}  {value}").expect("a String takes every write");
        }
        for note in &self.notes {
            writeln!(out, "! {note}").expect("a String takes every write");
        }
        out
    }

    fn insert(&mut self, path: &str, value: Value) {
        match path.split_once('.') {
            None => self.json.insert(path.to_owned(), value),
            Some((group, name)) => {
                let group = self.json.entry(group).or_insert_with(|| json!({}));
                group.as_object_mut().and_then(|group| group.insert(name.to_owned(), value))
            }
        };
    }
}

/// Counts and times are whole numbers in the JSON, rates and ratios are not.
fn encode(value: f64, unit: Unit) -> Value {
    match unit {
        Unit::Count | Unit::Bytes | Unit::Microseconds => json!(value.round() as i64),
        Unit::Nanoseconds | Unit::PerSecond => json!((value * 10.0).round() / 10.0),
        Unit::Seconds | Unit::Ratio => json!((value * 1e4).round() / 1e4),
    }
}

fn show(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Count => thousands(value),
        Unit::PerSecond => format!("{} /s", thousands(value)),
        Unit::Bytes => format!("{} B", thousands(value)),
        Unit::Nanoseconds if value.abs() >= 10_000.0 => format!("{:.1} µs", value / 1e3),
        Unit::Nanoseconds => format!("{:.3} µs", value / 1e3),
        Unit::Microseconds => format!("{:.2} ms", value / 1e3),
        Unit::Seconds => format!("{value:.2} s"),
        Unit::Ratio => format!("{:.0} %", value * 100.0),
    }
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
    fn table_and_json_tell_the_same() {
        let mut report = Report::new("fanout");
        report.count("delivered", "delivered", 1_234_567);
        report.figure("server.cpu_ns_per_delivery", "server CPU per delivery", 3640.04, Unit::Nanoseconds);
        report.figure("server.rss_bytes", "server memory", None, Unit::Bytes);
        report.note("a note");
        assert_eq!(
            report.table(),
            "scenario                 fanout\ndelivered                1,234,567\nserver CPU per delivery  3.640 µs\n! a note\n"
        );
        let expected = json!({"scenario": "fanout", "delivered": 1_234_567,
            "server": {"cpu_ns_per_delivery": 3640.0, "rss_bytes": null}});
        assert_eq!(Value::Object(report.json), expected);
    }

    #[test]
    fn percentiles_are_those_of_the_histogram() {
        let mut latency = Histogram::new_with_bounds(1, 1_000_000, 3).unwrap();
        (1..=1000).for_each(|us| latency.record(us).unwrap());
        let mut report = Report::new("x");
        report.latency("latency", &latency);
        assert_eq!(
            report.json["latency_us"],
            json!({"p50": 500, "p90": 900, "p99": 990, "p999": 999, "max": 1000})
        );
        latency.reset();
        report.latency("latency", &latency);
        assert_eq!(report.json["latency_us"], Value::Null);
    }

    #[test]
    fn thousands_are_separated() {
        let cases =
            [(0.0, "0"), (999.0, "999"), (1000.0, "1,000"), (1_234_567.4, "1,234,567"), (-1000.0, "-1,000")];
        for (value, shown) in cases {
            assert_eq!(thousands(value), shown);
        }
    }
}
