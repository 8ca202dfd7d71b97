//! What peers, back ends and commands say reaches a terminal and the log as text, whatever bytes they choose.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hooks::dead_letters::{DeadLetter, DeadLetters, Mark};
use serde_json::Value;

use crate::rig::server::{Server, binary, free_port, run, wait_for};

/// Clears the screen, in 7-bit and in 8-bit form, and turns what follows around.
const RAW: &str = "a\u{1b}[2Jb\u{9b}2Jc\u{202e}d\u{7f}e";
const BLANKED: &str = "a [2Jb 2Jc d e";

fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn start(folder: &Path, endpoint: &str) -> Server {
    let (config, port) = (folder.join("corecast.toml"), free_port());
    let data = folder.join("data");
    let text = format!(
        "listen = \"127.0.0.1:{port}\"\nadmin = \"off\"\nshards = 1\n[hooks]\ndata_dir = {data:?}\n[[apps]]\nid = \"1\"\n\
         key = \"key\"\nsecret = \"secret\"\n[[apps.hooks]]\nname = \"e\"\nevents = [\"server_event\"]\n{endpoint}\n"
    );
    fs::write(&config, text).unwrap();
    let mut command = Command::new(binary());
    command.arg("serve").arg("--config").arg(&config).stdin(Stdio::null());
    let server = Server::start_command(command, port);
    let to = format!("127.0.0.1:{port}");
    let (code, _, said) = run(&["publish", "--app", "1:key:secret", "--to", &to, "room", RAW, "data"]);
    assert_eq!(code, Some(0), "{said}");
    server
}

#[test]
fn events_that_are_followed_are_the_same_json_without_control_characters() {
    let folder = folder("terminal-tail");
    let _server = start(&folder, &format!("url = \"http://127.0.0.1:{}/\"", free_port()));
    let data = folder.join("data");
    let line = wait_for("an event in the journal", || {
        let (code, output, said) = run(&["hooks", "tail", "--once", "--data-dir", data.to_str().unwrap()]);
        assert_eq!(code, Some(0), "{said}");
        (!output.is_empty()).then_some(output)
    });
    assert!(line.trim_end().chars().all(logging::is_printable), "{line:?}");
    let event: Value = serde_json::from_str(line.trim_end()).unwrap();
    assert_eq!(event["data"]["event"], RAW, "{event}");
}

#[test]
fn words_of_a_command_are_text_in_the_log() {
    let folder = folder("terminal-exec");
    let octal: String = RAW.bytes().map(|byte| format!("\\{byte:03o}")).collect();
    let tried = folder.join("tried");
    let script = format!("printf \"{octal}\" >&2; touch {}; exit 3", tried.display());
    let mut server = start(&folder, &format!("exec = [\"sh\", \"-c\", '{script}']"));
    wait_for("a try", || tried.exists().then_some(()));
    assert_eq!(server.terminate().code(), Some(0));
    let said = server.take_errors();
    assert!(said.contains(&format!("exit status: 3: {BLANKED}")), "{said:?}");
    assert!(said.chars().all(|c| c == '\n' || logging::is_printable(c)), "{said:?}");
}

#[test]
fn dead_letters_of_any_time_and_any_words_are_listed() {
    let folder = folder("terminal-letters");
    let mut letters = DeadLetters::open(&folder).unwrap();
    let letter = |row_id, time_ms| DeadLetter {
        id: 0,
        endpoint: RAW.to_owned(),
        app_id: "1".to_owned(),
        row_id,
        name: "client_event".to_owned(),
        data: "{}".to_owned(),
        time_ms,
        reason: format!("answered {RAW}\n"),
        tries: 1,
        died_ms: time_ms,
        mark: Mark::Kept,
    };
    // The last second of the year 9999, the one after it, and the last that a database holds.
    let times = [253_402_300_799_000, 253_402_300_800_000, i64::MAX as u64];
    let kept: Vec<DeadLetter> = (1..).zip(times).map(|(row_id, time_ms)| letter(row_id, time_ms)).collect();
    letters.keep(&kept).unwrap();
    drop(letters);
    let (code, output, said) = run(&["hooks", "dlq", "list", "--data-dir", folder.to_str().unwrap()]);
    assert_eq!((code, said.as_str()), (Some(0), ""), "{output}");
    assert_eq!(output.lines().count(), 5, "{output}");
    assert!(output.contains("9999-12-31T23:59:59Z") && output.contains("253402300800000 ms"), "{output}");
    assert!(output.contains(&format!("answered {BLANKED}")), "{output}");
    assert!(output.chars().all(|c| c == '\n' || logging::is_printable(c)), "{output:?}");
}
