//! What an operator is told about a wrong configuration file: one mistake, one message, word for word.
//!
//! The files differ from a right one in one thing. No message may show a secret or have a second line.
#![forbid(unsafe_code)]

use corecast::config::Config;

const SECRET: &str = "hunter2-hunter2";

/// A file, and what follows its name in the message.
type Table<'a> = &'a [(&'a str, &'a str)];

fn fault(text: &str) -> String {
    match Config::parse("c.toml", text) {
        Ok(config) => panic!("taken: {text}\n{config:?}"),
        Err(fault) => fault.to_string(),
    }
}

fn each_gets(table: Table<'_>) {
    for (text, message) in table {
        let told = fault(text);
        assert!(!told.contains(SECRET) && !told.contains('\n'), "{told}");
        assert_eq!(told, format!("c.toml:{message}"), "{text}");
    }
}

/// The same, with each text after an app that is right and has four lines.
fn each_app_gets(table: Table<'_>) {
    let app = format!("[[apps]]\nid = \"1\"\nkey = \"a\"\nsecret = \"{SECRET}\"\n");
    Config::parse("c.toml", &app).unwrap();
    for (text, message) in table {
        each_gets(&[(&format!("{app}{text}"), message)]);
    }
}

#[test]
fn a_key_that_is_not_known_gets_the_nearest_or_its_right_place() {
    each_gets(&[
        ("lisen = \"0.0.0.0:1\"", "1: unknown key \"lisen\": did you mean \"listen\"?"),
        ("# x\n\nListen = 1", "3: unknown key \"Listen\": here it is called \"listen\""),
        ("[limit]", "1: unknown key \"limit\": did you mean \"limits\"?"),
        ("[[app]]", "1: unknown key \"app\": did you mean \"apps\"?"),
        (
            "xyz = 1",
            "1: unknown key \"xyz\": valid keys are listen, api_listen, admin, ipv6_only, path_prefix, trusted_proxies, proxy_protocol, admin_hosts, admin_token, admin_token_file, metrics_prefix, assets, sample_endpoints, log_format, log_level, shards, pin, accept_steering, takeover, \
             ready_grace, drain_rate, drain_close, tls, limits, load, hooks, cluster, app_store, apps_url, apps_url_ttl_s, apps",
        ),
        (
            "a.b = 1",
            "1: unknown key \"a\": valid keys are listen, api_listen, admin, ipv6_only, path_prefix, trusted_proxies, proxy_protocol, admin_hosts, admin_token, admin_token_file, metrics_prefix, assets, sample_endpoints, log_format, log_level, shards, pin, accept_steering, takeover, \
             ready_grace, drain_rate, drain_close, tls, limits, load, hooks, cluster, app_store, apps_url, apps_url_ttl_s, apps",
        ),
        ("user_id_characters_max = 1", "1: unknown key \"user_id_characters_max\": it belongs to [limits]"),
        ("secret = \"hunter2-hunter2\"", "1: unknown key \"secret\": it belongs to [[apps]]"),
        ("apps_query = 1", "1: unknown key \"apps_query\": here it is called \"apps_url\""),
        (
            "[limits]\nevent_data_byte_max = 1",
            "2: unknown key \"event_data_byte_max\" in [limits]: did you mean \"event_data_bytes_max\"?",
        ),
        (
            "[limits]\nshards = 2",
            "2: unknown key \"shards\" in [limits]: it belongs to the top of the file, before any table",
        ),
        // The first in the file, not the first in the alphabet.
        ("zisten = 1\nabc = 2", "1: unknown key \"zisten\": did you mean \"listen\"?"),
    ]);
    each_app_gets(&[
        ("enable = true", "5: unknown key \"enable\" in [[apps]]: did you mean \"enabled\"?"),
        (
            "colour = 1",
            "5: unknown key \"colour\" in [[apps]]: valid keys are id, key, key_file, secret, secret_file, keys, enabled, allowed_origins, \
             require_origin, tls_only, dialect, client_events, subscription_count, subscription_count_events, watchlist_events, \
             cache_ttl_s, authorization_timeout_s, terminate_by_presence, flush_interval_ms, over_quota_close_code, limits, hooks",
        ),
        (
            "connections_max = 1",
            "5: unknown key \"connections_max\" in [[apps]]: it belongs to [apps.limits]",
        ),
        (
            "[apps.limits]\noutbox_bytes_max = 65536",
            "6: unknown key \"outbox_bytes_max\" in [apps.limits]: it belongs to [limits]",
        ),
        (
            "[apps.limits]\nconnection_max = 65536",
            "6: unknown key \"connection_max\" in [apps.limits]: did you mean \"connections_max\"?",
        ),
    ]);
}

