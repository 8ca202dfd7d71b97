//! The tables of the file, and the keys that each may have.

use super::bounds::{app_limit_keys, limit_keys};
use super::key::{Key, boolean, integer, list, table, text};

/// A kind of table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Table {
    /// The top of the file, before the first table.
    Top,
    /// `[limits]`.
    Limits,
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
    pub(super) const ALL: [Self; 8] = [
        Self::Top,
        Self::Limits,
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
            Self::Top => vec![
                list("listen"),
                list("api_listen"),
                text("admin"),
                boolean("ipv6_only"),
                text("path_prefix"),
                list("admin_hosts"),
                text("metrics_prefix"),
                boolean("assets"),
                boolean("sample_endpoints"),
                text("log_format"),
                text("log_level"),
                integer("shards"),
                boolean("pin"),
                text("accept_steering"),
                boolean("takeover"),
                integer("ready_grace"),
                integer("drain_rate"),
                integer("drain_close"),
                table("limits"),
                table("hooks"),
                table("app_store"),
                text("apps_url"),
                integer("apps_url_ttl_s"),
                table("apps"),
            ],
            Self::Limits => limit_keys().collect(),
            Self::AppStore => vec![text("path")],
            Self::App => vec![
                text("id"),
                text("key"),
                text("key_file"),
                text("secret"),
                text("secret_file"),
                table("keys"),
                boolean("enabled"),
                list("allowed_origins"),
                boolean("require_origin"),
                text("dialect"),
                boolean("client_events"),
                boolean("subscription_count"),
                boolean("subscription_count_events"),
                boolean("watchlist_events"),
                integer("cache_ttl_s"),
                integer("authorization_timeout_s"),
                boolean("terminate_by_presence"),
                integer("flush_interval_ms"),
                integer("over_quota_close_code"),
                table("limits"),
                table("hooks"),
            ],
            Self::AppKey => {
                vec![text("key"), text("key_file"), text("secret"), text("secret_file"), boolean("enabled")]
            }
            Self::AppLimits => app_limit_keys().collect(),
            Self::Hooks => HOOKS_KEYS.to_vec(),
            Self::AppHook => APP_HOOK_KEYS.to_vec(),
        }
    }

    /// Whether the table may have this key.
    pub(super) fn has(self, key: &str) -> bool {
        self.keys().iter().any(|it| it.name == key)
    }

    /// Whether a file has it at most once.
    pub(super) fn is_single(self) -> bool {
        !self.path().starts_with("apps.")
    }

    /// How it is written in the file, for messages.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Top => "the top of the file, before any table",
            Self::Limits => "[limits]",
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
            Self::AppStore => "app_store.",
            Self::App => "apps.",
            Self::AppKey => "apps.keys.",
            Self::AppLimits => "apps.limits.",
            Self::Hooks => "hooks.",
            Self::AppHook => "apps.hooks.",
        }
    }
}

const HOOKS_KEYS: [Key; 19] = [
    text("data_dir"),
    text("durability"),
    integer("journal_bytes_max"),
    integer("grace_ms"),
    integer("give_up_after_s"),
    integer("retry_pause_max_s"),
    boolean("strict_endpoints"),
    integer("in_flight_max"),
    text("redis_url"),
    text("redis_ca_file"),
    text("stream"),
    text("group"),
    boolean("deliver"),
    integer("consumers"),
    integer("queue_limit"),
    integer("requeue_interval_s"),
    integer("claim_interval_s"),
    integer("pending_timeout_s"),
    integer("prefetch"),
];

const APP_HOOK_KEYS: [Key; 14] = [
    text("name"),
    text("url"),
    text("file"),
    list("exec"),
    boolean("none"),
    text("format"),
    text("secret"),
    table("headers"),
    list("events"),
    text("channel_prefix"),
    text("channel_suffix"),
    integer("timeout_ms"),
    integer("batch_ms"),
    integer("batch_events_max"),
];
