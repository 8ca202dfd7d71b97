//! Endpoints of hooks that are added, changed and removed at SIGHUP: what each of them hears, by real deliveries.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::rig::client::Client;
use crate::rig::server::{Server, binary, free_port, wait_for};

/// A back end that accepts every webhook, and remembers path, key and body.
struct BackEnd {
    port: u16,
    heard: Arc<Mutex<Vec<[String; 3]>>>,
}

impl BackEnd {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&heard);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, heard) = (stream.unwrap(), Arc::clone(&shared));
                thread::spawn(move || {
                    let mut reader = BufReader::new(&stream);
                    while let Some(webhook) = read_webhook(&mut reader) {
                        heard.lock().unwrap().push(webhook);
                        (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
                    }
                });
            }
        });
        Self { port, heard }
    }

    /// Path and key of the webhooks that tell of this channel.
    fn heard(&self, channel: &str) -> Vec<(String, String)> {
        let name = format!("\"channel\":\"{channel}\"");
        let heard = self.heard.lock().unwrap();
        let told = heard.iter().filter(|[_, _, body]| body.contains(&name));
        told.map(|[path, key, _]| (path.clone(), key.clone())).collect()
    }
}

fn read_webhook(reader: &mut impl BufRead) -> Option<[String; 3]> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
        if line == "\r\n" {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let field = |name: &str| {
        let headers = lines.iter().filter_map(|line| line.split_once(": "));
        let mut found = headers.filter(|(header, _)| header.eq_ignore_ascii_case(name));
        found.next().map_or("", |(_, value)| value)
    };
    let mut body = vec![0; field("Content-Length").parse().unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let path = lines[0].split(' ').nth(1).unwrap().to_owned();
    Some([path, field("X-Pusher-Key").to_owned(), String::from_utf8(body).unwrap()])
}

/// An app with the key `key`, and an endpoint of this name at this path.
fn app(id: &str, endpoint: Option<(&str, String)>) -> String {
    let app = format!("[[apps]]\nid = \"{id}\"\nkey = \"key-{id}\"\nsecret = \"secret-{id}\"\n");
    let endpoint = endpoint.map(|(name, url)| {
        format!("[[apps.hooks]]\nname = \"{name}\"\nurl = \"{url}\"\nbatch_ms = 1\nevents = [\"channel_occupied\"]\n")
    });
    app + &endpoint.unwrap_or_default()
}

#[test]
fn endpoints_of_new_and_changed_apps_hear_of_them_after_sighup_and_removed_ones_do_not() {
    for shards in ["1", "3"] {
        let back_end = BackEnd::start();
        let url = |path: &str| format!("http://127.0.0.1:{}{path}", back_end.port);
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("endpoints-{shards}"));
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).unwrap();
        let (file, data) = (folder.join("corecast.toml"), folder.join("data"));
        let write = |apps: &[String]| {
            let head = format!("admin = \"off\"\n[hooks]\ngrace_ms = 0\ndata_dir = {data:?}\n");
            fs::write(&file, head + &apps.concat()).unwrap();
        };
        write(&[app("1", Some(("one", url("/a"))))]);
        let port = free_port();
        let mut command = Command::new(binary());
        command.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--shards", shards, "--config"]);
        command.arg(&file).stdin(Stdio::null());
        let mut server = Server::start_command(command, port);
        let connect = |server: &Server, id: &str| {
            Client::try_connect(server.tcp(), &format!("/app/key-{id}?protocol=7"))
        };
        let subscribe = |server: &Server, id: &str, channel: &str| {
            let mut client = wait_for("the app", || connect(server, id).ok());
            client.subscribe(channel);
            client
        };
        let heard = |channel: &str, path: &str, key: &str| {
            let expected = [(path.to_owned(), key.to_owned())];
            wait_for(channel, || (!back_end.heard(channel).is_empty()).then_some(()));
            assert_eq!(back_end.heard(channel), expected, "{channel}");
        };
        let hang_up = |server: &Server| {
            let sent = Command::new("kill").args(["-HUP", &server.pid().to_string()]).status().unwrap();
            assert!(sent.success());
        };
        let first = subscribe(&server, "1", "first");
        heard("first", "/a", "key-1");
        // One is changed, one is added with its app.
        write(&[app("1", Some(("one", url("/b")))), app("2", Some(("two", url("/c"))))]);
        hang_up(&server);
        let second = subscribe(&server, "2", "second");
        heard("second", "/c", "key-2");
        let third = subscribe(&server, "1", "third");
        heard("third", "/b", "key-1");
        // One is removed. An app without endpoints shows when that has happened.
        write(&[app("1", None), app("2", Some(("two", url("/c")))), app("3", None)]);
        hang_up(&server);
        let shows = subscribe(&server, "3", "unheard-3");
        let fourth = subscribe(&server, "1", "unheard-1");
        let fifth = subscribe(&server, "2", "fifth");
        heard("fifth", "/c", "key-2");
        assert!(back_end.heard("unheard-1").is_empty() && back_end.heard("unheard-3").is_empty());
        // One that is none changes nothing.
        write(&[app("1", Some(("one", "http://169.254.169.254/".to_owned()))), app("2", None)]);
        hang_up(&server);
        drop((first, second, third, shows, fourth, fifth));
        let sixth = subscribe(&server, "2", "sixth");
        heard("sixth", "/c", "key-2");
        drop(sixth);
        assert_eq!(server.terminate().code(), Some(0));
        let told = server.take_errors();
        assert!(!told.contains("take effect when the server is started again"), "{told}");
        assert_eq!(told.matches("SIGHUP changes nothing: ").count(), 1, "{told}");
    }
}
