//! The settings of hooks. These are plain values, already validated; the configuration file is read elsewhere.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine, alphabet};
use protocol::app::App;
use protocol::hook_kind::HookKinds;

/// All settings of hooks. Hooks are off without an endpoint and a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The directory of the journal.
    pub data_dir: PathBuf,
    /// How durable a commit is.
    pub durability: Durability,
    /// What the journal's file may grow to, in bytes.
    pub journal_bytes_max: u64,
    /// The id behind which a journal begins that has given fewer than [`IDS_APART`]: what goes to the same endpoints from
    /// several journals must not have the same ids. 0: it goes on as it is.
    pub ids_after: u64,
    /// How many events may wait for the journal.
    pub queue_events_max: usize,
    /// How long a vacated channel or a removed member may return before it is reported.
    pub grace: Duration,
    /// The stream that rows pass through. Without one, they go from the journal to the endpoints.
    pub stream: Option<StreamSettings>,
    /// The endpoints of all apps.
    pub endpoints: Vec<Endpoint>,
    /// How deliveries are retried.
    pub delivery: DeliverySettings,
}

/// How far apart the first ids of several journals are.
pub const IDS_APART: u64 = 1 << 35;

/// Which failures a commit survives.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Durability {
    /// A killed process (SQLite's synchronous = NORMAL).
    #[default]
    Process,
    /// A power loss too (synchronous = FULL).
    Power,
}

/// A destination for the events of an app.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// Unique in the server and stable across restarts: its progress is stored under this name.
    pub name: String,
    /// The app whose events it receives.
    pub app: Arc<App>,
    /// How they are delivered.
    pub sink: SinkSettings,
    /// Which kinds of events it receives.
    pub kinds: HookKinds,
    /// Only channels whose name begins with this.
    pub channel_prefix: Option<String>,
    /// Only channels whose name ends with this.
    pub channel_suffix: Option<String>,
    /// The timeout of a whole delivery.
    pub timeout: Duration,
    /// How long a batch waits for more events.
    pub batch_window: Duration,
    /// How many events make a batch full.
    pub batch_events_max: usize,
    /// When its batches are tried again, if not as those of other endpoints.
    pub retry: Option<Retry>,
    /// After how long it is disabled, if not as other endpoints: zero for never.
    pub disable_after: Option<Duration>,
}

/// The kind of an endpoint. `Debug` leaves out URL, headers and arguments, which may hold credentials.
#[derive(Clone, PartialEq, Eq)]
pub enum SinkSettings {
    /// A POST.
    Webhook {
        /// http or https.
        url: String,
        /// The format of body and signature.
        format: Format,
        /// Additional headers.
        headers: Vec<(String, String)>,
    },
    /// JSON lines, appended.
    File {
        /// The file.
        path: PathBuf,
    },
    /// JSON lines to a command's standard input; its exit status is the acknowledgement.
    Exec {
        /// Program and arguments.
        command: Vec<String>,
    },
    /// Nothing: every event is accepted.
    None,
}

impl SinkSettings {
    /// The destination as an operator may see it: without the password of a URL, and without arguments.
    pub fn shown(&self) -> String {
        match self {
            Self::Webhook { url, .. } => without_password(url),
            Self::File { path } => path.display().to_string(),
            Self::Exec { command } => command.first().cloned().unwrap_or_default(),
            Self::None => "none".to_owned(),
        }
    }
}

fn without_password(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let authority = match authority.rsplit_once('@') {
        Some((userinfo, host)) => match userinfo.split_once(':') {
            Some((user, _)) => format!("{user}:***@{host}"),
            None => format!("{userinfo}@{host}"),
        },
        None => authority.to_owned(),
    };
    format!("{scheme}://{authority}{path}")
}

impl std::fmt::Debug for SinkSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Webhook { format, .. } => {
                f.debug_struct("Webhook").field("format", format).finish_non_exhaustive()
            }
            Self::File { path } => f.debug_struct("File").field("path", path).finish(),
            Self::Exec { .. } => f.debug_struct("Exec").finish_non_exhaustive(),
            Self::None => f.write_str("None"),
        }
    }
}

/// Body and signature of a webhook.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Format {
    /// `X-Pusher-Key` and `X-Pusher-Signature`, signed with the app's secret.
    Pusher,
    /// webman/push's `channel_added` and `channel_removed`, signed as Pusher's.
    WebmanPush,
    /// Standard Webhooks: `webhook-id`, `webhook-timestamp` and `webhook-signature` around a body as Pusher's.
    Standard {
        /// The signing keys: each signs, in this order.
        secrets: Vec<StandardSecret>,
    },
    /// webman-push-server's `sign` header.
    Webman {
        /// The signing key; the app's secret if there is none.
        secret: Option<Secret>,
    },
}

/// A secret that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A signing key of Standard Webhooks, which is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct StandardSecret(Vec<u8>);

