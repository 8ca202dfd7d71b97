//! The source of apps that is asked: what clients and calls for unknown apps get, and what becomes of apps that it has
//! given.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::rig::client::Client;
use crate::rig::http::{Http, encode_event, encode_request, now_unix_s};
use crate::rig::server::{Server, binary, free_port, wait_for};
use crate::rig::source::{Reply, Source};
use protocol::app::App;
use protocol::auth::sign_request;
use serde_json::Value;

/// A server that asks a source, and knows one app of its own, with the key `own`.
struct Rig {
    source: Source,
    server: Server,
    admin: u16,
}

impl Rig {
    fn start(name: &str, shards: usize, ttl_s: u32) -> Self {
        let source = Source::start();
        let (port, admin) = (free_port(), free_port());
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("apps-url-{name}-{shards}.toml"));
        let own = "[[apps]]\nid = \"own\"\nkey = \"own\"\nsecret = \"own-secret\"";
        let url = source.url();
        let text = format!(
            "apps_url = \"{url}\"\napps_url_ttl_s = {ttl_s}\nshards = {shards}\nadmin = \"127.0.0.1:{admin}\"\n{own}\n"
        );
        fs::write(&path, text).unwrap();
        let mut command = Command::new(binary());
        command.args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--config"]).arg(&path);
        let server = Server::start_command(
            {
                command.stdin(Stdio::null());
                command
            },
            port,
        );
        Self { source, server, admin }
    }

    fn try_connect(&self, key: &str) -> Result<Client, Value> {
        Client::try_connect(self.server.tcp(), &format!("/app/{key}?protocol=7"))
    }

    fn connect(&self, key: &str) -> Client {
        self.try_connect(key).unwrap_or_else(|refused| panic!("{key}: {refused}"))
    }

    /// The code with which a client with this key is refused.
    fn refused(&self, key: &str) -> Option<u64> {
        self.try_connect(key).err().unwrap_or_else(|| panic!("{key} is served"))["data"]["code"].as_u64()
    }

    fn publish(&self, id: &str, key: &str, data: &str) -> u16 {
        publish(&mut self.server.http(), &App::new(id, key, &format!("{key}-secret")), data)
    }

    fn metric(&self, name: &str) -> u64 {
        let mut http = Http::on(TcpStream::connect(("127.0.0.1", self.admin)).unwrap());
        let answer = http.ask(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let line = answer.body.lines().find_map(|line| line.strip_prefix(&format!("corecast_{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {}", answer.body)).parse::<f64>().unwrap() as u64
    }

    fn wait_for_metric(&self, name: &str, value: u64) {
        wait_for(name, || (self.metric(name) == value).then_some(()));
    }

    /// Ends the server, and returns what it has said of the source.
    fn told(mut self) -> Vec<String> {
        assert_eq!(self.server.terminate().code(), Some(0));
        let errors = self.server.take_errors();
        assert!(!errors.contains("-secret"), "{errors}");
        let lines = errors.lines().filter_map(|line| line.split_once("apps_url: "));
        lines.map(|(_, line)| line.to_owned()).collect()
    }
}

fn publish(http: &mut Http, app: &App, data: &str) -> u16 {
    let (path, body) = (format!("/apps/{}/events", app.id), encode_event("news", "e", data));
    let query = sign_request(app, "POST", &path, &[], body.as_bytes(), now_unix_s());
    http.ask(&encode_request("POST", &format!("{path}?{query}"), &body)).status
}

#[test]
fn clients_and_calls_wait_for_their_app_which_is_asked_for_once() {
    for shards in [1, 3] {
        let rig = Rig::start("wait", shards, 60);
        rig.source.say("key=late", Reply::Hold);
        rig.source.say("id=7", Reply::Hold);
        thread::scope(|scope| {
            let clients: Vec<_> = (0..20).map(|_| scope.spawn(|| rig.connect("late"))).collect();
            let calls: Vec<_> = (0..5).map(|_| scope.spawn(|| rig.publish("7", "late", "x"))).collect();
            rig.source.wait_asked("key=late", 1);
            rig.source.wait_asked("id=7", 1);
            wait_for("all of them", || (rig.metric("app_waits_total") == 20).then_some(()));
            wait_for("all calls", || (rig.metric("http_app_waits_total") == 5).then_some(()));
            assert_eq!(rig.publish("own", "own", "x"), 200, "others do not wait");
            rig.connect("own").expect_pong();
            // The answer to the one is the answer to the other.
            rig.source.say("key=late", Reply::app("7", "late", r#","client_events":null"#));
            let mut clients: Vec<Client> = clients.into_iter().map(|it| it.join().unwrap()).collect();
            calls.into_iter().for_each(|call| assert_eq!(call.join().unwrap(), 200));
            clients.iter_mut().for_each(|client| drop(client.subscribe("news")));
            assert_eq!(rig.publish("7", "late", "y"), 200);
            clients.iter_mut().for_each(|client| client.expect("news", "e", "y"));
        });
        assert_eq!((rig.source.asked("key=late"), rig.source.asked("id=7")), (1, 1));
        rig.source.say("id=7", Reply::app("7", "late", ""));
        rig.wait_for_metric("apps_url_asking", 0);
        assert_eq!(rig.metric("apps_url_apps"), 1);
        assert!(rig.told().is_empty());
    }
}

#[test]
fn an_app_that_the_source_does_not_have_is_unknown_and_not_asked_for_again_at_once() {
    let rig = Rig::start("none", 3, 60);
    for (number, body) in ["null", "{}", "[]", "", "false"].into_iter().enumerate() {
        let key = format!("none-{number}");
        rig.source.say(&format!("key={key}"), Reply::Http(200, body.to_owned()));
        assert_eq!(rig.refused(&key), Some(4001), "{body}");
    }
    for _ in 0..4 {
        assert_eq!(rig.refused("nobody"), Some(4001));
        assert_eq!(rig.publish("nobody", "nobody", "x"), 404);
    }
    assert_eq!((rig.source.asked("key=nobody"), rig.source.asked("id=nobody")), (1, 1));
    assert_eq!(rig.metric("apps_url_spared_total"), 6);
    // What no app can be called is not asked for.
    assert_eq!((rig.refused("a%20b"), rig.refused("a,b")), (Some(4001), Some(4001)));
    // Another app than the one asked for is none.
    rig.source.say("key=foreign", Reply::app("9", "other", ""));
    rig.source.say("id=9", Reply::app("10", "other", ""));
    assert_eq!((rig.refused("foreign"), rig.publish("9", "other", "x")), (Some(4001), 404));
    assert_eq!(rig.metric("apps_url_apps"), 0);
    let told = rig.told();
    let [one] = &told[..] else { panic!("{told:?}") };
    assert_eq!(one, "the answer for the key \"foreign\" is another app; the apps that are known stay");
}

#[test]
fn a_source_that_cannot_say_sends_clients_to_try_again_and_has_a_line_for_each_kind_of_fault() {
    let rig = Rig::start("lies", 3, 60);
    let lies = [
        Reply::Http(500, "oops".to_owned()),
        Reply::Http(200, "<html>".to_owned()),
        Reply::Http(200, format!("{{\"x\":\"{}\"}}", "x".repeat(10 << 20))),
        Reply::Http(200, r#"{"id":"1","key":"lie-3","secret":"lie-secret","client_event":1}"#.to_owned()),
        Reply::Http(302, String::new()),
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        for again in 0..2 {
            rig.source.say(&format!("key=lie-{number}"), lie.clone());
            rig.source.say(&format!("id=lie-{number}"), lie.clone());
            assert_eq!(rig.refused(&format!("lie-{number}")), Some(4100), "{number} {again}");
            assert_eq!(rig.publish(&format!("lie-{number}"), "k", "x"), 503, "{number} {again}");
        }
    }
    assert_eq!(rig.metric("apps_url_failing"), 1);
    rig.source.say("key=good", Reply::app("1", "good", ""));
    rig.connect("good").expect_pong();
    assert_eq!(rig.metric("apps_url_failing"), 0);
    let told = rig.told();
    assert_eq!(told.len(), 5, "{told:?}");
    for text in
        ["the answer is 500", "a JSON object is needed", "longer than 65536 bytes", "client_event\"", "again"]
    {
        assert_eq!(told.iter().filter(|line| line.contains(text)).count(), 1, "{text}: {told:?}");
    }
}

#[test]
fn a_source_that_hangs_holds_newcomers_for_some_seconds_and_nobody_else() {
    let rig = Rig::start("hangs", 3, 60);
    rig.source.say("key=hangs", Reply::Silence);
    rig.source.say("id=hangs", Reply::Silence);
    let began = Instant::now();
    thread::scope(|scope| {
        let client = scope.spawn(|| rig.refused("hangs"));
        let call = scope.spawn(|| rig.publish("hangs", "k", "x"));
        rig.source.wait_asked("key=hangs", 1);
        rig.connect("own").expect_pong();
        rig.source.say("key=good", Reply::app("1", "good", ""));
        rig.connect("good").expect_pong();
        assert_eq!((client.join().unwrap(), call.join().unwrap()), (Some(4001), 404));
    });
    let held = began.elapsed();
    assert!(held >= Duration::from_secs(4) && held < Duration::from_secs(10), "{held:?}");
}

#[test]
fn apps_of_the_source_follow_it_and_stay_while_it_fails() {
    for shards in [1, 3] {
        let rig = Rig::start("follow", shards, 1);
        rig.source.say("key=a", Reply::app("1", "a", ""));
        let mut client = rig.connect("a");
        client.subscribe("news");
        rig.source.wait_asked("key=a", 3);
        // Other settings, and a key more.
        let next = r#","keys":[{"key":"b","secret":"b-secret"}],"limits":{"connections_max":1}"#;
        rig.source.say("key=a", Reply::app("1", "a", next));
        wait_for("the limit", || (rig.try_connect("a").err()?["data"]["code"] == 4100).then_some(()));
        rig.source.say("key=a", Reply::app("1", "a", r#","keys":[{"key":"b","secret":"b-secret"}]"#));
        wait_for("the key", || rig.try_connect("b").ok());
        // A key that is replaced takes nobody's app away.
        rig.source.forget("key=a");
        rig.source.say("id=1", Reply::app("1", "b", ""));
        rig.source.wait_asked("id=1", 1);
        wait_for("the old key to go", || rig.try_connect("a").err());
        assert_eq!(rig.publish("1", "b", "x"), 200);
        client.expect("news", "e", "x");
        // The source fails for longer than what it said holds.
        rig.source.go_down(true);
        rig.wait_for_metric("apps_url_failing", 1);
        thread::sleep(Duration::from_millis(1500));
        rig.connect("b").expect_pong();
        assert_eq!(rig.publish("1", "b", "y"), 200);
        client.expect("news", "e", "y");
        assert_eq!(rig.refused("new"), Some(4100));
        rig.source.go_down(false);
        rig.wait_for_metric("apps_url_failing", 0);
        // It is gone.
        rig.source.forget("id=1");
        assert_eq!(client.hear_error().0, Some(4003));
        assert_eq!(client.hear_close().0, 4003);
        assert_eq!((rig.refused("b"), rig.publish("1", "b", "z")), (Some(4001), 404));
        assert_eq!(rig.metric("apps_url_apps"), 0);
        let told = rig.told();
        assert!(told.iter().any(|line| line == "removed: 1"), "{told:?}");
        assert!(told.iter().any(|line| line == "the source answers again"), "{told:?}");
    }
}