#[test]
fn a_key_of_another_server_gets_ours_by_its_meaning() {
    let listen = "write listen = \"0.0.0.0:6001\", with address and port in one";
    each_gets(&[
        ("port = 6001", &format!("1: unknown key \"port\": {listen}")),
        ("host = \"0.0.0.0\"", &format!("1: unknown key \"host\": {listen}")),
        ("workers = 4", "1: unknown key \"workers\": here it is called \"shards\""),
        ("drainRate = 4", "1: unknown key \"drainRate\": here it is called \"drain_rate\""),
        (
            "maxConnections = 4",
            "1: unknown key \"maxConnections\": here it is called \"connections_max\", and belongs to [limits]",
        ),
        (
            "eventDataBytesMax = 4",
            "1: unknown key \"eventDataBytesMax\": here it is called \"event_data_bytes_max\", and belongs to [limits]",
        ),
        (
            "enableClientMessages = true",
            "1: unknown key \"enableClientMessages\": here it is called \"client_events\", and belongs to [[apps]]",
        ),
        ("connections_max = 4", "1: unknown key \"connections_max\": it belongs to [limits]"),
        ("ssl = true", "1: unknown key \"ssl\": here it is called \"tls\""),
        (
            "appManager.array.apps = []",
            "1: unknown key \"appManager\": each app is a table [[apps]] with id, key and secret",
        ),
        (
            "[limits]\nmax_message_size = 1",
            "2: unknown key \"max_message_size\" in [limits]: here it is called \"message_bytes_max\"",
        ),
    ]);
    each_app_gets(&[
        (
            "enableClientMessages = true",
            "5: unknown key \"enableClientMessages\" in [[apps]]: here it is called \"client_events\"",
        ),
        (
            "maxConnections = 10",
            "5: unknown key \"maxConnections\" in [[apps]]: here it is called \"connections_max\", and belongs to [apps.limits]",
        ),
        (
            "capacity = 1",
            "5: unknown key \"capacity\" in [[apps]]: here it is called \"connections_max\", and belongs to [apps.limits]",
        ),
        (
            "webhooks = []",
            "5: unknown key \"webhooks\" in [[apps]]: each one is a table [[apps.hooks]] with url and events",
        ),
    ]);
}

#[test]
fn a_file_in_json_is_told_so() {
    let soketi =
        format!("{{\n  \"port\": 6001,\n  \"appManager.array.apps\": [{{\"secret\": \"{SECRET}\"}}]\n}}");
    each_gets(&[
        (
            &soketi,
            "1: this looks like soketi's JSON, but must be TOML: let its name end in .json to have it read as soketi's, or \
             make TOML of it with corecast config migrate FILE",
        ),
        (
            "{}",
            "1: this looks like JSON, but must be TOML: write each setting on a line of its own, as key = value",
        ),
    ]);
}

#[test]
fn a_setting_whose_feature_does_not_exist_is_not_taken() {
    for key in ["cache_ttl", "webhooks", "redis"] {
        assert!(fault(&format!("{key} = 1")).contains("unknown key"), "{key}");
        assert!(fault(&format!("[limits]\n{key} = 1")).contains("unknown key"), "{key}");
    }
}

