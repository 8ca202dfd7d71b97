//! The console: who is let in, what streams hear, and how they end.

use std::cell::Cell;
use std::rc::Rc;

use api::console::files::Files;
use api::console::object::Object;
use protocol::auth::ConsoleKey;

use super::*;
use crate::api_core::console::{Console, ConsoleConfig, Facts, HooksAnswer, HooksAsk, ProcessFacts};

/// Knows nothing but the next token.
#[derive(Default)]
struct NoFacts {
    next: Rc<Cell<Option<&'static str>>>,
}

impl Facts for NoFacts {
    fn settings(&self) -> String {
        "[1]".to_owned()
    }

    fn problems(&self) -> String {
        "{}".to_owned()
    }

    fn reached(&self) -> Object {
        Object::default().plain("port", 1)
    }

    fn next_key(&self) -> Option<ConsoleKey> {
        self.next.take().map(|token| ConsoleKey::new(&[6; 32], token))
    }

    fn process(&self) -> ProcessFacts {
        ProcessFacts::default()
    }

    fn has_hooks(&self) -> bool {
        false
    }

    fn ask_hooks(&self, _question: u64, _ask: HooksAsk) -> bool {
        false
    }

    fn hooks_answers(&self) -> Vec<(u64, HooksAnswer)> {
        Vec::new()
    }

    fn nodes(&self) -> Option<String> {
        None
    }
}

fn rig() -> Rig {
    rig_of(NoFacts::default())
}

fn rig_of(facts: NoFacts) -> Rig {
    let mut rig = Rig::new();
    rig.core.console = Some(Console::new(ConsoleConfig {
        key: ConsoleKey::new(&[5; 32], "let-me-in"),
        files: Files::new(&[("index.html", "<p>page</p>")]),
        facts: Box::new(facts),
    }));
    rig
}

const BEARER: &str = "Authorization: Bearer let-me-in\r\n";

fn get(path: &str, lines: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:9601\r\n{lines}\r\n")
}

fn post(path: &str, lines: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:9601\r\nContent-Type: application/json\r\n{lines}Content-Length: {length}\r\n\r\n{body}"
    )
}

impl Rig {
    fn ask_console(&mut self, request: &str) -> String {
        let token = self.open_at(Door::Admin);
        self.send(token, request);
        self.run();
        String::from_utf8(self.got.remove(&token).unwrap_or_default()).unwrap()
    }

    fn status_of(&mut self, request: &str) -> String {
        self.ask_console(request).get(9..12).unwrap_or_default().to_owned()
    }

    fn open_stream(&mut self) -> Token {
        let token = self.open_at(Door::Admin);
        self.send(token, get("/console/stream", BEARER));
        self.run();
        token
    }

    /// A second later all shards say how they stand.
    fn sample(&mut self) {
        self.now.mono_us += 1_000_000;
        self.run_after(1_000);
        for home in 0..SHARDS {
            self.answer(home, |_| Found::Reading(Box::default()));
        }
        self.run();
    }

    fn heard(&mut self, token: Token) -> String {
        String::from_utf8(self.got.remove(&token).unwrap_or_default()).unwrap()
    }
}

