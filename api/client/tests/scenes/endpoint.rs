//! An auth endpoint, as a back end has one: it answers those who have the right header.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use corecast_client::{ApiClient, Member};
use serde_json::json;

pub(super) struct Endpoint {
    port: u16,
}

impl Endpoint {
    /// Answers until this process ends.
    pub(super) fn start(api: ApiClient, header: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for stream in listener.incoming() {
                answer(&api, header, stream.unwrap());
            }
        });
        Self { port }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

/// Answers one request and closes.
fn answer(api: &ApiClient, header: &str, mut stream: TcpStream) {
    let request = read_request(&mut stream);
    let (head, form) = request.split_once("\r\n\r\n").unwrap();
    let field = |name: &str| form.split('&').find_map(|pair| pair.strip_prefix(name)).unwrap().to_owned();
    let socket_id = field("socket_id=");
    let (status, body) = if !head.to_ascii_lowercase().contains(&header.to_ascii_lowercase()) {
        ("403 Forbidden", "no token".to_owned())
    } else if head.starts_with("POST /pusher/user-auth ") {
        let user = json!({"id": "of-the-endpoint"});
        ("200 OK", serde_json::to_string(&api.authenticate_user(&socket_id, &user)).unwrap())
    } else {
        let (member, channel) = (Member::new("of-the-endpoint"), field("channel_name="));
        let member = channel.starts_with("presence-").then_some(&member);
        ("200 OK", serde_json::to_string(&api.authorize_channel(&socket_id, &channel, member)).unwrap())
    };
    let length = body.len();
    let answer = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).unwrap();
}

/// Head and body of a request, whose length is told.
fn read_request(stream: &mut TcpStream) -> String {
    let mut request = String::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "{request}");
        request.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        let Some((head, body)) = request.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let (_, length) = head.split_once("content-length: ").unwrap();
        if body.len() >= length.lines().next().unwrap().parse::<usize>().unwrap() {
            return request;
        }
    }
}
