//! The tables of the file, and the keys that each may have.

use super::bounds::{self, app_limit_keys, limit_keys};
use super::key::{Key, boolean, code, integer, list, table, text, word};
use super::layer::quoted;
use crate::limits::SHARDS_MAX;

/// A kind of table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Table {
    /// The top of the file, before the first table.
    Top,
    /// `[limits]`.
    Limits,
    /// `[tls]`.
    Tls,
    /// `[[tls.certificates]]`.
    TlsCertificate,
    /// `[load]`.
    Load,
    /// `[cluster]`.
    Cluster,
    /// `[app_store]`.
    AppStore,
    /// `[[apps]]`.
    App,
    /// `[[apps.keys]]`.
    AppKey,
    /// `[apps.limits]`.
    AppLimits,
    /// `[hooks]`.
    Hooks,
    /// `[[apps.hooks]]`.
    AppHook,
}

impl Table {
    /// All kinds.
    pub(super) const ALL: [Self; 12] = [
        Self::Top,
        Self::Limits,
        Self::Tls,
        Self::TlsCertificate,
        Self::Load,
        Self::Cluster,
        Self::AppStore,
        Self::App,
        Self::AppKey,
        Self::AppLimits,
        Self::Hooks,
        Self::AppHook,
    ];

    /// The keys that the table may have.
    pub(super) fn keys(self) -> Vec<Key> {
        match self {
            Self::Top => TOP.to_vec(),
            Self::Limits => limit_keys().collect(),
            Self::Tls => TLS.to_vec(),
            Self::TlsCertificate => TLS_CERTIFICATE.to_vec(),
            Self::Load => LOAD.to_vec(),
            Self::Cluster => CLUSTER.to_vec(),
            Self::AppStore => vec![text("path", "The database. `corecast app add` makes it.")],
            Self::App => APP.to_vec(),
            Self::AppKey => APP_KEY.to_vec(),
            Self::AppLimits => app_limit_keys().collect(),
            Self::Hooks => HOOKS.to_vec(),
            Self::AppHook => APP_HOOK.to_vec(),
        }
    }

    /// A key that the table may have.
    pub(super) fn key(self, name: &str) -> Option<Key> {
        self.keys().into_iter().find(|key| key.name == name)
    }

    /// The kind of table that one of its keys has.
    pub(super) fn inner(self, key: &str) -> Option<Self> {
        let path = format!("{}{key}.", self.path());
        Self::ALL.into_iter().find(|table| table.path() == path)
    }

    /// Whether the table may have this key.
    pub(super) fn has(self, key: &str) -> bool {
        self.key(key).is_some()
    }

    /// Whether a file has it at most once.
    pub(super) fn is_single(self) -> bool {
        !self.path().starts_with("apps.") && !self.is_list()
    }

    /// Whether a running server follows a change of this key.
    pub(super) fn is_read_again(self, key: &str) -> bool {
        match self {
            Self::Top => ["admin_token", "admin_token_file", "log_format", "log_level"].contains(&key),
            Self::Limits => bounds::is_read_again(key),
            Self::Tls => key != "listen",
            Self::AppStore | Self::Cluster | Self::Hooks => false,
            Self::TlsCertificate | Self::Load => true,
            Self::App | Self::AppKey | Self::AppLimits | Self::AppHook => true,
        }
    }

    /// Whether a key has a list of such tables.
    pub(super) fn is_list(self) -> bool {
        self.title().starts_with("[[")
    }

    /// How it is written in the file, for messages.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Top => "the top of the file, before any table",
            Self::Limits => "[limits]",
            Self::Tls => "[tls]",
            Self::TlsCertificate => "[[tls.certificates]]",
            Self::Load => "[load]",
            Self::Cluster => "[cluster]",
            Self::AppStore => "[app_store]",
            Self::App => "[[apps]]",
            Self::AppKey => "[[apps.keys]]",
            Self::AppLimits => "[apps.limits]",
            Self::Hooks => "[hooks]",
            Self::AppHook => "[[apps.hooks]]",
        }
    }

    /// What stands before its keys in messages.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Top => "",
            Self::Limits => "limits.",
            Self::Tls => "tls.",
            Self::TlsCertificate => "tls.certificates.",
            Self::Load => "load.",
            Self::Cluster => "cluster.",
            Self::AppStore => "app_store.",
            Self::App => "apps.",
            Self::AppKey => "apps.keys.",
            Self::AppLimits => "apps.limits.",
            Self::Hooks => "hooks.",
            Self::AppHook => "apps.hooks.",
        }
    }
}

