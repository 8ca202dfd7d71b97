//! `corecast health`: whether a running server lives, as an exit code, for the health checks of containers and supervisors.

use std::net::SocketAddr;

use ::hooks::http_get::{HttpAnswer, HttpGet};
use clap::Args;

use super::failure::Failure;
use super::output::print;
use super::overrides::Overrides;
use super::sources::{SourceArgs, Sources};
use crate::config::Config;
use crate::driver::listen::reachable;
use crate::limits::{HEALTH_ANSWER_BYTES_MAX, HEALTH_ANSWER_MAX};

/// The arguments of `corecast health`.
#[derive(Debug, Args)]
pub(super) struct Health {
    /// What to ask, such as http://127.0.0.1:6001/ready [default: /live of the admin listener in the settings]
    #[arg(value_name = "URL")]
    url: Option<String>,
    #[command(flatten)]
    files: SourceArgs,
}

/// Asks, and fails unless the answer is 200.
pub(super) fn run(health: &Health) -> Result<(), Failure> {
    let url = match &health.url {
        Some(url) => url.clone(),
        None => live(&Sources::new(&health.files, &Overrides::default()).read()?.config)?,
    };
    let asked = HttpGet::new(&url, 1).map_err(|why| Failure::config(format!("{url}: {why}")))?;
    match asked.get(HEALTH_ANSWER_MAX, HEALTH_ANSWER_BYTES_MAX) {
        Ok(HttpAnswer { status: 200, .. }) => Ok(print(&format!("{url}: good\n"))?),
        Ok(HttpAnswer { status, .. }) => Err(Failure::outside(format!("{url}: answers {status}"))),
        Err(fault) => Err(Failure::outside(format!("{url}: {fault}"))),
    }
}

fn live(config: &Config) -> Result<String, Failure> {
    let address = config.admin.address.address().filter(|address: &SocketAddr| address.port() != 0);
    let address = address.ok_or_else(|| {
        Failure::config(
            "the settings have no admin listener to ask: name a URL, such as http://127.0.0.1:6001/live",
        )
    })?;
    Ok(format!("http://{}/live", reachable(address)))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// What comes of asking a server that answers like this, once.
    fn asked(answer: &'static [u8]) -> Result<(), Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/live", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            assert!(peer.read(&mut [0; 4096]).unwrap() > 0);
            peer.write_all(answer).unwrap();
        });
        let outcome = run(&Health { url: Some(url), files: SourceArgs::default() });
        server.join().unwrap();
        outcome
    }

    #[test]
    fn only_200_is_good() {
        assert!(asked(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK").is_ok());
        for (answer, words) in [
            (&b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"[..], "answers 503"),
            (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "answers 302"),
            (b"", "http://127.0.0.1:"),
        ] {
            let failure = asked(answer).unwrap_err();
            assert!(failure.code == 1 && failure.text.contains(words), "{}", failure.text);
        }
    }

    #[test]
    fn without_a_url_the_admin_listener_is_asked_for_its_life() {
        let config = |flags: &[&str]| {
            let overrides =
                Overrides { admin: flags.first().map(|it| it.parse().unwrap()), ..Overrides::default() };
            overrides.over_defaults().unwrap()
        };
        assert_eq!(live(&config(&[])).unwrap(), "http://127.0.0.1:9601/live");
        assert_eq!(live(&config(&["0.0.0.0:9700"])).unwrap(), "http://127.0.0.1:9700/live");
        assert_eq!(live(&config(&["off"])).unwrap_err().code, 78);
    }
}
