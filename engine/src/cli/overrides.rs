//! The flags that win over file and environment, and the one place where they become settings.
//!
//! `serve` has all of them; a command that has some fills in those. Reading all again gives the same settings,
//! as far as the files are the same. What must never happen here: a secret in a message.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use clap::Args;
use logging::{Format, Level};
use protocol::app::{App, Apps};
use protocol::close::Close;

use super::app_file::read_written_apps;
use super::failure::Failure;
use crate::config::{Config, Layer, LayerApp, Origin, quoted, quoted_list};
use crate::settings::{AdminAddress, ListenAddress, Log, Steering, parse_admin_host};

/// Flags; what is not given leaves the file as it is.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Overrides {
    /// Address for WebSocket and REST, IP:PORT or unix:PATH; repeatable [default: 0.0.0.0:6001]
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Vec<ListenAddress>,
    /// Address for WebSocket and REST with TLS; repeatable
    #[arg(long, value_name = "ADDR")]
    pub(super) tls_listen: Vec<SocketAddr>,
    /// The certificate for TLS with its chain (PEM); read again when the file changes
    #[arg(long, value_name = "FILE")]
    pub(super) tls_cert: Option<PathBuf>,
    /// The private key of the certificate (PEM)
    #[arg(long, value_name = "FILE")]
    pub(super) tls_key: Option<PathBuf>,
    /// Accept only IPv6 on `[::]`; by default it accepts IPv4 too, unless an IPv4 address with the same port is also given
    #[arg(long)]
    pub(super) ipv6_only: bool,
    /// Networks of proxies that say where a client is (X-Forwarded-For, Forwarded, X-Real-IP), separated by commas [default: none]
    #[arg(long, value_name = "CIDR,…", value_delimiter = ',')]
    pub(super) trusted_proxies: Vec<String>,
    /// Serve push.js, the client for browsers, and its forms for uni-app and WeChat at the paths of webman-push-server and webman/push
    #[arg(long)]
    pub(super) assets: bool,
    /// An app and its credentials; repeatable; replaces all apps of file and environment; visible to everybody on the machine, unlike --app-file
    #[arg(long, value_name = "ID:KEY:SECRET")]
    pub(super) app: Vec<String>,
    /// A file of apps, one ID:KEY:SECRET per line; replaces all apps of file and environment
    #[arg(long, value_name = "FILE")]
    pub(super) app_file: Option<PathBuf>,
    /// Address for /metrics, without credentials, or `off` [default: 127.0.0.1:9601, if it is free]
    #[arg(long, value_name = "ADDR")]
    pub(super) admin: Option<AdminAddress>,
    /// A host name that the admin listener answers to, besides IP addresses and localhost; repeatable
    #[arg(long, value_name = "NAME", value_parser = parse_admin_host)]
    pub(super) admin_host: Vec<Box<str>>,
    /// A file that holds the token of the console, a web page of the admin listener [default: no console]
    #[arg(long, value_name = "FILE")]
    pub(super) admin_token_file: Option<PathBuf>,
    /// What a line of the log is: `text`, or a JSON object [default: text]
    #[arg(long, value_name = "text|json")]
    pub(super) log_format: Option<Format>,
    /// How much is logged; SIGHUP reads it again from the file [default: info]
    #[arg(long, value_name = "error|warn|info|debug")]
    pub(super) log_level: Option<Level>,
    /// How many cores hold connections [default: one less than there are processors, at least 1]
    #[arg(long, value_name = "N")]
    pub(super) shards: Option<usize>,
    /// Which shard gets a new connection: `hash` spreads them evenly, `cpu` picks the shard on the processor that received it [default: hash]
    #[arg(long, value_name = "hash|cpu")]
    pub(super) accept_steering: Option<Steering>,
    /// Where hook events wait until they are delivered [default: corecast-data, if there are hooks]
    #[arg(long, value_name = "DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// Webhook for the events of every app; repeatable; replaces all endpoints of the configuration file
    #[arg(long, value_name = "URL")]
    pub(super) webhook: Vec<String>,
    /// Redis whose stream carries hook events
    #[arg(long, value_name = "URL")]
    pub(super) redis: Option<String>,
    /// Redis that joins this server with others, as one; repeatable
    #[arg(long, value_name = "URL")]
    pub(super) cluster: Vec<String>,
    /// How long a node of the cluster may be silent before the others take it for dead [default: 10]
    #[arg(long, value_name = "SECONDS")]
    pub(super) cluster_lease: Option<u32>,
    /// What all keys of the cluster begin with [default: corecast]
    #[arg(long, value_name = "P")]
    pub(super) cluster_prefix: Option<String>,
    /// Connections closed per second at shutdown, across the whole server [default: 1000]
    #[arg(long, value_name = "N")]
    pub(super) drain_rate: Option<NonZeroU32>,
    /// Close code at shutdown: 4100 (reconnect after a second) or 4200 (reconnect at once) [default: 4100, with --takeover 4200]
    #[arg(long, value_name = "CODE", value_parser = parse_drain_close)]
    pub(super) drain_close: Option<Close>,
    /// How long new clients are still served after SIGTERM, while /ready fails [default: 0]
    #[arg(long, value_name = "SECONDS")]
    pub(super) ready_grace: Option<u32>,
    /// Join the port of a running server, to replace it without a gap
    #[arg(long)]
    pub(super) takeover: bool,
}

