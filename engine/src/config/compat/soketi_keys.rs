//! Every key and variable of soketi 1.x, and what becomes of it. `docs/migrating.md` has a row for each.

/// What becomes of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// The translation takes it.
    Taken,
    /// It has no effect here, for this reason.
    Ignored(&'static str),
}

use Fate::{Ignored, Taken};

/// A key of soketi.
pub(super) struct Row {
    /// Its path in the file. That of an app's key follows `APPS` and a number.
    pub(super) path: &'static str,
    /// Its variable without `SOKETI_`, if it has one.
    pub(super) variable: Option<&'static str>,
    pub(super) fate: Fate,
}

/// The list of apps.
pub(super) const APPS: &str = "appManager.array.apps";

const ALONE: &str = "servers share no channels: one server holds all of them";
const APP_DATABASE: &str = "apps are not read from this database: use apps_url or [app_store]";
const APP_CACHE: &str = "an app that a source has given is kept, and asked for again after apps_url_ttl_s";
const NO_DATABASE: &str = "nothing is kept in a database";
const CACHE: &str = "cache channels are kept in memory";
const JOURNAL: &str = "webhooks wait in a journal on disk: [hooks] data_dir";
const RATES: &str = "rates are counted in memory";
const CORS: &str = "REST calls come from back ends; allowed_origins of an app says which pages may connect";
const NAME_OF_NODE: &str = "metrics and log lines carry no name of the process";

const fn taken(path: &'static str, variable: &'static str) -> Row {
    Row { path, variable: Some(variable), fate: Taken }
}

const fn ignored(path: &'static str, variable: &'static str, why: &'static str) -> Row {
    Row { path, variable: Some(variable), fate: Ignored(why) }
}

/// A key without a variable.
const fn file(path: &'static str, fate: Fate) -> Row {
    Row { path, variable: None, fate }
}

