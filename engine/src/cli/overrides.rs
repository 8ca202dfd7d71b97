//! The flags that win over the configuration file, and the one place where they are laid over it.
//!
//! `serve` has all of them; a command that has some fills in those. Reading file and flags again gives the same settings,
//! as far as the file is the same. What must never happen here: a secret in a message.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use protocol::app::App;
use protocol::close::Close;

use super::app_file::read_app_file;
use super::failure::Failure;
use crate::config::{Config, EndpointConfig};
use crate::limits::SHARDS_MAX;
use crate::settings::{AdminAddress, ShardCount, Steering, parse_admin_host};

/// Flags; what is not given leaves the file as it is.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Overrides {
    /// Address for WebSocket and REST; repeatable [default: 0.0.0.0:6001]
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Vec<SocketAddr>,
    /// Accept only IPv6 on `[::]`; by default it accepts IPv4 too, unless an IPv4 address with the same port is also given
    #[arg(long)]
    pub(super) ipv6_only: bool,
    /// Serve push.js, the client for browsers, and its forms for uni-app and WeChat at the paths of webman-push-server and webman/push
    #[arg(long)]
    pub(super) assets: bool,
    /// An app and its credentials; repeatable; replaces all apps of the configuration file
    #[arg(long, value_name = "ID:KEY:SECRET")]
    pub(super) app: Vec<String>,
    /// A file of apps, one ID:KEY:SECRET per line; replaces all apps of the configuration file
    #[arg(long, value_name = "FILE")]
    pub(super) app_file: Option<PathBuf>,
    /// Address for /metrics, without credentials, or `off` [default: 127.0.0.1:9601, if it is free]
    #[arg(long, value_name = "ADDR")]
    pub(super) admin: Option<AdminAddress>,
    /// A host name that the admin listener answers to, besides IP addresses and localhost; repeatable
    #[arg(long, value_name = "NAME", value_parser = parse_admin_host)]
    pub(super) admin_host: Vec<Box<str>>,
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
    /// What this file says, or the defaults without one, with these flags over it.
    pub(super) fn over_file(&self, file: Option<&Path>) -> Result<Config, Failure> {
        let mut config = match file {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        self.lay_over(&mut config)?;
        Ok(config)
    }

    fn lay_over(&self, config: &mut Config) -> Result<(), Failure> {
        replace(&mut config.listen.public, &self.listen);
        config.listen.ipv6_only |= self.ipv6_only;
        config.pages.assets |= self.assets;
        self.lay_apps_over(config)?;
        set(&mut config.admin.address, self.admin);
        replace(&mut config.admin.hosts, &self.admin_host);
        set(&mut config.shards.count, self.shards.map(parse_shards).transpose()?);
        set(&mut config.shards.accept_steering, self.accept_steering);
        set(&mut config.ending.drain_rate, self.drain_rate);
        config.ending.drain_close = self.drain_close.or(config.ending.drain_close);
        set(&mut config.ending.ready_grace, self.ready_grace.map(|s| Duration::from_secs(s.into())));
        config.ending.takeover |= self.takeover;
        self.lay_hooks_over(config)
    }

    /// An app given by a flag has the limits that the file sets for all apps.
    fn lay_apps_over(&self, config: &mut Config) -> Result<(), Failure> {
        let mut apps: Vec<App> = self.app.iter().map(|text| parse_app(text)).collect::<Result<_, _>>()?;
        if let Some(file) = &self.app_file {
            apps.extend(read_app_file(file).map_err(Failure::config)?);
        }
        if !apps.is_empty() {
            apps.iter_mut().for_each(|app| app.limits = config.app_limits.clone());
            config.apps = apps;
        }
        Ok(())
    }

    fn lay_hooks_over(&self, config: &mut Config) -> Result<(), Failure> {
        if let Some(data_dir) = &self.data_dir {
            config.hooks.set_data_dir(data_dir.clone());
        }
        if let Some(url) = &self.redis {
            config.hooks.set_redis_url(url).map_err(|why| Failure::config(format!("--redis {why}")))?;
        }
        if !self.webhook.is_empty() {
            config.hooks.endpoints = EndpointConfig::webhooks(&config.apps, &self.webhook)
                .map_err(|why| Failure::config(format!("--webhook {why}")))?;
        }
        Ok(())
    }
}

