//! The lines that connect clients to this server: its host, port and key as they are, ready to be pasted.
//!
//! What must never happen here: a secret. Back ends get the place where it stands, and read it from their environment.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use protocol::app::App;

use crate::config::Config;

/// An address of the networks for documentation, of which every machine knows by which of its own it would go there.
const FAR_AWAY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);

/// Where clients find the server, and which app they are of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Clients {
    host: String,
    port: u16,
    is_secure: bool,
    app_id: String,
    key: String,
    /// Where its secret stands.
    secret: String,
}

/// Lines for one kind of client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snippet {
    /// Which kind.
    pub client: &'static str,
    /// What is pasted.
    pub text: String,
}

impl Clients {
    /// Those of the first app and the first address, with TLS if there is one. `secret` is where its secret stands;
    /// `name` is that of its certificate. None without an app.
    pub(super) fn of(config: &Config, secret: &str, name: Option<String>) -> Option<Self> {
        let app: &App = config.apps.iter().chain(&config.stored_apps).next()?;
        let secure = config.tls.listen.first();
        let address = secure.or_else(|| config.listen.public.first())?;
        Some(Self {
            host: name.filter(|_| secure.is_some()).unwrap_or_else(|| host(*address)),
            port: address.port(),
            is_secure: secure.is_some(),
            app_id: app.id.to_string(),
            key: app.oldest_key().name.to_string(),
            secret: secret.to_owned(),
        })
    }

    /// What to know before pasting.
    pub fn introduction(&self) -> String {
        let Self { host, port, app_id, secret, .. } = self;
        format!(
            "Clients of app {app_id} connect to {host}:{port}. Behind a proxy, write its name and port instead, and TLS if it has \
             it.\nIts secret stands in {secret}; the lines of back ends read it from the variable PUSHER_APP_SECRET.\n"
        )
    }

    /// The lines of all kinds of clients.
    pub fn snippets(&self) -> Vec<Snippet> {
        [
            ("pusher-js", self.pusher_js()),
            ("laravel-echo", self.echo()),
            ("php", self.php()),
            ("node", self.node()),
            ("python", self.python()),
        ]
        .map(|(client, text)| Snippet { client, text })
        .into()
    }

    fn pusher_js(&self) -> String {
        let Self { key, .. } = self;
        format!("const pusher = new Pusher(\"{key}\", {{ {} }});", self.browser())
    }

    fn echo(&self) -> String {
        let Self { key, .. } = self;
        format!(
            "window.Pusher = Pusher;\nwindow.Echo = new Echo({{ broadcaster: \"pusher\", key: \"{key}\", {} }});",
            self.browser()
        )
    }

    /// Options that both clients for browsers take.
    fn browser(&self) -> String {
        let Self { host, port, is_secure, .. } = self;
        let transport = if *is_secure { "wss" } else { "ws" };
        format!(
            "wsHost: \"{host}\", {transport}Port: {port}, forceTLS: {is_secure}, enabledTransports: [\"{transport}\"], \
             cluster: \"self\""
        )
    }

    fn php(&self) -> String {
        let Self { host, port, is_secure, app_id, key, .. } = self;
        let scheme = if *is_secure { "https" } else { "http" };
        format!(
            "$pusher = new Pusher\\Pusher('{key}', getenv('PUSHER_APP_SECRET'), '{app_id}', ['host' => '{host}', \
             'port' => {port}, 'scheme' => '{scheme}', 'useTLS' => {is_secure}]);"
        )
    }

    fn node(&self) -> String {
        let Self { host, port, is_secure, app_id, key, .. } = self;
        format!(
            "const pusher = new Pusher({{ appId: \"{app_id}\", key: \"{key}\", secret: process.env.PUSHER_APP_SECRET, \
             host: \"{host}\", port: \"{port}\", useTLS: {is_secure} }});"
        )
    }

    fn python(&self) -> String {
        let Self { host, port, is_secure, app_id, key, .. } = self;
        let ssl = if *is_secure { "True" } else { "False" };
        format!(
            "pusher_client = pusher.Pusher(app_id=\"{app_id}\", key=\"{key}\", \
             secret=os.environ[\"PUSHER_APP_SECRET\"], host=\"{host}\", port={port}, ssl={ssl})"
        )
    }
}

/// How clients elsewhere reach a listener on this address.
fn host(address: SocketAddr) -> String {
    let ip = if address.ip().is_unspecified() {
        own_ip().unwrap_or_else(|| Ipv4Addr::LOCALHOST.into())
    } else {
        address.ip()
    };
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// The address from which this machine would speak to others. Nothing is sent.
fn own_ip() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(FAR_AWAY).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(text: &str, name: Option<&str>) -> Clients {
        let config = Config::parse("x", text).unwrap();
        Clients::of(&config, "corecast.toml:5", name.map(str::to_owned)).unwrap()
    }

    const APP: &str = "[[apps]]\nid = \"7\"\nkey = \"the-key\"\nsecret = \"hunter2\"\n";

    #[test]
    fn every_client_gets_host_port_and_key_and_none_the_secret() {
        let clients = clients(&format!("listen = \"192.0.2.7:6001\"\n{APP}"), None);
        assert_eq!(clients.snippets().len(), 5);
        for Snippet { client, text } in clients.snippets() {
            for part in ["192.0.2.7", "6001", "the-key"] {
                assert!(text.contains(part), "{client}: {text} lacks {part}");
            }
            assert!(!text.contains("hunter2") && !clients.introduction().contains("hunter2"));
            let is_back_end = ["php", "node", "python"].contains(&client);
            assert_eq!(text.contains("PUSHER_APP_SECRET"), is_back_end, "{text}");
        }
        assert!(clients.introduction().contains("Its secret stands in corecast.toml:5;"));
    }

    #[test]
    fn with_tls_clients_use_it_by_the_name_of_the_certificate() {
        let tls = "[tls]\nlisten = \"0.0.0.0:443\"\ncert = \"c\"\nkey = \"k\"\n";
        let clients = clients(&format!("{APP}{tls}"), Some("push.example.com"));
        let text: Vec<String> = clients.snippets().into_iter().map(|it| it.text).collect();
        let text = text.join("\n");
        for part in
            ["wsHost: \"push.example.com\", wssPort: 443, forceTLS: true", "'scheme' => 'https'", "ssl=True"]
        {
            assert!(text.contains(part), "{text} lacks {part}");
        }
    }

    #[test]
    fn a_server_on_every_address_is_reached_at_one_of_this_machine() {
        for address in ["0.0.0.0:1", "[::]:1"] {
            let host = host(address.parse().unwrap());
            assert!(host != "0.0.0.0" && host != "[::]", "{host}");
        }
        assert_eq!(host("[2001:db8::1]:1".parse().unwrap()), "[2001:db8::1]");
    }
}
