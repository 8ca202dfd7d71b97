//! What an operator is told about a wrong setting, wherever it comes from: file, environment, flag, or a file that one of
//! those names. The messages stand word for word in `config_sources.txt`; `UPDATE=1` writes them anew.
//!
//! Each case is a start of the server that must fail with 78 and one line. No message may show a secret, nor may
//! `config show` or the log of a server that is up.
#![forbid(unsafe_code)]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const SNAPSHOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/config_sources.txt");
const SECRET: &str = "hunter2-hunter2";
const APP: &str = "CORECAST_APPS=1:key:hunter2-hunter2";

/// Files by name and text, what is set in the environment, and the arguments of `serve`.
#[derive(Clone, Copy)]
struct Case<'a> {
    files: &'a [(&'a str, &'a str)],
    environment: &'a [&'a str],
    arguments: &'a [&'a str],
}

const fn env<'a>(environment: &'a [&'a str]) -> Case<'a> {
    Case { files: &[], environment, arguments: &[] }
}

const fn flags<'a>(arguments: &'a [&'a str]) -> Case<'a> {
    Case { files: &[], environment: &[APP], arguments }
}

const fn all<'a>(
    files: &'a [(&'a str, &'a str)],
    environment: &'a [&'a str],
    arguments: &'a [&'a str],
) -> Case<'a> {
    Case { files, environment, arguments }
}

