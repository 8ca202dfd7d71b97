//! The checks of `corecast conform`: none finds anything here, and they find what an app does otherwise.

use std::collections::BTreeSet;

use crate::rig::KEY;
use crate::rig::server::{Server, run, shared};
use corecast_conform::{Report, Target};

fn url(server: &Server) -> String {
    format!("http://{KEY}:loopback-secret@127.0.0.1:{}/apps/7", server.port())
}

fn report(server: &Server) -> Report {
    corecast_conform::run(&Target::of_url(&url(server)).unwrap(), corecast_conform::all())
}

#[test]
fn no_check_finds_anything_on_three_shards_or_on_one() {
    for server in [&*shared(), &Server::start(&["--shards", "1"])] {
        let report = report(server);
        assert!(report.outcomes.len() >= 100);
        assert_eq!(report.deviations().count(), 0, "{report}");
    }
}

#[test]
fn checks_find_what_an_app_does_otherwise() {
    let server = Server::with_apps(
        "conform",
        1,
        &format!(
            "[[apps]]\nid = \"7\"\nkey = \"{KEY}\"\nsecret = \"loopback-secret\"\ndialect = \"webman2\"\n\
             client_events = false\nlimits = {{ event_data_bytes_max = 5000, channels_per_event_max = 200 }}\n"
        ),
    );
    let found: BTreeSet<&str> = report(&server).deviations().map(|outcome| outcome.check.name).collect();
    let expected = [
        "client_events.keep_their_names",
        "client_events.not_the_sender",
        "client_events.object_as_data",
        "client_events.reach_the_others",
        "client_events.string_as_data",
        "client_events.user_id_on_presence",
        "connection.established_is_a_string",
        "presence.list_is_in_a_string",
        "presence.member_events_are_strings",
        "rest_events.data_as_object",
        "rest_events.large_data_arrives",
        "rest_events.too_many_channels_are_400",
        "subscriptions.acknowledgement_is_a_string",
        "users.signin_data_is_a_string",
    ];
    assert_eq!(found, BTreeSet::from(expected));
}

#[test]
fn the_command_says_what_deviates_and_ends_with_1() {
    let server = shared();
    let (code, out, errors) = run(&["conform", &url(&server), "--only", "rest_channels."]);
    assert_eq!((code, out.lines().last(), &*errors), (Some(0), Some("14 checks, 0 deviations"), ""));
    let wrong = url(&server).replace("loopback-secret", "wrong-secret");
    let (code, out, errors) = run(&["conform", &wrong, "--only", "rest_auth.right_signature", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["checks"]), (Some(1), &serde_json::json!(1)));
    assert_eq!(report["deviations"][0]["name"], "rest_auth.right_signature", "{report}");
    assert!(errors.contains("deviates from the protocol in 1 of 1 checks"), "{errors}");
    let (code, _, errors) = run(&["conform", &wrong, "--only", "nothing"]);
    assert!(code == Some(78) && errors.contains("no check has such a name"), "{errors}");
}