#[test]
fn a_bad_value_gets_what_is_possible() {
    each_gets(&[
        ("listen = 6001", "1: listen must be a string in quotes, not a number"),
        (
            "admin = \"9601\"",
            "1: admin = \"9601\": not an address; write IP:PORT, such as \"127.0.0.1:9601\", or \"off\"",
        ),
        ("admin = false", "1: admin must be a string in quotes, not a boolean"),
        (
            "admin_hosts = \"corecast:9601\"",
            "1: admin_hosts = \"corecast:9601\": not a host name; write it without a port, such as \"corecast.internal\"",
        ),
        (
            "admin_token = \"not one word\"",
            "1: admin_token must be 1 to 512 characters of printable ASCII without blanks",
        ),
        (
            "metrics_prefix = \"1_\"",
            "1: metrics_prefix = \"1_\": must be up to 64 characters of a-z A-Z 0-9 _ and must not begin with a digit",
        ),
        (
            "metrics_prefix = \"a-b\"",
            "1: metrics_prefix = \"a-b\": must be up to 64 characters of a-z A-Z 0-9 _ and must not begin with a digit",
        ),
        ("sample_endpoints = 1", "1: sample_endpoints must be true or false, not a number"),
        ("apps_url_ttl_s = 5", "1: apps_url_ttl_s has no effect without apps_url"),
        ("apps_url = \"\"", "1: apps_url is empty"),
        (
            "apps_url = \"ftp://:hunter2@h/\"",
            "1: apps_url must be a URL: http://HOST/PATH or https://HOST/PATH",
        ),
        (
            "apps_url = \"http://h/\"\napps_url_ttl_s = 0",
            "2: apps_url_ttl_s = 0: must be between 1 and 86400",
        ),
        ("path_prefix = 1", "1: path_prefix must be a string in quotes, not a number"),
        (
            "path_prefix = \"ws\"",
            "1: path_prefix = \"ws\": not a path prefix; write \"\", or a path that begins with a slash, such as \
             \"/realtime\"",
        ),
        (
            "proxy_protocol = \"127.0.0.1:6002\"",
            "1: proxy_protocol = \"127.0.0.1:6002\": not an address of a listener; write one that also stands in \
             listen, api_listen or [tls] listen",
        ),
        (
            "listen = [\"127.0.0.1:6002\"]\nproxy_protocol = [\"127.0.0.1:6002\", \"localhost\"]",
            "2: proxy_protocol = \"localhost\": not an address of a listener; write one that also stands in listen, \
             api_listen or [tls] listen",
        ),
        ("proxy_protocol = 1", "1: proxy_protocol must be a string in quotes, not a number"),
        (
            "listen = \"localhost:6001\"",
            "1: listen = \"localhost:6001\": not an address; write IP:PORT, such as \"0.0.0.0:6001\" or \
             \"[::]:6001\", or unix:PATH",
        ),
        (
            "api_listen = [\"127.0.0.1:1\",\n \"tcp://10.0.0.1:6001\"]",
            "2: api_listen = \"tcp://10.0.0.1:6001\": not an address; write IP:PORT, such as \"0.0.0.0:6001\" \
             or \"[::]:6001\"",
        ),
        (
            "listen = []",
            "1: listen is an empty list: leave the key out, list at least one value, or set listen in [tls]",
        ),
        (
            "[tls]\nlisten = \"1.1.1.1:1\"",
            "1: [tls] has listen and no certificate: set cert and key, or give --tls-cert and --tls-key",
        ),
        (
            "[tls]\ncert = \"c\"\nkey = \"k\"",
            "1: [tls] has a certificate and no listen: set it, or give --tls-listen",
        ),
        ("[tls]\ncert = \"c\"", "2: tls.cert has no key beside it: write cert and key together"),
        (
            "listen = \"1.1.1.1:1\"\n[tls]\nlisten = \"1.1.1.1:1\"\ncert = \"c\"\nkey = \"k\"",
            "3: tls.listen = \"1.1.1.1:1\": listed twice",
        ),
        ("listen = [\"1.1.1.1:1\",\n1]", "2: listen must be a string in quotes, not a number"),
        ("listen = \"1.1.1.1:1\"\napi_listen = \"1.1.1.1:1\"", "2: api_listen = \"1.1.1.1:1\": listed twice"),
        ("shards = 0", "1: shards = 0: must be between 1 and 256"),
        ("shards = 257", "1: shards = 257: must be between 1 and 256"),
        ("shards = -1", "1: shards = -1: must be between 1 and 256"),
        ("shards = 1.5", "1: shards must be a whole number, not a decimal number"),
        ("shards = \"2\"", "1: shards must be a whole number, not a string"),
        (
            "shards = 999999999999999999999999999999999999999999",
            "1: shards = 999999999999999999999999999999999999999999: must be between 1 and 256",
        ),
        ("pin = 1", "1: pin must be true or false, not a number"),
        ("takeover = \"yes\"", "1: takeover must be true or false, not a string"),
        ("drain_rate = 0", "1: drain_rate = 0: must be between 1 and 4294967295"),
        (
            "drain_close = 4300",
            "1: drain_close = 4300: must be 4100 (clients reconnect after a second) or 4200 (clients reconnect at once)",
        ),
        ("ready_grace = 3601", "1: ready_grace = 3601: must be between 0 and 3600"),
        ("ready_grace = 1.5", "1: ready_grace must be a whole number, not a decimal number"),
        ("[limits]\nidle_check = 0", "2: limits.idle_check must be true or false, not a number"),
        (
            "[limits]\nhttp_head_bytes_max = 65536",
            "2: limits.http_head_bytes_max = 65536: must be between 1024 and 32768",
        ),
        ("[limits]\nhttp_headers_max = 1", "2: limits.http_headers_max = 1: must be between 8 and 256"),
        (
            "[limits]\ncache_bytes_max = 1000",
            "2: limits.cache_bytes_max = 1000: must be between 65536 and 1099511627776",
        ),
        (
            "[limits]\noutboxes_bytes_max = 65536",
            "2: limits.outboxes_bytes_max = 65536: must be between 1048576 and 1099511627776",
        ),
        (
            "[limits]\nroster_bytes_max = 33554432",
            "2: limits.roster_bytes_max = 33554432: must be between 1024 and 16777216",
        ),
        ("limits = 1", "1: limits must be a table, written [limits], not a number"),
        ("[[limits]]", "1: limits must be a table, written [limits], not a list"),
        ("apps = [1]", "1: apps must be a list of tables, each written [[apps]], not a number"),
        ("[apps]\nid = \"1\"", "1: apps must be a list of tables, each written [[apps]], not a table"),
        (
            "[limits]\nevent_data_bytes_max = 0",
            "2: limits.event_data_bytes_max = 0: must be between 1 and 67108864",
        ),
        ("[limits]\nhead_ms_max = \"10s\"", "2: limits.head_ms_max must be a whole number, not a string"),
        (
            "[limits]\nclient_events_per_second = 1001",
            "2: limits.client_events_per_second = 1001: must be between 1 and 1000",
        ),
    ]);
    each_app_gets(&[
        ("limits = 3", "5: apps.limits must be a table, written [apps.limits], not a number"),
        ("enabled = \"yes\"", "5: apps.enabled must be true or false, not a string"),
        (
            "dialect = \"webman\"",
            "5: apps.dialect = \"webman\": must be \"pusher\", \"webman2\", \"webman3\" or \"auto\"",
        ),
        ("dialect = 2", "5: apps.dialect must be a string in quotes, not a number"),
        ("terminate_by_presence = 1", "5: apps.terminate_by_presence must be true or false, not a number"),
        ("client_events = 1", "5: apps.client_events must be true or false, not a number"),
        ("require_origin = 1", "5: apps.require_origin must be true or false, not a number"),
        ("tls_only = \"yes\"", "5: apps.tls_only must be true or false, not a string"),
        (
            "subscription_count_events = 1",
            "5: apps.subscription_count_events must be true or false, not a number",
        ),
        ("watchlist_events = 1", "5: apps.watchlist_events must be true or false, not a number"),
        ("cache_ttl_s = 0", "5: apps.cache_ttl_s = 0: must be between 1 and 86400"),
        (
            "authorization_timeout_s = 3601",
            "5: apps.authorization_timeout_s = 3601: must be between 0 and 3600",
        ),
        (
            "allowed_origins = [\"a.com\",\n\"https://a.com/\"]",
            "6: apps.allowed_origins = \"https://a.com/\": not an origin; write https://example.com, example.com, \
             *.example.com or *",
        ),
        ("allowed_origins = [1]", "5: apps.allowed_origins must be a string in quotes, not a number"),
        (
            "allowed_origins = []",
            "5: apps.allowed_origins is an empty list: leave the key out, or list at least one value",
        ),
        (
            "limits.backend_events_per_second = 0",
            "5: apps.limits.backend_events_per_second = 0: must be between 1 and 1000000",
        ),
        ("flush_interval_ms = 1001", "5: apps.flush_interval_ms = 1001: must be between 0 and 1000"),
        (
            "over_quota_close_code = 4200",
            "5: apps.over_quota_close_code = 4200: must be 4100 (clients reconnect) or 4004 (clients stay \
             away)",
        ),
        (
            "over_quota_close_code = \"4100\"",
            "5: apps.over_quota_close_code must be a whole number, not a string",
        ),
        (
            "limits = { connections_max = 0 }",
            "5: apps.limits.connections_max = 0: must be between 1 and 4294967295",
        ),
    ]);
}