const CASES: &[Case<'_>] = &[
    // The file.
    all(&[("c.toml", "shards = 0\n")], &[APP], &["--config", "c.toml"]),
    all(&[("c.toml", "\nlisen = \"0.0.0.0:1\"\n")], &[APP], &["--config", "c.toml"]),
    all(
        &[("c.toml", "[[apps]]\nid = \"1\"\nkey = \"a\"\nsecret_file = \"no-such-file\"\n")],
        &[],
        &["--config", "c.toml"],
    ),
    all(
        &[(
            "c.toml",
            "[[apps]]\nid = \"1\"\nkey = \"a\"\nsecret = \"hunter2-hunter2\"\nsecret_file = \"s\"\n",
        )],
        &[],
        &["--config", "c.toml"],
    ),
    all(
        &[
            ("c.toml", "[[apps]]\nid = \"1\"\nkey_file = \"k\"\nsecret_file = \"s\"\n"),
            ("k", "a b\n"),
            ("s", SECRET),
        ],
        &[],
        &["--config", "c.toml"],
    ),
    all(
        &[
            ("c.toml", "[[apps]]\nid = \"1\"\nkey = \"a\"\nsecret_file = \"s\"\n"),
            ("s", "hunter2-hunter2 hunter2-hunter2\n"),
        ],
        &[],
        &["--config", "c.toml"],
    ),
    all(&[], &[APP, "CORECAST_CONFIG=no-such.toml"], &[]),
    // Variables.
    env(&[APP, "CORECAST_LISTEN=6001"]),
    env(&[APP, "CORECAST_LISTEN=0.0.0.0:6001,0.0.0.0:6001"]),
    env(&[APP, "CORECAST_LISTEN=tcp://10.0.0.1:6001"]),
    env(&[APP, "CORECAST_SHARDS=many"]),
    env(&[APP, "CORECAST_SHARDS=0"]),
    env(&[APP, "CORECAST_SHARDS=-1"]),
    env(&[APP, "CORECAST_SHARDS="]),
    env(&[APP, "CORECAST_TAKEOVER=maybe"]),
    env(&[APP, "CORECAST_ADMIN=here"]),
    env(&[APP, "CORECAST_ACCEPT_STEERING=queue"]),
    env(&[APP, "CORECAST_LIMITS_MESSAGE_BYTES_MAX=1"]),
    env(&[APP, "CORECAST_LIMITS_OUTBOX_BYTES_MAX=65536"]),
    env(&[APP, "CORECAST_HOOKS_REDIS_URL=hunter2-hunter2"]),
    env(&[APP, "CORECAST_HOOKS_REDIS_URL=rediss://:hunter2-hunter2@"]),
    env(&[APP, "CORECAST_HOOKS_STREAM=events"]),
    env(&[APP, "CORECAST_HOOKS_DURABILITY=none"]),
    env(&[APP, "CORECAST_ADMIN_HOSTS=[\"a\""]),
    env(&[APP, "CORECAST_LISTN=0.0.0.0:6001"]),
    env(&[APP, "CORECAST_LIMITS_MESSAGE_BYTE_MAX=1"]),
    env(&[APP, "CORECAST_HOOKS_REDIS_URI_FILE=redis"]),
    env(&[APP, "CORECAST_PORT=6001"]),
    env(&[APP, "CORECAST_WORKERS=2"]),
    env(&[APP, "CORECAST_ZZZ=2"]),
    env(&[APP, "CORECAST_CONFIG_FILE=c.toml"]),
    // Apps of variables.
    env(&["CORECAST_APPS=hunter2-hunter2"]),
    env(&["CORECAST_APPS=1:a:hunter2-hunter2,1:b:hunter2-hunter2"]),
    env(&["CORECAST_APPS="]),
    env(&["CORECAST_APP_ID=1", "CORECAST_APP_SECRET=hunter2-hunter2"]),
    env(&["CORECAST_APP_ID=1", "CORECAST_APP_KEY=a b", "CORECAST_APP_SECRET=hunter2-hunter2"]),
    env(&[APP, "CORECAST_APP_ID=1", "CORECAST_APP_KEY=b", "CORECAST_APP_SECRET=hunter2-hunter2"]),
    env(&["CORECAST_APP_ID=1", "CORECAST_APP_KEY=a", "CORECAST_APP_SECRET=s", "CORECAST_APP_DIALECT=pig"]),
    // Values from files.
    env(&["CORECAST_APPS_FILE=no-such-file"]),
    all(&[("apps", "# ours\n1:a:hunter2-hunter2\nhunter2-hunter2\n")], &["CORECAST_APPS_FILE=apps"], &[]),
    all(&[("apps", "# none\n")], &["CORECAST_APPS_FILE=apps"], &[]),
    all(&[("apps", "1:a:hunter2-hunter2\n")], &[APP, "CORECAST_APPS_FILE=apps"], &[]),
    all(
        &[("s", SECRET)],
        &[
            "CORECAST_APP_ID=1",
            "CORECAST_APP_KEY=a",
            "CORECAST_APP_SECRET=hunter2-hunter2",
            "CORECAST_APP_SECRET_FILE=s",
        ],
        &[],
    ),
    all(
        &[("s", "hunter2-hunter2\n\n\nhunter2-hunter2")],
        &["CORECAST_APP_ID=1", "CORECAST_APP_KEY=a", "CORECAST_APP_SECRET_FILE=s"],
        &[],
    ),
    all(&[("n", "many\n")], &[APP, "CORECAST_SHARDS_FILE=n"], &[]),
    // An environment file.
    flags(&["--env-file", "no-such.env"]),
    all(&[(".env", "A=1\n\nhunter2-hunter2\n")], &[APP], &["--env-file", ".env"]),
    all(&[(".env", "# ours\nexport CORECAST_SHARDS=0 # none\n")], &[APP], &["--env-file", ".env"]),
    all(&[(".env", "CORECAST_SHADRS='1'\n")], &[APP], &["--env-file", ".env"]),
    all(&[(".env", "CORECAST_APPS=\"hunter2-hunter2\"\n")], &[], &["--env-file", ".env"]),
    // Flags.
    flags(&["--shards", "0"]),
    flags(&["--webhook", "http://u:hunter2-hunter2@[/"]),
    flags(&["--webhook", "http://u:hunter2-hunter2@169.254.169.254/"]),
    flags(&["--app", "hunter2-hunter2"]),
    flags(&["--app", "1:a:hunter2-hunter2", "--app", "1:b:hunter2-hunter2"]),
    flags(&["--app-file", "no-such-file"]),
    all(&[("apps", "1:a:hunter2-hunter2 hunter2-hunter2\n")], &[], &["--app-file", "apps"]),
    flags(&["--redis", "hunter2-hunter2"]),
    flags(&["--webhook", "hunter2-hunter2"]),
    flags(&["--webhook", "http://h/", "--webhook", "http://h/"]),
    // Nothing at all.
    env(&[]),
    // The cluster.
    env(&[APP, "CORECAST_CLUSTER_REDIS=http://user:hunter2-hunter2@h"]),
    env(&[APP, "CORECAST_CLUSTER_REDIS=redis://user:hunter2-hunter2@h,redis://h:6379"]),
    env(&[APP, "CORECAST_CLUSTER_REDIS="]),
    env(&[APP, "CORECAST_CLUSTER_LEASE_S=10"]),
    flags(&["--cluster", "redis://:hunter2-hunter2@h:x"]),
    flags(&["--cluster", "redis://h", "--cluster-lease", "1"]),
    flags(&["--cluster", "redis://h", "--cluster-prefix", "{x}"]),
    flags(&["--cluster-prefix", "x"]),
    all(&[("c.toml", "[cluster]\nredis = \"redis://h\"\nlease_s = 4000\n")], &[APP], &["--config", "c.toml"]),
    all(&[("c.toml", "[cluster]\nredis = \"redis://h\"\nprefix = \"\"\n")], &[APP], &["--config", "c.toml"]),
];

