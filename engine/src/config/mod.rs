//! The configuration file: TOML in; out come valid values, or one message that says where and what to change.
//!
//! `section` takes tables apart and refuses unknown keys; `limit` has every limit with its bounds; `app` reads apps,
//! `ending` how a server ends, `hooks` and `endpoint` where events go; `foreign` knows what other servers call a setting;
//! `fault` is the message. A leaf, called by the command line: it knows no socket and no command line. What must never
//! happen here: a secret in a message, a key that is accepted and has no effect, a bad value that becomes a default.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use protocol::app::App;
use protocol::limits::AppLimits;
use toml::de::DeTable;

use machines::limits::Limits;

mod admin;
mod app;
mod ending;
mod endpoint;
mod fault;
mod foreign;
mod hooks;
mod limit;
mod nearest;
mod section;
mod shards;
mod steering;

pub use admin::{Admin, METRICS_PREFIX, parse_admin_host};
pub use ending::EndingWish;
pub use endpoint::EndpointWish;
pub use fault::Fault;
pub use hooks::HooksWish;
pub use shards::{SHARDS_MAX, Shards};
pub use steering::Steering;

use fault::Document;
use limit::Limited;
use section::{Section, Table, Value};

/// The settings of a file.
#[derive(Debug, Default)]
pub struct Config {
    /// Addresses for WebSocket and REST; empty if the file names none.
    pub listen: Vec<SocketAddr>,
    /// Additional addresses, whose connections go to the API core directly.
    pub api_listen: Vec<SocketAddr>,
    /// The address of the admin listener, if the file sets it.
    pub admin: Option<Admin>,
    /// Whether `[::]` accepts only IPv6, if the file sets it.
    pub ipv6_only: Option<bool>,
    /// The host names that the admin listener answers to, besides IP addresses and localhost.
    pub admin_hosts: Vec<Box<str>>,
    /// The prefix of all metric names, if the file sets it.
    pub metrics_prefix: Option<Box<str>>,
    /// How many shards, if the file sets it.
    pub shards: Option<Shards>,
    /// Whether each shard has a processor of its own, if the file sets it.
    pub pin: Option<bool>,
    /// How new connections are spread over the shards, if the file sets it.
    pub accept_steering: Option<Steering>,
    /// How the server ends.
    pub ending: EndingWish,
    /// Where events go.
    pub hooks: HooksWish,
    /// The apps. No two have the same id or key.
    pub apps: Vec<App>,
    /// The bounds of every shard and of the API core.
    pub limits: Limits,
    /// The limits of apps that set none of their own.
    pub app_limits: AppLimits,
}

impl Config {
    /// Reads this file. Blocks while it reads.
    pub fn read(path: &Path) -> Result<Self, Fault> {
        let name = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|error| Fault::unreadable(&name, &error))?;
        Self::parse(&name, &text)
    }

    /// Parses this text; messages call it `name`.
    pub fn parse(name: &str, text: &str) -> Result<Self, Fault> {
        let document = Document { name, text };
        if let Some(what) = foreign::json_instead(text) {
            return Err(document.fault(0, what));
        }
        let root = DeTable::parse(text).map_err(|error| document.not_toml(&error))?;
        let mut top = Section::open(&document, Table::Top, root.span().start, root.into_inner())?;
        let listen = addresses(top.take("listen"))?;
        let api_listen = addresses(top.take("api_listen"))?;
        let admin = top.take("admin").map(admin::parse_admin).transpose()?;
        let ipv6_only = top.take("ipv6_only").map(|value| value.boolean()).transpose()?;
        let admin_hosts =
            top.take("admin_hosts").map(admin::parse_admin_hosts).transpose()?.unwrap_or_default();
        let metrics_prefix = top.take("metrics_prefix").map(admin::parse_prefix).transpose()?;
        let shards = top.take("shards").map(parse_shards).transpose()?;
        let pin = top.take("pin").map(|value| value.boolean()).transpose()?;
        let accept_steering = top.take("accept_steering").map(steering::parse_steering).transpose()?;
        let ending = EndingWish::parse(&mut top)?;
        let limited = Limited::parse(top.take("limits"))?;
        let (apps, endpoints) = app::parse_apps(top.take("apps"), &limited)?;
        let hooks = HooksWish::parse(top.take("hooks"), endpoints)?;
        let (listen, api_listen) = distinct(listen, api_listen)?;
        Ok(Self {
            listen,
            api_listen,
            admin,
            ipv6_only,
            admin_hosts,
            metrics_prefix,
            shards,
            pin,
            accept_steering,
            ending,
            hooks,
            apps,
            limits: limited.server,
            app_limits: limited.app,
        })
    }
}