#[test]
fn limits_that_would_break_each_other_are_refused_where_one_was_set() {
    each_gets(&[
        (
            "[limits]\nevent_data_bytes_max = 204800",
            "2: limits.event_data_bytes_max does not fit the other limits: outbox_bytes_max (1048576) must be at least 8 times \
             event_data_bytes_max (204800), or healthy readers are closed as too slow",
        ),
        (
            "[limits]\n\noutbox_bytes_max = 65536",
            "3: limits.outbox_bytes_max does not fit the other limits: outbox_bytes_max (65536) must be at least 8 times \
             event_data_bytes_max (102400), or healthy readers are closed as too slow",
        ),
        (
            "[limits]\nevent_data_bytes_max = 4194304\noutbox_bytes_max = 67108864",
            "2: limits.event_data_bytes_max does not fit the other limits: event_data_bytes_max (4194304) is more than \
             http_body_bytes_max (2097152), so no call could hold it",
        ),
        (
            "[limits]\nmessage_bytes_max = 1048576",
            "2: limits.message_bytes_max does not fit the other limits: outbox_bytes_max (1048576) must be at least 4 times \
             message_bytes_max (1048576), or healthy readers are closed as too slow",
        ),
        (
            "[limits]\nevent_data_bytes_max = 131072\ncache_bytes_max = 65536",
            "3: limits.cache_bytes_max does not fit the other limits: event_data_bytes_max (131072) is more than cache_bytes_max (65536), so no \
             cache channel could remember such an event",
        ),
        (
            "[limits]\noutboxes_bytes_max = 1048576\noutbox_bytes_max = 2097152",
            "3: limits.outbox_bytes_max does not fit the other limits: outboxes_bytes_max (1048576) is less than outbox_bytes_max \
             (2097152), so no outbox could reach its limit",
        ),
        (
            "[limits]\nclient_event_data_bytes_max = 204800",
            "2: limits.client_event_data_bytes_max does not fit the other limits: client_event_data_bytes_max (204800) is more \
             than message_bytes_max (131072), so no message could hold it",
        ),
        (
            "[limits]\npresence_members_max = 100000",
            "2: limits.presence_members_max does not fit the other limits: presence_members_max (100000) times \
             presence_user_bytes_max + 4 * user_id_characters_max (2560) is 256000000, but a roster may have at most 16777216 \
             bytes",
        ),
    ]);
    each_app_gets(&[(
        "[apps.limits]\nevent_data_bytes_max = 200000",
        "6: apps.limits.event_data_bytes_max does not fit the other limits: outbox_bytes_max (1048576) must be at least 8 times \
         event_data_bytes_max (200000), or healthy readers are closed as too slow",
    )]);
}

