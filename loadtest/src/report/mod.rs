//! The result of a run: one list of figures, shown as a table, written as one JSON object and drawn as one HTML page.
//!
//! Owns labels, units and the shape of the JSON. Each figure is given once, with its path in the JSON and its label, so table, file
//! and page cannot disagree. A figure that was not measured is null, never zero. Notes say what a reader must know to believe
//! the rest. `page/` draws, `table` lines up; both read what stands here and add no figure of their own.

mod conditions;
mod deliveries;
pub(crate) mod distribution;
mod encode;
pub(crate) mod page;
pub(crate) mod series;
mod table;
mod unit;

use std::path::Path;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use self::distribution::Distribution;
pub(crate) use self::encode::write_json;
use self::series::Series;
pub(crate) use self::table::{Group, capitalised, group, table};
pub(crate) use self::unit::Unit;
use crate::failure::Outcome;
use crate::host::Host;
use crate::output::print;

const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)];

/// What describes the load rather than the answer to it; everything else at the top of the JSON is a result.
const LOAD: [&str; 17] = [
    "scenario",
    "mode",
    "connections",
    "channels",
    "size",
    "rate",
    "offered_per_second",
    "window",
    "batch",
    "publishers",
    "pipeline",
    "threads",
    "groups",
    "senders",
    "movers",
    "subscribers_per_channel",
    "ping_every_seconds",
];

pub(crate) struct Report {
    scenario: String,
    figures: Vec<Figure>,
    notes: Vec<String>,
    distributions: Vec<Distribution>,
    series: Vec<Series>,
}

/// One figure, by its path in the JSON (`server.rss_bytes`) and its label.
struct Figure {
    path: String,
    label: String,
    value: FigureValue,
}

enum FigureValue {
    Number(Option<f64>, Unit),
    Text(String),
    Flag(bool),
    /// Microseconds at each of `QUANTILES`; None: nothing was measured.
    Latency(Option<[u64; 5]>),
}

impl Report {
    pub(crate) fn new(scenario: &str) -> Self {
        Self {
            scenario: scenario.to_owned(),
            figures: Vec::new(),
            notes: Vec::new(),
            distributions: Vec::new(),
            series: Vec::new(),
        }
    }

    /// A figure by its path in the JSON (`server.rss_bytes`) and its label in the table.
    pub(crate) fn figure(&mut self, path: &str, label: &str, value: impl Into<Option<f64>>, unit: Unit) {
        let value = value.into().filter(|value| value.is_finite());
        self.push(path, label, FigureValue::Number(value, unit));
    }

    pub(crate) fn count(&mut self, path: &str, label: &str, count: u64) {
        self.figure(path, label, count as f64, Unit::Count);
    }

    pub(crate) fn text(&mut self, path: &str, label: &str, text: &str) {
        self.push(path, label, FigureValue::Text(text.to_owned()));
    }

    pub(crate) fn flag(&mut self, path: &str, label: &str, flag: bool) {
        self.push(path, label, FigureValue::Flag(flag));
    }

    /// Percentiles of microseconds, in one row at `latency_us`, and their plot.
    pub(crate) fn latency(&mut self, label: &str, latency: &Histogram<u64>) {
        let values = QUANTILES.map(|(_, quantile)| latency.value_at_quantile(quantile));
        self.push("latency_us", label, FigureValue::Latency((!latency.is_empty()).then_some(values)));
        self.distribution(label, latency);
    }

    /// One more line in the percentile plot, of microseconds.
    pub(crate) fn distribution(&mut self, label: &str, latency: &Histogram<u64>) {
        if !latency.is_empty() {
            self.distributions.push(Distribution::new(label, latency));
        }
    }

    /// The rate of a counter over the run, from readings (seconds, count).
    pub(crate) fn rate_over_time(&mut self, name: &str, readings: &[(f64, u64)]) {
        self.series.push(Series::rate(name, readings));
    }

    /// A value over the run, from readings (seconds, value); nothing where it was not read.
    pub(crate) fn level_over_time(&mut self, name: &str, unit: Unit, readings: &[(f64, u64)]) {
        if !readings.is_empty() {
            self.series.push(Series::level(name, unit, readings));
        }
    }

    pub(crate) fn note(&mut self, sentence: impl Into<String>) {
        self.notes.push(sentence.into());
    }

    /// Prints the table; writes JSON and page where asked to.
    pub(crate) fn publish(&self, json: Option<&Path>, page: Option<&Path>) -> Outcome<()> {
        print(table(&self.scenario, &[], &self.groups(), &self.notes))?;
        let host = Host::read();
        if let Some(file) = json {
            write_json(file, &self.encode(&host))?;
        }
        page.map_or(Ok(()), |file| page::of_run(self, &host).write(file))
    }

    fn push(&mut self, path: &str, label: &str, value: FigureValue) {
        self.figures.push(Figure { path: path.to_owned(), label: label.to_owned(), value });
    }

    /// The figures that were measured, as people read them, under their headings.
    fn groups(&self) -> Vec<Group> {
        let shown = self.figures.iter().filter_map(|figure| Some((figure, figure.show()?)));
        group(shown.map(|(figure, value)| (heading(&figure.path), vec![figure.label.clone(), value])))
    }

