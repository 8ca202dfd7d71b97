//! The tables of the file, and the keys that each may have.

use super::bounds::{app_limit_keys, limit_keys};

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
    pub(super) fn keys(self) -> Vec<&'static str> {
        match self {
            Self::Top => vec![
                "listen",
                "api_listen",
                "admin",
                "ipv6_only",
                "path_prefix",
                "admin_hosts",
                "metrics_prefix",
                "assets",
                "sample_endpoints",
                "shards",
                "pin",
                "accept_steering",
                "takeover",
                "ready_grace",
                "drain_rate",
                "drain_close",
                "limits",
                "hooks",
                "app_store",
                "apps_url",
                "apps_url_ttl_s",
                "apps",
            ],
            Self::Limits => limit_keys().collect(),
            Self::AppStore => vec!["path"],
            Self::App => vec![
                "id",
                "key",
                "secret",
                "keys",
                "enabled",
                "allowed_origins",
                "require_origin",
                "dialect",
                "client_events",
                "subscription_count",
                "subscription_count_events",
                "watchlist_events",
                "cache_ttl_s",
                "authorization_timeout_s",
                "terminate_by_presence",
                "flush_interval_ms",
                "over_quota_close_code",
                "limits",
                "hooks",
            ],
            Self::AppKey => vec!["key", "secret", "enabled"],
            Self::AppLimits => app_limit_keys().collect(),
            Self::Hooks => HOOKS_KEYS.to_vec(),
            Self::AppHook => APP_HOOK_KEYS.to_vec(),
        }
    }

    /// Whether the table may have this key.
    pub(super) fn has(self, key: &str) -> bool {
        self.keys().contains(&key)
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

const HOOKS_KEYS: [&str; 19] = [
    "data_dir",
    "durability",
    "journal_bytes_max",
    "grace_ms",
    "give_up_after_s",
    "retry_pause_max_s",
    "strict_endpoints",
    "in_flight_max",
    "redis_url",
    "redis_ca_file",
    "stream",
    "group",
    "deliver",
    "consumers",
    "queue_limit",
    "requeue_interval_s",
    "claim_interval_s",
    "pending_timeout_s",
    "prefetch",
];

const APP_HOOK_KEYS: [&str; 14] = [
    "name",
    "url",
    "file",
    "exec",
    "none",
    "format",
    "secret",
    "headers",
    "events",
    "channel_prefix",
    "channel_suffix",
    "timeout_ms",
    "batch_ms",
    "batch_events_max",
];
