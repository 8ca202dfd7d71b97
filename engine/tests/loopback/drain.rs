//! The end of a server: clients are told in which manner to come back, one after another, and nobody meets a reset.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::rig::client::Client;
use crate::rig::raw::encode_upgrade;
use crate::rig::server::{Server, free_port, run, wait_for};
use crate::rig::{KEY, PATIENCE};

/// How a peer's connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// With a close frame of this code.
    Told(u16),
    /// Without a word, in whatever state.
    Untold,
    /// By a reset, which destroys what was on its way.
    Reset,
    /// It never began: nobody listens.
    Refused,
}

/// Code of the close frame with which these bytes end.
fn close_code(bytes: &[u8]) -> Option<u16> {
    [(4100_u16, "Server is restarting"), (4200, "Please reconnect")].into_iter().find_map(|(code, reason)| {
        let header = [0x88, 2 + reason.len() as u8];
        let frame = [&header[..], &code.to_be_bytes(), reason.as_bytes()].concat();
        bytes.ends_with(&frame).then_some(code)
    })
}

fn read_to_end(mut stream: TcpStream) -> (End, Vec<u8>) {
    let mut bytes = Vec::new();
    stream.set_read_timeout(Some(3 * PATIENCE)).unwrap();
    let end = match stream.read_to_end(&mut bytes) {
        Ok(_) => close_code(&bytes).map_or(End::Untold, End::Told),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => End::Reset,
        Err(error) => panic!("{error}"),
    };
    (end, bytes)
}

fn upgrade(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(encode_upgrade(&format!("/app/{KEY}")).as_bytes())
}

/// Comes, and stays to the end.
fn come(address: SocketAddr) -> End {
    TcpStream::connect(address).map_or(End::Refused, stay_to_the_end)
}

fn stay_to_the_end(mut stream: TcpStream) -> End {
    match upgrade(&mut stream) {
        Ok(()) => read_to_end(stream).0,
        Err(_) => End::Reset,
    }
}

/// A connection that is established, and the moment and manner of its end.
fn stay(server: &Server) -> JoinHandle<(Instant, End)> {
    let mut stream = server.tcp();
    upgrade(&mut stream).unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("connection_established") {
        let mut bytes = [0; 1024];
        let count = stream.read(&mut bytes).unwrap();
        assert!(count > 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&bytes[..count]);
    }
    let body = move || {
        let (end, _) = read_to_end(stream);
        (Instant::now(), end)
    };
    thread::Builder::new().stack_size(64 << 10).spawn(body).unwrap()
}

fn address(server: &Server) -> SocketAddr {
    ([127, 0, 0, 1], server.port()).into()
}

#[test]
fn a_drain_keeps_its_rate_and_resets_nobody() {
    const CONNECTIONS: usize = 600;
    const RATE: usize = 200;
    let mut server = Server::start(&["--shards", "2", "--drain-rate", "200"]);
    let address = address(&server);
    let staying: Vec<_> = (0..CONNECTIONS).map(|_| stay(&server)).collect();
    let mut listener = server.connect();
    listener.subscribe("news");
    let mut publisher = server.http();
    publisher.publish("news", "e", "0");
    let newcomers = thread::spawn(move || {
        let begun = Instant::now();
        let mut coming = Vec::new();
        while begun.elapsed() < Duration::from_secs(3) {
            coming.push(thread::spawn(move || come(address)));
            thread::sleep(Duration::from_millis(10));
        }
        coming.into_iter().map(|one| one.join().unwrap()).collect::<Vec<End>>()
    });
    thread::sleep(Duration::from_millis(200));
    let told = Instant::now();
    server.signal_end();
    // Whoever came last is closed last of its shard, which takes longer than this.
    for number in 1..60 {
        publisher.publish("news", "e", &number.to_string());
        thread::sleep(Duration::from_millis(20));
    }
    let heard = hear_to_the_end(listener);
    assert!(heard.iter().copied().eq(0..60), "an accepted event is missing: {heard:?}");

    let ends: Vec<(Instant, End)> = staying.into_iter().map(|one| one.join().unwrap()).collect();
    assert!(ends.iter().all(|(_, end)| *end == End::Told(4100)), "{ends:?}");
    check_rate(told, ends.iter().map(|(at, _)| *at).collect(), RATE);
    let newcomers = newcomers.join().unwrap();
    let refused = newcomers.iter().filter(|end| **end == End::Refused).count();
    println!("of {} newcomers {refused} found nobody", newcomers.len());
    let fine = |end: &End| matches!(end, End::Told(4100) | End::Refused);
    assert!(newcomers.iter().all(fine), "{newcomers:?}");
    wait_for("the end of the server", || (!server.is_running()).then_some(()));
}

