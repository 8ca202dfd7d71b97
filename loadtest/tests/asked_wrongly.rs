//! What is told at once when a measurement cannot begin, and what can be asked without one.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn harness(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_corecast-loadtest")).args(arguments).output().unwrap()
}

/// An address where nobody listens. The kernel gives a port just used to nobody else for a while.
fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn a_server_that_is_down_is_told_as_that_by_every_scenario() {
    let address = nobody();
    let scenarios =
        ["fanout", "channels", "client-events", "connect", "idle", "presence", "publish", "slow", "soak"];
    for scenario in scenarios {
        let output = harness(&[scenario, "--ws", &address, "--app", "1:key:secret", "--duration", "1"]);
        let told = String::from_utf8(output.stderr).unwrap();
        let wanted = format!("{address} refused the connection: is the server running there?");
        assert_eq!((output.status.code(), told.lines().count()), (Some(1), 1), "{scenario}: {told}");
        assert!(told.contains(&wanted) && output.stdout.is_empty(), "{scenario}: {told}");
    }
}

#[test]
fn help_is_a_command_too() {
    let output = harness(&["help"]);
    assert!(output.status.success() && String::from_utf8(output.stdout).unwrap().contains("fanout"));
}

#[test]
fn reproduce_tells_its_options_without_building() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("no-cargo");
    std::fs::create_dir_all(&folder).unwrap();
    // A build gets this one, and fails.
    let cargo = folder.join("cargo");
    std::fs::write(&cargo, "#!/bin/sh\nexit 99\n").unwrap();
    std::fs::set_permissions(&cargo, PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("reproduce.sh");
    for flag in ["--help", "-h"] {
        let output = Command::new(&script).args(["--quick", flag]).env("PATH", &path).output().unwrap();
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && told.contains("--quick"), "{told}");
    }
}