    fn encode(&self, host: &Host) -> Value {
        let mut json = json!({"scenario": self.scenario});
        for figure in &self.figures {
            encode::insert(&mut json, &figure.path, figure.encode());
        }
        json["notes"] = json!(self.notes);
        json["figures"] = self.figures.iter().flat_map(Figure::described).collect();
        json["distributions"] = self.distributions.iter().map(Distribution::encode).collect();
        json["series"] = self.series.iter().map(Series::encode).collect();
        json["host"] = host.encode();
        json
    }
}

impl Figure {
    fn encode(&self) -> Value {
        match &self.value {
            FigureValue::Number(value, unit) => value.map_or(Value::Null, |value| unit.encode(value)),
            FigureValue::Text(text) => json!(text),
            FigureValue::Flag(flag) => json!(flag),
            FigureValue::Latency(None) => Value::Null,
            FigureValue::Latency(Some(values)) => {
                let named = QUANTILES.iter().zip(values);
                named.map(|((name, _), us)| ((*name).to_owned(), json!(us))).collect()
            }
        }
    }

    /// None where nothing was measured.
    fn show(&self) -> Option<String> {
        Some(match &self.value {
            FigureValue::Number(value, unit) => unit.show((*value)?),
            FigureValue::Text(text) => text.clone(),
            FigureValue::Flag(flag) => if *flag { "yes" } else { "no" }.to_owned(),
            FigureValue::Latency(values) => {
                let named = QUANTILES.iter().zip((*values)?);
                let shown = named.map(|((name, _), us)| {
                    format!("{} {}", spoken(name), Unit::Microseconds.show(us as f64))
                });
                shown.collect::<Vec<_>>().join(" · ")
            }
        })
    }

    /// Path, label and unit of its numbers, for readers of the JSON that do not know the scenario.
    fn described(&self) -> Vec<Value> {
        match &self.value {
            FigureValue::Number(_, unit) => {
                vec![json!({"path": self.path, "label": self.label, "unit": unit.name()})]
            }
            FigureValue::Latency(_) => {
                let of = |name| {
                    json!({"path": format!("{}.{name}", self.path), "label": format!("{} {}", self.label, spoken(name)),
                        "unit": Unit::Microseconds.name()})
                };
                QUANTILES.iter().map(|(name, _)| of(name)).collect()
            }
            FigureValue::Text(_) | FigureValue::Flag(_) => Vec::new(),
        }
    }
}

/// The heading a figure stands under: the first part of its path, or what kind of thing it is.
pub(crate) fn heading(path: &str) -> &str {
    match path.split_once('.') {
        _ if path.starts_with("latency") => "latency",
        Some((group, _)) if group.ends_with("_us") => "latency",
        Some((group, _)) => group,
        None if LOAD.contains(&path) => "load",
        None => "result",
    }
}

/// As people write it.
fn spoken(quantile: &str) -> &str {
    if quantile == "p999" { "p99.9" } else { quantile }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Report {
        let mut report = Report::new("fanout");
        report.text("mode", "mode", "paced");
        report.count("delivered", "delivered", 1_234_567);
        report.figure("server.cpu_ns_per_delivery", "server CPU per delivery", 3640.04, Unit::Nanoseconds);
        report.figure("server.rss_bytes", "server memory", None, Unit::Bytes);
        report.note("a note");
        report
    }

    #[test]
    fn table_and_json_tell_the_same() {
        let report = sample();
        let shown = table(&report.scenario, &[], &report.groups(), &report.notes);
        assert!(shown.contains("1,234,567") && shown.contains("3.640 µs") && shown.contains("! a note"));
        assert!(!shown.contains("server memory"), "what was not measured is not shown: {shown}");
        let json = report.encode(&Host::default());
        assert_eq!((&json["scenario"], &json["delivered"]), (&json!("fanout"), &json!(1_234_567)));
        assert_eq!(json["server"], json!({"cpu_ns_per_delivery": 3640.0, "rss_bytes": null}));
        assert_eq!(json["notes"], json!(["a note"]));
    }

    #[test]
    fn numbers_are_described_by_path_label_and_unit() {
        let described = sample().encode(&Host::default())["figures"].clone();
        let first = json!({"path": "delivered", "label": "delivered", "unit": "count"});
        assert_eq!((&described[0], described.as_array().unwrap().len()), (&first, 3));
    }

    #[test]
    fn percentiles_are_those_of_the_histogram() {
        let mut latency = Histogram::new_with_bounds(1, 1_000_000, 3).unwrap();
        (1..=1000).for_each(|us| latency.record(us).unwrap());
        let mut report = Report::new("x");
        report.latency("latency", &latency);
        let json = report.encode(&Host::default());
        assert_eq!(json["latency_us"], json!({"p50": 500, "p90": 900, "p99": 990, "p999": 999, "max": 1000}));
        latency.reset();
        let mut report = Report::new("x");
        report.latency("latency", &latency);
        let json = report.encode(&Host::default());
        assert_eq!((&json["latency_us"], &json["distributions"]), (&Value::Null, &json!([])));
    }

    #[test]
    fn figures_stand_under_the_heading_of_their_path() {
        let cases = [
            ("mode", "load"),
            ("delivered", "result"),
            ("latency_us", "latency"),
            ("storm_return_us.p99", "latency"),
            ("server.rss_bytes", "server"),
            ("publishes.sent", "publishes"),
        ];
        for (path, expected) in cases {
            assert_eq!(heading(path), expected);
        }
    }
}