#[test]
fn the_page_is_for_everybody_and_all_else_for_those_who_have_signed_in() {
    let mut rig = rig();
    assert!(rig.ask_console(&get("/", "")).ends_with("<p>page</p>"));
    for path in ["settings", "try", "problems", "stream"] {
        assert_eq!(rig.status_of(&get(&format!("/console/{path}"), "")), "401", "{path}");
        assert_eq!(
            rig.status_of(&get(&format!("/console/{path}"), "Cookie: corecast_console_9601=1.2.3\r\n")),
            "401"
        );
    }
    let signed_in = rig.ask_console(&post("/console/sign-in", "", r#"{"token":"let-me-in"}"#));
    assert!(signed_in.starts_with("HTTP/1.1 204 "), "{signed_in}");
    let cookie = signed_in.lines().find_map(|line| line.strip_prefix("Set-Cookie: ")).unwrap();
    assert!(cookie.contains("; HttpOnly; SameSite=Strict") && !cookie.contains("Secure"), "{cookie}");
    let lines = format!("Cookie: {}\r\n", cookie.split(';').next().unwrap());
    assert!(rig.ask_console(&get("/console/settings", &lines)).ends_with("[1]"));
    assert!(
        rig.ask_console(&get("/console/try", &lines))
            .ends_with(r#"{"port":1,"apps":[{"id":"1","key":"key"}]}"#)
    );
    assert_eq!(rig.status_of(&post("/console/sign-out", &lines, "{}")), "204");
    assert_eq!(rig.status_of(&get("/console/settings", &lines)), "401");
    assert_eq!(rig.status_of(&get("/console/settings", BEARER)), "200");
}

#[test]
fn a_cookie_is_secure_where_a_trusted_proxy_says_that_the_browser_came_by_tls() {
    let mut rig = rig();
    for (address, secure) in [("10.0.0.1:1", true), ("192.0.2.1:1", false)] {
        let token = rig.open_at(Door::Admin);
        rig.core.handle_peer(token, Some(address.parse::<std::net::SocketAddr>().unwrap().into()));
        rig.send(token, post("/console/sign-in", "X-Forwarded-Proto: https\r\n", r#"{"token":"let-me-in"}"#));
        rig.run();
        assert_eq!(rig.heard(token).contains("; Secure"), secure, "{address}");
    }
}

#[test]
fn wrong_tokens_are_refused_and_soon_not_even_looked_at() {
    let mut rig = rig();
    let wrong = post("/console/sign-in", "", r#"{"token":"let-me"}"#);
    let statuses: Vec<String> = (0..12).map(|_| rig.status_of(&wrong)).collect();
    assert_eq!((&*statuses[0], &*statuses[9], &*statuses[10]), ("403", "403", "429"));
    assert_eq!(rig.status_of(&get("/console/settings", BEARER)), "429");
    rig.run_after(5_000);
    assert_eq!(rig.status_of(&get("/console/settings", BEARER)), "200");
    // A guess whose body never comes is counted, too.
    let head = "POST /console/sign-out HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
                Authorization: Bearer x\r\nContent-Length: 9\r\n\r\n";
    let statuses: Vec<String> = (0..6).map(|_| rig.status_of(head)).collect();
    assert_eq!((&*statuses[0], &*statuses[5]), ("401", "429"));
}

#[test]
fn a_strangers_page_gets_nothing() {
    let mut rig = rig();
    let evil = format!("GET /console/settings HTTP/1.1\r\nHost: evil.example\r\n{BEARER}\r\n");
    assert_eq!(rig.status_of(&evil), "403");
    assert_eq!(
        rig.status_of(&get("/console/settings", &format!("{BEARER}Origin: http://127.0.0.1:8000\r\n"))),
        "403"
    );
    assert_eq!(
        rig.status_of(&get("/console/settings", &format!("{BEARER}Origin: http://127.0.0.1:9601\r\n"))),
        "200"
    );
    assert_eq!(rig.status_of(&get("/console/none", "")), "404");
    let public = rig.open();
    rig.send(public, get("/console/settings", BEARER));
    rig.run();
    assert_eq!(rig.statuses(public), [404]);
}

#[test]
fn a_stream_hears_a_history_and_then_a_sample_each_second() {
    let mut rig = rig();
    rig.sample();
    rig.sample();
    rig.sample();
    let stream = rig.open_stream();
    let first = rig.heard(stream);
    assert!(first.starts_with("HTTP/1.1 200 OK\r\n") && first.contains("text/event-stream"), "{first}");
    let (_, events) = first.split_once("\r\n\r\n").unwrap();
    assert!(events.starts_with("event: history\ndata: [{\"at\":"), "{events}");
    assert_eq!(events.matches("\"deliveries_per_s\"").count(), 2);
    assert!(events.contains("event: apps\ndata: [{\"id\":\"1\",\"connections\":0"), "{events}");
    rig.sample();
    let next = rig.heard(stream);
    assert!(next.starts_with("event: sample\ndata: {\"at\":") && next.ends_with("\n\n"), "{next}");
    assert!(next.contains("\"name\":\"shard-0\"") && next.contains("\"name\":\"api\""), "{next}");
    rig.send(stream, "GET / HTTP/1.1\r\n");
    rig.run();
    assert!(rig.closed.contains(&stream));
    assert_eq!(rig.core.console.as_ref().unwrap().streams.len(), 0);
}

#[test]
fn a_slow_reader_loses_samples_and_then_its_stream_and_nobody_else_does() {
    let mut rig = rig();
    let (slow, quick) = (rig.open_stream(), rig.open_stream());
    rig.sample();
    rig.deaf.insert(slow);
    let filler = "x".repeat(300 << 10);
    let now = rig.now;
    rig.core.tell_stream(slow, "filler", &filler, now);
    assert_eq!(rig.core.console.as_ref().unwrap().streams.lost, 0);
    for _ in 0..5 {
        rig.sample();
    }
    assert!(rig.core.console.as_ref().unwrap().streams.lost >= 10);
    for _ in 0..40 {
        rig.sample();
    }
    assert!(rig.reset.contains(&slow) && !rig.closed.contains(&quick));
    assert!(rig.heard(quick).matches("event: sample").count() >= 40);
}

#[test]
fn a_token_that_replaces_another_ends_its_streams_and_sessions() {
    let next = Rc::default();
    let mut rig = rig_of(NoFacts { next: Rc::clone(&next) });
    let stream = rig.open_stream();
    let signed_in = rig.ask_console(&post("/console/sign-in", "", r#"{"token":"let-me-in"}"#));
    let cookie = signed_in.lines().find_map(|line| line.strip_prefix("Set-Cookie: ")).unwrap();
    let cookie = format!("Cookie: {}\r\n", cookie.split(';').next().unwrap());
    assert_eq!(rig.status_of(&get("/console/settings", &cookie)), "200");
    next.set(Some("another"));
    rig.sample();
    assert!(rig.closed.contains(&stream));
    assert_eq!(rig.status_of(&get("/console/settings", &cookie)), "401");
    assert_eq!(rig.status_of(&get("/console/settings", BEARER)), "401");
    assert_eq!(rig.status_of(&get("/console/settings", "Authorization: Bearer another\r\n")), "200");
}

#[test]
fn streams_are_bounded_and_end_with_a_drain() {
    let mut rig = rig();
    let streams: Vec<Token> = (0..16).map(|_| rig.open_stream()).collect();
    assert_eq!(rig.status_of(&get("/console/stream", BEARER)), "429");
    rig.hang_up(streams[0]);
    rig.run();
    let one_more = rig.open_stream();
    assert!(rig.heard(one_more).starts_with("HTTP/1.1 200"));
    rig.core.handle_drain(rig.now);
    rig.run();
    assert!(streams.iter().all(|stream| rig.closed.contains(stream)) && rig.closed.contains(&one_more));
    assert_eq!(rig.core.connections(), 0);
}