const TOP: [Key; 31] = [
    list("listen", "Addresses for WebSocket and REST, each as IP:PORT, or as unix:PATH for a Unix socket.").or("[\"0.0.0.0:6001\"]"),
    list("api_listen", "Further addresses for back ends, whose connections do not pass through a shard.").or("[]"),
    text(
        "admin",
        "The address of the admin listener: /metrics, /live and /ready, without credentials. \"off\" for none.",
    )
    .or_follows("\"127.0.0.1:9601\", if it is free", |config| quoted(&config.admin.address.to_string())),
    boolean(
        "ipv6_only",
        "Whether \"[::]:PORT\" accepts clients of IPv6 only. Otherwise it accepts those of IPv4 too, unless an IPv4 address has \
         the same port.",
    )
    .or("false"),
    text("path_prefix", "What a proxy puts before all paths. They are served with it and without.").or("\"\""),
    list(
        "trusted_proxies",
        "Networks of proxies whose word is taken for where a client is, each as ADDRESS/BITS or one address; \"unix\": those that come by a Unix socket, who are trusted wherever anybody is.",
    )
    .or("[]"),
    list(
        "proxy_protocol",
        "Addresses that also stand in listen, api_listen or [tls] listen, where each connection must begin with a PROXY header of version 2.",
    )
    .or("[]"),
    list("admin_hosts", "The host names that the admin listener answers to, besides IP addresses and localhost.").or("[]"),
    text(
        "admin_token",
        "What operators sign in with at the console, a web page of the admin listener. There is no console without it.",
    )
    .secret(),
    text("admin_token_file", "A file that holds the token, in place of `admin_token`."),
    text("metrics_prefix", "The prefix of all metric names.").or("\"corecast_\""),
    boolean("assets", "Whether push.js and its forms for uni-app and WeChat mini programs are served.").or("false"),
    boolean(
        "sample_endpoints",
        "Whether the sample endpoints are there, which sign whatever anybody asks. Never in production.",
    )
    .or("false"),
    word("log_format", &["text", "json"], "How lines of the log are written: \"json\" is one object a line.").or("\"text\""),
    word("log_level", &["error", "warn", "info", "debug"], "How much is in the log.").or("\"info\""),
    integer("shards", 1, SHARDS_MAX as u64, "How many cores hold connections.")
        .or_follows("one less than there are processors, at least 1", |config| config.shards.count.get().to_string()),
    boolean("pin", "Whether each shard keeps a processor of its own, if there are more processors than shards.")
        .or("true"),
    word(
        "accept_steering",
        &["hash", "cpu"],
        "Which shard gets a new connection: \"hash\" spreads them evenly, \"cpu\" picks the shard on the processor that \
         received it.",
    )
    .or("\"hash\""),
    boolean("takeover", "Whether to join the port of a server that still runs, to replace it without a gap.").or("false"),
    integer(
        "ready_grace",
        0,
        3_600,
        "Seconds after SIGTERM in which new clients are still served, while /ready fails.",
    )
    .or("0"),
    integer(
        "drain_rate",
        1,
        u32::MAX as u64,
        "Connections closed per second at shutdown, across the whole server.",
    )
    .or("1000"),
    code(
        "drain_close",
        &[4100, 4200],
        "The close code at shutdown: after 4100 clients reconnect in a second, after 4200 at once.",
    )
    .or_follows("4100, or 4200 with `takeover`", |config| config.ending.drain().close.code.to_string()),
    table("tls", "Addresses with TLS, and what clients are shown there."),
    table("limits", "Limits of the server and of all apps."),
    table("load", "When there is too much to do for newcomers."),
    table("hooks", "What back ends are told of the channels, and how."),
    table("cluster", "The Redis servers that join this server with others, as one."),
    table("app_store", "Further apps, in a database that commands change."),
    text(
        "apps_url",
        "An HTTP endpoint that is asked for an app which is neither in the file nor in a store, with ?key=KEY or ?id=ID.",
    )
    .secret(),
    integer("apps_url_ttl_s", 1, 24 * 3600, "Seconds until it is asked again for an app that it has given. Needs `apps_url`.")
        .or("60"),
    table("apps", "The apps, each a table."),
];

