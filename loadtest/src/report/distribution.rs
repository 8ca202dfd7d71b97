//! Latency by percentile, on a grid that all runs share, so that runs can be laid over each other.
//!
//! Owns the grid: *nines*, minus the decimal logarithm of what is above a percentile. 0 is the least, 1 is p90, 2 is p99, and each
//! step to the right looks ten times closer at the worst. What the histogram has too few values to know is not in it.

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Steps of the grid per nine.
const STEPS: u32 = 20;
const NINES_MAX: u32 = 6;

/// Points (nines, microseconds); the last one is the maximum.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Distribution {
    pub(crate) label: String,
    pub(crate) points: Vec<(f64, f64)>,
}

impl Distribution {
    pub(crate) fn new(label: &str, latency: &Histogram<u64>) -> Self {
        let known = (latency.len().max(1) as f64).log10();
        let grid = (0..=NINES_MAX * STEPS).map(|step| f64::from(step) / f64::from(STEPS));
        let at = |nines: f64| latency.value_at_quantile(quantile(nines)) as f64;
        let mut points: Vec<_> =
            grid.take_while(|&nines| nines < known).map(|nines| (nines, at(nines))).collect();
        if !latency.is_empty() {
            points.push((known.min(f64::from(NINES_MAX) + 0.5), latency.max() as f64));
        }
        Self { label: label.to_owned(), points }
    }

    pub(crate) fn encode(&self) -> Value {
        let points = self.points.iter().map(|&(nines, us)| json!([(nines * 1e4).round() / 1e4, us as u64]));
        json!({"label": self.label, "nines_us": points.collect::<Vec<_>>()})
    }

    pub(crate) fn parse(value: &Value) -> Option<Self> {
        let point = |pair: &Value| Some((pair.get(0)?.as_f64()?, pair.get(1)?.as_f64()?));
        let points = value.get("nines_us")?.as_array()?.iter().map(point).collect::<Option<_>>()?;
        Some(Self { label: value.get("label")?.as_str()?.to_owned(), points })
    }
}

/// 1 → 0.9, 2 → 0.99.
fn quantile(nines: f64) -> f64 {
    1.0 - 10f64.powf(-nines)
}

/// 0.99 → 2.
pub(crate) fn nines(quantile: f64) -> f64 {
    -(1.0 - quantile).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uniform(count: u64) -> Histogram<u64> {
        let mut latency = Histogram::new_with_bounds(1, 1_000_000, 3).unwrap();
        (1..=count).for_each(|us| latency.record(us).unwrap());
        latency
    }

    #[test]
    fn points_are_percentiles_and_end_with_the_maximum() {
        let points = Distribution::new("x", &uniform(1000)).points;
        let at = |wanted: f64| points.iter().find(|(nines, _)| (nines - wanted).abs() < 1e-9).unwrap().1;
        assert_eq!((at(1.0), at(2.0)), (900.0, 990.0));
        assert_eq!(points.last().unwrap().1, 1000.0);
        assert!(points.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{points:?}");
        assert!((nines(0.999) - 3.0).abs() < 1e-9);
    }

    #[test]
    fn few_values_have_no_far_percentiles() {
        assert!(Distribution::new("x", &uniform(10)).points.iter().all(|&(nines, _)| nines <= 1.0));
        assert!(Distribution::new("x", &uniform(0)).points.is_empty());
    }

    #[test]
    fn distribution_survives_the_round_trip() {
        let before = Distribution::new("x", &uniform(500));
        let after = Distribution::parse(&before.encode()).unwrap();
        assert_eq!(after.points.len(), before.points.len());
        assert_eq!(after.encode(), before.encode());
        assert_eq!(Distribution::parse(&json!({"label": "x"})), None);
    }
}
