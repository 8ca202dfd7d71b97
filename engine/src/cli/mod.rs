//! The command line: `serve`, `check`, `dev`, `publish` and `hooks`. It is parsed once into values that are right, or refused
//! with one message that says what to change. Flags win over the configuration file. This file starts the server and knows
//! nothing of cores and sockets.

use std::env;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use api::page::demo_page;
use clap::{Args, Parser, Subcommand};
use logging::say;
use protocol::app::{App, Apps};

use self::app_file::{read_app_file, read_written_apps};
use self::dev::{Kept, KeptError, Origin};
use self::hooks::{HooksArgs, HooksFailure};
use self::output::{OutputError, print};
use self::publish::{Publication, Target, TargetArgs};
use crate::config::{
    Admin, Config, EndpointWish, Fault, METRICS_PREFIX, SHARDS_MAX, Shards, Steering, parse_admin_host,
};
use crate::server::start::{House, Inhabited};
use crate::server::{self, AdminPlan};
use crate::settings::capacity::Capacity;
use crate::settings::ending::{Ending, EndingArgs};

pub mod app_file;
pub mod dev;
pub mod hooks;
pub mod output;
pub mod publish;

/// What was asked for cannot be right (sysexits.h: EX_CONFIG).
const EXIT_CONFIG: u8 = 78;
/// Something outside went wrong: a port is taken, io_uring is forbidden, the server does not answer.
const EXIT_FAILURE: u8 = 1;
/// Nobody reads the output. A shell reports the same code for a command that SIGPIPE has ended.
const EXIT_READER_GONE: u8 = 128 + 13;

/// Realtime server for Pusher clients.
#[derive(Debug, Parser)]
#[command(name = "corecast", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(Serve),
    /// Check a configuration file without starting the server
    Check(Check),
    /// Run the server on loopback, with its own credentials, a demo page and code to paste
    Dev(Dev),
    /// Publish one event to a running server, signed like a server SDK
    Publish(PublishArgs),
    /// Inspect hook delivery, retry failed events, deliver from a stream
    Hooks(HooksArgs),
}

#[derive(Debug, Args)]
struct Serve {
    /// Configuration file (TOML); the options below override it
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address for WebSocket and REST; repeatable [default: 0.0.0.0:6001]
    #[arg(long, value_name = "ADDR")]
    listen: Vec<SocketAddr>,
    /// Accept only IPv6 on `[::]`; by default it accepts IPv4 too, unless an IPv4 address with the same port is also given
    #[arg(long)]
    ipv6_only: bool,
    /// An app and its credentials; repeatable; replaces all apps of the configuration file
    #[arg(long, value_name = "ID:KEY:SECRET")]
    app: Vec<String>,
    /// A file of apps, one ID:KEY:SECRET per line; replaces all apps of the configuration file
    #[arg(long, value_name = "FILE")]
    app_file: Option<PathBuf>,
    /// Address for /metrics, without credentials, or `off` [default: 127.0.0.1:9601, if it is free]
    #[arg(long, value_name = "ADDR")]
    admin: Option<Admin>,
    /// A host name that the admin listener answers to, besides IP addresses and localhost; repeatable
    #[arg(long, value_name = "NAME", value_parser = parse_admin_host)]
    admin_host: Vec<Box<str>>,
    /// How many cores hold connections [default: one less than there are processors, at least 1]
    #[arg(long, value_name = "N")]
    shards: Option<usize>,
    /// Which shard gets a new connection: `hash` spreads them evenly, `cpu` picks the shard on the processor that received it [default: hash]
    #[arg(long, value_name = "hash|cpu")]
    accept_steering: Option<Steering>,
    /// Where hook events wait until they are delivered [default: corecast-data, if there are hooks]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Webhook for the events of every app; repeatable; replaces all endpoints of the configuration file
    #[arg(long, value_name = "URL")]
    webhook: Vec<String>,
    /// Redis whose stream carries hook events
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    #[command(flatten)]
    ending: EndingArgs,
}