/// A new folder of a test.
fn directory(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("config_sources_{name}"));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn command(directory: &Path, words: &[&str], case: Case<'_>) -> Command {
    for (name, text) in case.files {
        fs::write(directory.join(name), text).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_corecast"));
    command.args(words).args(case.arguments).current_dir(directory).env_clear().stdin(Stdio::null());
    command.envs(case.environment.iter().map(|pair| pair.split_once('=').unwrap()));
    command
}

/// The only line that the server says, and its exit code.
fn told(case: Case<'_>) -> String {
    let output = command(&directory("told"), &["serve"], case).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(78), 0), "{error}");
    assert!(error.lines().count() == 1 && !error.contains(SECRET), "{error}");
    error
}

#[test]
fn a_bad_setting_of_any_source_stops_the_start_with_one_message() {
    let mut all = String::new();
    for case in CASES {
        let said = [case.environment, case.arguments].concat().join(" ");
        let files: String = case.files.iter().map(|(name, text)| format!("{name}: {text:?} ")).collect();
        all.push_str(&format!("{}\n    {}\n", format!("{files}{said}").trim(), told(*case).trim_end()));
    }
    if std::env::var_os("UPDATE").is_some() {
        fs::write(SNAPSHOT, &all).unwrap();
    }
    let known = fs::read_to_string(SNAPSHOT).unwrap();
    for (now, before) in all.lines().zip(known.lines()) {
        assert_eq!(now, before);
    }
    assert_eq!(all.len(), known.len());
}

/// What a command prints on standard output, which it must end well.
fn printed(name: &str, words: &[&str], case: Case<'_>) -> String {
    let output = command(&directory(name), words, case).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("hunter2"));
    String::from_utf8(output.stdout).unwrap()
}

/// Every setting that is a secret has `hunter2` in it.
const SECRETS: &str = r#"
shards = 1
apps_url = "http://u:hunter2-apps@127.0.0.1:1/"
[limits]
message_bytes_max = 65_536
[[apps]]
id = "1"
key = "a"
secret = "hunter2-app"
keys = [{ key = "b", secret = "hunter2-key" }, { key = "c", secret_file = "s" }]
[[apps.hooks]]
url = "http://u:hunter2-hook@127.0.0.1:1/hunter2-path"
headers = { Authorization = "hunter2-header" }
[[apps.hooks]]
url = "http://127.0.0.1:1/"
format = "webman"
secret = "hunter2-webman"
[[apps.hooks]]
url = "http://127.0.0.1:1/standard?token=hunter2-token"
format = "standard"
secrets = ["whsec_aHVudGVyMi1odW50ZXIyLWh1bnRlcjI=", "whsec_aHVudGVyMi1odW50ZXIyLWh1bnRlcjM="]
[hooks]
redis_url = "redis://:hunter2-redis@127.0.0.1:1"
"#;