#[test]
fn apps_are_whole_and_differ() {
    each_gets(&[
        ("\n[[apps]]\nkey = \"a\"\nsecret = \"s\"", "2: apps.id is missing: each [[apps]] needs one"),
        ("[[apps]]\nid = \"a\"\nsecret = \"s\"", "1: apps.key is missing: each [[apps]] needs one"),
        ("[[apps]]\nid = \"a\"\nkeys = []", "1: apps.key is missing: each [[apps]] needs one"),
        (
            "[[apps]]\nid = \"a\"\nkeys = 1",
            "3: apps.keys must be a list of tables, each written [[apps.keys]], not a number",
        ),
        (
            "[[apps]]\nid = \"a\"\n[[apps.keys]]\nkey = \"a\"",
            "3: apps.keys.secret is missing: each [[apps.keys]] needs one",
        ),
        (
            "[[apps]]\nid = \"a\"\nsecret = \"hunter2-hunter2\"\n[[apps.keys]]\nkey = \"a\"\nsecret = \"s\"",
            "3: apps.secret has no key beside it: write key and secret together, here or in [[apps.keys]]",
        ),
        (
            "[[apps]]\nid = \"a\"\n[[apps.keys]]\nkey = \"a b\"\nsecret = \"s\"",
            "4: apps.keys.key contains ' '; only A-Z a-z 0-9 - _ . are allowed",
        ),
        ("apps = [{ id = \"2\", key = \"b\" }]", "1: apps.secret is missing: each [[apps]] needs one"),
        (
            "[[apps]]\nid = 1\nkey = \"a\"\nsecret = \"s\"",
            "2: apps.id must be a string in quotes, not a number",
        ),
        (
            "[[apps]]\nid = \"1/2\"\nkey = \"a\"\nsecret = \"s\"",
            "2: apps.id contains '/'; only A-Z a-z 0-9 - _ . are allowed",
        ),
        ("[[apps]]\nid = \"\"\nkey = \"a\"\nsecret = \"s\"", "2: apps.id is empty"),
        (
            "[[apps]]\nid = \"1\"\nkey = \"a:b\"\nsecret = \"s\"",
            "3: apps.key contains ':'; only A-Z a-z 0-9 - _ . are allowed",
        ),
    ]);
    each_app_gets(&[
        (
            "[[apps]]\nid = \"1\"\nkey = \"b\"\nsecret = \"s\"",
            "6: apps.id = \"1\": already used by the app on line 2",
        ),
        (
            "[[apps]]\nid = \"2\"\nkey = \"a\"\nsecret = \"s\"",
            "7: apps.key = \"a\": already used by the app on line 3",
        ),
        (
            "[[apps.keys]]\nkey = \"a\"\nsecret = \"hunter2-hunter2\"",
            "6: apps.keys.key = \"a\": already used by the app on line 3",
        ),
        (
            "[[apps.keys]]\nkey = \"b\"\nsecret = \"hunter2-hunter2\"\nenabled = false\n\
             [[apps]]\nid = \"2\"\nkey = \"b\"\nsecret = \"s\"",
            "11: apps.key = \"b\": already used by the app on line 6",
        ),
        (
            "[[apps.keys]]\nkey = \"b\"\nsecret = \"hunter2 hunter2\"",
            "7: apps.keys.secret contains whitespace or a control character",
        ),
        ("[[apps]]\nid = \"2\"\nkey = \"b\"", "5: apps.secret is missing: each [[apps]] needs one"),
    ]);
}