#[derive(Debug, Args)]
struct Check {
    /// Configuration file (TOML)
    #[arg(required_unless_present = "config")]
    file: Option<PathBuf>,
    /// The same, in the form that `serve` takes
    #[arg(short, long, value_name = "FILE", conflicts_with = "file")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Dev {
    /// Address on loopback
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6001")]
    listen: SocketAddr,
    /// Credentials to use instead of the ones that `dev` keeps
    #[arg(long, value_name = "ID:KEY:SECRET", group = "given")]
    app: Option<String>,
    /// A file of apps to use instead, one ID:KEY:SECRET per line
    #[arg(long, value_name = "FILE", group = "given")]
    app_file: Option<PathBuf>,
    /// Replace the kept credentials with new ones
    #[arg(long, conflicts_with = "given")]
    fresh: bool,
    /// How many cores hold connections [default: one less than there are processors, at least 1]
    #[arg(long, value_name = "N")]
    shards: Option<usize>,
}

#[derive(Debug, Args)]
struct PublishArgs {
    /// The channel to publish to
    channel: String,
    /// The name of the event
    event: String,
    /// The data of the event, sent unchanged
    data: String,
    #[command(flatten)]
    target: TargetArgs,
}

/// Runs the command that the arguments of this process ask for.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let asked_for_help = !error.use_stderr();
            let printed = error.print().map_err(OutputError::from);
            return match printed {
                Err(OutputError::ReaderGone) => ExitCode::from(EXIT_READER_GONE),
                _ if asked_for_help => ExitCode::SUCCESS,
                _ => ExitCode::from(EXIT_CONFIG),
            };
        }
    };
    let outcome = match cli.command {
        Command::Serve(serve) => run_serve(serve),
        Command::Check(check) => run_check(&check.file.or(check.config).unwrap_or_default()),
        Command::Dev(dev) => run_dev(dev),
        Command::Publish(publish) => run_publish(publish),
        Command::Hooks(args) => hooks::run(args).map_err(Failure::from),
    };
    let code = match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, text }) => {
            if !text.is_empty() {
                say!("{text}");
            }
            ExitCode::from(code)
        }
    };
    logging::finish();
    code
}

/// One line for the operator, or none, and the exit code.
struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    fn config(text: impl Into<String>) -> Self {
        Self { code: EXIT_CONFIG, text: text.into() }
    }

    fn no_app(wanted: &str) -> Self {
        Self::config(format!(
            "no app is configured: {wanted} \
             (there are no built-in credentials; `corecast dev` makes fresh ones)"
        ))
    }

    fn world(error: &impl ToString) -> Self {
        Self { code: EXIT_FAILURE, text: error.to_string() }
    }
}

impl From<HooksFailure> for Failure {
    fn from(failure: HooksFailure) -> Self {
        match failure {
            HooksFailure::Config(text) => Self::config(text),
            HooksFailure::World(text) => Self { code: EXIT_FAILURE, text },
            HooksFailure::Output(error) => error.into(),
        }
    }
}

impl From<OutputError> for Failure {
    fn from(error: OutputError) -> Self {
        match error {
            OutputError::ReaderGone => Self { code: EXIT_READER_GONE, text: String::new() },
            OutputError::Unwritable(_) => Self::world(&error),
        }
    }
}

impl From<KeptError> for Failure {
    fn from(error: KeptError) -> Self {
        match error {
            KeptError::NoRandomness(error) => Self::world(&error),
            KeptError::Spoiled(_) => Self::config(error.to_string()),
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::config(fault.to_string())
    }
}

/// The default address of the admin listener; soketi uses the same port for its metrics.
const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9601);

/// The default address of `serve`.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 6001);

