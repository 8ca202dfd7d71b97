//! How fast the back ends of an app may call.

use super::*;

fn rig() -> Rig {
    let mut app = App::new("1", "key", "secret");
    app.limits.backend_events_per_second = Some(4);
    app.limits.read_requests_per_second = Some(2);
    Rig::of(app)
}

#[test]
fn publishes_beyond_the_rate_of_their_app_are_refused_counted_and_never_sent() {
    let mut rig = rig();
    let (peer, channel) = (rig.open(), rig.channel(0, "c"));
    for _ in 0..6 {
        let request = rig.event(&[&channel], "x", "");
        rig.send(peer, request);
    }
    rig.run();
    assert_eq!(rig.statuses(peer), [200, 200, 200, 200, 429, 429]);
    assert_eq!(rig.events_at(0).len(), 4);
    let stats = *rig.core.stats();
    assert_eq!((stats.rate_limited, stats.refused, stats.published), (2, 2, 4));
    rig.run_after(250);
    for _ in 0..2 {
        let request = rig.event(&[&channel], "y", "");
        rig.send(peer, request);
    }
    rig.run();
    assert_eq!(rig.statuses(peer), [200, 429]);
}

#[test]
fn questions_have_a_rate_of_their_own_and_what_is_refused_for_another_reason_costs_none() {
    let mut rig = rig();
    let peer = rig.open();
    let forged =
        rig.signed("GET", "/apps/1/connections", &[], "").replace("auth_signature=", "auth_signature=0");
    let asked = rig.signed("GET", "/apps/1/connections", &[], "");
    rig.send(peer, forged.repeat(5) + &asked.repeat(3));
    rig.run();
    assert_eq!(rig.statuses(peer), [401, 401, 401, 401, 401, 200, 200, 429]);
    let event = rig.event(&["c"], "x", "");
    rig.send(peer, event);
    rig.run();
    assert_eq!(rig.statuses(peer), [200]);
}

#[test]
fn a_new_registry_holds_for_the_next_call_and_leaves_what_was_used_up() {
    let mut rig = rig();
    let peer = rig.open();
    let asked = rig.signed("GET", "/apps/1/connections", &[], "");
    rig.send(peer, asked.repeat(3));
    rig.run();
    assert_eq!(rig.statuses(peer), [200, 200, 429]);
    let ask = |rig: &mut Rig, apps: &Apps| {
        let now = rig.now;
        rig.core.handle_apps(Arc::new(apps.followed_by(apps.iter().cloned().collect()).unwrap()), now);
        rig.send(peer, asked.clone());
        rig.run();
        rig.statuses(peer)[0]
    };
    let first = Apps::new(Vec::new()).unwrap();
    let with = |apps: &Apps, enabled: bool, key: &str| {
        let mut app = App::new("1", key, "secret");
        app.enabled = enabled;
        app.limits.read_requests_per_second = Some(2);
        apps.followed_by(vec![apps.adopt(app)]).unwrap()
    };
    let same = with(&first, true, "key");
    assert_eq!(ask(&mut rig, &same), 429);
    assert_eq!(ask(&mut rig, &with(&same, false, "key")), 403);
    assert_eq!(ask(&mut rig, &with(&same, true, "next")), 401);
    assert_eq!(ask(&mut rig, &first), 404);
    assert_eq!(ask(&mut rig, &same), 200, "an app that was gone begins anew");
}