impl Overrides {
    /// The defaults with these flags over them, whatever file and environment say.
    pub(super) fn over_defaults(&self) -> Result<Config, Failure> {
        Ok(Config::read_below(None, &[&self.layer()?])?)
    }

    /// What the flags alone make of the log: for what is said before all settings are read.
    pub(super) fn log(&self) -> Log {
        Log { format: self.log_format.unwrap_or_default(), level: self.log_level.unwrap_or_default() }
    }

    /// These flags as settings, each with the name of its flag.
    pub(super) fn layer(&self) -> Result<Layer, Failure> {
        let mut layer = Layer::new(Origin::Flag);
        let switches = [
            ("--ipv6-only", "ipv6_only", self.ipv6_only),
            ("--assets", "assets", self.assets),
            ("--takeover", "takeover", self.takeover),
        ];
        for (flag, key, _) in switches.into_iter().filter(|(_, _, is_given)| *is_given) {
            layer.set(flag, key, "true");
        }
        let numbers = [
            ("--shards", "shards", self.shards.map(|count| count.to_string())),
            ("--drain-rate", "drain_rate", self.drain_rate.map(|rate| rate.to_string())),
            ("--drain-close", "drain_close", self.drain_close.map(|close| close.code.to_string())),
            ("--ready-grace", "ready_grace", self.ready_grace.map(|seconds| seconds.to_string())),
            ("--cluster-lease", "cluster.lease_s", self.cluster_lease.map(|seconds| seconds.to_string())),
        ];
        for (flag, key, value) in numbers {
            value.inspect(|value| layer.set(flag, key, value));
        }
        let texts = [
            ("--admin", "admin", self.admin.map(|address| address.to_string())),
            (
                "--admin-token-file",
                "admin_token_file",
                self.admin_token_file
                    .as_deref()
                    .map(|path| parse_path("--admin-token-file", path))
                    .transpose()?,
            ),
            ("--log-format", "log_format", self.log_format.map(|format| format.to_string())),
            ("--log-level", "log_level", self.log_level.map(|level| level.to_string())),
            ("--accept-steering", "accept_steering", self.accept_steering.map(|it| it.to_string())),
            (
                "--data-dir",
                "hooks.data_dir",
                self.data_dir.as_deref().map(|path| parse_path("--data-dir", path)).transpose()?,
            ),
            ("--redis", "hooks.redis_url", self.redis.clone()),
            ("--cluster-prefix", "cluster.prefix", self.cluster_prefix.clone()),
            (
                "--tls-cert",
                "tls.cert",
                self.tls_cert.as_deref().map(|path| parse_path("--tls-cert", path)).transpose()?,
            ),
            (
                "--tls-key",
                "tls.key",
                self.tls_key.as_deref().map(|path| parse_path("--tls-key", path)).transpose()?,
            ),
        ];
        for (flag, key, value) in texts {
            value.inspect(|value| layer.set(flag, key, &quoted(value)));
        }
        let addresses = self.listen.iter().map(ListenAddress::to_string).collect();
        let secure = self.tls_listen.iter().map(SocketAddr::to_string).collect();
        let hosts = self.admin_host.iter().map(|host| host.to_string()).collect();
        let lists: [(_, _, Vec<String>); 5] = [
            ("--listen", "listen", addresses),
            ("--trusted-proxies", "trusted_proxies", self.trusted_proxies.clone()),
            ("--tls-listen", "tls.listen", secure),
            ("--admin-host", "admin_hosts", hosts),
            ("--cluster", "cluster.redis", self.cluster.clone()),
        ];
        for (flag, key, values) in lists.into_iter().filter(|(_, _, values)| !values.is_empty()) {
            layer.set(flag, key, &quoted_list(values.iter().map(String::as_str)));
        }
        self.set_apps(&mut layer)?;
        self.set_webhooks(&mut layer)?;
        Ok(layer)
    }