fn parse_shards(value: Value<'_>) -> Result<Shards, Fault> {
    let count = value.integer(1, SHARDS_MAX as u64)?;
    Shards::new(count as usize).ok_or_else(|| value.fault("is not possible"))
}

/// An address and where it stands.
type Placed<'a> = (SocketAddr, Value<'a>);

fn addresses(value: Option<Value<'_>>) -> Result<Vec<Placed<'_>>, Fault> {
    value.map_or_else(|| Ok(Vec::new()), Value::texts)?.into_iter().map(address).collect()
}

fn address(value: Value<'_>) -> Result<Placed<'_>, Fault> {
    let text = value.text()?;
    match text.parse() {
        Ok(address) => Ok((address, value)),
        Err(_) => {
            let why =
                format!("is no address; write IP:PORT, such as {:?} or {:?}", "0.0.0.0:6001", "[::]:6001");
            Err(value.wrong(&format!("{text:?}"), &why))
        }
    }
}

/// An address may be given once. Port 0 is a different port each time.
fn distinct(
    listen: Vec<Placed<'_>>,
    api_listen: Vec<Placed<'_>>,
) -> Result<(Vec<SocketAddr>, Vec<SocketAddr>), Fault> {
    let mut seen: Vec<SocketAddr> = Vec::new();
    for (address, value) in listen.iter().chain(&api_listen) {
        if address.port() != 0 && seen.contains(address) {
            return Err(value.wrong(&format!("{:?}", address.to_string()), "is there twice"));
        }
        seen.push(*address);
    }
    let bare = |placed: Vec<Placed<'_>>| placed.into_iter().map(|(address, _)| address).collect();
    Ok((bare(listen), bare(api_listen)))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::sync::Arc;
    use std::time::Duration;

    use ::hooks::settings::{Endpoint, Settings, StreamSettings};
    use protocol::app::Apps;
    use protocol::close::Close;
    use protocol::hook_kind::{HookKind, HookKinds};

    use super::*;
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
        assert!(app.subscription_count);
        assert_eq!(config.admin_hosts, [Box::<str>::from("corecast.internal")]);
        let shown = EndingWish {
            drain_rate: NonZeroU32::new(1000),
            drain_close: Some(Close::DRAINING),
            ready_grace: Some(Duration::ZERO),
            takeover: Some(false),
        };
        assert_eq!((config.pin, config.ending), (Some(true), shown));
        assert_eq!(config.accept_steering, Some(Steering::Hash));
        assert_eq!(app.over_quota_close, App::new("1", "k", "s").over_quota_close);
        assert_eq!((app.limits.event_data_bytes_max, app.limits.connections_max), (10_240, Some(1000)));
        config.app_limits.connections_max = None;
        assert_eq!(config.app_limits.subscriptions_max.take(), Some(100_000));
        assert_eq!(config.limits.subscriptions_per_shard_max.take(), Some(SUBSCRIPTIONS_MIN));
        assert_eq!(config.limits.outboxes_bytes_max.take(), Some(OUTBOXES_BYTES_MIN));
        assert_eq!(config.app_limits, AppLimits::default());
        assert_eq!(format!("{:?}", config.limits), format!("{:?}", Limits::default()));
        let apps = Apps::new(vec![App::new("1", "k", "s")]).unwrap();
        let mut hooks = config.hooks.settled(&apps).unwrap();
        let mut stream = hooks.stream.take().unwrap();
        assert_eq!(stream.ca_file.take(), Some("/etc/corecast/redis-ca.pem".into()));
        assert_eq!(format!("{stream:?}"), format!("{:?}", StreamSettings::new("")));
        let endpoint = hooks.endpoints.remove(0);
        let default = Endpoint::new("backend", Arc::clone(&endpoint.app), endpoint.sink.clone());
        let prefixed = Endpoint {
            channel_prefix: Some("presence-".into()),
            channel_suffix: Some("-eu".into()),
            ..default
        };
        assert_eq!(format!("{endpoint:?}"), format!("{prefixed:?}"));
        assert_eq!(hooks.endpoints.drain(..).count(), 4);
        assert_eq!(format!("{hooks:?}"), format!("{:?}", Settings::new("corecast-data".into(), Vec::new())));
        for key in Table::ALL.iter().flat_map(|table| table.keys()) {
            let set =
                |line: &str| line.starts_with(&format!("{key} = ")) || line.ends_with(&format!("[{key}]"));
            assert!(text.lines().any(|line| set(line) || line == format!("[[{key}]]")), "{key} is not shown");
        }
    }

    #[test]
    fn every_file_that_the_docs_show_is_right_as_it_is_pasted() {
        const PAGES: [(&str, &str, usize); 5] = [
            ("README.md", include_str!("../../../README.md"), 0),
            ("docs/operating.md", include_str!("../../../docs/operating.md"), 1),
            ("docs/hooks.md", include_str!("../../../docs/hooks.md"), 1),
            ("docs/sizing.md", include_str!("../../../docs/sizing.md"), 0),
            ("docs/migrating.md", include_str!("../../../docs/migrating.md"), 0),
        ];
        // Their blocks of code are indented by four; any other line of text ends one.
        let line = |line: &str| match line.strip_prefix("    ") {
            Some(code) => format!("{code}\n"),
            None if line.is_empty() => "\n".to_owned(),
            None => "\0".to_owned(),
        };
        for (page, text, files_min) in PAGES {
            let code: String = text.lines().map(line).collect();
            let blocks: Vec<&str> = code.split('\0').filter(|block| block.contains("[[apps]]")).collect();
            assert!(blocks.len() >= files_min, "{page}: {blocks:?}");
            for block in blocks {
                let config = Config::parse(page, block).unwrap_or_else(|fault| panic!("{fault}\n{block}"));
                assert!(!config.apps.is_empty(), "{page}: {block}");
            }
        }
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
            terminate_by_presence = true
            over_quota_close_code = 4004
            limits.event_data_bytes_max = 1
        "#;
        let config = Config::parse("x", text).unwrap();
        assert_eq!((config.listen.len(), config.api_listen.len()), (1, 2));
        assert_eq!(config.shards.map(Shards::count), Some(16));
        // Less may be undecided than a healthy connection can hold.
        assert_eq!((config.limits.outbox_bytes_max, config.limits.unflushed_bytes_max), (131_072, 32_768));
        let [one, other] = &config.apps[..] else { panic!("{config:?}") };
        assert_eq!((one.enabled, one.client_events, one.over_quota_close.code), (true, true, 4100));
        assert_eq!((one.limits.event_data_bytes_max, one.limits.connections_max), (16_384, Some(7)));
        assert_eq!((other.enabled, other.client_events, other.over_quota_close.code), (false, false, 4004));
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
        let text = "[[apps]]\nid = \"1\"\nkey = \"a\"\nsecret = \"hunter2\"\n[[apps.hooks]]\nurl = \"http://:hunter2@h/\"\n\
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
