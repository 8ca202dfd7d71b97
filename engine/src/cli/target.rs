//! Which app `publish` and `watch` sign for, and which server they call: from flags, else a file, else `PUSHER_URL`.
//!
//! What must never happen here: a secret in a message.

use std::path::PathBuf;

use clap::Args;
use corecast_client::Credentials;
use protocol::app::App;

use crate::cli::app_file::read_app_file;
use crate::cli::running::read_stored_apps;
use crate::config::Config;
use crate::driver::listen::reachable;

/// Where a server listens by default.
const SERVER: &str = "127.0.0.1:6001";

const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// The options that are about app and server.
#[derive(Debug, Default, Args)]
pub(super) struct TargetArgs {
    /// The app's credentials; anyone who can list processes can read them, so prefer --app-file
    #[arg(long, value_name = "ID:KEY:SECRET", group = "source")]
    app: Option<String>,
    /// A file with the app's credentials, as ID:KEY:SECRET
    #[arg(long, value_name = "FILE", group = "source")]
    app_file: Option<PathBuf>,
    /// The server's configuration file, from which app and address are taken
    #[arg(short, long, value_name = "FILE", group = "source")]
    config: Option<PathBuf>,
    /// Which app, if the file has several
    #[arg(long, value_name = "ID")]
    app_id: Option<String>,
    /// The server's address [default: from --config or PUSHER_URL, else 127.0.0.1:6001]
    #[arg(long, value_name = "HOST:PORT")]
    to: Option<String>,
}

/// An app and a server.
#[derive(Debug)]
pub(super) struct Target {
    /// The app that signs.
    pub(super) app: App,
    /// Where it is.
    pub(super) to: Server,
}

/// Where a server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    tls: bool,
    /// `HOST:PORT`.
    pub(super) address: String,
}

impl Server {
    fn plain(address: impl Into<String>) -> Self {
        Self { tls: false, address: address.into() }
    }

    /// As a URL.
    pub(super) fn url(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.address)
    }
}

impl Target {
    /// What the client signs with.
    pub(super) fn credentials(&self) -> Credentials {
        let key = self.app.oldest_key();
        Credentials::of_signing_key(&*self.app.id, &*key.name, key.signing().clone())
    }
}

impl TargetArgs {
    /// The app and the server, or one line that says what is wrong. `pusher_url` is the variable of the environment.
    pub(super) fn find(self, pusher_url: Option<String>) -> Result<Target, String> {
        let to = self.to.as_deref().map(parse_address).transpose().map_err(|why| format!("--to {why}"))?;
        let (apps, source, server) = if let Some(text) = &self.app {
            let app = App::parse(text).map_err(|error| format!("--app: {error}"))?;
            (vec![app], "--app".to_owned(), None)
        } else if let Some(file) = &self.app_file {
            (read_app_file(file)?, file.display().to_string(), None)
        } else if let Some(file) = &self.config {
            let mut config = Config::read(file).map_err(|fault| fault.to_string())?;
            read_stored_apps(&mut config).map_err(|failure| failure.text)?;
            let server =
                config.listen.public.first().map(|listen| Server::plain(reachable(*listen).to_string()));
            config.apps.extend(config.stored_apps);
            (config.apps, file.display().to_string(), server)
        } else {
            let url = pusher_url.filter(|url| !url.is_empty()).ok_or(NO_APP)?;
            let (app, server) =
                parse_pusher_url(&url, to.is_some()).map_err(|why| format!("PUSHER_URL {why}"))?;
            (vec![app], "PUSHER_URL".to_owned(), server)
        };
        let app = choose(apps, self.app_id.as_deref(), &source)?;
        Ok(Target { app, to: to.or(server).unwrap_or_else(|| Server::plain(SERVER)) })
    }
}

const NO_APP: &str =
    "no app is given: use --app-file FILE, --config FILE or --app ID:KEY:SECRET, or set PUSHER_URL";

