//! What `corecast dev` gives to somebody who wants to see it work now: fresh credentials, a client to paste into a
//! page, the line that frameworks want, and one command that publishes. Never used by `serve`.

use std::net::SocketAddr;

use ring::rand::{SecureRandom, SystemRandom};

/// The system gave no random bytes.
#[derive(Debug)]
pub struct NoRandomness;

impl std::fmt::Display for NoRandomness {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("the system gives no random bytes; give credentials with --app ID:KEY:SECRET")
    }
}

/// `ID:KEY:SECRET`, random.
pub fn fresh_credentials() -> Result<String, NoRandomness> {
    let random = SystemRandom::new();
    let mut id = [0; 3];
    let mut key = [0; 10];
    let mut secret = [0; 10];
    for bytes in [&mut id[..], &mut key[..], &mut secret[..]] {
        random.fill(bytes).map_err(|_| NoRandomness)?;
    }
    let id = u32::from_be_bytes([0, id[0], id[1], id[2]]);
    Ok(format!("{id}:{}:{}", hex(&key), hex(&secret)))
}

/// What is printed once the server accepts connections.
pub fn greeting(listen: SocketAddr, credentials: &str) -> String {
    let mut parts = credentials.splitn(3, ':');
    let (id, key, secret) =
        (parts.next().unwrap_or(""), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let (host, port) = (listen.ip(), listen.port());
    let url_host = if listen.is_ipv6() { format!("[{host}]") } else { host.to_string() };
    format!(
        r#"Corecast is listening on {listen}.

In a page (an official pusher-js, nothing else):

    <script src="https://js.pusher.com/8.4.0/pusher.min.js"></script>
    <script>
      const pusher = new Pusher("{key}", {{
        wsHost: "{host}", wsPort: {port}, forceTLS: false,
        enabledTransports: ["ws"], cluster: "self"
      }});
      pusher.subscribe("hello").bind("greeting", (data) => console.log(data));
    </script>

For back ends:

    PUSHER_URL=http://{key}:{secret}@{url_host}:{port}/apps/{id}
    PUSHER_APP_ID={id} PUSHER_APP_KEY={key} PUSHER_APP_SECRET={secret} PUSHER_HOST={host} PUSHER_PORT={port} PUSHER_SCHEME=http

Publish something (signed as the server SDKs do):

    {program} publish --app {credentials} --to {listen} hello greeting '{{"text":"hi"}}'

Stop with Ctrl-C.
"#,
        program = program(),
    )
}

/// How this program was called, so that the printed command works where it is pasted.
fn program() -> String {
    std::env::current_exe().map_or_else(|_| "corecast".to_owned(), |path| path.display().to_string())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use protocol::app::App;

    use super::*;

    #[test]
    fn fresh_credentials_are_an_app_and_never_the_same() {
        let (one, other) = (fresh_credentials().unwrap(), fresh_credentials().unwrap());
        assert!(App::parse(&one).is_ok(), "{one}");
        assert_ne!(one, other);
    }

    #[test]
    fn greeting_has_all_that_a_client_needs() {
        let text = greeting("127.0.0.1:6001".parse().unwrap(), "7:thekey:thesecret");
        for part in [
            "new Pusher(\"thekey\"",
            "wsPort: 6001",
            "http://thekey:thesecret@127.0.0.1:6001/apps/7",
            " publish --app 7:thekey:thesecret",
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
    }
}
