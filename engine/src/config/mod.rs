//! The configuration: TOML in; out come valid values, or one message that says where and what to change.
//!
//! The file is the lowest source. What the environment (`variables`, with `env_file`, `app_lines` and `service_links`) and
//! the command line set are layers of TOML above it (`layer`), and `merge` makes one tree of them in which every value
//! still knows its place. The readers see that tree alone. `table` has the keys of each table (`key`), of
//! which `effective`, `schema` and the page of settings are made, `section` takes tables apart and refuses unknown keys, with `advice` on what to write
//! instead. Each group of settings has a reader of the same name, and its values are in `crate::settings`: `listen`,
//! `admin`, `pages`, `log`, `shards`, `ending`, `limits` (with `bounds` and `contradictions`), `load`, `cluster`, `app`, `app_store`, `apps_url`, `hooks`
//! `endpoint` and `tls`; `app_reader` reads apps that are kept elsewhere. `foreign` knows
//! what other servers call a setting, `compat` reads their files and variables; `fault` is the message. It knows no socket, and of the command line only its layer. What must never
//! happen here: a secret in a message, a key that is accepted and has no effect, a bad value that becomes a default.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::app::{App, Apps, DuplicateApp};
use protocol::limits::AppLimits;
use toml::de::DeTable;

use crate::settings::{
    Admin, Cluster, Ending, Listen, Load, Log, Pages, Proxies, Settings, Shards, ShownSettings, Tls,
};
use machines::limits::Limits;

mod admin;
mod advice;
mod app;
mod app_lines;
mod app_reader;
mod app_store;
mod apps_url;
mod bounds;
mod cluster;
mod compat;
mod contradictions;
mod effective;
mod ending;
mod endpoint;
mod env_file;
mod fault;
mod foreign;
mod hooks;
mod key;
mod layer;
mod limits;
mod listen;
mod load;
mod log;
mod merge;
mod nearest;
mod pages;
mod proxies;
mod schema;
mod section;
mod service_links;
#[cfg(test)]
mod settings_page;
mod shards;
mod table;
mod tls;
mod variables;

pub use app_lines::{AppLinesError, parse_app_lines};
pub use app_reader::AppReader;
pub use apps_url::AppsUrl;
pub use compat::{Compat, IgnoredKey, Translation, is_soketi_file, migrate, translate, unread};
pub use effective::Setting;
pub use endpoint::EndpointConfig;
pub use fault::Fault;
pub use hooks::HooksConfig;
pub use layer::{Layer, LayerApp, Origin, quoted, quoted_list};
pub use schema::schema;
pub use variables::Variables;

use fault::Document;
use limits::ParsedLimits;
use section::Section;
use table::Table;

/// What a file says, with the default of each setting that it does not name. Flags may change it before it becomes the
/// settings of a server.
#[derive(Debug, Default)]
pub struct Config {
    /// Where clients and back ends connect.
    pub listen: Listen,
    /// Which proxies stand before the server.
    pub proxies: Proxies,
    /// Where they connect with TLS.
    pub tls: Tls,
    /// The admin listener.
    pub admin: Admin,
    /// What web pages get besides the protocol.
    pub pages: Pages,
    /// What the log looks like.
    pub log: Log,
    /// How connections are spread over processors.
    pub shards: Shards,
    /// How the server ends.
    pub ending: Ending,
    /// The bounds of every shard and of the API core.
    pub limits: Limits,
    /// When there is too much to do for newcomers.
    pub load: Load,
    /// The limits of apps that set none of their own.
    pub app_limits: AppLimits,
    /// The apps. No two have the same id or key.
    pub apps: Vec<App>,
    /// The database of further apps, if there is one.
    pub app_store: Option<PathBuf>,
    /// The apps from there, which no file has. None of them has the id or the key of another app.
    pub stored_apps: Vec<App>,
    /// The back end that is asked for other apps, if there is one.
    pub apps_url: Option<AppsUrl>,
    /// The cluster that the server is a node of.
    pub cluster: Cluster,
    /// Where hook events go.
    pub hooks: HooksConfig,
}

