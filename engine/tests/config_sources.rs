//! What an operator is told about a wrong setting, wherever it comes from: file, environment, flag, or a file that one of
//! those names. The messages stand word for word in `config_sources.txt`; `UPDATE=1` writes them anew.
//!
//! Each case is a start of the server that must fail with 78 and one line. No message may show a secret.
#![forbid(unsafe_code)]

use std::fs;
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

fn directory() -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("config_sources");
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

/// The only line that the server says, and its exit code.
fn told(case: Case<'_>) -> String {
    let directory = directory();
    for (name, text) in case.files {
        fs::write(directory.join(name), text).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_corecast"));
    command.arg("serve").args(case.arguments).current_dir(&directory).env_clear().stdin(Stdio::null());
    command.envs(case.environment.iter().map(|pair| pair.split_once('=').unwrap()));
    let output = command.output().unwrap();
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
