//! What an operator is told about a wrong setting, wherever it comes from: file, environment, flag, or a file that one of
//! those names. The messages stand word for word in `config_sources.txt`; `UPDATE=1` writes them anew.
//!
//! Each case is a start of the server that must fail with 78 and one line. No message may show a secret, nor may
//! `config show` or the log of a server that is up.
#![forbid(unsafe_code)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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
    env(&[APP, "CORECAST_HOOKS_STREAM=events"]),
    env(&[APP, "CORECAST_HOOKS_DURABILITY=none"]),
    env(&[APP, "CORECAST_ADMIN_HOSTS=[\"a\""]),
    env(&[APP, "CORECAST_LISTN=0.0.0.0:6001"]),
    env(&[APP, "CORECAST_LIMITS_MESSAGE_BYTE_MAX=1"]),
    env(&[APP, "CORECAST_HOOKS_REDIS_URI_FILE=redis"]),
    env(&[APP, "CORECAST_PORT=6001"]),
    env(&[APP, "CORECAST_WORKERS=2"]),
    env(&[APP, "CORECAST_ZZZ=2"]),
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
    flags(&["--app", "hunter2-hunter2"]),
    flags(&["--app", "1:a:hunter2-hunter2", "--app", "1:b:hunter2-hunter2"]),
    flags(&["--app-file", "no-such-file"]),
    all(&[("apps", "1:a:hunter2-hunter2 hunter2-hunter2\n")], &[], &["--app-file", "apps"]),
    flags(&["--redis", "hunter2-hunter2"]),
    flags(&["--webhook", "hunter2-hunter2"]),
    flags(&["--webhook", "http://h/", "--webhook", "http://h/"]),
    // Nothing at all.
    env(&[]),
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
[hooks]
redis_url = "redis://:hunter2-redis@127.0.0.1:1"
"#;

#[test]
fn the_highest_source_of_a_setting_holds_and_is_named() {
    let case = all(
        &[
            (
                "c.toml",
                "shards = 3\ndrain_rate = 7\nlisten = \"127.0.0.1:1\"\nready_grace = 1\n[limits]\nhead_ms_max = 500\n",
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
        "limits.head_ms_max": [500, "file", "c.toml:6"],
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
fn no_secret_is_shown_or_logged() {
    let files: &[(&str, &str)] = &[("c.toml", SECRETS), ("s", "hunter2-file\n")];
    for words in [&["config", "show"][..], &["config", "show", "--json"], &["config", "check"]] {
        let shown = printed("secrets", words, all(files, &[], &["-c", "c.toml"]));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let arguments = ["-c", "c.toml", "--listen", &listen, "--admin", "off"];
    let folder = directory("session");
    let environment = ["CORECAST_PORT=tcp://10.0.0.1:6001"];
    let mut serve = command(&folder, &["serve"], all(files, &environment, &arguments));
    let mut child = serve.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("listening on") {
        assert!(log.read_line(&mut said).unwrap() > 0, "{said}");
    }
    assert!(said.contains("CORECAST_PORT") && said.contains("enableServiceLinks: false"), "{said}");
    let subscribe = r#"{"event":"pusher:subscribe","data":{"channel":"private-x","auth":"a:hunter2-wrong"}}"#;
    let frame =
        [&[0x81, 0x80 | 126, 0, subscribe.len() as u8, 0, 0, 0, 0][..], subscribe.as_bytes()].concat();
    let upgrade = |key: &str| {
        format!(
            "GET /app/{key}?protocol=7 HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    };
    let rest = "POST /apps/1/events?auth_key=a&auth_signature=hunter2-wrong HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}";
    let requests = [
        rest.as_bytes().to_vec(),
        [upgrade("a").as_bytes(), &frame].concat(),
        upgrade("unknown").into_bytes(),
    ];
    for request in requests {
        let mut stream = TcpStream::connect(&listen).unwrap();
        stream.write_all(&request).unwrap();
        assert!(stream.read(&mut [0; 512]).unwrap() > 0);
    }
    // A right file, and one that is wrong in the line of a secret.
    signal(child.id(), "-HUP");
    while !said.contains("SIGHUP: ") {
        assert!(log.read_line(&mut said).unwrap() > 0, "{said}");
    }
    fs::write(folder.join("c.toml"), SECRETS.replace("secret = \"hunter2-app\"", "secret = \"hunter2-app"))
        .unwrap();
    signal(child.id(), "-HUP");
    while !said.contains("SIGHUP changes nothing") {
        assert!(log.read_line(&mut said).unwrap() > 0, "{said}");
    }
    signal(child.id(), "-TERM");
    log.read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}
