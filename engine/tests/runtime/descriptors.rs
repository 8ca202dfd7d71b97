//! What happens when descriptors run out: the oldest connection makes room, ten times a second, and no core burns.
//!
//! The test starts itself again under a small `ulimit -n`, since a limit holds for a whole process.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::echo::{Desk, Script, serve};
use machines::machine::{Now, Token};

const CHILD: &str = "CORECAST_TEST_DESCRIPTORS";

/// Greets each newcomer, and closes the oldest when there are no descriptors.
struct Greeter {
    oldest: VecDeque<Token>,
    exhausted: Arc<AtomicU64>,
}

impl Script for Greeter {
    fn open(&mut self, desk: &mut Desk, token: Token, _now: Now) {
        self.oldest.push_back(token);
        desk.write(token, b"hi");
    }

    fn bytes(&mut self, _desk: &mut Desk, _token: Token, _bytes: &[u8], _now: Now) {}

    fn no_descriptors(&mut self, desk: &mut Desk) {
        self.exhausted.fetch_add(1, Ordering::Relaxed);
        if let Some(token) = self.oldest.pop_front() {
            desk.close(token, b"");
        }
    }
}

/// The child: serves until its input ends, then says how often descriptors ran out and for how long it served.
fn serve_with_few_descriptors() {
    let exhausted = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&exhausted);
    let greeter = move |_, _: &_| Greeter { oldest: VecDeque::new(), exhausted: Arc::clone(&count) };
    let server = serve(0, 1, false, greeter);
    let begun = Instant::now();
    println!("address {}", server.address);
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    println!("exhausted {} {}", exhausted.load(Ordering::Relaxed), begun.elapsed().as_millis());
    drop(server);
}

fn line_after(lines: &mut impl Iterator<Item = std::io::Result<String>>, word: &str) -> String {
    lines
        .map(Result::unwrap)
        .find_map(|line| line.split_once(word).map(|(_, rest)| rest.trim().to_owned()))
        .unwrap()
}

#[test]
fn when_descriptors_run_out_the_oldest_makes_room_and_accepting_pauses() {
    if std::env::var_os(CHILD).is_some() {
        return serve_with_few_descriptors();
    }
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -n 64; exec \"$0\" \"$1\" --exact --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .arg("descriptors::when_descriptors_run_out_the_oldest_makes_room_and_accepting_pauses")
        .env(CHILD, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address: SocketAddr = line_after(&mut lines, "address").parse().unwrap();
    let mut clients: Vec<TcpStream> = (0..70).map(|_| TcpStream::connect(address).unwrap()).collect();
    for client in &mut clients {
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut greeting = [0; 2];
        client.read_exact(&mut greeting).unwrap();
        // Those that made room are closed; closing our side too frees the descriptor.
        if client.write_all(b"x").is_err() || client.set_nonblocking(true).is_err() {
            continue;
        }
        if matches!(client.read(&mut [0]), Ok(0)) {
            let _ = client.shutdown(std::net::Shutdown::Both);
        }
    }
    drop(child.stdin.take());
    let said = line_after(&mut lines, "exhausted");
    let (times, ms) = said.split_once(' ').unwrap();
    let (times, ms): (u64, u64) = (times.parse().unwrap(), ms.parse().unwrap());
    drop(clients);
    assert!(child.wait().unwrap().success());
    assert!(times >= 1, "descriptors never ran out");
    assert!(times <= ms / 100 + 2, "{times} attempts in {ms} ms");
}