/// All keys but those of apps.
pub(super) const ROWS: &[Row] = &[
    taken("host", "HOST"),
    taken("port", "PORT"),
    taken("pathPrefix", "PATH_PREFIX"),
    taken("ssl.certPath", "SSL_CERT"),
    taken("ssl.keyPath", "SSL_KEY"),
    ignored("ssl.passphrase", "SSL_PASS", "a key with a passphrase is not read: store it without one"),
    ignored("ssl.caPath", "SSL_CA", "the chain of a certificate belongs into the certificate's file"),
    taken("debug", "DEBUG"),
    taken("shutdownGracePeriod", "SHUTDOWN_GRACE_PERIOD"),
    taken("userAuthenticationTimeout", "USER_AUTHENTICATION_TIMEOUT"),
    ignored("mode", "MODE", "one process serves clients, REST calls and webhooks"),
    taken("metrics.enabled", "METRICS_ENABLED"),
    taken("metrics.host", "METRICS_HOST"),
    taken("metrics.port", "METRICS_SERVER_PORT"),
    taken("metrics.prometheus.prefix", "METRICS_PROMETHEUS_PREFIX"),
    ignored("metrics.driver", "METRICS_DRIVER", "metrics are Prometheus'"),
    taken("channelLimits.maxNameLength", "CHANNEL_LIMITS_MAX_NAME_LENGTH"),
    taken("channelLimits.cacheTtl", "CHANNEL_CACHE_TTL"),
    taken("eventLimits.maxChannelsAtOnce", "EVENT_MAX_CHANNELS_AT_ONCE"),
    taken("eventLimits.maxNameLength", "EVENT_MAX_NAME_LENGTH"),
    taken("eventLimits.maxPayloadInKb", "EVENT_MAX_SIZE_IN_KB"),
    taken("eventLimits.maxBatchSize", "EVENT_MAX_BATCH_SIZE"),
    taken("presence.maxMembersPerChannel", "PRESENCE_MAX_MEMBERS"),
    taken("presence.maxMemberSizeInKb", "PRESENCE_MAX_MEMBER_SIZE"),
    taken("httpApi.requestLimitInMb", "HTTP_MAX_REQUEST_SIZE"),
    taken("httpApi.acceptTraffic.memoryThreshold", "HTTP_ACCEPT_TRAFFIC_MEMORY_THRESHOLD"),
    taken("webhooks.batching.enabled", "WEBHOOKS_BATCHING"),
    taken("webhooks.batching.duration", "WEBHOOKS_BATCHING_DURATION"),
    file("webhooks.maxRetries", Ignored("deliveries are tried again for [hooks] give_up_after_s")),
    ignored("adapter.driver", "ADAPTER_DRIVER", ALONE),
    ignored("adapter.cluster.requestsTimeout", "ADAPTER_CLUSTER_REQUESTS_TIMEOUT", ALONE),
    ignored("adapter.redis.prefix", "ADAPTER_REDIS_PREFIX", ALONE),
    ignored("adapter.redis.clusterMode", "ADAPTER_REDIS_CLUSTER_MODE", ALONE),
    ignored("adapter.redis.requestsTimeout", "ADAPTER_REDIS_REQUESTS_TIMEOUT", ALONE),
    ignored("adapter.redis.redisPubOptions", "ADAPTER_REDIS_PUB_OPTIONS", ALONE),
    ignored("adapter.redis.redisSubOptions", "ADAPTER_REDIS_SUB_OPTIONS", ALONE),
    ignored("adapter.redis.shardMode", "ADAPTER_REDIS_SHARD_MODE", ALONE),
    ignored("adapter.nats.prefix", "ADAPTER_NATS_PREFIX", ALONE),
    ignored("adapter.nats.servers", "ADAPTER_NATS_SERVERS", ALONE),
    ignored("adapter.nats.user", "ADAPTER_NATS_USER", ALONE),
    ignored("adapter.nats.pass", "ADAPTER_NATS_PASSWORD", ALONE),
    ignored("adapter.nats.token", "ADAPTER_NATS_TOKEN", ALONE),
    ignored("adapter.nats.credentials", "ADAPTER_NATS_CREDENTIALS", ALONE),
    ignored("adapter.nats.timeout", "ADAPTER_NATS_TIMEOUT", ALONE),
    ignored("adapter.nats.requestsTimeout", "ADAPTER_NATS_REQUESTS_TIMEOUT", ALONE),
    ignored("adapter.nats.nodesNumber", "ADAPTER_NATS_NODES_NUMBER", ALONE),
    ignored("cluster.hostname", "CLUSTER_HOST", ALONE),
    ignored("cluster.port", "CLUSTER_PORT", ALONE),
    ignored("cluster.prefix", "CLUSTER_PREFIX", ALONE),
    ignored("cluster.ignoreProcess", "CLUSTER_IGNORE_PROCESS", ALONE),
    ignored("cluster.broadcast", "CLUSTER_BROADCAST_ADDRESS", ALONE),
    ignored("cluster.unicast", "CLUSTER_UNICAST_ADDRESSES", ALONE),
    ignored("cluster.multicast", "CLUSTER_MULTICAST_ADDRESS", ALONE),
    ignored("cluster.checkInterval", "CLUSTER_CHECK_INTERVAL", ALONE),
    ignored("cluster.helloInterval", "CLUSTER_KEEPALIVE_INTERVAL", ALONE),
    ignored("cluster.masterTimeout", "CLUSTER_MASTER_TIMEOUT", ALONE),
    ignored("cluster.nodeTimeout", "CLUSTER_NODE_TIMEOUT", ALONE),
    taken("appManager.driver", "APP_MANAGER_DRIVER"),
    ignored("appManager.cache.enabled", "APP_MANAGER_CACHE_ENABLED", APP_CACHE),
    ignored("appManager.cache.ttl", "APP_MANAGER_CACHE_TTL", APP_CACHE),
    ignored("appManager.dynamodb.table", "APP_MANAGER_DYNAMODB_TABLE", APP_DATABASE),
    ignored("appManager.dynamodb.region", "APP_MANAGER_DYNAMODB_REGION", APP_DATABASE),
    ignored("appManager.dynamodb.endpoint", "APP_MANAGER_DYNAMODB_ENDPOINT", APP_DATABASE),
    ignored("appManager.mysql.table", "APP_MANAGER_MYSQL_TABLE", APP_DATABASE),
    ignored("appManager.mysql.version", "APP_MANAGER_MYSQL_VERSION", APP_DATABASE),
    ignored("appManager.mysql.useMysql2", "APP_MANAGER_MYSQL_USE_V2", APP_DATABASE),
    ignored("appManager.postgres.table", "APP_MANAGER_POSTGRES_TABLE", APP_DATABASE),
    ignored("appManager.postgres.version", "APP_MANAGER_POSTGRES_VERSION", APP_DATABASE),
    ignored("database.mysql.host", "DB_MYSQL_HOST", NO_DATABASE),
    ignored("database.mysql.port", "DB_MYSQL_PORT", NO_DATABASE),
    ignored("database.mysql.user", "DB_MYSQL_USERNAME", NO_DATABASE),
    ignored("database.mysql.password", "DB_MYSQL_PASSWORD", NO_DATABASE),
    ignored("database.mysql.database", "DB_MYSQL_DATABASE", NO_DATABASE),
    ignored("database.postgres.host", "DB_POSTGRES_HOST", NO_DATABASE),
    ignored("database.postgres.port", "DB_POSTGRES_PORT", NO_DATABASE),
    ignored("database.postgres.user", "DB_POSTGRES_USERNAME", NO_DATABASE),
    ignored("database.postgres.password", "DB_POSTGRES_PASSWORD", NO_DATABASE),
    ignored("database.postgres.database", "DB_POSTGRES_DATABASE", NO_DATABASE),
    ignored("database.redis.host", "DB_REDIS_HOST", NO_DATABASE),
    ignored("database.redis.port", "DB_REDIS_PORT", NO_DATABASE),
    ignored("database.redis.db", "DB_REDIS_DB", NO_DATABASE),
    ignored("database.redis.username", "DB_REDIS_USERNAME", NO_DATABASE),
    ignored("database.redis.password", "DB_REDIS_PASSWORD", NO_DATABASE),
    ignored("database.redis.keyPrefix", "DB_REDIS_KEY_PREFIX", NO_DATABASE),
    ignored("database.redis.sentinels", "DB_REDIS_SENTINELS", NO_DATABASE),
    ignored("database.redis.sentinelPassword", "DB_REDIS_SENTINEL_PASSWORD", NO_DATABASE),
    ignored("database.redis.clusterNodes", "DB_REDIS_CLUSTER_NODES", NO_DATABASE),
    ignored("database.redis.name", "DB_REDIS_INSTANCE_NAME", NO_DATABASE),
    ignored("databasePooling.enabled", "DB_POOLING_ENABLED", NO_DATABASE),
    ignored("databasePooling.min", "DB_POOLING_MIN", NO_DATABASE),
    ignored("databasePooling.max", "DB_POOLING_MAX", NO_DATABASE),
    ignored("cache.driver", "CACHE_DRIVER", CACHE),
    ignored("cache.redis.redisOptions", "CACHE_REDIS_OPTIONS", CACHE),
    ignored("cache.redis.clusterMode", "CACHE_REDIS_CLUSTER_MODE", CACHE),
    ignored("queue.driver", "QUEUE_DRIVER", JOURNAL),
    ignored("queue.redis.concurrency", "QUEUE_REDIS_CONCURRENCY", JOURNAL),
    ignored("queue.redis.redisOptions", "QUEUE_REDIS_OPTIONS", JOURNAL),
    ignored("queue.redis.clusterMode", "QUEUE_REDIS_CLUSTER_MODE", JOURNAL),
    ignored("queue.sqs.region", "QUEUE_SQS_REGION", JOURNAL),
    ignored("queue.sqs.endpoint", "QUEUE_SQS_ENDPOINT", JOURNAL),
    ignored("queue.sqs.clientOptions", "QUEUE_SQS_CLIENT_OPTIONS", JOURNAL),
    file("queue.sqs.consumerOptions", Ignored(JOURNAL)),
    ignored("queue.sqs.queueUrl", "QUEUE_SQS_URL", JOURNAL),
    ignored("queue.sqs.processBatch", "QUEUE_SQS_PROCESS_BATCH", JOURNAL),
    ignored("queue.sqs.batchSize", "QUEUE_SQS_BATCH_SIZE", JOURNAL),
    ignored("queue.sqs.pollingWaitTimeMs", "QUEUE_SQS_POLLING_WAIT_TIME_MS", JOURNAL),
    ignored("rateLimiter.driver", "RATE_LIMITER_DRIVER", RATES),
    ignored("rateLimiter.redis.redisOptions", "RATE_LIMITER_REDIS_OPTIONS", RATES),
    ignored("rateLimiter.redis.clusterMode", "RATE_LIMITER_REDIS_CLUSTER_MODE", RATES),
    file("cors.credentials", Ignored(CORS)),
    file("cors.origin", Ignored(CORS)),
    file("cors.methods", Ignored(CORS)),
    file("cors.allowedHeaders", Ignored(CORS)),
    file("instance.process_id", Ignored(NAME_OF_NODE)),
    ignored("instance.node_id", "NODE_ID", NAME_OF_NODE),
    ignored("instance.pod_id", "POD_ID", NAME_OF_NODE),
];

