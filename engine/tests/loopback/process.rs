//! The process: how it starts, what it refuses to start with, and how it stops.
//!
//! Every failure is one line that names the cause, and never a panic. Each test here has a server of its own.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::rig::client::Client;
use crate::rig::http::{Http, encode_request};
use crate::rig::raw::Raw;
use crate::rig::server::{Server, binary, free_port, run};

/// What is asked for cannot be right (sysexits.h: EX_CONFIG).
const CONFIG: Option<i32> = Some(78);

const APP: &str = "1:key:do-not-show-this";

/// The command fails with this code and one line, which has these words.
fn expect_failure(arguments: &[&str], code: Option<i32>, words: &[&str]) {
    let (ended, output, error) = run(arguments);
    assert_eq!(ended, code, "{arguments:?}: {error}");
    assert_eq!(error.lines().count(), 1, "{arguments:?}: {error}");
    assert!(error.starts_with("corecast: ") && output.is_empty(), "{arguments:?}: {output}{error}");
    assert!(words.iter().all(|word| error.contains(word)), "{arguments:?}: {error}");
    assert!(!error.contains("panic") && !error.contains("do-not-show-this"), "{arguments:?}: {error}");
}

#[test]
fn without_an_app_nothing_starts() {
    expect_failure(&["serve"], CONFIG, &["no app", "--app ID:KEY:SECRET", "corecast dev"]);
}

#[test]
fn an_app_that_is_none_is_refused_without_showing_its_secret() {
    let app = |text| expect_failure(&["serve", "--app", text], CONFIG, &["--app"]);
    app("do-not-show-this");
    app("1:key");
    app("1:key:");
    app(":key:do-not-show-this");
    app("1::do-not-show-this");
    app("1:k y:do-not-show-this");
    app("1/2:key:do-not-show-this");
    app("1:key:do-not-show-this do-not-show-this");
    expect_failure(&["serve", "--app", APP, "--app", "1:other:s"], CONFIG, &["two apps", "id"]);
    expect_failure(&["serve", "--app", APP, "--app", "2:key:s"], CONFIG, &["two apps", "key"]);
}

#[test]
fn a_number_of_shards_that_cannot_be_is_refused() {
    for shards in ["0", "257"] {
        expect_failure(&["serve", "--app", APP, "--shards", shards], CONFIG, &["--shards", "256"]);
    }
}

#[test]
fn a_bad_flag_names_the_nearest() {
    let table = [
        (&["serve", "--lisen", "127.0.0.1:1"][..], "'--listen'"),
        (&["serve", "--apps", APP], "'--app'"),
        (&["dev", "--shard", "1"], "'--shards'"),
        (&["serv"], "'serve'"),
        (&["publsh"], "'publish'"),
    ];
    for (arguments, nearest) in table {
        let (code, _, error) = run(arguments);
        assert_eq!(code, CONFIG, "{error}");
        assert!(error.contains("similar") && error.contains(nearest), "{error}");
    }
    for arguments in [&["serve", "--listen", "nowhere"][..], &["serve", "--shards", "many"], &[]] {
        let (code, _, error) = run(arguments);
        assert!(code == CONFIG && !error.is_empty(), "{arguments:?}: {code:?} {error}");
    }
}