#[test]
fn what_is_wrong_with_hooks_is_told_with_what_is_possible() {
    each_gets(&[
        ("[hook]", "1: unknown key \"hook\": did you mean \"hooks\"?"),
        ("[hooks]\ndatadir = \"x\"", "2: unknown key \"datadir\" in [hooks]: here it is called \"data_dir\""),
        ("[hooks]\nurl = \"http://h/\"", "2: unknown key \"url\" in [hooks]: it belongs to [[apps.hooks]]"),
        ("redis_url = \"redis://h\"", "1: unknown key \"redis_url\": it belongs to [hooks]"),
        ("hooks = 1", "1: hooks must be a table, written [hooks], not a number"),
        ("[hooks]\ndata_dir = \"\"", "2: hooks.data_dir is empty"),
        (
            "[hooks]\ndurability = \"disk\"",
            "2: hooks.durability = \"disk\": must be \"process\" (nothing is lost when the server is killed) or \"power\" \
             (nor when the power fails)",
        ),
        ("[hooks]\ngrace_ms = 600001", "2: hooks.grace_ms = 600001: must be between 0 and 600000"),
        ("[hooks]\ngive_up_after_s = 0", "2: hooks.give_up_after_s = 0: must be between 1 and 604800"),
        ("[hooks]\nconsumers = 2", "2: hooks.consumers has no effect without redis_url"),
        ("[hooks]\nredis_ca_file = \"ca.pem\"", "2: hooks.redis_ca_file has no effect without redis_url"),
        (
            "[hooks]\nredis_url = \"redis://h\"\nredis_ca_file = \"ca.pem\"",
            "3: hooks.redis_ca_file has no effect without TLS: redis_url must begin with rediss://",
        ),
        (
            "[hooks]\nredis_url = \"http://:hunter2-hunter2@h\"",
            "2: hooks.redis_url is not the URL of a Redis server; write redis://USER:PASSWORD@HOST:PORT/DATABASE, or \
             rediss:// for TLS",
        ),
        (
            "[hooks]\nredis_url = \"redis://h\"\nprefetch = 0",
            "3: hooks.prefetch = 0: must be between 1 and 10000",
        ),
    ]);
}