/// The numbers that came before the close frame, which says 4100.
fn hear_to_the_end(mut listener: Client) -> Vec<usize> {
    let mut heard = Vec::new();
    loop {
        match listener.read() {
            Ok(tungstenite::Message::Text(text)) => {
                let event: serde_json::Value = serde_json::from_str(&text).unwrap();
                if event["channel"] == "news" {
                    heard.push(event["data"].as_str().unwrap().parse().unwrap());
                } else {
                    assert_eq!(event["data"]["code"], 4100, "{event}");
                }
            }
            Ok(tungstenite::Message::Close(Some(frame))) => {
                assert_eq!(u16::from(frame.code), 4100);
                return heard;
            }
            other => panic!("no close frame but {other:?}"),
        }
    }
}

/// What is seen late can only make a rate look lower from the beginning, so that bound is exact but for one close of
/// each shard. Within a window what was seen late comes together, so there is room for it.
fn check_rate(begun: Instant, mut ends: Vec<Instant>, rate: usize) {
    ends.sort();
    for (index, end) in ends.iter().enumerate() {
        let allowed = (end.duration_since(begun).as_secs_f64() * rate as f64).ceil() as usize + 2;
        assert!(index < allowed, "{index} closes after {:?}", end.duration_since(begun));
        let window = ends[index..].iter().take_while(|it| **it < *end + Duration::from_millis(100)).count();
        assert!(window <= 2 * (rate / 10) + 2, "{window} closes in 100 ms");
    }
    let took = ends[ends.len() - 1].duration_since(begun).as_secs_f64();
    println!("{} connections were closed in {took:.2} s at {rate}/s", ends.len());
}

