//! Questions to home shards: merged when all answers are there, never a part of them.

use protocol::json::EventData;
use protocol::server_event::encode_event;
use protocol::ws::Frame;

use super::*;
use crate::mesh::{Cached, Counts};

fn counts(subscriptions: u64, users: u32) -> Counts {
    Counts { subscriptions, users }
}

#[test]
fn info_is_asked_right_behind_its_event() {
    let mut rig = Rig::new();
    let publisher = rig.open();
    let (presence, public) = (rig.channel(0, "presence-"), rig.channel(1, "c"));
    let request = rig.event(&[&presence, &public], "x", "user_count,subscription_count");
    rig.send(publisher, request);
    rig.run();
    assert_eq!(rig.statuses(publisher), NONE);
    for home in [0, 1] {
        assert!(matches!(rig.mesh.sent[home][..], [Root::Publish(_), Root::Query(_)]));
        rig.answer(home, |_| Found::Channel(counts(13, 42), None));
    }
    rig.run();
    let body = format!(
        r#"{{"channels":{{"{presence}":{{"user_count":42,"subscription_count":13}},"{public}":{{"subscription_count":13}}}}}}"#
    );
    assert_eq!(rig.responses(publisher), [(200, body)]);
    rig.assert_nothing_is_left();
}

#[test]
fn info_that_a_channel_does_not_have_is_not_asked() {
    let mut rig = Rig::new();
    let publisher = rig.open();
    let request = rig.event(&["c"], "x", "user_count");
    rig.send(publisher, request);
    rig.run();
    assert_eq!(rig.responses(publisher), [(200, r#"{"channels":{"c":{}}}"#.into())]);
    rig.assert_nothing_is_left();
}

#[test]
fn info_of_a_batch_is_positional() {
    let mut rig = Rig::new();
    let publisher = rig.open();
    let item =
        |channel: &str, info| serde_json::json!({"name": "e", "channel": channel, "data": "x", "info": info});
    let batch = [item("presence-a", "user_count"), item("b", ""), item("c", "subscription_count")];
    let body = serde_json::json!({"batch": batch}).to_string();
    let request = rig.signed("POST", "/apps/1/batch_events", &[], &body);
    rig.send(publisher, request);
    rig.run();
    for home in (0..SHARDS).rev() {
        rig.answer(home, |_| Found::Channel(counts(5, 2), None));
        rig.run();
    }
    let expected = r#"{"batch":[{"user_count":2},{},{"subscription_count":5}]}"#;
    assert_eq!(rig.responses(publisher), [(200, expected.into())]);
    rig.assert_nothing_is_left();
}

#[test]
fn a_list_of_channels_is_merged_from_every_shard() {
    let mut rig = Rig::new();
    let asker = rig.open();
    let params = [("filter_by_prefix", "presence-"), ("info", "user_count")];
    let request = rig.signed("GET", "/apps/1/channels", &params, "");
    rig.send(asker, request);
    rig.run();
    for home in 0..SHARDS {
        assert_eq!(rig.statuses(asker), NONE, "nothing before the last answer");
        rig.answer(home, |ask| {
            assert!(matches!(ask, Ask::Channels { prefix, .. } if &**prefix == "presence-"));
            Found::Channels(if home == 1 {
                vec![]
            } else {
                vec![(format!("presence-{home}").into(), counts(9, 3))]
            })
        });
        rig.run();
    }
    let body = r#"{"channels":{"presence-0":{"user_count":3},"presence-2":{"user_count":3}}}"#;
    assert_eq!(rig.responses(asker), [(200, body.into())]);
    assert_eq!(rig.inputs.released, [0, 1, 2].map(CoreId::Shard), "a batch of answers is given back");
    rig.assert_nothing_is_left();
}

#[test]
fn no_channels_are_an_empty_object() {
    let mut rig = Rig::new();
    let asker = rig.open();
    let request = rig.signed("GET", "/apps/1/channels", &[], "");
    rig.send(asker, request);
    rig.run();
    for home in 0..SHARDS {
        rig.answer(home, |_| Found::Channels(vec![]));
    }
    rig.run();
    assert_eq!(rig.responses(asker), [(200, r#"{"channels":{}}"#.into())]);
}

#[test]
fn one_channel_and_its_users_are_asked_of_its_home() {
    let mut rig = Rig::new();
    let (asker, channel) = (rig.open(), rig.channel(2, "presence-"));
    let path = format!("/apps/1/channels/{channel}");
    let first = rig.signed("GET", &path, &[("info", "user_count")], "");
    let second = rig.signed("GET", &format!("{path}/users"), &[], "");
    rig.send(asker, first + &second);
    rig.run();
    rig.answer(2, |_| Found::Channel(counts(4, 2), None));
    rig.run();
    rig.answer(2, |_| Found::Users(vec!["1".into(), "x".into()]));
    rig.run();
    let expected = [
        (200, r#"{"occupied":true,"user_count":2}"#.into()),
        (200, r#"{"users":[{"id":"1"},{"id":"x"}]}"#.into()),
    ];
    assert_eq!(rig.responses(asker), expected);
    rig.assert_nothing_is_left();
}

#[test]
fn a_question_without_all_its_answers_is_503_and_a_late_answer_is_dropped() {
    let mut rig = Rig::new();
    let asker = rig.open();
    let request = rig.signed("GET", "/apps/1/channels", &[], "");
    rig.send(asker, request);
    rig.run();
    rig.answer(0, |_| Found::Channels(vec![("a".into(), counts(1, 0))]));
    rig.run_after(4_999);
    assert_eq!(rig.statuses(asker), NONE);
    rig.run_after(1);
    assert_eq!(rig.statuses(asker), [503]);
    rig.assert_nothing_is_left();
    for home in [1, 2] {
        rig.answer(home, |_| Found::Channels(vec![("b".into(), counts(1, 0))]));
    }
    rig.run();
    assert_eq!(rig.statuses(asker), NONE);
    assert_eq!(rig.inputs.released, [0, 1, 2].map(CoreId::Shard));
}

#[test]
fn a_question_waits_at_a_full_home_like_an_event() {
    let mut rig = Rig::new();
    rig.fill(1);
    let asker = rig.open();
    let request = rig.signed("GET", "/apps/1/channels", &[], "");
    rig.send(asker, request);
    rig.run();
    assert_eq!((rig.take_questions(0).len(), rig.take_questions(2).len()), (1, 1));
    assert!(rig.take_questions(1).is_empty());
    rig.reopen(1);
    assert_eq!(rig.take_questions(1).len(), 1);
    rig.run_after(5_000);
    assert_eq!(rig.statuses(asker), [503]);
    rig.assert_nothing_is_left();
}

#[test]
fn a_list_that_one_home_or_all_together_find_too_long_is_413_at_once() {
    let name: Arc<str> = "n".repeat(200).into();
    let part = |count| Found::Channels(vec![(Arc::clone(&name), counts(1, 0)); count]);
    // 36,157 names of this length may be in one answer.
    for parts in [[18_000, 18_157].map(part), [18_000, 18_158].map(part), [part(1), Found::ChannelsTooLong]] {
        let mut rig = Rig::new();
        let asker = rig.open();
        let request = rig.signed("GET", "/apps/1/channels", &[], "");
        rig.send(asker, request);
        rig.run();
        let fits = matches!(&parts[1], Found::Channels(channels) if channels.len() == 18_157);
        for (home, found) in parts.into_iter().enumerate() {
            assert_eq!(rig.statuses(asker), NONE);
            let found = std::cell::Cell::new(Some(found));
            rig.answer(home, |_| found.take().unwrap());
            rig.run();
        }
        if fits {
            assert_eq!(rig.statuses(asker), NONE, "the third part is missing");
            continue;
        }
        let [(413, text)] = &rig.responses(asker)[..] else { panic!("not refused at once") };
        assert!(text.contains("filter_by_prefix"), "{text}");
        rig.answer(2, |_| Found::Channels(vec![]));
        rig.run();
        assert_eq!(rig.statuses(asker), NONE);
        rig.assert_nothing_is_left();
    }
}

#[test]
fn a_list_that_a_home_has_no_place_for_is_503() {
    let mut rig = Rig::new();
    let asker = rig.open();
    let request = rig.signed("GET", "/apps/1/channels", &[], "");
    rig.send(asker, request);
    rig.run();
    rig.answer(1, |_| Found::Busy);
    rig.run();
    assert_eq!(rig.statuses(asker), [503]);
    assert_eq!(rig.core.stats().overloaded, 1);
    rig.assert_nothing_is_left();
}

#[test]
fn metrics_are_the_sum_of_all_shards_and_wait_for_the_last() {
    use crate::readings::Reading;
    let mut rig = Rig::new();
    let tool = rig.open_at(Door::Admin);
    rig.send(tool, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    rig.run();
    for home in 0..SHARDS {
        assert_eq!(rig.statuses(tool), NONE);
        rig.answer(home, |ask| {
            assert!(matches!(ask, Ask::Reading));
            let mut reading = Reading { channels: 10 + home as u64, ..Reading::default() };
            reading.stats.deliveries = 100;
            Found::Reading(Box::new(reading))
        });
        rig.run();
    }
    let answers = rig.responses(tool);
    let [(200, text)] = &answers[..] else { panic!("{answers:?}") };
    for line in [
        "corecast_channels{shard=\"2\"} 12",
        "corecast_deliveries_total 300",
        "corecast_connected{app_id=\"1\"} 0",
    ] {
        assert!(text.lines().any(|it| it == line), "{line} is not in {text}");
    }
    rig.assert_nothing_is_left();
}

#[test]
fn a_cache_channel_tells_its_last_event_and_for_how_long_it_will() {
    let mut frame = Vec::new();
    encode_event(&mut frame, "e", "cache-a", &EventData::of_text(r#"{"a":"é"}"#), None);
    let cached = Cached { frame: Frame::from(frame), ttl_s: 7 };
    for (cached, told) in [(Some(cached), r#"{"data":"{\"a\":\"é\"}","ttl":7}"#), (None, "null")] {
        let mut rig = Rig::new();
        let asker = rig.open();
        let request = rig.signed("GET", "/apps/1/channels/cache-a", &[("info", "cache")], "");
        rig.send(asker, request);
        rig.run();
        let home = (0..SHARDS).find(|home| !rig.mesh.sent[*home].is_empty()).unwrap();
        rig.answer(home, |_| Found::Channel(counts(0, 0), cached.clone()));
        rig.run();
        let body = format!(r#"{{"occupied":false,"cache":{told}}}"#);
        assert_eq!(rig.responses(asker), [(200, body)]);
        rig.assert_nothing_is_left();
    }
}