fn choose(mut apps: Vec<App>, id: Option<&str>, source: &str) -> Result<App, String> {
    let ids = || apps.iter().map(|app| &*app.id).collect::<Vec<_>>().join(", ");
    let index = match id {
        Some(id) => apps
            .iter()
            .position(|app| &*app.id == id)
            .ok_or_else(|| format!("--app-id {id}: {source} has no such app; it has {}", ids())),
        None if apps.len() > 1 => {
            Err(format!("{source} has several apps: choose one with --app-id, from {}", ids()))
        }
        None if apps.is_empty() => Err(format!("{source} has no app")),
        None => Ok(0),
    }?;
    Ok(apps.swap_remove(index))
}

/// `HOST:PORT`, written as such or as a URL without a path.
fn parse_address(text: &str) -> Result<Server, String> {
    let (place, scheme) = match text.split_once("://") {
        None => (text, None),
        Some((scheme, place)) => (place.strip_suffix('/').unwrap_or(place), Some(scheme)),
    };
    let (tls, default_port) = scheme.map(parse_scheme).transpose()?.unzip();
    let wrong = || format!("{text:?} is not an address; write HOST:PORT, such as {SERVER}");
    if place.contains(['/', '?', '#', '@']) {
        return Err(wrong());
    }
    let address = with_port(place, default_port).ok_or_else(wrong)?;
    Ok(Server { tls: tls.unwrap_or(false), address })
}

/// Whether a scheme means TLS, and its port.
fn parse_scheme(scheme: &str) -> Result<(bool, u16), String> {
    match scheme {
        "http" | "ws" => Ok((false, HTTP_PORT)),
        "https" | "wss" => Ok((true, HTTPS_PORT)),
        _ => Err(format!("is {scheme}://; only http:// and https:// work")),
    }
}

fn with_port(place: &str, default_port: Option<u16>) -> Option<String> {
    let colon = place.rfind(':').filter(|colon| !place[*colon..].contains(']'));
    let (host, port) = match colon {
        Some(colon) => (&place[..colon], place[colon + 1..].parse().ok()?),
        None => (place, default_port?),
    };
    let bracketed = host.starts_with('[') && host.ends_with(']');
    (!host.is_empty() && (bracketed || !host.contains([':', ' ']))).then(|| format!("{host}:{port}"))
}

/// What server SDKs read: `http://KEY:SECRET@HOST:PORT/apps/ID`. With `elsewhere`, the server comes from a flag, and the one
/// in the URL may be one that cannot be called.
fn parse_pusher_url(url: &str, elsewhere: bool) -> Result<(App, Option<Server>), String> {
    let wrong = || "must be http://KEY:SECRET@HOST:PORT/apps/ID".to_owned();
    let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
    let (rest, id) = rest.rsplit_once("/apps/").ok_or_else(wrong)?;
    let (credentials, place) = rest.rsplit_once('@').ok_or_else(wrong)?;
    let (key, secret) = credentials.split_once(':').ok_or_else(wrong)?;
    let app =
        App::of_parts(id.trim_end_matches('/'), key, secret).map_err(|error| format!("is wrong: {error}"))?;
    if elsewhere {
        return Ok((app, None));
    }
    let (tls, port) = parse_scheme(scheme)?;
    let address = with_port(place, Some(port)).ok_or_else(wrong)?;
    Ok((app, Some(Server { tls, address })))
}

#[cfg(test)]
mod tests {
    use std::{env, fs};

    use super::*;

    fn found(args: TargetArgs, url: Option<&str>) -> Result<(String, String), String> {
        args.find(url.map(str::to_owned)).map(|target| (target.app.id.to_string(), target.to.url()))
    }

    fn expected(id: &str, to: &str) -> Result<(String, String), String> {
        let url = if to.contains("://") { to.to_owned() } else { format!("http://{to}") };
        Ok((id.to_owned(), url))
    }

    fn to(text: &str) -> TargetArgs {
        TargetArgs { app: Some("1:k:s".to_owned()), to: Some(text.to_owned()), ..TargetArgs::default() }
    }

