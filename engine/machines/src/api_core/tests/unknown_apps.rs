//! Requests for apps that this server does not know, while a source of apps is asked.

use protocol::app::AppVerdict;

use super::*;
use crate::limits::APP_WAIT_MS_MAX;

fn rig(waits_max: usize) -> Rig {
    let mut rig = Rig::new();
    rig.core.limits.app_waits_max = waits_max;
    rig
}

fn id(id: &str) -> AppQuestion {
    AppQuestion::of_id(id).unwrap()
}

impl Rig {
    fn asked_for(&mut self) -> Vec<AppQuestion> {
        std::mem::take(&mut self.asked)
    }

    fn tell(&mut self, question: &AppQuestion, verdict: AppVerdict) {
        let now = self.now;
        self.core.handle_app_verdict(question, verdict, now);
        self.run();
    }

    /// From now on there is this app too.
    fn add_app(&mut self, app: App) {
        let mut apps: Vec<_> = self.core.apps.iter().cloned().collect();
        apps.push(self.core.apps.adopt(app));
        let (next, now) = (self.core.apps.followed_by(apps).unwrap(), self.now);
        self.core.handle_apps(Arc::new(next), now);
        self.run();
    }
}

fn asks(app: &App) -> String {
    let path = format!("/apps/{}/connections", app.id);
    let query = sign_request(app, "GET", &path, &[], b"", UNIX_S);
    format!("GET {path}?{query} HTTP/1.1\r\nHost: h\r\n\r\n")
}

#[test]
fn calls_wait_for_their_app_in_order_and_it_is_asked_for_once() {
    let (mut rig, app) = (rig(9), App::new("7", "k", "s"));
    let peers = [rig.open(), rig.open()];
    let known = rig.app.clone();
    for peer in peers {
        rig.send(peer, asks(&known) + &asks(&app) + &asks(&known));
    }
    rig.run();
    assert_eq!(rig.asked_for(), [id("7")]);
    assert_eq!(peers.map(|peer| rig.statuses(peer)), [[200], [200]]);
    rig.add_app(app);
    assert_eq!(peers.map(|peer| rig.statuses(peer)), [[200, 200], [200, 200]]);
    rig.tell(&id("7"), AppVerdict::Found);
    assert_eq!(rig.core.stats().app_waits, 2);
    assert!(rig.asked_for().is_empty());
    rig.assert_nothing_is_left();
}

#[test]
fn an_app_that_the_source_does_not_have_is_unknown_and_one_that_it_cannot_tell_of_is_so_for_now() {
    let (mut rig, app) = (rig(9), App::new("7", "k", "s"));
    let peer = rig.open();
    let table = [(AppVerdict::Unknown, 404), (AppVerdict::Unanswered, 503), (AppVerdict::Found, 404)];
    for (verdict, status) in table {
        rig.send(peer, asks(&app));
        rig.run();
        assert_eq!(rig.asked_for(), [id("7")], "each request asks anew");
        rig.tell(&id("7"), verdict);
        assert_eq!(rig.statuses(peer), [status]);
    }
    rig.send(peer, asks(&app));
    rig.run();
    rig.run_after(APP_WAIT_MS_MAX - 1);
    assert_eq!(rig.statuses(peer), NONE);
    rig.run_after(1);
    assert_eq!(rig.statuses(peer), [404], "nobody has answered");
    let stats = rig.core.stats();
    assert_eq!((stats.requests, stats.refused, stats.overloaded), (4, 3, 1));
}

#[test]
fn a_body_is_not_waited_for_before_its_app_is_known() {
    let (mut rig, app) = (rig(9), App::new("7", "k", "s"));
    let body = r#"{"name":"e","channels":["c"],"data":"x"}"#;
    let query = sign_request(&app, "POST", "/apps/7/events", &[], body.as_bytes(), UNIX_S);
    let head =
        format!("POST /apps/7/events?{query} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len());
    for (found, status) in [(false, 404), (true, 200)] {
        let peer = rig.open();
        rig.send(peer, head.clone());
        rig.run();
        assert_eq!(rig.asked_for(), [id("7")]);
        rig.send(peer, body);
        rig.run();
        assert_eq!(rig.statuses(peer), NONE);
        if found {
            rig.add_app(App::new("7", "k", "s"));
        } else {
            rig.tell(&id("7"), AppVerdict::Unknown);
        }
        assert_eq!(rig.statuses(peer), [status]);
    }
}

#[test]
fn calls_beyond_the_bound_are_refused_and_those_that_have_gone_are_not_answered() {
    let (mut rig, app) = (rig(2), App::new("7", "k", "s"));
    let [gone, waits, late] = [rig.open(), rig.open(), rig.open()];
    for peer in [gone, waits, late] {
        rig.send(peer, asks(&app));
    }
    rig.run();
    assert_eq!(rig.statuses(late), [503]);
    assert_eq!(rig.core.stats().app_waits_refused, 1);
    rig.hang_up(gone);
    rig.tell(&id("7"), AppVerdict::Unknown);
    assert_eq!(rig.statuses(waits), [404]);
    rig.send(late, asks(&app));
    rig.run();
    rig.core.handle_drain(rig.now);
    rig.run();
    assert_eq!(rig.statuses(late), [503], "the server stops");
    assert!(rig.closed.contains(&gone) && rig.closed.contains(&late));
    rig.assert_nothing_is_left();
}

#[test]
fn nobody_is_asked_where_there_is_no_source() {
    let (mut rig, app) = (rig(0), App::new("7", "k", "s"));
    let peer = rig.open();
    rig.send(peer, asks(&app));
    rig.run();
    assert_eq!((rig.statuses(peer), rig.asked_for()), (vec![404], Vec::new()));
}