impl Config {
    /// Reads this file, ours or soketi's. Blocks while it reads.
    pub fn read(path: &Path) -> Result<Self, Fault> {
        if is_soketi_file(path) {
            let moved = translate(Some(path), None, std::iter::empty(), None)?;
            let layers: Vec<Layer> = moved.iter().map(Translation::layer).collect();
            return Self::parse_below("", "", &layers.iter().collect::<Vec<_>>());
        }
        Self::read_below(Some(path), &[])
    }

    /// Reads this file, if there is one, with these layers above it, the highest last. Blocks while it reads.
    pub fn read_below(path: Option<&Path>, layers: &[&Layer]) -> Result<Self, Fault> {
        Self::read_whole(path, layers).map(|(config, _)| config)
    }

    /// The same, and every setting as it holds.
    pub fn read_whole(path: Option<&Path>, layers: &[&Layer]) -> Result<(Self, Vec<Setting>), Fault> {
        let Some(path) = path else { return Self::parse_whole("", "", layers) };
        let name = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|error| Fault::unreadable(&name, &error))?;
        Self::parse_whole(&name, &text, layers)
    }

    /// Parses this text; messages call it `name`.
    pub fn parse(name: &str, text: &str) -> Result<Self, Fault> {
        Self::parse_below(name, text, &[])
    }

    /// Parses this text, with these layers above it, the highest last.
    pub fn parse_below(name: &str, text: &str, layers: &[&Layer]) -> Result<Self, Fault> {
        Self::parse_whole(name, text, layers).map(|(config, _)| config)
    }

    fn parse_whole(name: &str, text: &str, layers: &[&Layer]) -> Result<(Self, Vec<Setting>), Fault> {
        let mut document = Document::new(name, text, true);
        if let Some(what) = foreign::json_instead(text) {
            return Err(document.fault(0, what));
        }
        let root = DeTable::parse(text).map_err(|error| document.not_toml(&error))?;
        let at = root.span().start;
        let mut tree = root.into_inner();
        for layer in layers {
            merge::lay_over(&mut tree, document.put_above(layer)?);
        }
        let config = Self::of_tree(&document, at, tree.clone())?;
        let settings = effective::settings(&document, &tree, &config);
        Ok((config, settings))
    }

    fn of_tree(document: &Document<'_>, at: usize, tree: DeTable<'_>) -> Result<Self, Fault> {
        let mut top = Section::open(document, Table::Top, at, tree)?;
        let (tls, secure) = tls::parse_tls(top.take("tls"))?;
        let listen = listen::parse_listen(&mut top, secure)?;
        let proxies = proxies::parse_proxies(&mut top, &listen, &tls)?;
        let admin = admin::parse_admin(&mut top)?;
        let pages = pages::parse_pages(&mut top)?;
        let log = log::parse_log(&mut top)?;
        let shards = shards::parse_shards(&mut top)?;
        let ending = ending::parse_ending(&mut top)?;
        let apps_url = apps_url::parse_apps_url(&mut top)?;
        let limits = ParsedLimits::parse(top.take("limits"))?;
        let load = load::parse_load(top.take("load"))?;
        let (apps, endpoints) = app::parse_apps(top.take("apps"), &limits)?;
        let app_store = app_store::parse_app_store(top.take("app_store"))?;
        let cluster = cluster::parse_cluster(top.take("cluster"))?;
        let hooks = HooksConfig::parse(top.take("hooks"), endpoints)?;
        let ParsedLimits { server: limits, app: app_limits, .. } = limits;
        Ok(Self {
            listen,
            proxies,
            tls,
            admin,
            pages,
            log,
            shards,
            ending,
            limits,
            load,
            app_limits,
            apps,
            app_store,
            stored_apps: Vec::new(),
            apps_url,
            cluster,
            hooks,
        })
    }

    /// Whether there are no apps, and nowhere for them to come from.
    pub fn has_no_apps(&self) -> bool {
        self.apps.is_empty() && self.app_store.is_none() && self.apps_url.is_none()
    }

    /// What reads apps that are not in the file.
    pub fn app_reader(&self) -> AppReader {
        AppReader::new(self.limits.clone(), self.app_limits.clone())
    }

    /// The settings of a server, in which apps and their endpoints know each other.
    pub fn settings(mut self) -> Result<Settings, DuplicateApp> {
        self.hooks.give_kinds(&mut self.apps);
        self.hooks.give_kinds(&mut self.stored_apps);
        let stored = self.stored_apps.len();
        self.apps.extend(self.stored_apps);
        let apps = Apps::new(self.apps)?;
        Ok(Settings {
            listen: self.listen,
            proxies: self.proxies,
            tls: self.tls,
            admin: self.admin,
            pages: self.pages,
            shards: self.shards,
            ending: self.ending,
            limits: self.limits,
            load: self.load,
            cluster: self.cluster,
            hooks: self.hooks.for_apps(&apps),
            apps: Arc::new(apps),
            stored_apps: stored,
            asks_for_apps: self.apps_url.is_some(),
            shown: ShownSettings::default(),
            dev: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ::hooks::settings::{Endpoint, Retry, StreamSettings};
    use protocol::close::Close;
    use protocol::dialect::Dialect;
    use protocol::hook_kind::{HookKind, HookKinds};
    use protocol::http::TrustedProxies;
    use protocol::path_prefix::PathPrefix;

    use super::*;
    use crate::doc_pages::pages;
    use crate::settings::{AdminAddress, AdminToken, CertificateFiles, Marks, ShardCount};
    use machines::limits::{OUTBOXES_BYTES_MIN, SUBSCRIPTIONS_MIN};

    const EXAMPLE: &str = include_str!("../../corecast.example.toml");

    /// The example with all its settings in force: prose has a space behind its `#`.
    fn example_in_force() -> String {
        let line = |line: &str| match line.strip_prefix('#') {
            Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting.to_owned(),
            _ => line.to_owned(),
        };
        EXAMPLE.lines().map(|text| line(text) + "\n").collect()
    }

    #[test]
    fn the_example_decides_nothing_as_it_stands() {
        let (example, nothing) = (Config::parse("x", EXAMPLE).unwrap(), Config::default());
        assert_eq!(format!("{example:?}"), format!("{nothing:?}"));
        assert!(example.apps.is_empty());
    }

    #[test]
    fn the_example_shows_every_key_with_its_default() {
        let text = example_in_force();
        let mut config = Config::parse("x", &text).unwrap();
        let app = config.apps.remove(0);
        assert_eq!((app.enabled, app.client_events, app.terminate_by_presence), (true, true, false));
        assert_eq!(app.dialect, Dialect::Auto);
        assert!(app.subscription_count && app.subscription_count_events && app.watchlist_events);
        assert_eq!((app.cache_ttl_s, app.authorization_timeout_s, app.require_origin), (1800, 0, false));
        let allowed = |origin| app.allowed_origins.allow(origin);
        assert!(
            allowed("https://example.com") && allowed("http://a.example.com") && !allowed("https://a.com")
        );
        let keys: Vec<_> = app.keys().map(|key| (&*key.name, key.enabled)).collect();
        assert_eq!(keys, [("app-key", true), ("next-key", true)]);
        let shown = Listen {
            api: vec!["127.0.0.1:6002".parse().unwrap()],
            path_prefix: PathPrefix::parse("/realtime").unwrap(),
            ..Listen::default()
        };
        assert_eq!(config.listen, shown);
        let trusted = ["127.0.0.1", "10.0.0.0/8"].map(TrustedProxies::parse_network);
        assert_eq!(
            config.proxies,
            Proxies {
                trusted: trusted.into_iter().flatten().collect(),
                introduced: vec!["127.0.0.1:6002".parse().unwrap()],
            }
        );
        let files = |of: &str| CertificateFiles {
            cert: format!("/etc/corecast/{of}.pem").into(),
            key: format!("/etc/corecast/{of}.key").into(),
        };
        let secure = vec!["0.0.0.0:6443".parse().unwrap()];
        assert_eq!(config.tls, Tls { listen: secure, certificates: vec![files("server"), files("other")] });
        let AdminAddress::At(admin) = config.admin.address else { panic!("{:?}", config.admin) };
        assert_eq!(AdminAddress::IfFree(admin), AdminAddress::default());
        let shown = Admin {
            address: config.admin.address,
            hosts: vec!["corecast.internal".into()],
            token: Some(AdminToken::parse("change-this-to-something-long").unwrap()),
            ..Admin::default()
        };
        assert_eq!(config.admin, shown);
        assert_eq!(config.app_store, Some("apps.db".into()));
        let servers: Vec<&str> = config.cluster.servers.iter().map(bus::server::Server::name).collect();
        assert_eq!(servers, ["127.0.0.1:6379"]);
        config.cluster.servers.clear();
        assert_eq!(config.cluster, Cluster::default());
        assert_eq!(config.pages, Pages::default());
        assert_eq!(config.log, Log::default());
        // The default follows the machine.
        assert_eq!(config.shards, Shards { count: ShardCount::new(1).unwrap(), ..Shards::default() });
        assert_eq!(config.ending.drain_close.take(), Some(Close::DRAINING));
        assert_eq!(config.ending, Ending::default());
        assert_eq!(app.over_quota_close, App::new("1", "k", "s").over_quota_close);
        assert_eq!((app.limits.event_data_bytes_max, app.limits.connections_max), (10_240, Some(1000)));
        config.app_limits.connections_max = None;
        assert_eq!(config.app_limits.backend_events_per_second.take(), Some(1000));
        assert_eq!(config.app_limits.read_requests_per_second.take(), Some(100));
        assert_eq!(config.app_limits.subscriptions_max.take(), Some(100_000));
        assert_eq!(config.app_limits.new_connections_per_second_max.take(), Some(500));
        assert_eq!(config.limits.connections_per_address_max.take(), Some(100));
        assert_eq!(config.limits.half_open_per_address_max.take(), Some(20));
        assert_eq!(config.load.marks(None), Some(Marks { high: 900 << 20, low: 800 << 20 }));
        assert_eq!(config.limits.subscriptions_per_shard_max.take(), Some(SUBSCRIPTIONS_MIN));
        assert_eq!(config.limits.outboxes_bytes_max.take(), Some(OUTBOXES_BYTES_MIN));
        assert_eq!(config.app_limits, AppLimits::default());
        assert_eq!(format!("{:?}", config.limits), format!("{:?}", Limits::default()));
        let apps = Apps::new(vec![App::new("1", "k", "s")]).unwrap();
        let mut hooks = config.hooks.for_apps(&apps).unwrap();
        let mut stream = hooks.stream.take().unwrap();
        assert_eq!(stream.redis.ca_file.take(), Some("/etc/corecast/redis-ca.pem".into()));
        assert_eq!(format!("{stream:?}"), format!("{:?}", StreamSettings::new("")));
        let endpoint = hooks.endpoints.remove(0);
        let default = Endpoint::new("backend", Arc::clone(&endpoint.app), endpoint.sink.clone());
        let prefixed = Endpoint {
            channel_prefix: Some("presence-".into()),
            channel_suffix: Some("-eu".into()),
            retry: Some(Retry::Day),
            disable_after: Some(Duration::from_secs(432_000)),
            ..default
        };
        assert_eq!(format!("{endpoint:?}"), format!("{prefixed:?}"));
        assert_eq!(hooks.endpoints.drain(..).count(), 5);
        assert_eq!(
            format!("{hooks:?}"),
            format!("{:?}", ::hooks::settings::Settings::new("corecast-data".into(), Vec::new()))
        );
        for key in Table::ALL.iter().flat_map(|table| table.keys()).map(|key| key.name) {
            let set =
                |line: &str| line.starts_with(&format!("{key} = ")) || line.ends_with(&format!("[{key}]"));
            // Of these the prose tells: they cannot stand beside what is shown.
            let told = key.ends_with("_file") && EXAMPLE.contains(&format!("`{key}`"));
            let shown = text.lines().any(|line| set(line) || line == format!("[[{key}]]"));
            assert!(shown || told, "{key} is not shown");
        }
    }

    #[test]
    fn defaults_of_keys_are_those_of_the_server() {
        let lines = |table: Table, besides: &str| -> String {
            let keys = table.keys().into_iter().filter_map(|key| {
                let default = match key.default {
                    // An empty list is what leaving the key out is.
                    key::Default::Value("[]") => return None,
                    key::Default::Value(value) => value.to_owned(),
                    key::Default::Number(number) => number.to_string(),
                    key::Default::None | key::Default::Follows(..) => return None,
                };
                Some(format!("{} = {default}\n", key.name))
            });
            format!("{besides}\n{}", keys.collect::<String>())
        };
        let besides = [
            (Table::Top, "apps_url = \"http://h/\""),
            (Table::Limits, "[limits]"),
            (Table::Hooks, "[hooks]\nredis_url = \"redis://h\""),
            (Table::App, "[[apps]]\nid = \"1\"\nkey = \"a\"\nsecret = \"s\""),
            (Table::AppLimits, "[apps.limits]"),
            (Table::AppHook, "[[apps.hooks]]\nname = \"e\"\nurl = \"http://h/\""),
        ];
        let set: String = besides.iter().map(|(table, besides)| lines(*table, besides)).collect();
        let unset: String = besides.iter().map(|(_, besides)| format!("{besides}\n")).collect();
        // What may be written or left out is the same server.
        let printed = |text: &str| {
            let config = Config::parse("x", text).unwrap();
            let beside = format!("{:?} {:?}", config.app_limits, config.apps_url);
            format!("{beside} {:?}", config.settings().unwrap())
        };
        assert_eq!(printed(&set), printed(&unset));
        let key = "key = \"a\"\nsecret = \"s\"\n";
        let of_key = |more: &str| printed(&format!("[[apps]]\nid = \"1\"\n[[apps.keys]]\n{key}{more}"));
        assert_eq!(of_key(&lines(Table::AppKey, "")), of_key(""));
    }

    /// Whether a block of code is a part of the file: its first line is a table, or a key with its value.
    fn is_toml(block: &str) -> bool {
        let first = block.trim_start().lines().next().unwrap_or_default();
        let key = first.split_once(" = ").map_or("", |(key, _)| key);
        let is_name = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        first.starts_with('[') || is_name
    }

    #[test]
    fn every_setting_that_a_page_shows_is_right_as_it_is_pasted() {
        // A machine that runs tests has no secrets of its own.
        const SECRET_FILE: &str = "secret_file = \"/etc/corecast/app.secret\"";
        const AN_APP: &str = "[[apps]]\nid = \"1\"\nkey = \"key\"\nsecret = \"secret\"\n";
        // Blocks of code are indented by four; any other line of text ends one.
        let line = |line: &str| match line.strip_prefix("    ") {
            Some(code) => format!("{code}\n"),
            None if line.is_empty() => "\n".to_owned(),
            None => "\0".to_owned(),
        };
        let mut shown = 0;
        for (page, text) in pages() {
            let code: String = text.lines().map(line).collect();
            for block in code.split('\0').filter(|block| is_toml(block)) {
                shown += 1;
                let block = block.replace(SECRET_FILE, "secret = \"s\"");
                let file = match block.contains("[[apps]]") {
                    true => block,
                    false if block.contains("[[apps.") => format!("{AN_APP}{block}"),
                    false => format!("{block}\n{AN_APP}"),
                };
                let config = Config::parse(&page, &file).unwrap_or_else(|fault| panic!("{fault}\n{file}"));
                assert!(!config.apps.is_empty(), "{page}: {file}");
            }
        }
        assert!(shown >= 15, "{shown}");
    }

    #[test]
    fn an_app_has_the_keys_of_both_ways_to_write_them_oldest_first() {
        let keys = |credentials: &str| {
            let config = Config::parse("x", &format!("[[apps]]\nid = \"1\"\n{credentials}")).unwrap();
            let keys: Vec<_> = config.apps[0].keys().map(|key| (key.name.to_string(), key.enabled)).collect();
            (keys, config.apps[0].oldest_key().name.to_string())
        };
        let of = |keys: &[(&str, bool)], oldest: &str| {
            let keys: Vec<_> = keys.iter().map(|(name, enabled)| (name.to_string(), *enabled)).collect();
            (keys, oldest.to_owned())
        };
        let both = "key = \"a\"\nsecret = \"s\"\nkeys = [{ key = \"b\", secret = \"t\" }]";
        assert_eq!(keys(both), of(&[("a", true), ("b", true)], "a"));
        let tables = "[[apps.keys]]\nkey = \"a\"\nsecret = \"s\"\nenabled = false\n\
            [[apps.keys]]\nkey = \"b\"\nsecret = \"t\"\n[[apps.keys]]\nkey = \"c\"\nsecret = \"u\"\nenabled = false";
        assert_eq!(keys(tables), of(&[("a", false), ("b", true), ("c", false)], "b"));
        assert_eq!(keys("key = \"a\"\nsecret = \"s\"\nkeys = []"), of(&[("a", true)], "a"));
    }

    #[test]
    fn a_file_says_what_it_says() {
        let text = r#"
            listen = "[::1]:0"
            api_listen = ["127.0.0.1:0", "127.0.0.1:0"]
            shards = 0x10
            [limits]
            outbox_bytes_max = 131_072
            event_data_bytes_max = 16_384
            message_bytes_max = 16_384
            connections_max = 7
            [[apps]]
            id = "1"
            key = "a"
            secret = "s:with:colons"
            [[apps]]
            id = "2"
            key = "b"
            secret = "s"
            enabled = false
            client_events = false
            dialect = "webman3"
            terminate_by_presence = true
            over_quota_close_code = 4004
            limits.event_data_bytes_max = 1
        "#;
        let config = Config::parse("x", text).unwrap();
        assert_eq!((config.listen.public.len(), config.listen.api.len()), (1, 2));
        assert_eq!(config.shards.count.get(), 16);
        // Less may be undecided than a healthy connection can hold.
        assert_eq!((config.limits.outbox_bytes_max, config.limits.unflushed_bytes_max), (131_072, 32_768));
        let [one, other] = &config.apps[..] else { panic!("{config:?}") };
        assert_eq!((one.enabled, one.client_events, one.over_quota_close.code), (true, true, 4100));
        assert_eq!((one.limits.event_data_bytes_max, one.limits.connections_max), (16_384, Some(7)));
        assert_eq!((other.enabled, other.client_events, other.over_quota_close.code), (false, false, 4004));
        assert_eq!((one.dialect, other.dialect), (Dialect::Auto, Dialect::Webman3));
        assert!(!one.terminate_by_presence && other.terminate_by_presence);
        assert_eq!((other.limits.event_data_bytes_max, other.limits.connections_max), (1, Some(7)));
    }

    #[test]
    fn kinds_of_an_app_are_those_that_its_endpoints_want() {
        let kinds = |text: &str| {
            let apps = "[[apps]]\nid = \"1\"\nkey = \"a\"\nsecret = \"s\"\n[[apps]]\nid = \"2\"\nkey = \"b\"\nsecret = \"s\"\n";
            let mut config = Config::parse("x", &format!("{apps}{text}")).unwrap();
            config.hooks.give_kinds(&mut config.apps);
            [config.apps[0].hooks, config.apps[1].hooks]
        };
        let none = HookKinds::NONE;
        assert_eq!(kinds(""), [none; 2]);
        assert_eq!(kinds("[[apps.hooks]]\nnone = true"), [none, HookKinds::USUAL]);
        assert_eq!(kinds("[hooks]\nredis_url = \"redis://h\""), [HookKinds::USUAL; 2]);
        let some = "[[apps.hooks]]\nnone = true\nevents = [\"channel_vacated\", \"server_event\"]\n[hooks]\nredis_url = \"redis://h\"";
        assert_eq!(kinds(some), [none, none.with(HookKind::ChannelVacated).with(HookKind::ServerEvent)]);
    }

    #[test]
    fn what_is_printed_of_a_config_has_no_secret() {
        let text = "admin_token = \"hunter2\"\n[[apps]]\nid = \"1\"\nkey = \"a\"\nsecret = \"hunter2\"\n[[apps.hooks]]\nurl = \"http://:hunter2@h/\"\n\
                    headers = { A = \"hunter2\" }\n[hooks]\nredis_url = \"redis://:hunter2@h\"";
        let printed = format!("{:?}", Config::parse("x", text).unwrap());
        assert!(printed.contains("redacted") && !printed.contains("hunter2"), "{printed}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let fault = Config::read(Path::new("no/such/file.toml")).unwrap_err().to_string();
        let start = "no/such/file.toml: the configuration file cannot be read: ";
        assert!(fault.starts_with(start), "{fault}");
    }
}