#[test]
fn the_highest_source_of_a_setting_holds_and_is_named() {
    let case = all(
        &[
            (
                "c.toml",
                "shards = 3\ndrain_rate = 7\nlisten = \"127.0.0.1:1\"\nready_grace = 1\ntrusted_proxies = \"::1\"\n\
                 [limits]\nhead_ms_max = 500\n",
            ),
            (".env", "CORECAST_SHARDS=5\nCORECAST_READY_GRACE=2\nREVERB_PORT=1\n"),
            ("n", "9\n"),
        ],
        &[
            "CORECAST_CONFIG=c.toml",
            "CORECAST_SHARDS=4",
            "CORECAST_APP_ID=7",
            "CORECAST_APP_KEY=k",
            "CORECAST_APP_SECRET=hunter2",
            "CORECAST_LIMITS_BATCH_EVENTS_MAX_FILE=n",
            "CORECAST_ADMIN_HOSTS=a,b",
            "CORECAST_LISTEN=127.0.0.1:2",
            "CORECAST_SERVICE_HOST=10.0.0.1",
            "CORECAST_PORT=tcp://10.0.0.1:6001",
        ],
        &["--env-file", ".env", "--listen", "127.0.0.1:3", "--listen", "127.0.0.1:4"],
    );
    let shown = printed("show", &["config", "show", "--json"], case);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let expected = serde_json::json!({
        "listen": [["127.0.0.1:3", "127.0.0.1:4"], "flag", "--listen"],
        "shards": [4, "env", "CORECAST_SHARDS"],
        "ready_grace": [2, "env", ".env:2: CORECAST_READY_GRACE"],
        "admin_hosts": [["a", "b"], "env", "CORECAST_ADMIN_HOSTS"],
        "limits.batch_events_max": [9, "env", "CORECAST_LIMITS_BATCH_EVENTS_MAX_FILE (n)"],
        "drain_rate": [7, "file", "c.toml:2"],
        "limits.head_ms_max": [500, "file", "c.toml:7"],
        "trusted_proxies": [["::1"], "file", "c.toml:5"],
        "limits.message_bytes_max": [131_072, "default", null],
        "admin": ["127.0.0.1:9601", "default", null],
        "drain_close": [4100, "default", null],
        "hooks.redis_url": [null, "default", null],
        "apps.0.id": ["7", "env", "CORECAST_APP_ID"],
        "apps.0.secret": ["***", "env", "CORECAST_APP_SECRET"],
        "apps.0.client_events": [true, "default", null],
    });
    for (path, expected) in expected.as_object().unwrap() {
        let found = &shown[path];
        assert_eq!(serde_json::json!([found["value"], found["origin"], found["where"]]), *expected, "{path}");
    }
    let lines = printed("columns", &["config", "show"], case);
    assert!(
        lines.lines().any(|line| line.split_whitespace().eq(["shards", "4", "CORECAST_SHARDS"])),
        "{lines}"
    );
    assert_eq!(printed("check", &["config", "check"], case), "c.toml: good, 1 app(s)\n");
}

#[test]
fn a_flag_replaces_the_apps_of_the_file_and_keeps_the_endpoints_of_the_same_app() {
    let files: &[(&str, &str)] = &[("c.toml", SECRETS), ("s", "hunter2-file\n")];
    let case = all(files, &[], &["-c", "c.toml", "--app", "1:z:hunter2", "--redis", "redis://h"]);
    let shown = printed("replaced", &["config", "show", "--json"], case);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        (&shown["apps.0.key"]["value"], &shown["apps.0.key"]["where"]),
        (&"z".into(), &"--app".into())
    );
    assert_eq!(shown["apps.0.hooks.0.url"]["origin"], "file");
    assert!(shown.get("apps.0.keys.0.key").is_none());
    let case = all(files, &[], &["-c", "c.toml", "--webhook", "http://h/"]);
    let shown = printed("webhook", &["config", "show", "--json"], case);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["apps.0.hooks.0.url"]["origin"], "flag");
    assert!(shown.get("apps.0.hooks.1.url").is_none());
}