#[test]
fn help_and_version_are_no_failures() {
    for arguments in [&["--help"][..], &["--version"], &["serve", "--help"], &["help"], &["help", "serve"]] {
        let (code, output, error) = run(arguments);
        assert!(code == Some(0) && output.contains("corecast") && error.is_empty(), "{arguments:?}: {error}");
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let mut server = Server::start(&["--shards", "1"]);
    let address = format!("127.0.0.1:{}", server.port());
    expect_failure(
        &["serve", "--listen", &address, "--app", APP],
        Some(1),
        &["port taken", &address, "--listen"],
    );
    expect_failure(&["dev", "--listen", &address, "--app", APP], Some(1), &["port taken", &address]);
    server.connect().expect_pong();
    assert!(server.is_running());
}

#[test]
fn an_address_of_nobody_is_named() {
    // TEST-NET-1 is on no interface (RFC 5737).
    let address = format!("192.0.2.1:{}", free_port());
    expect_failure(
        &["serve", "--listen", &address, "--app", APP],
        Some(1),
        &[&address, "no network interface"],
    );
}

#[test]
fn every_address_of_ipv6_serves_clients_of_ipv4_unless_told_otherwise() {
    for (families, options, serves_four) in [
        (&["[::]"][..], &[][..], true),
        (&["[::]"], &["--ipv6-only"], false),
        (&["0.0.0.0", "[::]"], &[], true),
    ] {
        let port = free_port();
        // With a parent-death signal no server outlives a test that fails.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(binary()).stderr(Stdio::null());
        command.args(["serve", "--app", "7:loopback-key:s", "--shards", "2", "--admin", "off"]).args(options);
        for any in families {
            command.args(["--listen", &format!("{any}:{port}")]);
        }
        let mut child = command.spawn().unwrap();
        let connect = |host: &str| TcpStream::connect((host, port)).ok();
        let six = crate::rig::server::wait_for("the server", || connect("::1"));
        let four = connect("127.0.0.1");
        assert_eq!(four.is_some(), serves_four, "{families:?} {options:?}");
        for stream in four.into_iter().chain([six]) {
            Client::connect(stream, "/app/loopback-key?protocol=7").expect_pong();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn several_addresses_serve_the_same_apps() {
    let second = free_port();
    let server = Server::start(&["--listen", &format!("127.0.0.1:{second}"), "--shards", "2"]);
    let mut client = server.connect();
    client.subscribe("two-addresses");
    let stream = TcpStream::connect(("127.0.0.1", second)).unwrap();
    Http::on(stream).publish("two-addresses", "e", "x");
    client.expect("two-addresses", "e", "x");
}

#[test]
fn sigterm_says_4100_to_everybody_and_the_port_is_free_at_once() {
    let mut server = Server::start(&["--shards", "3"]);
    let port = server.port();
    let mut connected: Vec<Raw> = (0..12).map(|_| Raw::connect(&server)).collect();
    let mut subscribed = server.connect_to_each_shard();
    for client in &mut subscribed {
        client.subscribe("until-the-end");
    }
    let mut half_open = Raw::open(&server);
    half_open.write(b"GET /app/");
    let mut idle = server.http();
    assert_eq!(idle.get("/apps/7/channels", &[]).status, 200);
    server.signal_end();
    for mut raw in connected.drain(..) {
        assert_eq!(raw.hear_error_and_close(), 4100);
    }
    for mut client in subscribed {
        assert_eq!(client.hear_error().0, Some(4100));
        assert_eq!(client.hear_close().0, 4100);
    }
    half_open.read_to_end();
    assert!(idle.is_at_end());
    let status = crate::rig::server::wait_for("the end of the server", || server.ended());
    assert_eq!(status.code(), Some(0));
    // The next server starts while closed connections of the last are still remembered by the kernel.
    let next = Server::start_on(port, &["--shards", "3"]);
    next.connect().expect_pong();
}

#[test]
fn other_signals_are_ignored_with_a_line() {
    let mut server = Server::start(&["--shards", "1"]);
    let mut client = server.connect();
    for signal in ["HUP", "USR1", "USR2", "PIPE", "XFSZ"] {
        let pid = server.pid().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap().success());
        client.expect_pong();
    }
    server.signal_end();
    assert_eq!(client.hear_error().0, Some(4100));
    assert_eq!(client.hear_close().0, 4100);
    let status = crate::rig::server::wait_for("the end of the server", || server.ended());
    assert_eq!(status.code(), Some(0));
    let errors = server.take_errors();
    for signal in ["SIGHUP", "SIGUSR1", "SIGUSR2"] {
        let lines = errors.lines().filter(|line| line.contains(&format!("{signal} is ignored")));
        assert_eq!(lines.count(), 1, "{errors}");
    }
}

#[test]
fn dev_ends_with_its_terminal() {
    let state = State::new("hangup");
    let mut server = state.start_dev(&["--app", "9:given-key:given-secret"]);
    drop(greeting(&mut server));
    let pid = server.pid().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    let status = crate::rig::server::wait_for("the end of dev", || server.ended());
    assert_eq!(status.code(), Some(0));
}

#[test]
fn sigterm_without_connections_ends_well() {
    let mut server = Server::start(&["--shards", "1", "--admin", "off"]);
    assert_eq!(server.terminate().code(), Some(0));
    let errors = server.take_errors();
    assert_eq!(
        errors.lines().count(),
        5,
        "it starts, listens, says what fits, stops and has stopped: {errors}"
    );
    assert!(errors.contains(&format!("listening on 127.0.0.1:{}", server.port())), "{errors}");
}

#[test]
fn sigterm_does_not_wait_for_a_peer_that_reads_nothing() {
    let mut server = Server::start(&["--shards", "1"]);
    let _silent = Raw::connect(&server);
    assert_eq!(server.terminate().code(), Some(0));
}

/// What `dev` prints, up to its last line.
fn greeting(server: &mut Server) -> String {
    let mut text = String::new();
    for line in BufReader::new(server.stdout()).lines() {
        text.push_str(&line.unwrap());
        text.push('\n');
        if text.contains("Stop with") {
            return text;
        }
    }
    panic!("dev says only: {text}");
}

/// A state directory of its own, so that no credentials of the user are seen or changed.
struct State(PathBuf);

impl State {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("corecast-state-{}-{name}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        Self(path)
    }

    fn start_dev(&self, arguments: &[&str]) -> Server {
        let port = free_port();
        let mut command = Command::new(binary());
        command.args(["dev", "--listen", &format!("127.0.0.1:{port}"), "--shards", "2"]).args(arguments);
        command.env("XDG_STATE_HOME", &self.0).stdin(Stdio::null()).stdout(Stdio::piped());
        Server::start_command(command, port)
    }
}

impl Drop for State {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// What stands between two texts.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before} in {text}"));
    rest.split_once(after).unwrap_or_else(|| panic!("no {after} behind {before} in {text}")).0
}

#[test]
fn dev_prints_what_a_first_page_needs_and_it_works() {
    let state = State::new("first-page");
    let mut server = state.start_dev(&[]);
    let text = greeting(&mut server);
    let port = server.port().to_string();
    let key = between(&text, "new Pusher(\"", "\"");
    let url = between(&text, "PUSHER_URL=", "\n");
    let (credentials, place) = url.strip_prefix("http://").unwrap().split_once('@').unwrap();
    assert!(credentials.starts_with(&format!("{key}:")), "{text}");
    assert!(place.starts_with(&format!("127.0.0.1:{port}/apps/")), "{text}");
    assert_eq!(between(&text, "wsPort: ", ","), port);
    assert_eq!(between(&text, "wsHost: \"", "\""), "127.0.0.1");
    assert_eq!(between(&text, "VITE_PUSHER_APP_KEY=", "\n"), key);
    assert_eq!(between(&text, "VITE_PUSHER_PORT=", "\n"), port);
    let channel = between(&text, "subscribe(\"", "\"");
    let mut client = Client::connect(server.tcp(), &format!("/app/{key}?protocol=7"));
    client.subscribe(channel);
    let command = text.lines().find(|line| line.contains(" publish ")).unwrap();
    let output = Command::new("sh").args(["-c", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {output:?}");
    client.expect(channel, between(&text, "bind(\"", "\""), r#"{"text":"hi"}"#);
}

#[test]
fn dev_prints_a_link_to_its_console_with_a_token_of_this_run() {
    let state = State::new("console");
    let admin = format!("127.0.0.1:{}", free_port());
    let token = || {
        let mut server = state.start_dev(&["--admin", &admin]);
        let text = greeting(&mut server);
        let token = between(&text, &format!("    http://{admin}/#token="), "\n").to_owned();
        let request = format!(
            "GET /console/settings HTTP/1.1\r\nHost: {admin}\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        let answer = Http::on(TcpStream::connect(&admin).unwrap()).ask(request.as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(server.terminate().code(), Some(0));
        token
    };
    assert_ne!(token(), token());
}

#[test]
fn dev_keeps_its_credentials_until_fresh_ones_are_asked_for() {
    let state = State::new("kept");
    let key = |arguments: &[&str]| {
        let mut server = state.start_dev(arguments);
        let text = greeting(&mut server);
        assert_eq!(server.terminate().code(), Some(0));
        between(&text, "PUSHER_APP_KEY=", "\n").to_owned()
    };
    let first = key(&[]);
    assert_eq!(key(&[]), first);
    let fresh = key(&["--fresh"]);
    assert_ne!(fresh, first);
    assert_eq!(key(&[]), fresh);
    assert_eq!(key(&["--app", "9:given-key:given-secret"]), "given-key");
    assert_eq!(key(&[]), fresh);
}

#[test]
fn dev_runs_where_nothing_can_be_kept() {
    let port = free_port();
    let mut command = Command::new(binary());
    command.args(["dev", "--listen", &format!("127.0.0.1:{port}"), "--shards", "1"]);
    // A file stands where the state directory should be.
    command.env_remove("HOME").env("XDG_STATE_HOME", binary()).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut server = Server::start_command(command, port);
    let text = greeting(&mut server);
    assert!(text.contains("for this run only"), "{text}");
    let publish = text.lines().find(|line| line.contains(" publish ")).unwrap();
    let output = Command::new("sh").args(["-c", publish]).output().unwrap();
    assert!(output.status.success(), "{publish}: {output:?}");
}

#[test]
fn dev_shows_a_page_that_has_the_key_and_no_secret_and_serve_shows_none() {
    let state = State::new("page");
    let mut server = state.start_dev(&["--app", "9:given-key:given-secret"]);
    drop(greeting(&mut server));
    let answer = server.http().ask(&encode_request("GET", "/", ""));
    assert!(answer.head.contains("Content-Type: text/html; charset=utf-8\r\n"), "{answer:?}");
    assert!(answer.body.contains("data-key=\"given-key\"") && !answer.body.contains("given-secret"));
    let server = Server::start(&["--shards", "1"]);
    let answer = server.http().ask(&encode_request("GET", "/", ""));
    assert_eq!((answer.status, &*answer.body), (200, "OK"));
}

#[test]
fn apps_of_a_file_are_served_and_publish_takes_file_config_or_environment() {
    let state = State::new("apps");
    fs::create_dir(&state.0).unwrap();
    let (apps, config) = (state.0.join("apps"), state.0.join("corecast.toml"));
    fs::write(&apps, "# ours\n11:file-key:do-not-show-this\n").unwrap();
    let port = free_port();
    let (apps, config, to) = (apps.to_str().unwrap(), config.to_str().unwrap(), format!("127.0.0.1:{port}"));
    let app = "[[apps]]\nid = \"11\"\nkey = \"file-key\"\nsecret = \"do-not-show-this\"\n";
    fs::write(config, format!("listen = \"{to}\"\n{app}")).unwrap();
    let mut command = Command::new(binary());
    command.args(["serve", "--listen", &to, "--app-file", apps, "--shards", "1"]).stdin(Stdio::null());
    let server = Server::start_command(command, port);
    let mut client = Client::connect(server.tcp(), "/app/file-key?protocol=7");
    client.subscribe("c");
    let mut publish = |arguments: &[&str], url: Option<&str>| {
        let mut command = Command::new(binary());
        command.args(["publish", "c", "e", "x"]).args(arguments).env_remove("PUSHER_URL");
        let output = command.envs(url.map(|url| ("PUSHER_URL", url))).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        client.expect("c", "e", "x");
    };
    let url = format!("http://file-key:do-not-show-this@{to}/apps/11");
    publish(&["--app-file", apps, "--to", &to], None);
    publish(&["--app-file", apps, "--to", &format!("http://{to}/")], None);
    publish(&["-c", config], None);
    publish(&[], Some(&url));
    fs::write(apps, "11:do-not-show-this").unwrap();
    expect_failure(&["serve", "--app-file", apps], CONFIG, &[":1: ", "ID:KEY:SECRET"]);
    expect_failure(&["dev", "--app-file", apps], CONFIG, &[":1: ", "ID:KEY:SECRET"]);
}

#[test]
fn a_file_is_named_to_check_in_three_ways() {
    let state = State::new("check");
    fs::create_dir(&state.0).unwrap();
    let config = state.0.join("corecast.toml");
    fs::write(&config, "[[apps]]\nid = \"1\"\nkey = \"k\"\nsecret = \"s\"\n").unwrap();
    let config = config.to_str().unwrap();
    for arguments in [&["check", config][..], &["check", "--config", config], &["check", "-c", config]] {
        let (code, output, error) = run(arguments);
        assert!(code == Some(0) && output.contains("good"), "{arguments:?}: {error}");
    }
    for arguments in [&["check"][..], &["check", config, "-c", config]] {
        assert_eq!(run(arguments).0, CONFIG, "{arguments:?}");
    }
    fs::write(config, "port = 6001\n").unwrap();
    expect_failure(&["serve", "-c", config], CONFIG, &["port", "listen = "]);
}

#[test]
fn dev_serves_on_loopback_only() {
    for address in ["0.0.0.0:6001", "192.0.2.1:6001", "[::]:6001"] {
        expect_failure(&["dev", "--listen", address], CONFIG, &[address, "loopback", "serve"]);
    }
}

#[test]
fn publish_says_what_went_wrong() {
    let server = Server::start(&["--shards", "1"]);
    let to = format!("127.0.0.1:{}", server.port());
    let publish = |app, to: &str, channel, code, words: &[&str]| {
        expect_failure(&["publish", "--app", app, "--to", to, channel, "e", "x"], code, words);
    };
    publish("7:loopback-key:wrong", &to, "c", Some(1), &["401", "Invalid signature"]);
    publish("nobody:loopback-key:wrong", &to, "c", Some(1), &["404"]);
    publish("7:loopback-key:loopback-secret", &to, "a b", Some(1), &["400", "Invalid channel name"]);
    publish("7:key", &to, "c", CONFIG, &["--app"]);
    publish(APP, "ftp://h", "c", CONFIG, &["--to", "https://"]);
    publish(APP, "h", "c", CONFIG, &["--to", "HOST:PORT"]);
    let nobody = format!("127.0.0.1:{}", free_port());
    publish(APP, &nobody, "c", Some(1), &[&nobody, "is the server running there?"]);
    let answer = server.http().ask(&encode_request("GET", "/live", ""));
    assert_eq!(answer.status, 200);
}

#[test]
fn too_little_lockable_memory_is_named() {
    let listen = format!("127.0.0.1:{}", free_port());
    let serve = ["serve", "--listen", &listen, "--app", APP, "--shards", "3"];
    let mut command = Command::new("setpriv");
    // Root may lock what it wants, unless that right is taken away; nobody else has the right.
    let id = Command::new("id").arg("-u").output().unwrap();
    if id.stdout == b"0\n" {
        command.args(["--bounding-set", "-ipc_lock", "--inh-caps", "-ipc_lock"]);
    }
    command.args(["prlimit", "--memlock=65536"]).arg(binary()).args(serve).stdin(Stdio::null());
    let output = command.output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    for word in ["memory", "64 KiB", "ulimit -l", "LimitMEMLOCK"] {
        assert!(error.contains(word), "{error}");
    }
}
