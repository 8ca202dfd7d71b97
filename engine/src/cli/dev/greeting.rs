//! What `corecast dev` prints for a quick start: credentials, a page, a client to paste into a page of your own, the lines that
//! frameworks need, and a command that publishes.

use std::net::SocketAddr;
use std::path::Path;

/// Where the credentials come from, for the greeting.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin<'a> {
    /// They are in this file, for this run and the next.
    Kept(&'a Path),
    /// They are for this run only, for this reason.
    Passing(&'a str),
    /// They were given on the command line, or by this file.
    Given(Option<&'a Path>),
}

impl Origin<'_> {
    /// The file that holds them, for commands that must not show a secret.
    fn file(&self) -> Option<&Path> {
        match self {
            Self::Kept(file) => Some(file),
            Self::Passing(_) => None,
            Self::Given(file) => *file,
        }
    }

    /// One line that says how long they last.
    fn outlook(&self) -> String {
        match self {
            Self::Kept(file) => format!(
                "The credentials are kept in {}; `{} dev --fresh` makes new ones.\n",
                file.display(),
                program()
            ),
            Self::Passing(why) => format!("The credentials are for this run only, since {why}.\n"),
            Self::Given(_) => String::new(),
        }
    }
}

/// Where the console is, for the greeting.
#[derive(Debug)]
pub(super) enum Console<'a> {
    /// At this address, with this token.
    At(SocketAddr, &'a str),
    /// Nowhere, for this reason.
    Not(String),
    /// Nowhere, as the command line says.
    Off,
}

impl Console<'_> {
    fn shown(&self) -> String {
        match self {
            Self::At(address, token) => {
                format!(
                    "The console, which shows what the server does:\n\n    http://{address}/#token={token}\n\n"
                )
            }
            Self::Not(why) => format!("There is no console: {why}, or --admin off.\n\n"),
            Self::Off => String::new(),
        }
    }
}

/// What is printed once the server accepts connections.
pub(super) fn greeting(
    listen: SocketAddr,
    credentials: &str,
    origin: Origin<'_>,
    console: &Console<'_>,
) -> String {
    let mut parts = credentials.splitn(3, ':');
    let (id, key, secret) =
        (parts.next().unwrap_or(""), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let (ip, port) = (listen.ip(), listen.port());
    let host = if listen.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
    let url = format!("http://{key}:{secret}@{host}:{port}/apps/{id}");
    let program = program();
    let publish = match origin.file() {
        Some(file) => {
            format!("{program} publish --app-file {} --to {listen}", in_shell(&file.to_string_lossy()))
        }
        None => format!("PUSHER_URL={} {program} publish", in_shell(&url)),
    };
    let (outlook, console) = (origin.outlook(), console.shown());
    format!(
        r#"Corecast is listening on {listen}. Open http://{listen}/ in a browser to see events as they come.

In a page of your own (an official pusher-js, nothing else):

    <script src="https://js.pusher.com/8.4.0/pusher.min.js"></script>
    <script>
      const pusher = new Pusher("{key}", {{
        wsHost: "{host}", wsPort: {port}, forceTLS: false,
        enabledTransports: ["ws"], cluster: "self"
      }});
      pusher.subscribe("hello").bind("greeting", (data) => console.log(data));
    </script>

In the .env of a back end, and of a front end built with Vite:

    PUSHER_URL={url}
    PUSHER_APP_ID={id}
    PUSHER_APP_KEY={key}
    PUSHER_APP_SECRET={secret}
    PUSHER_HOST={host}
    PUSHER_PORT={port}
    PUSHER_SCHEME=http
    PUSHER_APP_CLUSTER=self
    VITE_PUSHER_APP_KEY={key}
    VITE_PUSHER_HOST={host}
    VITE_PUSHER_PORT={port}
    VITE_PUSHER_SCHEME=http
    VITE_PUSHER_APP_CLUSTER=self

In Python, whose SDK takes no port from PUSHER_URL:

    pusher.Pusher.from_env(host="{host}", port={port})

Publish something (signed as the server SDKs do):

    {publish} hello greeting '{{"text":"hi"}}'

{console}{outlook}Stop with Ctrl-C.
"#
    )
}

/// This text, quoted for a shell.
fn in_shell(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// How this program was called, so that the printed command works where it is pasted.
fn program() -> String {
    std::env::current_exe().map_or_else(|_| "corecast".to_owned(), |path| in_shell(&path.to_string_lossy()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greeting_has_all_that_a_client_needs() {
        let text = greeting(
            "127.0.0.1:6001".parse().unwrap(),
            "7:thekey:thesecret",
            Origin::Given(None),
            &Console::Off,
        );
        for part in [
            "http://127.0.0.1:6001/ ",
            "new Pusher(\"thekey\"",
            "wsPort: 6001",
            " PUSHER_URL=http://thekey:thesecret@127.0.0.1:6001/apps/7\n",
            " VITE_PUSHER_APP_KEY=thekey\n",
            " VITE_PUSHER_HOST=127.0.0.1\n",
            " VITE_PUSHER_PORT=6001\n",
            " VITE_PUSHER_SCHEME=http\n",
            "from_env(host=\"127.0.0.1\", port=6001)",
            " publish hello greeting ",
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
    }

    #[test]
    fn greeting_shows_no_secret_in_a_command_where_a_file_has_it() {
        let file = Path::new("/home/ann/my state/dev.app");
        for origin in [Origin::Kept(file), Origin::Given(Some(file))] {
            let text =
                greeting("127.0.0.1:6001".parse().unwrap(), "7:thekey:thesecret", origin, &Console::Off);
            let command = text.lines().find(|line| line.contains(" publish ")).unwrap();
            assert!(
                command.contains(" --app-file '/home/ann/my state/dev.app' --to 127.0.0.1:6001 "),
                "{command}"
            );
            assert!(!command.contains("thesecret"), "{command}");
        }
    }

    #[test]
    fn greeting_says_what_becomes_of_the_credentials() {
        let told = |origin| greeting("127.0.0.1:6001".parse().unwrap(), "7:k:s", origin, &Console::Off);
        let kept = told(Origin::Kept(Path::new("/state/dev.app")));
        assert!(kept.contains("kept in /state/dev.app") && kept.contains("dev --fresh"), "{kept}");
        let passing = told(Origin::Passing("the disk is full"));
        assert!(passing.contains("for this run only, since the disk is full."), "{passing}");
    }

    #[test]
    fn greeting_names_the_console_with_its_token_or_says_why_there_is_none() {
        let told =
            |console| greeting("127.0.0.1:6001".parse().unwrap(), "7:k:s", Origin::Given(None), &console);
        let there = told(Console::At("127.0.0.1:9601".parse().unwrap(), "thetoken"));
        assert!(there.contains("    http://127.0.0.1:9601/#token=thetoken\n"), "{there}");
        assert!(told(Console::Not("it is taken".to_owned())).contains("no console: it is taken"));
        assert!(!told(Console::Off).contains("console:"));
    }

    #[test]
    fn addresses_of_ipv6_are_in_brackets() {
        let text = greeting("[::1]:6001".parse().unwrap(), "7:k:s", Origin::Given(None), &Console::Off);
        for part in ["wsHost: \"[::1]\"", "@[::1]:6001/apps/7", "PUSHER_HOST=[::1]\n", "host=\"[::1]\""] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
    }

    #[test]
    fn a_word_of_a_shell_means_its_text() {
        for (text, word) in
            [("a/b-c.d:1", "a/b-c.d:1"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("", "''"), ("$x", "'$x'")]
        {
            assert_eq!(in_shell(text), word);
        }
    }
}