fn run_serve(serve: Serve) -> Result<(), Failure> {
    let config = match &serve.config {
        Some(path) => Config::read(path)?,
        None => Config::default(),
    };
    let wanted = match &serve.config {
        Some(path) => format!("add [[apps]] to {}, or give --app ID:KEY:SECRET", path.display()),
        None => "give at least one --app ID:KEY:SECRET, or --app-file FILE".to_owned(),
    };
    let config = with_flags(config, serve)?;
    if config.apps.is_empty() {
        return Err(Failure::no_app(&wanted));
    }
    let admin = admin_plan(config.admin);
    start(config, admin, None, |house| {
        announce(house);
        Ok(())
    })
}

/// Without a setting, metrics are at the default address, unless another server is there already.
fn admin_plan(said: Option<Admin>) -> Option<AdminPlan> {
    match said {
        None => Some(AdminPlan { address: ADMIN, wanted: false }),
        Some(Admin::At(address)) => Some(AdminPlan { address, wanted: true }),
        Some(Admin::Off) => None,
    }
}

fn announce(house: &Inhabited) {
    for address in house.addresses() {
        say!("listening on {address}");
    }
    match house.admin() {
        Some(Ok(address)) => say!("metrics at http://{address}/metrics"),
        Some(Err(error)) => say!("no metrics: {error}, or --admin off"),
        None => {}
    }
    say!("{}", house.capacity());
}

/// A flag overrides the file; an app given by a flag has the limits that the file sets for all apps.
fn with_flags(mut config: Config, flags: Serve) -> Result<Config, Failure> {
    if !flags.listen.is_empty() {
        config.listen = flags.listen;
    }
    let mut apps: Vec<App> = flags.app.iter().map(|text| parse_app(text)).collect::<Result<_, _>>()?;
    if let Some(file) = &flags.app_file {
        apps.extend(read_app_file(file).map_err(Failure::config)?);
    }
    if !apps.is_empty() {
        config.apps = apps;
        config.apps.iter_mut().for_each(|app| app.limits = config.app_limits.clone());
    }
    config.admin = flags.admin.or(config.admin);
    config.ipv6_only = flags.ipv6_only.then_some(true).or(config.ipv6_only);
    if !flags.admin_host.is_empty() {
        config.admin_hosts = flags.admin_host;
    }
    config.accept_steering = flags.accept_steering.or(config.accept_steering);
    config.ending = flags.ending.wish().or(config.ending);
    if let Some(shards) = flags.shards {
        config.shards = Some(parse_shards(shards)?);
    }
    if let Some(data_dir) = flags.data_dir {
        config.hooks.set_data_dir(data_dir);
    }
    if let Some(url) = &flags.redis {
        config.hooks.set_redis_url(url).map_err(|why| Failure::config(format!("--redis {why}")))?;
    }
    if !flags.webhook.is_empty() {
        config.hooks.endpoints = EndpointWish::webhooks(&config.apps, &flags.webhook)
            .map_err(|why| Failure::config(format!("--webhook {why}")))?;
    }
    Ok(config)
}

fn run_check(path: &Path) -> Result<(), Failure> {
    let config = Config::read(path)?;
    if config.apps.is_empty() {
        return Err(Failure::no_app(&format!("add [[apps]] to {}", path.display())));
    }
    print(&format!("{}: good, {} app(s)\n", path.display(), config.apps.len()))?;
    if let Some(why) = config.hooks.preflight() {
        say!("warning: {why}");
    }
    warn_of_capacity(config.shards, &config.apps);
    Ok(())
}

/// Warns about apps whose `connections_max` is more than this process has descriptors for.
fn warn_of_capacity(shards: Option<Shards>, apps: &[App]) {
    let shards = shards.unwrap_or_else(Shards::by_machine).count();
    for why in Capacity::new(server::descriptors_max(), shards).warnings(apps) {
        say!("warning: {why}");
    }
}