/// A flag that is given replaces a setting.
fn set<T>(setting: &mut T, flag: Option<T>) {
    if let Some(value) = flag {
        *setting = value;
    }
}

/// A flag that may be repeated replaces a list.
fn replace<T: Clone>(list: &mut Vec<T>, flags: &[T]) {
    if !flags.is_empty() {
        *list = flags.to_vec();
    }
}

/// An app of `--app`.
pub(super) fn parse_app(text: &str) -> Result<App, Failure> {
    App::parse(text).map_err(|error| Failure::config(format!("--app: {error}")))
}

fn parse_shards(count: usize) -> Result<ShardCount, Failure> {
    let impossible = || Failure::config(format!("--shards: from 1 to {SHARDS_MAX} are possible"));
    ShardCount::new(count).ok_or_else(impossible)
}

fn parse_drain_close(text: &str) -> Result<Close, String> {
    let known = [Close::DRAINING, Close::RECONNECT];
    let close = known.into_iter().find(|close| close.code.to_string() == text);
    close.ok_or_else(|| "4100 and 4200 are possible".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "listen = \"127.0.0.1:7000\"\nadmin = \"off\"\nadmin_hosts = [\"a\"]\nshards = 3\n\
        accept_steering = \"cpu\"\ndrain_rate = 7\ndrain_close = 4200\nready_grace = 5\ntakeover = true\nipv6_only = true\n\
        [limits]\nchannels_per_event_max = 9\n[hooks]\ndata_dir = \"there\"\nredis_url = \"redis://h\"\n\
        [[apps]]\nid = \"1\"\nkey = \"a\"\nsecret = \"s\"\n[[apps.hooks]]\nnone = true\n";

    fn over(flags: &Overrides, file: &str) -> Config {
        let mut config = Config::parse("x", file).unwrap();
        flags.lay_over(&mut config).unwrap_or_else(|failure| panic!("{failure:?}"));
        config
    }

    #[test]
    fn without_flags_the_file_stays_as_it_is() {
        let said = over(&Overrides::default(), FILE);
        assert_eq!(format!("{said:?}"), format!("{:?}", Config::parse("x", FILE).unwrap()));
    }

    #[test]
    fn every_flag_wins_over_the_file() {
        let flags = Overrides {
            listen: vec!["127.0.0.1:8000".parse().unwrap()],
            ipv6_only: true,
            assets: true,
            app: vec!["2:b:s".to_owned()],
            app_file: None,
            admin: Some("127.0.0.1:9000".parse().unwrap()),
            admin_host: vec!["b".into()],
            shards: Some(4),
            accept_steering: Some(Steering::Hash),
            data_dir: Some("here".into()),
            webhook: vec!["http://w/".to_owned()],
            redis: Some("redis://other".to_owned()),
            drain_rate: NonZeroU32::new(8),
            drain_close: Some(Close::DRAINING),
            ready_grace: Some(6),
            takeover: true,
        };
        for file in [FILE, ""] {
            let config = over(&flags, file);
            assert_eq!(config.listen.public, flags.listen);
            assert_eq!(
                (config.admin.address, &config.admin.hosts),
                (flags.admin.unwrap(), &flags.admin_host)
            );
            assert_eq!((config.shards.count.get(), config.shards.accept_steering), (4, Steering::Hash));
            let ending = config.ending;
            assert_eq!((ending.drain_rate.get(), ending.drain_close), (8, Some(Close::DRAINING)));
            assert_eq!((ending.ready_grace, ending.takeover), (Duration::from_secs(6), true));
            assert!(config.listen.ipv6_only && config.pages.assets);
            let [app] = &config.apps[..] else { panic!("{:?}", config.apps) };
            assert_eq!((&*app.id, &app.limits), ("2", &config.app_limits));
            assert_eq!(config.hooks.data_dir(), Path::new("here"));
            assert_eq!(config.hooks.stream().unwrap().redis.url.0, "redis://other");
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
