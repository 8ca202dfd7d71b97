//! Metric families in Prometheus' text format, version 0.0.4. Owns how a family is put together and nothing of what it
//! means; the library writes and escapes. A family without samples is left out.

use prometheus::TextEncoder;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use crate::readings::latencies::Latencies;

/// Families, in the order in which they were added.
#[derive(Debug)]
pub struct Exposition {
    prefix: Box<str>,
    families: Vec<MetricFamily>,
}

/// Names and values of labels.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

impl Exposition {
    /// An empty one, whose names begin with `prefix`.
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.into(), families: Vec::new() }
    }

    /// What only grows.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) {
        let mut family = Family::new(&format!("{}{name}", self.prefix), help, MetricType::COUNTER);
        family.sample(&[], value as f64);
        self.add(family);
    }

    /// How much there is now.
    pub fn gauge(&mut self, name: &str, help: &str, value: u64) {
        let mut family = Family::new(&format!("{}{name}", self.prefix), help, MetricType::GAUGE);
        family.sample(&[], value as f64);
        self.add(family);
    }

    /// A counter with several samples.
    pub fn counters(&self, name: &str, help: &str) -> Family {
        Family::new(&format!("{}{name}", self.prefix), help, MetricType::COUNTER)
    }

    /// A gauge with several samples.
    pub fn gauges(&self, name: &str, help: &str) -> Family {
        Family::new(&format!("{}{name}", self.prefix), help, MetricType::GAUGE)
    }

    /// How long something took, in seconds.
    pub fn latencies(&mut self, name: &str, help: &str, latencies: &Latencies) {
        let mut family = self.histograms(name, help);
        family.spread(&[], latencies);
        self.add(family);
    }

    /// The same with several samples.
    pub fn histograms(&self, name: &str, help: &str) -> Family {
        Family::new(&format!("{}{name}", self.prefix), help, MetricType::HISTOGRAM)
    }

    /// Of the names that every exporter uses, without a prefix; nothing where the value is not known.
    pub fn standard(&mut self, name: &str, help: &str, kind: MetricType, value: Option<f64>) {
        let mut family = Family::new(name, help, kind);
        value.into_iter().for_each(|value| family.sample(&[], value));
        self.add(family);
    }

    /// Adds a family, if it has samples.
    pub fn add(&mut self, family: Family) {
        if !family.0.get_metric().is_empty() {
            self.families.push(family.0);
        }
    }

    /// All of it.
    pub fn encode(&self) -> String {
        let text = TextEncoder::new().encode_to_string(&self.families);
        text.unwrap_or_else(|error| format!("# {error}\n"))
    }
}

/// One family.
#[derive(Debug)]
pub struct Family(MetricFamily);

impl Family {
    fn new(name: &str, help: &str, kind: MetricType) -> Self {
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        Self(family)
    }

    /// Adds a sample. Those of one family have the same labels with different values.
    pub fn sample(&mut self, labels: Labels<'_>, value: f64) {
        let mut metric = Metric::from_label(labels.iter().map(|(name, value)| label(name, value)).collect());
        if self.0.get_field_type() == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.0.mut_metric().push(metric);
    }

    /// Adds how long something took, in seconds.
    pub fn spread(&mut self, labels: Labels<'_>, latencies: &Latencies) {
        let bucket = |(bound_us, count): (u32, u64)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(f64::from(bound_us) / 1e6);
            bucket.set_cumulative_count(count);
            bucket
        };
        let mut histogram = Histogram::default();
        histogram.set_bucket(latencies.cumulative().map(bucket).collect());
        histogram.set_sample_count(latencies.count());
        histogram.set_sample_sum(latencies.sum_us() as f64 / 1e6);
        let mut metric = Metric::from_label(labels.iter().map(|(name, value)| label(name, value)).collect());
        metric.set_histogram(histogram);
        self.0.mut_metric().push(metric);
    }
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_what_prometheus_reads() {
        let mut all = Exposition::new("x_");
        all.counter("a_total", "As.", 3);
        let mut family = all.gauges("b", "Bs by name.");
        family.sample(&[("name", "q\"\\")], 1.0);
        family.sample(&[("name", "r")], 0.5);
        all.add(family);
        all.add(all.counters("none_total", "Nothing."));
        all.standard("up_s", "Time.", MetricType::GAUGE, None);
        let expected = "# HELP x_a_total As.\n# TYPE x_a_total counter\nx_a_total 3\n\
            # HELP x_b Bs by name.\n# TYPE x_b gauge\nx_b{name=\"q\\\"\\\\\"} 1\nx_b{name=\"r\"} 0.5\n";
        assert_eq!(all.encode(), expected);
    }
}