    #[test]
    fn an_address_may_be_a_url() {
        let table = [
            ("h:6001", "h:6001"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("[::1]:6001", "[::1]:6001"),
            ("http://h:6001", "h:6001"),
            ("http://h:6001/", "h:6001"),
            ("http://h", "h:80"),
            ("http://[::1]", "[::1]:80"),
            ("ws://h:7", "h:7"),
            ("https://h", "https://h:443"),
            ("wss://h:7/", "https://h:7"),
        ];
        for (text, address) in table {
            assert_eq!(found(to(text), None), expected("1", address), "{text}");
        }
        assert_eq!(found(TargetArgs { to: None, ..to("") }, None), expected("1", SERVER));
    }

    #[test]
    fn a_bad_address_is_refused_with_an_example_of_a_good_one() {
        for text in ["h", "", ":1", "h:", "h:70000", "::1", "http://h/apps/1", "http://u@h:1", "a b:1"] {
            let told = found(to(text), None).unwrap_err();
            assert_eq!(
                told,
                format!("--to {text:?} is not an address; write HOST:PORT, such as 127.0.0.1:6001")
            );
        }
        assert_eq!(found(to("ftp://h"), None).unwrap_err(), "--to is ftp://; only http:// and https:// work");
    }

    #[test]
    fn pusher_url_names_app_and_server() {
        let table = [
            ("http://k:s@h:6001/apps/7", "h:6001"),
            ("http://k:s@h/apps/7", "h:80"),
            ("http://k:s:/@x@[::1]:6001/apps/7", "[::1]:6001"),
        ];
        for (url, server) in table {
            assert_eq!(found(TargetArgs::default(), Some(url)), expected("7", server), "{url}");
        }
        let cloud = "https://k:s@api.pusherapp.com/apps/7";
        assert_eq!(found(TargetArgs::default(), Some(cloud)), expected("7", "https://api.pusherapp.com:443"));
        let here = TargetArgs { app: None, ..to("h:1") };
        assert_eq!(found(here, Some(cloud)), expected("7", "h:1"));
        for url in ["x", "http://h/apps/7", "http://k@h/apps/7", "http://k:s@h", "http://k:s@:x/apps/7"] {
            let told = found(TargetArgs::default(), Some(url)).unwrap_err();
            assert_eq!(told, "PUSHER_URL must be http://KEY:SECRET@HOST:PORT/apps/ID", "{url}");
        }
        for url in [None, Some("")] {
            assert_eq!(found(TargetArgs::default(), url).unwrap_err(), NO_APP);
        }
    }

    #[test]
    fn an_app_of_a_file_is_chosen_by_its_id() {
        let folder = env::temp_dir().join(format!("corecast-target-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (apps, config) = (folder.join("apps"), folder.join("corecast.toml"));
        fs::write(&apps, "1:a:hunter2\n2:b:hunter2\n").unwrap();
        let app = "[[apps]]\nid = \"3\"\nkey = \"c\"\nsecret = \"hunter2\"\n";
        fs::write(&config, format!("listen = \"0.0.0.0:7000\"\n{app}")).unwrap();
        let by_file = |id: Option<&str>| TargetArgs {
            app_file: Some(apps.clone()),
            app_id: id.map(str::to_owned),
            ..TargetArgs::default()
        };
        // What is named by a flag wins over the environment.
        assert_eq!(found(by_file(Some("2")), Some("http://k:s@h/apps/7")), expected("2", SERVER));
        let told = found(by_file(None), None).unwrap_err();
        assert!(told.ends_with("has several apps: choose one with --app-id, from 1, 2"), "{told}");
        let told = found(by_file(Some("9")), None).unwrap_err();
        assert!(told.ends_with("has no such app; it has 1, 2"), "{told}");
        let by_config = TargetArgs { config: Some(config), ..TargetArgs::default() };
        assert_eq!(found(by_config, None), expected("3", "127.0.0.1:7000"));
        fs::remove_dir_all(folder).unwrap();
    }
}
