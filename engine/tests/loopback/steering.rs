//! `serve --accept-steering cpu`: a client is with the shard on the processor that received it. On loopback that is
//! where the client runs.

use std::process::{Command, Stdio};
use std::thread;

use crate::rig::server::{Server, binary, free_port};
use corecast::driver::allowed;
use rustix::thread::{CpuSet, sched_setaffinity};

const CLIENTS: usize = 24;

/// The shards of clients that connect from this processor.
fn shards_from(cpu: usize, server: &Server) -> Vec<u16> {
    let connect = || {
        let mut only = CpuSet::new();
        only.set(cpu);
        sched_setaffinity(None, &only).unwrap();
        let clients: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
        clients.iter().map(|client| client.shard()).collect()
    };
    thread::scope(|scope| scope.spawn(connect).join()).unwrap()
}

#[test]
fn a_client_is_with_the_shard_of_its_processor() {
    let cpus = allowed::cpus();
    let [one, other, ..] = cpus[..] else { panic!("this test needs two processors, there is {cpus:?}") };
    let server = Server::start(&["--shards", "2", "--accept-steering", "cpu"]);
    assert_eq!(shards_from(one, &server), [0; CLIENTS]);
    assert_eq!(shards_from(other, &server), [1; CLIENTS]);
}

#[test]
fn more_shards_than_processors_stop_the_start() {
    let listen = format!("127.0.0.1:{}", free_port());
    let arguments =
        ["serve", "--listen", &listen, "--app", "1:k:s", "--shards", "256", "--accept-steering", "cpu"];
    let output = Command::new(binary()).args(arguments).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("256 shards on") && said.contains("or --accept-steering hash"), "{said}");
}