#[test]
fn the_schema_is_json_and_knows_every_kind_of_key() {
    let schema = printed("schema", &["config", "schema"], env(&[]));
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let of = |path: &str| schema.pointer(path).unwrap_or_else(|| panic!("{path}"));
    assert_eq!(of("/properties/shards/maximum"), 256);
    assert_eq!(of("/properties/limits/properties/pong_s_max/default"), 30);
    assert_eq!(of("/properties/apps/items/properties/dialect/enum/0"), "pusher");
    assert_eq!(of("/properties/apps/items/properties/hooks/items/properties/headers/type"), "object");
    assert_eq!(of("/properties/apps/items/additionalProperties"), false);
    assert_eq!(of("/properties/drain_close/enum"), &serde_json::json!([4100, 4200]));
}

fn free_port() -> u16 {
    // Below the ports that the kernel gives to clients.
    let start = 21_000 + (std::process::id() % 5_000) as u16;
    (start..32_000).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

#[test]
fn a_consumer_of_the_stream_logs_as_the_settings_say() {
    let case = env(&[APP, "CORECAST_LOG_FORMAT=json"]);
    let output = command(&directory("consumer"), &["hooks", "work"], case).output().unwrap();
    let line: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((&line["event"], &line["code"]), (&"failed".into(), &78.into()), "{line}");
}

/// What no output may have in it: whatever is secret has one of these.
fn assert_no_secret(text: &str) {
    for secret in ["hunter2", "whsec_", "aHVudGVyMi"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

/// A frame of a client, with a mask of zeros.
fn frame(text: &str) -> Vec<u8> {
    let length = text.len() as u8;
    let head = if length < 126 { vec![0x81, 0x80 | length] } else { vec![0x81, 0x80 | 126, 0, length] };
    [&head[..], &[0; 4], text.as_bytes()].concat()
}

/// What clients and back ends send, each on a connection of its own: tokens, signatures, payloads.
fn requests() -> Vec<Vec<u8>> {
    let upgrade = |key: &str| {
        format!(
            "GET /app/{key}?protocol=7&token=hunter2-query HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Authorization: Bearer hunter2-bearer\r\nCookie: session=hunter2-cookie\r\n\r\n"
        )
    };
    let messages = [
        r#"{"event":"pusher:subscribe","data":{"channel":"private-x","auth":"a:hunter2-wrong"}}"#,
        r#"{"event":"pusher:subscribe","data":{"channel":"private-x","auth":"hunter2-no-key"}}"#,
        r#"{"event":"pusher:subscribe","data":{"channel":"presence-x","auth":"a:hunter2","channel_data":"hunter2"}}"#,
        r#"{"event":"pusher:signin","data":{"auth":"a:hunter2-signin","user_data":"{\"id\":\"hunter2-user\"}"}}"#,
        r#"{"event":"client-x","channel":"private-x","data":"hunter2-payload"}"#,
        r#"{"event":"pusher:subscribe","data":{"channel":"news"}}"#,
        r#"{"event":"hunter2-unknown","data":"hunter2-payload"}"#,
    ];
    let session: Vec<u8> = messages.iter().flat_map(|message| frame(message)).collect();
    let call = |query: &str, body: &str| {
        let length = body.len();
        format!("POST /apps/1/events?{query} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    let signed = "auth_key=a&auth_timestamp=1&auth_version=1.0&auth_signature=hunter2-wrong";
    vec![
        call("auth_key=a&auth_signature=hunter2-wrong", "{}").into_bytes(),
        call(signed, "{\"data\":\"hunter2-payload\"}").into_bytes(),
        [upgrade("a").into_bytes(), session].concat(),
        upgrade("unknown").into_bytes(),
    ]
}

#[test]
fn no_secret_is_shown() {
    let files: &[(&str, &str)] = &[("c.toml", SECRETS), ("s", "hunter2-file\n")];
    let environment =
        ["CORECAST_APPS=1:a:hunter2-env,2:b:hunter2-env", "CORECAST_HOOKS_REDIS_URL=redis://u:hunter2-env@h"];
    let arguments =
        ["-c", "c.toml", "--app", "9:c:hunter2-flag", "--webhook", "http://u:hunter2@h/?token=hunter2-flag"];
    for words in [&["config", "show"][..], &["config", "show", "--json"], &["config", "check"]] {
        for (environment, arguments) in
            [(&[][..], &arguments[..2]), (&environment, &arguments[..2]), (&[], &arguments)]
        {
            assert_no_secret(&printed("secrets", words, all(files, environment, arguments)));
        }
    }
}

#[test]
fn no_secret_is_logged() {
    for format in ["text", "json"] {
        assert_no_secret(&log_of_a_session(format));
    }
}

/// What a server says, line by line.
struct Log {
    lines: mpsc::Receiver<String>,
    said: String,
}

impl Log {
    fn of(stderr: ChildStderr) -> Self {
        let (sender, lines) = mpsc::sync_channel(10_000);
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                // The test may have failed.
                drop(sender.send(line + "\n"));
            }
        });
        Self { lines, said: String::new() }
    }

    fn wait_for(&mut self, words: &str) {
        while !self.said.contains(words) {
            let line = self.lines.recv_timeout(Duration::from_secs(30));
            self.said += &line.unwrap_or_else(|_| panic!("not said: {words}: {}", self.said));
        }
    }
}

/// All that a server says at the level debug: its start, clients and back ends, a reload that works and one that does not,
/// endpoints and a Redis that are not there, and its end.
fn log_of_a_session(format: &str) -> String {
    // While Redis is away, no endpoint is tried.
    let has_redis = format == "text";
    let settings = if has_redis { SECRETS.to_owned() } else { SECRETS.replace("redis_url", "# redis_url") };
    let files: &[(&str, &str)] = &[("c.toml", &settings), ("s", "hunter2-file\n")];
    let listen = format!("127.0.0.1:{}", free_port());
    let log = ["--log-level", "debug", "--log-format", format];
    let arguments = [&["-c", "c.toml", "--listen", &listen, "--admin", "off"][..], &log].concat();
    let folder = directory(&format!("session-{format}"));
    let environment = ["CORECAST_PORT=tcp://10.0.0.1:6001"];
    let mut serve = command(&folder, &["serve"], all(files, &environment, &arguments));
    let mut child = Server(serve.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap());
    let mut log = Log::of(child.0.stderr.take().unwrap());
    for words in
        ["CORECAST_PORT", "enableServiceLinks: false", "limits.message_bytes_max = 65536", "listening on"]
    {
        log.wait_for(words);
    }
    let streams: Vec<TcpStream> = requests().iter().map(|request| ask(&listen, request)).collect();
    for words in
        ["is open", "sign-in: ", "a client event to private-x", "Timestamp expired", "no app has the key"]
    {
        log.wait_for(words);
    }
    log.wait_for(if has_redis { "no connection to Redis" } else { "does not accept events" });
    drop(streams);
    // A right file, and one that is wrong in the line of a secret.
    signal(child.0.id(), "-HUP");
    log.wait_for("SIGHUP: ");
    let wrong = settings.replace("secret = \"hunter2-app\"", "secret = \"hunter2-app");
    fs::write(folder.join("c.toml"), wrong).unwrap();
    signal(child.0.id(), "-HUP");
    log.wait_for("SIGHUP changes nothing");
    signal(child.0.id(), "-TERM");
    log.wait_for("stopped");
    assert!(child.0.wait().unwrap().success(), "{}", log.said);
    log.said
}

/// Sends this, and waits for the beginning of an answer.
fn ask(to: &str, request: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.write_all(request).unwrap();
    assert!(stream.read(&mut [0; 512]).unwrap() > 0);
    stream
}

/// A server that does not outlive a test that fails.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
