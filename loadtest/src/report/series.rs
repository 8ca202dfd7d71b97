//! A value over the time of a run: what the «throughput over time» plot shows.
//!
//! Owns the shape of a series in the JSON, how readings of a counter become a rate, and how many points are enough. Pure.

use serde_json::{Value, json};

use super::unit::Unit;

/// More points than this say no more on any screen.
const POINTS_MAX: usize = 600;
/// Seconds between readings, a little more or less.
const READING: f64 = 0.1;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) unit: Unit,
    /// Seconds since the start of what is shown, and the value there.
    pub(crate) points: Vec<(f64, f64)>,
}

impl Series {
    /// The rate of a counter that was read at (seconds, count), averaged over 100 ms in short runs and longer in long ones.
    pub(crate) fn rate(name: &str, readings: &[(f64, u64)]) -> Self {
        let span = readings.last().map_or(0.0, |last| last.0) - readings.first().map_or(0.0, |first| first.0);
        let step = if span < 10.0 { READING } else { (span / POINTS_MAX as f64).max(1.0) };
        let mut points = Vec::new();
        let mut from = readings.first().copied().unwrap_or_default();
        for &(seconds, count) in readings {
            let took = seconds - from.0;
            if took >= step - READING / 2.0 {
                points.push((seconds, count.saturating_sub(from.1) as f64 / took));
                from = (seconds, count);
            }
        }
        Self { name: name.to_owned(), unit: Unit::PerSecond, points }
    }

    /// A value as it was read, averaged where there are more readings than points.
    pub(crate) fn level(name: &str, unit: Unit, readings: &[(f64, u64)]) -> Self {
        let mean = |some: &[(f64, u64)]| {
            some.iter().map(|&(_, value)| value as f64).sum::<f64>() / some.len() as f64
        };
        let together = readings.len().div_ceil(POINTS_MAX).max(1);
        let points = readings.chunks(together).filter_map(|some| Some((some.last()?.0, mean(some))));
        Self { name: name.to_owned(), unit, points: points.collect() }
    }

    pub(crate) fn encode(&self) -> Value {
        let round = |value: f64, digits: f64| (value * digits).round() / digits;
        let points = self.points.iter().map(|&(at, value)| json!([round(at, 1e3), round(value, 10.0)]));
        json!({"name": self.name, "unit": self.unit.name(), "points": points.collect::<Vec<_>>()})
    }

    pub(crate) fn parse(value: &Value) -> Option<Self> {
        let point = |pair: &Value| Some((pair.get(0)?.as_f64()?, pair.get(1)?.as_f64()?));
        Some(Self {
            name: value.get("name")?.as_str()?.to_owned(),
            unit: Unit::parse(value.get("unit")?.as_str()?)?,
            points: value.get("points")?.as_array()?.iter().map(point).collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steady_counter_has_a_flat_rate() {
        let readings: Vec<_> = (0..=50).map(|tick| (f64::from(tick) * 0.1, tick as u64 * 20)).collect();
        let series = Series::rate("deliveries", &readings);
        assert_eq!(series.points.len(), 50);
        assert!(series.points.iter().all(|&(_, rate)| (rate - 200.0).abs() < 1e-6), "{series:?}");
    }

    #[test]
    fn long_runs_have_a_bounded_number_of_points() {
        for (seconds, points) in [(20u64, 20), (3600, 600)] {
            let readings: Vec<_> = (0..=seconds * 10).map(|tick| (tick as f64 * 0.1, tick)).collect();
            let found = Series::rate("x", &readings).points.len();
            assert!(found <= POINTS_MAX + 1 && found >= points * 9 / 10, "{seconds} s: {found}");
        }
        assert!(Series::rate("x", &[]).points.is_empty());
    }

    #[test]
    fn level_is_what_was_read_and_no_more_points_than_a_plot_shows() {
        let readings: Vec<_> = (0..1800_u64).map(|second| (second as f64, second)).collect();
        let few = Series::level("memory", Unit::Bytes, &readings[..5]);
        assert_eq!(few.points, [(0.0, 0.0), (1.0, 1.0), (2.0, 2.0), (3.0, 3.0), (4.0, 4.0)]);
        let many = Series::level("memory", Unit::Bytes, &readings);
        assert_eq!((many.points.len(), many.points[0]), (600, (2.0, 1.0)));
    }

    #[test]
    fn series_survives_the_round_trip() {
        let series = Series::rate("x", &[(0.0, 0), (0.1, 10), (0.2, 30)]);
        assert_eq!(Series::parse(&series.encode()).unwrap(), series);
    }
}
