//! Answers that speak for all nodes, and what is said while they cannot.

use super::*;
use crate::mesh::Counts;

fn counts(subscriptions: u64, users: u32) -> Counts {
    Counts { subscriptions, users }
}

#[test]
fn a_list_has_the_channels_of_all_nodes_once() {
    let mut rig = Rig::in_cluster();
    let asker = rig.open();
    let params = [("filter_by_prefix", "presence-"), ("info", "user_count,subscription_count")];
    let request = rig.signed("GET", "/apps/1/channels", &params, "");
    rig.send(asker, request);
    rig.run();
    let mut servers = Vec::new();
    // Whichever comes first, here or elsewhere.
    for home in [1, 0, 2] {
        assert_eq!(rig.statuses(asker), NONE);
        for query in rig.take_questions(home) {
            let found = match &query.ask {
                Ask::Channels { .. } if home == 0 => {
                    Found::Channels(vec![("presence-both".into(), counts(2, 3))])
                }
                Ask::Channels { .. } => Found::Channels(vec![]),
                Ask::ChannelsElsewhere { server, prefix, .. } => {
                    servers.push((home, *server));
                    assert_eq!(&**prefix, "presence-");
                    let all = [("presence-both", counts(5, 4)), ("presence-there", counts(1, 1))];
                    let all = all.map(|(name, counts)| (name.into(), counts)).to_vec();
                    Found::ChannelsElsewhere(if *server == 1 { all } else { vec![] })
                }
                ask => panic!("{ask:?}"),
            };
            let leaf = Leaf::Answer(Box::new(Answer { id: query.id, found }));
            rig.inputs.leaves.push_back((CoreId::Shard(home as u16), vec![leaf]));
        }
        rig.run();
    }
    servers.sort();
    assert_eq!(servers, [(0, 0), (1, 1)], "each server is asked by one shard");
    let (status, body) = rig.responses(asker).remove(0);
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    let expected = serde_json::json!({"channels": {
        "presence-both": {"user_count": 4, "subscription_count": 7},
        "presence-there": {"user_count": 1, "subscription_count": 1},
    }});
    assert_eq!((status, body), (200, expected));
    rig.assert_nothing_is_left();
}

#[test]
fn what_only_other_nodes_know_is_503_while_they_cannot_be_asked() {
    for path in ["channels", "channels/presence-a", "channels/presence-a/users"] {
        let mut rig = Rig::in_cluster();
        let asker = rig.open();
        let request = rig.signed("GET", &format!("/apps/1/{path}"), &[], "");
        rig.send(asker, request);
        rig.run();
        for home in 0..SHARDS {
            rig.answer(home, |_| Found::Alone(counts(1, 1)));
        }
        rig.run();
        let got = rig.got.get(&asker).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        assert!(got.is_some_and(|text| text.contains("\r\nRetry-After: 1\r\n")), "{path}");
        let [(503, text)] = &rig.responses(asker)[..] else { panic!("{path}") };
        assert!(text.contains("no session with its Redis server"), "{text}");
        rig.assert_nothing_is_left();
    }
}

#[test]
fn an_event_that_is_published_is_never_refused_for_what_was_asked_about_its_channel() {
    for (found, told) in [(Found::Alone(counts(2, 0)), 2), (Found::Busy, 0)] {
        let mut rig = Rig::in_cluster();
        let (publisher, channel) = (rig.open(), rig.channel(0, "c"));
        let request = rig.event(&[&channel], "x", "subscription_count");
        rig.send(publisher, request);
        rig.run();
        let found = std::cell::Cell::new(Some(found));
        rig.answer(0, |_| found.take().unwrap());
        rig.run();
        let body = format!(r#"{{"channels":{{"{channel}":{{"subscription_count":{told}}}}}}}"#);
        assert_eq!(rig.responses(publisher), [(200, body)]);
        rig.assert_nothing_is_left();
    }
}

#[test]
fn who_sends_a_user_away_hears_whether_other_nodes_are_told() {
    for (found, status) in [(Found::Joined, 200), (Found::Alone(counts(0, 0)), 503)] {
        let mut rig = Rig::in_cluster();
        let caller = rig.open();
        let request = rig.signed("POST", "/apps/1/users/ann/terminate_connections", &[], "{}");
        rig.send(caller, request);
        rig.run();
        assert_eq!(rig.statuses(caller), NONE);
        assert!(matches!(rig.mesh.sent[0][..], [Root::Terminate(_), Root::Query(_)]), "in this order");
        let found = std::cell::Cell::new(Some(found));
        rig.answer(0, |_| found.take().unwrap());
        rig.run();
        assert_eq!(rig.statuses(caller), [status]);
        rig.assert_nothing_is_left();
    }
}