#[test]
fn what_is_wrong_with_an_endpoint_is_told_without_its_url_and_headers() {
    each_app_gets(&[
        ("url = \"http://h/\"", "5: unknown key \"url\" in [[apps]]: it belongs to [[apps.hooks]]"),
        ("[[apps.hooks]]\nid = \"1\"", "6: unknown key \"id\" in [[apps.hooks]]: it belongs to [[apps]]"),
        ("[[apps.hooks]]", "5: [[apps.hooks]] needs one of url, file, exec, none"),
        (
            "[[apps.hooks]]\nnone = true\nfile = \"f\"",
            "6: apps.hooks.none cannot stand beside file: an endpoint has one destination",
        ),
        (
            "[[apps.hooks]]\nnone = false",
            "6: apps.hooks.none = false: leave the key out, or name a destination",
        ),
        (
            "[[apps.hooks]]\nurl = \"hunter2-hunter2.example\"",
            "6: apps.hooks.url is not the URL of a webhook; write http://HOST/PATH or https://HOST/PATH",
        ),
        (
            "[[apps.hooks]]\nurl = \"http://h/\"\nsecret = \"hunter2-hunter2\"",
            "7: apps.hooks.secret has no effect in Pusher's format, which signs with the app's secret",
        ),
        (
            "[[apps.hooks]]\nurl = \"http://h/\"\nformat = \"webman-push\"\nsecret = \"hunter2-hunter2\"",
            "8: apps.hooks.secret has no effect in webman/push's format, which signs with the app's secret",
        ),
        (
            "[[apps.hooks]]\nfile = \"f\"\nheaders = { A = \"hunter2-hunter2\" }",
            "7: apps.hooks.headers has no effect beside file",
        ),
        (
            "[[apps.hooks]]\nurl = \"http://h/\"\nformat = \"json\"",
            "7: apps.hooks.format = \"json\": must be \"pusher\", \"standard\", \"webman\" or \"webman-push\"",
        ),
        (
            "[[apps.hooks]]\nurl = \"http://h/\"\nformat = \"standard\"",
            "7: apps.hooks.format = \"standard\" needs secrets = [\"whsec_…\"]",
        ),
        (
            "[[apps.hooks]]\nurl = \"http://h/\"\nformat = \"standard\"\nsecrets = [\"hunter2-hunter2\"]",
            "8: apps.hooks.secrets is no secret of Standard Webhooks: write whsec_ and the key in base64",
        ),
        (
            "[[apps.hooks]]\nurl = \"http://h/\"\nsecrets = [\"hunter2-hunter2\"]",
            "7: apps.hooks.secrets has no effect without format = \"standard\"",
        ),
        (
            "[[apps.hooks]]\nurl = \"http://h/\"\nretry = \"week\"",
            "7: apps.hooks.retry = \"week\": must be \"pusher\" (with growing pauses, for give_up_after_s) or \"day\" (8 tries \
             over 28 hours)",
        ),
        (
            "[[apps.hooks]]\nurl = \"http://h/\"\nheaders = { Content-Type = \"hunter2-hunter2\" }",
            "7: apps.hooks.headers = \"Content-Type\": the webhook sets this header itself",
        ),
        (
            "[[apps.hooks]]\nurl = \"http://h/\"\nheaders = { A = \"hunter2-hunter2\\n\" }",
            "7: apps.hooks.headers = \"A\": its value may contain printable ASCII only",
        ),
        (
            "[[apps.hooks]]\nurl = \"http://h/\"\nheaders = { \"A B\" = \"c\" }",
            "7: apps.hooks.headers = \"A B\": not a valid header name",
        ),
        (
            "[[apps.hooks]]\nurl = \"http://h/\"\nheaders = 1",
            "7: apps.hooks.headers must be a table of strings, not a number",
        ),
        (
            "[[apps.hooks]]\nnone = true\nevents = [\"channel_occupied\",\n\"channel_vacant\"]",
            "8: apps.hooks.events = \"channel_vacant\": unknown kind of event: did you mean \"channel_vacated\"?",
        ),
        (
            "[[apps.hooks]]\nnone = true\nevents = \"x\"",
            "7: apps.hooks.events = \"x\": unknown kind of event: must be one of channel_occupied, channel_vacated, \
             member_added, member_removed, client_event, server_event, cache_miss, subscription_count, user_online, \
             user_offline",
        ),
        (
            "[[apps.hooks]]\nnone = true\nname = \"a b\"",
            "7: apps.hooks.name = \"a b\": must be 1 to 100 characters of A-Z a-z 0-9 - _ .",
        ),
        (
            "[[apps.hooks]]\nnone = true\nname = \"a\"\n[[apps.hooks]]\nfile = \"f\"\nname = \"a\"",
            "10: apps.hooks.name = \"a\": the endpoint on line 5 already has this name; choose another",
        ),
        (
            "[[apps.hooks]]\nexec = \"a\"\n[[apps.hooks]]\nexec = [\"a\"]\nevents = \"client_event\"",
            "7: [[apps.hooks]] name = \"1-e40c292c\": the endpoint on line 5 already has this name; choose \
             another",
        ),
        (
            "[[apps.hooks]]\nnone = true\nbatch_events_max = 0",
            "7: apps.hooks.batch_events_max = 0: must be between 1 and 10000",
        ),
    ]);
}