    fn set_apps(&self, layer: &mut Layer) -> Result<(), Failure> {
        let mut written = Vec::new();
        for text in &self.app {
            written.push(("--app".to_owned(), parse_app(text)?, text.clone()));
        }
        if let Some(file) = &self.app_file {
            let place = format!("--app-file {}", file.display());
            let apps = read_written_apps(file).map_err(Failure::config)?;
            written.extend(apps.into_iter().map(|(app, text)| (place.clone(), app, text)));
        }
        let apps: Vec<LayerApp> =
            written.iter().map(|(place, _, text)| LayerApp::written(place, text)).collect();
        Apps::new(written.into_iter().map(|(_, app, _)| app).collect())
            .map_err(|error| Failure::config(format!("--app: {error}")))?;
        layer.set_apps(&apps);
        Ok(())
    }

    fn set_webhooks(&self, layer: &mut Layer) -> Result<(), Failure> {
        let is_twin = |index: usize, url: &String| self.webhook.iter().take(index).any(|other| other == url);
        if self.webhook.iter().enumerate().any(|(index, url)| is_twin(index, url)) {
            return Err(Failure::config("--webhook: the same URL is given twice"));
        }
        if !self.webhook.is_empty() {
            layer.set_webhooks("--webhook", &self.webhook);
        }
        Ok(())
    }
}

fn parse_path(flag: &str, path: &Path) -> Result<String, Failure> {
    path.to_str().map(str::to_owned).ok_or_else(|| Failure::config(format!("{flag}: is not UTF-8")))
}

/// An app of `--app`.
pub(super) fn parse_app(text: &str) -> Result<App, Failure> {
    App::parse(text).map_err(|error| Failure::config(format!("--app: {error}")))
}