/// A key of an app, in the three ways in which soketi spells it.
pub(super) struct AppRow {
    pub(super) name: &'static str,
    pub(super) others: [&'static str; 2],
    /// The variable of the first app, without `SOKETI_`, if it has one.
    pub(super) variable: Option<&'static str>,
}

const fn of_app(name: &'static str, others: [&'static str; 2], variable: Option<&'static str>) -> AppRow {
    AppRow { name, others, variable }
}

/// The keys of an app. The translation takes them all.
pub(super) const APP_ROWS: &[AppRow] = &[
    of_app("id", ["AppId", "app_id"], Some("DEFAULT_APP_ID")),
    of_app("key", ["AppKey", "app_key"], Some("DEFAULT_APP_KEY")),
    of_app("secret", ["AppSecret", "app_secret"], Some("DEFAULT_APP_SECRET")),
    of_app("maxConnections", ["MaxConnections", "max_connections"], Some("DEFAULT_APP_MAX_CONNS")),
    of_app(
        "enableClientMessages",
        ["EnableClientMessages", "enable_client_messages"],
        Some("DEFAULT_APP_ENABLE_CLIENT_MESSAGES"),
    ),
    of_app("enabled", ["Enabled", "enabled"], Some("DEFAULT_APP_ENABLED")),
    of_app(
        "maxBackendEventsPerSecond",
        ["MaxBackendEventsPerSecond", "max_backend_events_per_sec"],
        Some("DEFAULT_APP_MAX_BACKEND_EVENTS_PER_SEC"),
    ),
    of_app(
        "maxClientEventsPerSecond",
        ["MaxClientEventsPerSecond", "max_client_events_per_sec"],
        Some("DEFAULT_APP_MAX_CLIENT_EVENTS_PER_SEC"),
    ),
    of_app(
        "maxReadRequestsPerSecond",
        ["MaxReadRequestsPerSecond", "max_read_req_per_sec"],
        Some("DEFAULT_APP_MAX_READ_REQ_PER_SEC"),
    ),
    of_app("webhooks", ["Webhooks", "webhooks"], Some("DEFAULT_APP_WEBHOOKS")),
    of_app(
        "enableUserAuthentication",
        ["EnableUserAuthentication", "enable_user_authentication"],
        Some("DEFAULT_APP_USER_AUTHENTICATION"),
    ),
    of_app(
        "maxPresenceMembersPerChannel",
        ["MaxPresenceMembersPerChannel", "max_presence_members_per_channel"],
        None,
    ),
    of_app(
        "maxPresenceMemberSizeInKb",
        ["MaxPresenceMemberSizeInKb", "max_presence_member_size_in_kb"],
        None,
    ),
    of_app("maxChannelNameLength", ["MaxChannelNameLength", "max_channel_name_length"], None),
    of_app("maxEventChannelsAtOnce", ["MaxEventChannelsAtOnce", "max_event_channels_at_once"], None),
    of_app("maxEventNameLength", ["MaxEventNameLength", "max_event_name_length"], None),
    of_app("maxEventPayloadInKb", ["MaxEventPayloadInKb", "max_event_payload_in_kb"], None),
    of_app("maxEventBatchSize", ["MaxEventBatchSize", "max_event_batch_size"], None),
];