#[test]
fn what_is_wrong_with_a_secret_is_told_without_it() {
    let table = [
        ("secret = \"hunter2-hunter2 \"", "3: apps.secret contains whitespace or a control character"),
        ("secret = \"\"", "3: apps.secret is empty"),
        ("secret = 12345", "3: apps.secret must be a string in quotes, not a number"),
        ("secret = [\"hunter2-hunter2\"]", "3: apps.secret must be a string in quotes, not a list"),
        (
            "secret = hunter2-hunter2",
            "3: secret: this is not TOML: string values must be quoted, expected literal string",
        ),
        ("secret = \"hunter2-hunter2", "3: secret: this is not TOML: invalid basic string, expected `\"`"),
        ("secret \"hunter2-hunter2=\"", "3: this is not TOML: key with no value, expected `=`"),
        ("secret: \"hunter2-hunter2\"", "3: this is not TOML: key with no value, expected `=`"),
        (
            "secret = \"hunter2-hunter2\"\nsecret = \"hunter2-hunter2\"",
            "4: secret: this is not TOML: duplicate key",
        ),
    ];
    for (line, message) in table {
        let file = format!("[[apps]]\nid = \"1\"\n{line}\nkey = \"a\"\n");
        each_gets(&[(&file, message)]);
    }
}

#[test]
fn what_is_no_toml_gets_its_line_and_where_possible_its_key() {
    each_gets(&[
        ("\nlisten = ", "2: listen: this is not TOML: string values must be quoted, expected literal string"),
        ("listen", "1: this is not TOML: key with no value, expected `=`"),
        ("shards = 1\nshards = 1", "2: shards: this is not TOML: duplicate key"),
        ("[limits]\n[limits]", "2: this is not TOML: duplicate key"),
        ("[limits", "1: this is not TOML: unclosed table, expected `]`"),
        ("shards = 01", "1: shards: this is not TOML: unexpected leading zero, expected nothing"),
    ]);
}
