//! The command line: `serve`, `dev` and `publish`. Parsed once into values that are right, or refused with one message
//! that says what to change. Starts the server; knows nothing of cores and sockets.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use protocol::app::{App, Apps};

use crate::assembly::{self, House, SHARDS_MAX};
use crate::dev;
use crate::ending::{Ending, EndingArgs};
use crate::publish::{self, Publication};

/// What cannot be right as it was asked for (sysexits.h: EX_CONFIG).
const EXIT_CONFIG: u8 = 78;
/// The world does not play along: a port is taken, io_uring is forbidden, the server does not answer.
const EXIT_FAILURE: u8 = 1;

/// Realtime server for Pusher clients.
#[derive(Debug, Parser)]
#[command(name = "corecast", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve(Serve),
    /// Run the server on loopback, with fresh credentials and a ready-to-paste client
    Dev(Dev),
    /// Publish one event to a running server, signed as server SDKs do
    Publish(PublishArgs),
}

#[derive(Debug, Args)]
struct Serve {
    /// Address for WebSocket and REST; may be given several times
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:6001")]
    listen: Vec<SocketAddr>,
    /// An app and its credentials; may be given several times
    #[arg(long, value_name = "ID:KEY:SECRET")]
    app: Vec<String>,
    /// How many cores hold connections; by default it follows the machine
    #[arg(long, value_name = "N")]
    shards: Option<usize>,
    #[command(flatten)]
    ending: EndingArgs,
}

#[derive(Debug, Args)]
struct Dev {
    /// Address on loopback
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6001")]
    listen: SocketAddr,
    /// Credentials to use instead of fresh random ones
    #[arg(long, value_name = "ID:KEY:SECRET")]
    app: Option<String>,
    /// How many cores hold connections; by default it follows the machine
    #[arg(long, value_name = "N")]
    shards: Option<usize>,
}

#[derive(Debug, Args)]
struct PublishArgs {
    /// Where to
    channel: String,
    /// The event's name
    event: String,
    /// Its data, sent as it stands
    data: String,
    /// The app's credentials
    #[arg(long, value_name = "ID:KEY:SECRET")]
    app: String,
    /// The server's address
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:6001")]
    to: String,
}

/// Runs the command that the arguments of this process ask for.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let asked_for_help = !error.use_stderr();
            drop(error.print());
            return if asked_for_help { ExitCode::SUCCESS } else { ExitCode::from(EXIT_CONFIG) };
        }
    };
    let outcome = match cli.command {
        Command::Serve(serve) => run_serve(serve),
        Command::Dev(dev) => run_dev(dev),
        Command::Publish(publish) => run_publish(&publish),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, text }) => {
            eprintln!("corecast: {text}");
            ExitCode::from(code)
        }
    }
}

/// One line for the operator, and the exit code.
struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    fn config(text: impl Into<String>) -> Self {
        Self { code: EXIT_CONFIG, text: text.into() }
    }

    fn world(error: &impl ToString) -> Self {
        Self { code: EXIT_FAILURE, text: error.to_string() }
    }
}

fn run_serve(serve: Serve) -> Result<(), Failure> {
    if serve.app.is_empty() {
        let text = "no app is configured: give at least one --app ID:KEY:SECRET \
                    (there are no built-in credentials; `corecast dev` makes fresh ones)";
        return Err(Failure::config(text));
    }
    let apps = serve.app.iter().map(|text| parse_app(text)).collect::<Result<Vec<_>, _>>()?;
    let listening = |addresses: &[SocketAddr]| {
        for address in addresses {
            eprintln!("corecast: listening on {address}");
        }
    };
    start(serve.listen, apps, serve.shards, serve.ending.ending(), listening)
}

fn run_dev(dev: Dev) -> Result<(), Failure> {
    if !dev.listen.ip().is_loopback() {
        let text = format!(
            "--listen {}: `dev` serves on loopback only; use `serve` for other addresses",
            dev.listen
        );
        return Err(Failure::config(text));
    }
    let credentials = match dev.app {
        Some(text) => text,
        None => dev::fresh_credentials().map_err(|error| Failure::world(&error))?,
    };
    let app = parse_app(&credentials)?;
    let listen = dev.listen;
    let greet = |addresses: &[SocketAddr]| {
        print!("{}", dev::greeting(addresses.first().copied().unwrap_or(listen), &credentials));
    };
    start(vec![listen], vec![app], dev.shards, Ending::default(), greet)
}

fn run_publish(args: &PublishArgs) -> Result<(), Failure> {
    let app = parse_app(&args.app)?;
    let publication = Publication { channel: &args.channel, event: &args.event, data: &args.data };
    publish::publish(&app, &args.to, &publication).map_err(|error| Failure::world(&error))?;
    println!("published {} to {}", args.event, args.channel);
    Ok(())
}

fn parse_app(text: &str) -> Result<App, Failure> {
    App::parse(text).map_err(|error| Failure::config(format!("--app: {error}")))
}

fn start(
    listen: Vec<SocketAddr>,
    apps: Vec<App>,
    shards: Option<usize>,
    ending: Ending,
    started: impl FnOnce(&[SocketAddr]),
) -> Result<(), Failure> {
    let apps = Apps::new(apps).map_err(|error| Failure::config(format!("--app: {error}")))?;
    if shards.is_some_and(|shards| !(1..=SHARDS_MAX).contains(&shards)) {
        return Err(Failure::config(format!("--shards: from 1 to {SHARDS_MAX} are possible")));
    }
    let house = House { listen, apps: Arc::new(apps), shards, ending };
    let inhabited = assembly::start(house).map_err(|error| Failure::world(&error))?;
    started(inhabited.addresses());
    inhabited.wait().map_err(|error| Failure::world(&error))
}