const APP: [Key; 22] = [
    text("id", "The app's id, as in the paths of REST. Required."),
    text("key", "What clients connect with. Required, here or in `key_file` or `keys`."),
    text("key_file", "A file that holds the key, in place of `key`."),
    text("secret", "What back ends sign with. Required, here or in `secret_file` or `keys`.").secret(),
    text("secret_file", "A file that holds the secret, in place of `secret`."),
    table("keys", "Further keys, the oldest first."),
    boolean("enabled", "Whether the app is served. If not, it refuses connections with 4003 and REST calls with 403.")
        .or("true"),
    list("allowed_origins", "The origins of the web pages that may connect. Others are closed with 4009. All may by default."),
    boolean("require_origin", "Whether a client must name an origin. Browsers always do.").or("false"),
    boolean(
        "tls_only",
        "Whether the app is there over TLS only, here or at a trusted proxy. Other clients are closed with 4000, and REST \
         calls get 403.",
    )
    .or("false"),
    word(
        "dialect",
        &["pusher", "webman2", "webman3", "auto"],
        "Whether data is a string that holds JSON, as Pusher sends it, or JSON, as webman-push-server does. \"auto\": by client.",
    )
    .or("\"auto\""),
    boolean("client_events", "Whether clients may send `client-` events.").or("true"),
    boolean("subscription_count", "Whether `info` may ask for subscription_count.").or("true"),
    boolean("subscription_count_events", "Whether subscribers are told how many they are.").or("true"),
    boolean("watchlist_events", "Whether signed-in users are told which users of their watchlists are online.").or("true"),
    integer("cache_ttl_s", 1, 24 * 3600, "Seconds for which a cache channel remembers its last event.").or("1800"),
    integer(
        "authorization_timeout_s",
        0,
        3600,
        "Seconds in which a client must sign in or subscribe to a private or presence channel, or it is closed with 4009. 0: \
         no such timeout.",
    )
    .or("0"),
    boolean(
        "terminate_by_presence",
        "Whether a call to terminate a user's connections also closes those in a presence channel under that user id.",
    )
    .or("false"),
    // A delay of more than a second is not realtime.
    integer(
        "flush_interval_ms",
        0,
        1000,
        "The interval, in milliseconds, at which events for all subscribers of a channel are written. 0: as soon as possible.",
    )
    .or("0"),
    code(
        "over_quota_close_code",
        &[4100, 4004],
        "The close code for a connection beyond `connections_max`: after 4100 clients try again, after 4004 they stay away.",
    )
    .or("4100"),
    table("limits", "Limits of this app, where they differ from those of `[limits]`."),
    table("hooks", "Where the events of this app go, each endpoint a table."),
];

const TLS: [Key; 4] = [
    list("listen", "Addresses for WebSocket and REST with TLS, each as IP:PORT.").or("[]"),
    text("cert", "The certificate, and behind it its chain (PEM). Read again when the file changes."),
    text("key", "The private key of the certificate (PEM)."),
    table("certificates", "Further certificates, for other names, each a table."),
];

const CLUSTER: [Key; 4] = [
    list(
        "redis",
        "URLs of the Redis servers that join the nodes, the same on all of them: redis://USER:PASSWORD@HOST:PORT/DATABASE, or \
         rediss:// for TLS. None by default: the server is alone.",
    )
    .secret(),
    integer("lease_s", 2, 60, "Seconds without a sign of life after which a node is taken for dead. Needs `redis`.").or("10"),
    integer(
        "remote_members_kept_s",
        1,
        86_400,
        "For how many seconds members of other nodes stay listed while the server of their channel is away. Needs `redis`.",
    )
    .or("60"),
    text("prefix", "What all keys begin with, in braces. Clusters on the same Redis need different ones. Needs `redis`.")
        .or("\"corecast\""),
];

const TLS_CERTIFICATE: [Key; 2] =
    [text("cert", "The certificate, and behind it its chain (PEM)."), text("key", "Its private key (PEM).")];

const LOAD: [Key; 2] = [
    integer(
        "memory_high_bytes",
        1,
        1 << 50,
        "From here on new clients get 4100. A mark that is set counts the memory of this process.",
    )
    .or_follows("90 % of the memory of the control group or machine", |config| config.load.shown().0),
    integer("memory_low_bytes", 1, 1 << 50, "From here down they are welcome again.")
        .or_follows("8/9 of the high mark", |config| config.load.shown().1),
];

const APP_KEY: [Key; 5] = [
    text("key", "What clients connect with. Required, here or in `key_file`."),
    text("key_file", "A file that holds the key, in place of `key`."),
    text("secret", "What back ends sign with. Required, here or in `secret_file`.").secret(),
    text("secret_file", "A file that holds the secret, in place of `secret`."),
    boolean("enabled", "Whether the key works.").or("true"),
];

/// A week.
const SECONDS_MAX: u64 = 604_800;

/// A year.
const DISABLE_AFTER_S_MAX: u64 = 365 * 86_400;

