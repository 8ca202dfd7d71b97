//! What a server tells, by its console or its metrics.

use serde_json::Value;

/// A second of a server.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Sample {
    pub(super) connections: f64,
    pub(super) deliveries_per_s: f64,
    pub(super) publishes_per_s: f64,
    pub(super) bytes_in_per_s: f64,
    pub(super) bytes_out_per_s: f64,
    pub(super) latency_p50_us: Option<f64>,
    pub(super) latency_p99_us: Option<f64>,
    pub(super) memory_bytes: Option<f64>,
    pub(super) waiting_bytes: f64,
    /// The share of the second behind each gate.
    pub(super) gates: Vec<(String, f64)>,
    pub(super) cores: Vec<Core>,
}

/// A core of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Core {
    pub(super) name: String,
    pub(super) busy: Option<f64>,
    pub(super) gated: Option<f64>,
    pub(super) connections: Option<f64>,
}

/// An app.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct App {
    pub(super) id: String,
    pub(super) connections: f64,
    pub(super) subscriptions: Option<f64>,
    pub(super) channels: Option<f64>,
}

/// A channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Channel {
    pub(super) app: String,
    pub(super) name: String,
    pub(super) subscriptions: f64,
    pub(super) users: Option<f64>,
}

/// A connection that much waits for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Slow {
    pub(super) socket_id: String,
    pub(super) app: String,
    pub(super) waiting_bytes: f64,
    pub(super) waiting_ms: f64,
    pub(super) address: String,
    pub(super) agent: String,
}

/// What a server has told.
#[derive(Debug)]
pub(super) enum News {
    History(Vec<Sample>),
    Sample(Sample),
    Apps(Vec<App>),
    Channels(Result<Vec<Channel>, String>),
    Slow(Result<Vec<Slow>, String>),
    /// It does not answer now.
    Fault(String),
    /// It will not answer.
    Ended(String),
}

fn number(of: &Value, key: &str) -> Option<f64> {
    of.get(key)?.as_f64()
}

fn text(of: &Value, key: &str) -> String {
    let value = of.get(key).and_then(Value::as_str).unwrap_or_default();
    value.chars().map(|c| if logging::is_printable(c) { c } else { ' ' }).collect()
}

/// The items of a list, which may be a field of an object.
pub(super) fn items<T>(of: &Value, key: &str, read: impl Fn(&Value) -> T) -> Vec<T> {
    let list = of.as_array().or_else(|| of.get(key)?.as_array());
    list.map_or_else(Vec::new, |list| list.iter().map(read).collect())
}

impl Sample {
    /// As the console tells it.
    pub(super) fn read(of: &Value) -> Self {
        let or_none = |key| number(of, key).unwrap_or_default();
        let gates = of.get("gates").and_then(Value::as_object);
        Self {
            connections: or_none("connections"),
            deliveries_per_s: or_none("deliveries_per_s"),
            publishes_per_s: or_none("publishes_per_s"),
            bytes_in_per_s: or_none("bytes_in_per_s"),
            bytes_out_per_s: or_none("bytes_out_per_s"),
            latency_p50_us: number(of, "latency_p50_us"),
            latency_p99_us: number(of, "latency_p99_us"),
            memory_bytes: number(of, "memory_bytes"),
            waiting_bytes: or_none("waiting_bytes"),
            gates: gates.map_or_else(Vec::new, |gates| {
                gates.iter().map(|(name, share)| (name.clone(), share.as_f64().unwrap_or_default())).collect()
            }),
            cores: of.get("cores").map_or_else(Vec::new, |cores| items(cores, "", Core::read)),
        }
    }
}

impl Core {
    fn read(of: &Value) -> Self {
        Self {
            name: text(of, "name"),
            busy: number(of, "busy"),
            gated: number(of, "gated"),
            connections: number(of, "connections"),
        }
    }
}

impl App {
    /// As the console tells it.
    pub(super) fn read(of: &Value) -> Self {
        Self {
            id: text(of, "id"),
            connections: number(of, "connections").unwrap_or_default(),
            subscriptions: number(of, "subscriptions"),
            channels: number(of, "channels"),
        }
    }
}

impl Channel {
    /// As the console tells it, of this app.
    pub(super) fn read(app: &str, of: &Value) -> Self {
        Self {
            app: app.to_owned(),
            name: text(of, "name"),
            subscriptions: number(of, "subscriptions").unwrap_or_default(),
            users: number(of, "users"),
        }
    }
}

impl Slow {
    /// As the console tells it.
    pub(super) fn read(of: &Value) -> Self {
        Self {
            socket_id: text(of, "socket_id"),
            app: text(of, "app"),
            waiting_bytes: number(of, "waiting_bytes").unwrap_or_default(),
            waiting_ms: number(of, "waiting_ms").unwrap_or_default(),
            address: text(of, "address"),
            agent: text(of, "agent"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_console_says_is_read_and_names_are_inert() {
        let said = json!({"connections": 7, "latency_p50_us": null, "latency_p99_us": 900, "gates": {"flush": 0.5},
            "cores": [{"name": "shard-0", "busy": 0.25, "gated": 0, "connections": 7}, {"name": "api", "busy": null}]});
        let sample = Sample::read(&said);
        assert_eq!(
            (sample.connections, sample.latency_p50_us, sample.latency_p99_us),
            (7.0, None, Some(900.0))
        );
        assert_eq!((sample.cores[0].busy, sample.cores[1].busy), (Some(0.25), None));
        assert_eq!(sample.gates, [("flush".to_owned(), 0.5)]);
        let hostile =
            json!({"channels": [{"name": "a\u{1b}[2Jb\u{202e}c\nd", "subscriptions": 3, "users": null}]});
        let channels = items(&hostile, "channels", |channel| Channel::read("1", channel));
        assert_eq!((&*channels[0].name, channels[0].users), ("a [2Jb c d", None));
        assert_eq!(Sample::read(&json!("nothing")), Sample::default());
    }
}