fn run_dev(dev: Dev) -> Result<(), Failure> {
    if !dev.listen.ip().is_loopback() {
        let text = format!(
            "--listen {}: `dev` serves on loopback only; use `serve` for other addresses",
            dev.listen
        );
        return Err(Failure::config(text));
    }
    let listen = dev.listen;
    let shards = dev.shards.map(parse_shards).transpose()?;
    let Residents { apps, place } = residents(&dev)?;
    let (apps, credentials): (Vec<_>, Vec<_>) = apps.into_iter().unzip();
    let page = apps.first().map(|app| demo_page(&app.key));
    let greet = |house: &Inhabited| {
        let address = house.addresses().first().copied().unwrap_or(listen);
        let origin = match &place {
            Some(Ok(file)) => Origin::Kept(file),
            Some(Err(why)) => Origin::Passing(why),
            None => Origin::Given(dev.app_file.as_deref()),
        };
        let first = credentials.first().map_or("", String::as_str);
        Ok(print(&dev::greeting(address, first, origin))?)
    };
    let config = Config { listen: vec![listen], apps, shards, ..Config::default() };
    start(config, None, page, greet)
}

/// The apps of `dev`, as they are written, and where they are kept if they are its own.
struct Residents {
    apps: Vec<(App, String)>,
    place: Option<Result<PathBuf, String>>,
}

fn residents(dev: &Dev) -> Result<Residents, Failure> {
    if let Some(file) = &dev.app_file {
        let apps = read_written_apps(file).map_err(Failure::config)?;
        return Ok(Residents { apps, place: None });
    }
    let (credentials, place) = match &dev.app {
        Some(text) => (text.clone(), None),
        None => {
            let Kept { credentials, place } = dev::kept_credentials(dev.fresh)?;
            (credentials, Some(place))
        }
    };
    Ok(Residents { apps: vec![(parse_app(&credentials)?, credentials)], place })
}

fn run_publish(args: PublishArgs) -> Result<(), Failure> {
    let Target { app, to } = args.target.find(env::var("PUSHER_URL").ok()).map_err(Failure::config)?;
    let publication = Publication { channel: &args.channel, event: &args.event, data: &args.data };
    publish::publish(&app, &to, &publication).map_err(|error| Failure::world(&error))?;
    Ok(print(&format!("published {} to {}\n", args.event, args.channel))?)
}

fn parse_app(text: &str) -> Result<App, Failure> {
    App::parse(text).map_err(|error| Failure::config(format!("--app: {error}")))
}

fn parse_shards(count: usize) -> Result<Shards, Failure> {
    let impossible = || Failure::config(format!("--shards: from 1 to {SHARDS_MAX} are possible"));
    Shards::new(count).ok_or_else(impossible)
}

fn start(
    mut config: Config,
    admin: Option<AdminPlan>,
    page: Option<String>,
    started: impl FnOnce(&Inhabited) -> Result<(), Failure>,
) -> Result<(), Failure> {
    config.hooks.give_kinds(&mut config.apps);
    warn_of_capacity(config.shards, &config.apps);
    // Those of a file are known to differ.
    let apps = Apps::new(config.apps).map_err(|error| Failure::config(format!("--app: {error}")))?;
    let house = House {
        listen: if config.listen.is_empty() { vec![LISTEN] } else { config.listen },
        api_listen: config.api_listen,
        admin,
        ipv6_only: config.ipv6_only.unwrap_or(false),
        // Only `dev` has a page, and only `dev` belongs to a terminal.
        hangup_stops: page.is_some(),
        page: page.map(Arc::from),
        admin_hosts: config.admin_hosts,
        metrics_prefix: config.metrics_prefix.unwrap_or_else(|| METRICS_PREFIX.into()),
        hooks: config.hooks.settled(&apps),
        apps: Arc::new(apps),
        shards: config.shards.unwrap_or_else(Shards::by_machine),
        pin: config.pin.unwrap_or(true),
        accept_steering: config.accept_steering.unwrap_or_default(),
        limits: config.limits,
        ending: Ending::from(config.ending),
    };
    let inhabited = server::start::start(house).map_err(|error| Failure::world(&error))?;
    started(&inhabited)?;
    inhabited.wait().map_err(|error| Failure::world(&error))
}