const HOOKS: [Key; 21] = [
    text("data_dir", "Where events are kept until they are delivered. One server at a time writes to it.")
        .or("\"corecast-data\""),
    word(
        "durability",
        &["process", "power"],
        "What an event survives: a killed server, or a power failure too, at the price of a disk flush per batch.",
    )
    .or("\"process\""),
    integer("journal_bytes_max", 1 << 20, 1 << 40, "The maximum size of the journal.").or("1073741824"),
    integer(
        "grace_ms",
        0,
        600_000,
        "Milliseconds for which a channel or a member must be gone before vacated or removed is reported.",
    )
    .or("3000"),
    word(
        "retry",
        &["pusher", "day"],
        "When a failed delivery is tried again: \"pusher\", with growing pauses as the next two keys say; \"day\", 8 tries over 28 \
         hours.",
    )
    .or("\"pusher\""),
    integer(
        "give_up_after_s",
        1,
        SECONDS_MAX,
        "Seconds after which an event that an endpoint has not accepted becomes a dead letter.",
    )
    .or("300"),
    integer("retry_pause_max_s", 1, SECONDS_MAX, "The longest pause between two tries, in seconds.").or("60"),
    integer(
        "disable_after_s",
        0,
        DISABLE_AFTER_S_MAX,
        "Seconds after which an endpoint that accepts nothing is disabled, until `corecast hooks enable`. 0: never.",
    )
    .or("0"),
    boolean("strict_endpoints", "Whether webhooks to private and reserved addresses are refused too.").or("false"),
    integer("in_flight_max", 1, 256, "Batches under way to one endpoint at the same time.").or("8"),
    text("redis_url", "The Redis whose stream carries events between journal and endpoints. None by default.").secret(),
    text("redis_ca_file", "The authority, in PEM, that signs the certificate of a Redis with TLS, in place of the public ones."),
    text("stream", "The stream's key. This and all keys below need `redis_url`.").or("\"corecast:hooks\""),
    text("group", "The consumer group that acknowledges the stream's entries.").or("\"corecast\""),
    boolean(
        "deliver",
        "Whether a consumer group acknowledges entries, so that an event stays in the journal until then. By default true if \
         there is an endpoint.",
    ),
    integer("consumers", 0, 64, "Consumers in this server. 0 if `corecast hooks work` runs elsewhere.").or("1"),
    integer(
        "queue_limit",
        0,
        i64::MAX as u64,
        "The length of the stream at which the server stops adding until it is shorter. 0: no limit.",
    )
    .or("0"),
    integer("requeue_interval_s", 1, SECONDS_MAX, "The longest pause before Redis is tried again, in seconds.").or("300"),
    integer(
        "claim_interval_s",
        1,
        SECONDS_MAX,
        "How often a consumer looks for entries that another one has abandoned, in seconds.",
    )
    .or("300"),
    integer(
        "pending_timeout_s",
        1,
        SECONDS_MAX,
        "How long an entry must have been pending to count as abandoned, in seconds.",
    )
    .or("3600"),
    integer("prefetch", 1, 10_000, "Entries that a consumer takes at once.").or("1000"),
];

const APP_HOOK: [Key; 17] = [
    text(
        "name",
        "Its name, unique in the server, under which its progress is stored. By default it follows from app and destination.",
    ),
    text("url", "A webhook. An endpoint has one of `url`, `file`, `exec` and `none`.").secret(),
    text("file", "A file to which JSON lines are appended."),
    list("exec", "A command, with its arguments, that gets JSON lines."),
    boolean("none", "Whether events are made only for consumers of the stream."),
    word("format", &["pusher", "standard", "webman", "webman-push"], "Body and signature of a webhook.").or("\"pusher\""),
    text("secret", "What webhooks of the format \"webman\" are signed with, in place of the app's secret.")
        .secret(),
    list("secrets", "What webhooks of the format \"standard\" are signed with, each as whsec_BASE64. The first one's signature comes first.")
        .secret(),
    table("headers", "Additional headers of a webhook, each with its value.").secret(),
    list(
        "events",
        "Which events it receives: all but server_event, subscription_count, user_online and user_offline by default.",
    ),
    text("channel_prefix", "Only channels whose names begin with this."),
    text("channel_suffix", "Only channels whose names end with this."),
    integer("timeout_ms", 10, 600_000, "The timeout of a whole delivery, in milliseconds.").or("5000"),
    integer("batch_ms", 0, 600_000, "How long a batch waits for more events, in milliseconds.").or("250"),
    integer("batch_events_max", 1, 10_000, "How many events make a batch full.").or("20"),
    word("retry", &["pusher", "day"], "When its failed deliveries are tried again. By default as `[hooks]` says."),
    integer("disable_after_s", 0, DISABLE_AFTER_S_MAX, "Seconds after which it is disabled, 0 for never. By default as `[hooks]` says."),
];