fn parse_drain_close(text: &str) -> Result<Close, String> {
    let known = [Close::DRAINING, Close::RECONNECT];
    let close = known.into_iter().find(|close| close.code.to_string() == text);
    close.ok_or_else(|| "4100 and 4200 are possible".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use protocol::http::TrustedProxies;

    use super::*;

    const FILE: &str = "listen = \"127.0.0.1:7000\"\nadmin = \"off\"\nadmin_hosts = [\"a\"]\nadmin_token = \"t\"\nlog_format = \"json\"\nlog_level = \"warn\"\nshards = 3\n\
        accept_steering = \"cpu\"\ndrain_rate = 7\ndrain_close = 4200\nready_grace = 5\ntakeover = true\nipv6_only = true\n\
        [limits]\nchannels_per_event_max = 9\n[hooks]\ndata_dir = \"there\"\nredis_url = \"redis://h\"\n\
        [[apps]]\nid = \"1\"\nkey = \"a\"\nsecret = \"s\"\n[[apps.hooks]]\nnone = true\n";

    fn over(flags: &Overrides, file: &str) -> Config {
        let layer = flags.layer().unwrap_or_else(|failure| panic!("{failure:?}"));
        Config::parse_below("x", file, &[&layer]).unwrap()
    }

    #[test]
    fn without_flags_the_file_stays_as_it_is() {
        let said = over(&Overrides::default(), FILE);
        assert_eq!(format!("{said:?}"), format!("{:?}", Config::parse("x", FILE).unwrap()));
    }

    #[test]
    fn every_flag_wins_over_the_file() {
        let token_file = std::env::temp_dir().join(format!("corecast-admin-token-{}", std::process::id()));
        std::fs::write(&token_file, "of-a-file\n").unwrap();
        let flags = Overrides {
            listen: vec!["127.0.0.1:8000".parse().unwrap()],
            tls_listen: vec!["127.0.0.1:8443".parse().unwrap()],
            tls_cert: Some("c".into()),
            tls_key: Some("k".into()),
            ipv6_only: true,
            trusted_proxies: vec!["10.0.0.0/8".to_owned(), "::1".to_owned()],
            assets: true,
            app: vec!["2:b:s".to_owned()],
            app_file: None,
            admin: Some("127.0.0.1:9000".parse().unwrap()),
            admin_host: vec!["b".into()],
            admin_token_file: Some(token_file.clone()),
            log_format: Some(Format::Text),
            log_level: Some(Level::Debug),
            shards: Some(4),
            accept_steering: Some(Steering::Hash),
            data_dir: Some("here".into()),
            webhook: vec!["http://w/".to_owned()],
            redis: Some("redis://other".to_owned()),
            cluster: vec!["redis://a".to_owned(), "redis://b".to_owned()],
            cluster_lease: Some(20),
            cluster_prefix: Some("p".to_owned()),
            drain_rate: NonZeroU32::new(8),
            drain_close: Some(Close::DRAINING),
            ready_grace: Some(6),
            takeover: true,
        };
        for file in [FILE, ""] {
            let config = over(&flags, file);
            let public: Vec<ListenAddress> = config.listen.public.iter().copied().map(Into::into).collect();
            assert_eq!(public, flags.listen);
            assert_eq!(config.tls.listen, flags.tls_listen);
            assert_eq!(
                config.tls.certificates,
                [crate::settings::CertificateFiles { cert: "c".into(), key: "k".into() }]
            );
            assert_eq!(
                (config.admin.address, &config.admin.hosts),
                (flags.admin.unwrap(), &flags.admin_host)
            );
            assert_eq!(config.admin.token.unwrap().reveal(), "of-a-file");
            assert_eq!((config.shards.count.get(), config.shards.accept_steering), (4, Steering::Hash));
            assert_eq!((config.log.format, config.log.level), (Format::Text, Level::Debug));
            let ending = config.ending;
            assert_eq!((ending.drain_rate.get(), ending.drain_close), (8, Some(Close::DRAINING)));
            assert_eq!((ending.ready_grace, ending.takeover), (Duration::from_secs(6), true));
            let trusted = ["10.0.0.0/8", "::1"].map(TrustedProxies::parse_network);
            assert_eq!(config.proxies.trusted, trusted.into_iter().flatten().collect());
            assert!(config.listen.ipv6_only && config.pages.assets);
            let [app] = &config.apps[..] else { panic!("{:?}", config.apps) };
            assert_eq!((&*app.id, &app.limits), ("2", &config.app_limits));
            assert_eq!(config.hooks.data_dir(), Path::new("here"));
            assert_eq!(config.hooks.stream().unwrap().redis.url.0, "redis://other");
            let cluster = &config.cluster;
            assert_eq!(
                (cluster.servers.len(), cluster.lease, &*cluster.prefix),
                (2, Duration::from_secs(20), "p")
            );
            let [endpoint] = &config.hooks.endpoints[..] else { panic!("{:?}", config.hooks) };
            assert_eq!(&*endpoint.app_id, "2");
        }
    }

    #[test]
    fn a_close_code_is_one_of_two() {
        for (text, code) in [("4100", Some(4100)), ("4200", Some(4200)), ("4300", None), ("", None)] {
            assert_eq!(parse_drain_close(text).ok().map(|close| close.code), code, "{text}");
        }
    }
}