#[test]
fn with_nobody_connected_it_ends_at_once() {
    let folder = std::env::temp_dir().join(format!("corecast-ends-at-once-{}", std::process::id()));
    let admin = format!("127.0.0.1:{}", free_port());
    let hooks = ["--webhook", "http://127.0.0.1:9/", "--data-dir", folder.to_str().unwrap()];
    for more in [&["--shards", "1"][..], &["--shards", "3"], &hooks] {
        let mut server = Server::start(&[&["--admin", &admin], more].concat());
        let begun = Instant::now();
        assert_eq!(server.terminate().code(), Some(0));
        assert!(begun.elapsed() < Duration::from_millis(1_500), "{more:?}: {:?}", begun.elapsed());
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_port_refuses_nobody_while_its_server_drains() {
    let mut server = Server::start(&["--shards", "2", "--drain-rate", "10"]);
    let address = address(&server);
    let _staying: Vec<_> = (0..30).map(|_| stay(&server)).collect();
    server.signal_end();
    let mut newcomers = Vec::new();
    while let Ok(stream) = TcpStream::connect(address) {
        newcomers.push(thread::spawn(move || stay_to_the_end(stream)));
        thread::sleep(Duration::from_millis(10));
    }
    let refused = Instant::now();
    wait_for("the end of the server", || (!server.is_running()).then_some(()));
    assert!(refused.elapsed() < Duration::from_millis(500), "it lived on for {:?}", refused.elapsed());
    let ends: Vec<End> = newcomers.into_iter().map(|one| one.join().unwrap()).collect();
    assert!(ends.len() > 50 && ends.iter().all(|end| *end == End::Told(4100)), "{ends:?}");
}

#[test]
fn whoever_is_told_to_come_back_finds_the_next_server() {
    const CLIENTS: usize = 60;
    // What a supervisor may take.
    const PAUSE: Duration = Duration::from_millis(300);
    let mut first = Server::start(&["--shards", "2", "--drain-rate", "30"]);
    let port = first.port();
    let clients: Vec<Client> = (0..CLIENTS).map(|_| first.connect()).collect();
    first.signal_end();
    let coming_back: Vec<_> =
        clients.into_iter().map(|client| thread::spawn(|| come_back(client, 4100))).collect();
    wait_for("the end of the first", || (!first.is_running()).then_some(()));
    thread::sleep(PAUSE);
    let next = Server::start_on(port, &["--shards", "2"]);
    for client in coming_back {
        client.join().unwrap().expect_pong();
    }
    drop(next);
}

#[test]
fn a_second_signal_ends_a_server_that_drains() {
    let mut server = Server::start(&["--shards", "1", "--drain-rate", "1"]);
    let mut clients: Vec<Client> = (0..20).map(|_| server.connect()).collect();
    server.signal_end();
    assert_eq!(clients[0].hear_error().0, Some(4100));
    let begun = Instant::now();
    assert_eq!(server.terminate().code(), Some(128 + 15));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    server.take_errors();
}

#[test]
fn within_its_grace_a_server_is_not_ready_and_serves_newcomers() {
    let mut server = Server::start(&["--shards", "1", "--ready-grace", "1"]);
    server.signal_end();
    wait_for("/ready to fail", || {
        let answer = server.http().ask(b"GET /ready HTTP/1.1\r\nHost: h\r\n\r\n");
        (answer.status == 503).then_some(())
    });
    let mut newcomer = server.connect();
    newcomer.expect_pong();
    assert_eq!(newcomer.hear_error().0, Some(4100));
    assert_eq!(newcomer.hear_close().0, 4100);
    wait_for("the end of the server", || (!server.is_running()).then_some(()));
}

#[test]
fn a_live_port_is_taken_without_takeover() {
    let server = Server::start(&[]);
    let listen = format!("127.0.0.1:{}", server.port());
    let (code, _, errors) = run(&["serve", "--listen", &listen, "--app", "1:k:s"]);
    assert_eq!(code, Some(1));
    assert!(errors.contains("port taken"), "{errors}");
}

#[test]
fn only_codes_that_bring_clients_back_may_end_them() {
    let (code, _, errors) = run(&["serve", "--app", "1:k:s", "--drain-close", "4001"]);
    assert_eq!(code, Some(78));
    assert!(errors.contains("4100 and 4200 are possible"), "{errors}");
}

#[test]
fn every_client_finds_the_successor() {
    const CLIENTS: usize = 100;
    let port = free_port();
    let mut first = Server::start_on(port, &["--shards", "2", "--takeover", "--drain-rate", "100"]);
    let clients: Vec<Client> = (0..CLIENTS).map(|_| first.connect()).collect();
    let successor = Server::start_on(port, &["--shards", "2", "--takeover", "--app", "9:successor:secret"]);
    wait_for("the successor", || Client::try_connect(successor.tcp(), "/app/successor").ok());
    first.signal_end();
    let coming_back: Vec<_> =
        clients.into_iter().map(|client| thread::spawn(|| come_back(client, 4200))).collect();
    let mut back: Vec<Client> = coming_back.into_iter().map(|one| one.join().unwrap()).collect();
    wait_for("the end of the first", || (!first.is_running()).then_some(()));
    back.iter_mut().for_each(Client::expect_pong);
    drop(successor);
}

/// What a client of Pusher does: at once after 4200, after a second when somebody who leaves has taken it in.
fn come_back(mut client: Client, code: u16) -> Client {
    let address = client.tcp().peer_addr().unwrap();
    assert_eq!(client.hear_error().0, Some(code.into()));
    assert_eq!(client.hear_close().0, code);
    if code == 4100 {
        thread::sleep(Duration::from_secs(1));
    }
    loop {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        match Client::try_connect(stream, &format!("/app/{KEY}")) {
            Ok(client) => return client,
            Err(refused) => assert_eq!(refused["data"]["code"], 4100, "{refused}"),
        }
        thread::sleep(Duration::from_secs(1));
    }
}