/// What becomes of a key that no translation took; None: soketi has no such key.
pub(super) fn fate(path: &str) -> Option<Fate> {
    ROWS.iter().find(|row| row.path == path).map(|row| row.fate)
}

/// The path of a variable, whose name is without `SOKETI_`.
pub(super) fn path_of_variable(name: &str) -> Option<String> {
    let row = ROWS.iter().find(|row| row.variable == Some(name));
    let of_app = || APP_ROWS.iter().find(|row| row.variable == Some(name));
    row.map(|row| row.path.to_owned()).or_else(|| of_app().map(|row| format!("{APPS}.0.{}", row.name)))
}

/// The path as soketi spells it first: an app's key may be spelled in three ways.
pub(super) fn canonical(path: &str) -> String {
    let of_app =
        path.strip_prefix(APPS).and_then(|rest| rest.strip_prefix('.')).and_then(|rest| rest.split_once('.'));
    let Some((index, key)) = of_app else { return path.to_owned() };
    let row = APP_ROWS.iter().find(|row| row.others.contains(&key));
    row.map_or_else(|| path.to_owned(), |row| format!("{APPS}.{index}.{}", row.name))
}

/// Whether a path has a value of its own, which may be an object.
pub(super) fn is_leaf(path: &str) -> bool {
    fate(path).is_some() || path.starts_with(APPS) && path.ends_with(".webhooks")
}
