//! What `/metrics` tells: rates are what has come between two scrapes.

use std::collections::BTreeMap;
use std::time::Duration;

use super::told::{App, Core, Sample};

/// Every sample of a scrape by its family, with its labels.
#[derive(Debug, Default)]
pub(super) struct Scrape {
    samples: BTreeMap<String, Vec<(String, f64)>>,
}

impl Scrape {
    /// Of Prometheus' text format. The prefix of the names is taken off: it is that of `build_info`.
    pub(super) fn parse(text: &str) -> Self {
        let mut samples: BTreeMap<String, Vec<(String, f64)>> = BTreeMap::new();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        for (sample, value) in lines.filter_map(|line| line.rsplit_once(' ')) {
            let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
            let Ok(value) = value.parse() else { continue };
            samples
                .entry(name.to_owned())
                .or_default()
                .push((labels.trim_end_matches('}').to_owned(), value));
        }
        let prefix =
            samples.keys().find_map(|name| name.strip_suffix("build_info")).unwrap_or_default().to_owned();
        let bare = |name: String| name.strip_prefix(&prefix).map(str::to_owned).unwrap_or(name);
        Self { samples: samples.into_iter().map(|(name, of)| (bare(name), of)).collect() }
    }

    fn family(&self, name: &str) -> &[(String, f64)] {
        self.samples.get(name).map_or(&[], Vec::as_slice)
    }

    fn sum(&self, name: &str) -> f64 {
        self.family(name).iter().map(|(_, value)| value).sum()
    }

    /// Sums by the values of a label.
    fn by(&self, name: &str, label: &str) -> BTreeMap<&str, f64> {
        let mut sums = BTreeMap::new();
        for (labels, value) in self.family(name) {
            let start = format!("{label}=\"");
            let found = labels.split("\",").find_map(|part| part.strip_prefix(&*start));
            if let Some(found) = found {
                *sums.entry(found.trim_end_matches('"')).or_default() += value;
            }
        }
        sums
    }

    /// The apps.
    pub(super) fn apps(&self) -> Vec<App> {
        let [subscriptions, channels] =
            ["app_subscriptions", "app_channels"].map(|name| self.by(name, "app_id"));
        let apps = self.by("connected", "app_id").into_iter();
        apps.map(|(id, connections)| App {
            id: id.to_owned(),
            connections,
            subscriptions: subscriptions.get(id).copied(),
            channels: channels.get(id).copied(),
        })
        .collect()
    }

    /// The time since an earlier scrape.
    pub(super) fn since(&self, before: &Self, elapsed: Duration) -> Sample {
        let seconds = elapsed.as_secs_f64().max(0.001);
        let rate = |name| (self.sum(name) - before.sum(name)).max(0.0) / seconds;
        let rates = |name, label| {
            let (now, then) = (self.by(name, label), before.by(name, label));
            let rate = |(of, value): (&str, f64)| {
                (of.to_owned(), (value - then.get(of).unwrap_or(&0.0)).max(0.0) / seconds)
            };
            now.into_iter().map(rate).collect::<Vec<(String, f64)>>()
        };
        let connections = self.by("connections", "shard");
        let core = |(name, busy): (String, f64)| Core {
            connections: name.strip_prefix("shard-").and_then(|shard| connections.get(shard)).copied(),
            name,
            busy: Some(busy.min(1.0)),
            gated: None,
        };
        Sample {
            connections: self.sum("connections"),
            deliveries_per_s: rate("deliveries_total"),
            publishes_per_s: rate("published_total"),
            bytes_in_per_s: rate("socket_received_bytes"),
            bytes_out_per_s: rate("socket_transmitted_bytes"),
            latency_p50_us: self.quantile_us(before, 0.5),
            latency_p99_us: self.quantile_us(before, 0.99),
            memory_bytes: self.family("process_resident_memory_bytes").first().map(|(_, bytes)| *bytes),
            waiting_bytes: self.sum("outbox_bytes"),
            gates: rates("gated_seconds_total", "gate"),
            cores: rates("core_busy_seconds_total", "core").into_iter().map(core).collect(),
        }
    }

    /// As Prometheus estimates it.
    fn quantile_us(&self, before: &Self, part: f64) -> Option<f64> {
        let (now, then) = (self.by("fanout_seconds_bucket", "le"), before.by("fanout_seconds_bucket", "le"));
        let grown = |(bound, count): (&str, f64)| {
            Some((bound.parse::<f64>().ok()?, count - then.get(bound).unwrap_or(&0.0)))
        };
        let mut buckets: Vec<(f64, f64)> = now.into_iter().filter_map(grown).collect();
        buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
        let rank = part * buckets.last().map(|(_, count)| *count).filter(|count| *count > 0.0)?;
        let (mut from, mut below) = (0.0, 0.0);
        for (bound, count) in buckets {
            if count >= rank && count > below {
                let to = if bound.is_finite() { bound } else { from };
                return Some((from + (to - from) * (rank - below) / (count - below)) * 1e6);
            }
            (from, below) = (bound, count);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "# HELP x_build_info b\nx_build_info{version=\"1\"} 1\nx_deliveries_total 100\n\
        x_core_busy_seconds_total{core=\"shard-0\"} 10\nx_core_busy_seconds_total{core=\"api\"} 1\n\
        x_fanout_seconds_bucket{le=\"0.001\"} 5\nx_fanout_seconds_bucket{le=\"0.002\"} 5\n\
        x_fanout_seconds_bucket{le=\"+Inf\"} 5\n";
    const NOW: &str = "x_build_info{version=\"1\"} 1\nx_deliveries_total 300\nx_connections{shard=\"0\"} 3\n\
        x_connections{shard=\"1\"} 4\nx_connected{app_id=\"7\",port=\"6001\"} 7\nx_app_subscriptions{app_id=\"7\"} 9\n\
        x_app_channels{app_id=\"7\"} 2\n\
        x_core_busy_seconds_total{core=\"shard-0\"} 11\nx_core_busy_seconds_total{core=\"api\"} 1\n\
        x_fanout_seconds_bucket{le=\"0.001\"} 5\nx_fanout_seconds_bucket{le=\"0.002\"} 105\n\
        x_fanout_seconds_bucket{le=\"+Inf\"} 105\nprocess_resident_memory_bytes 4096\n";

    #[test]
    fn rates_are_what_came_between_two_scrapes() {
        let (before, now) = (Scrape::parse(BEFORE), Scrape::parse(NOW));
        let sample = now.since(&before, Duration::from_secs(2));
        assert_eq!(
            (sample.connections, sample.deliveries_per_s, sample.memory_bytes),
            (7.0, 100.0, Some(4096.0))
        );
        assert_eq!(sample.latency_p50_us, Some(1_500.0));
        let busy: Vec<_> =
            sample.cores.iter().map(|core| (&*core.name, core.busy, core.connections)).collect();
        assert_eq!(busy, [("api", Some(0.0), None), ("shard-0", Some(0.5), Some(3.0))]);
        let app = App { id: "7".to_owned(), connections: 7.0, subscriptions: Some(9.0), channels: Some(2.0) };
        assert_eq!(now.apps(), [app]);
    }

    #[test]
    fn without_events_there_is_no_latency() {
        let now = Scrape::parse(NOW);
        assert_eq!(now.since(&now, Duration::from_secs(1)).latency_p99_us, None);
    }
}