impl StandardSecret {
    /// Reads `whsec_BASE64`, with or without padding.
    pub fn parse(text: &str) -> Option<Self> {
        let key = BASE64.decode(text.strip_prefix("whsec_")?).ok()?;
        (!key.is_empty()).then_some(Self(key))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for StandardSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// When a batch is tried again.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Retry {
    /// After pauses that double, until `give_up_after`.
    #[default]
    Pusher,
    /// Eight times over 28 hours.
    Day,
}

/// How deliveries are retried.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeliverySettings {
    /// When a batch is tried again.
    pub retry: Retry,
    /// An endpoint that accepted nothing for this long is disabled; never by default.
    pub disable_after: Option<Duration>,
    /// An event that was not accepted for this long becomes a dead letter.
    pub give_up_after: Duration,
    /// The longest pause between two tries; the first is under a second.
    pub pause_max: Duration,
    /// Whether webhooks to private addresses are refused too.
    pub strict_endpoints: bool,
    /// How many batches of one endpoint may be under way at the same time.
    pub in_flight_max: usize,
    /// How far an endpoint goes on behind the oldest event that it holds, in bytes: all of them stay in the journal.
    pub span_bytes_max: u64,
}

/// How to reach a Redis server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RedisServer {
    /// `redis://` or `rediss://`, with user and password if needed.
    pub url: Secret,
    /// PEM certificates of the authority that signs Redis' certificate, instead of the public ones; only with `rediss://`.
    pub ca_file: Option<PathBuf>,
}

impl RedisServer {
    /// The server as an operator may see it, without its password.
    pub fn shown(&self) -> String {
        without_password(&self.url.0)
    }
}

/// A Redis stream between journal and endpoints.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamSettings {
    /// The Redis server that holds it.
    pub redis: RedisServer,
    /// The stream's key.
    pub key: String,
    /// The consumer group.
    pub group: String,
    /// Several journals are moved here, and an edge may be in more than one of them: it is added once.
    pub edges_once: bool,
    /// Whether a consumer group acknowledges the entries. Without one, a row leaves the journal when it is in the stream.
    pub deliver: bool,
    /// How many consumers run in this server.
    pub consumers: usize,
    /// The length of the stream at which the mover waits; 0 for no limit.
    pub queue_limit: u64,
    /// The longest pause of a mover that cannot reach Redis.
    pub requeue_interval: Duration,
    /// How often a waiting consumer looks for entries that another one abandoned.
    pub claim_interval: Duration,
    /// How long an entry must have been pending before it counts as abandoned.
    pub pending_timeout: Duration,
    /// How many entries a consumer takes at once.
    pub prefetch: usize,
}

impl Default for DeliverySettings {
    fn default() -> Self {
        Self {
            retry: Retry::default(),
            disable_after: None,
            give_up_after: Duration::from_secs(300),
            pause_max: Duration::from_secs(60),
            strict_endpoints: false,
            in_flight_max: 8,
            span_bytes_max: 1 << 28,
        }
    }
}

impl DeliverySettings {
    /// Those of this endpoint.
    pub(crate) fn of(&self, endpoint: &Endpoint) -> Self {
        let disable_after = endpoint.disable_after.or(self.disable_after);
        Self {
            retry: endpoint.retry.unwrap_or(self.retry),
            disable_after: disable_after.filter(|after| !after.is_zero()),
            ..self.clone()
        }
    }
}

impl Settings {
    /// Settings with these endpoints, and defaults for the rest.
    pub fn new(data_dir: PathBuf, endpoints: Vec<Endpoint>) -> Self {
        Self {
            data_dir,
            durability: Durability::default(),
            journal_bytes_max: 1 << 30,
            ids_after: 0,
            queue_events_max: 65_536,
            grace: Duration::from_secs(3),
            stream: None,
            endpoints,
            delivery: DeliverySettings::default(),
        }
    }
}

impl Endpoint {
    /// An endpoint with the default kinds and batch sizes.
    pub fn new(name: impl Into<String>, app: Arc<App>, sink: SinkSettings) -> Self {
        Self {
            name: name.into(),
            app,
            sink,
            kinds: HookKinds::USUAL,
            channel_prefix: None,
            channel_suffix: None,
            timeout: Duration::from_secs(5),
            batch_window: Duration::from_millis(250),
            batch_events_max: 20,
            retry: None,
            disable_after: None,
        }
    }
}

impl StreamSettings {
    /// A stream at this URL under the usual names.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            redis: RedisServer { url: Secret(url.into()), ca_file: None },
            key: "corecast:hooks".to_owned(),
            group: "corecast".to_owned(),
            edges_once: false,
            deliver: true,
            consumers: 1,
            queue_limit: 0,
            requeue_interval: Duration::from_secs(300),
            claim_interval: Duration::from_secs(300),
            pending_timeout: Duration::from_secs(3_600),
            prefetch: 1_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_is_shown_no_password() {
        for (url, shown) in [
            ("http://hook:p%40ss@host:80/a?b=c", "http://hook:***@host:80/a?b=c"),
            ("https://hook@host", "https://hook@host"),
            ("https://host/@x:y", "https://host/@x:y"),
        ] {
            let sink =
                SinkSettings::Webhook { url: url.to_owned(), format: Format::Pusher, headers: Vec::new() };
            assert_eq!(sink.shown(), shown);
        }
        let redis = StreamSettings::new("rediss://:p%40ss@host:6379/1").redis;
        assert_eq!(redis.shown(), "rediss://:***@host:6379/1");
    }
}
