//! The settings of other Pusher-compatible servers, and what they are called here.
//!
//! Names with the same meaning are often spelled quite differently, so the nearest key by letters would mislead. Keys are
//! compared in lower case without `_`, `-` and `.`, so one row serves `maxConnections`, `max_connections` and `MAX-CONNECTIONS`.

use self::Meaning::{Key, Text};

/// A name in another server, as it is compared, and what to write here instead.
type Row = (&'static str, Meaning);

/// The meaning of a name here.
#[derive(Clone, Copy)]
pub(super) enum Meaning {
    /// One of our keys, in any table.
    Key(&'static str),
    /// No single key; a sentence that says what to do.
    Text(&'static str),
}

const LISTEN: Meaning = Text("write listen = \"0.0.0.0:6001\", with address and port in one");
const TLS: Meaning = Key("tls");

/// soketi, Laravel Reverb, laravel-websockets, webman-push-server, Pusher's own words.
const ROWS: &[Row] = &[
    // Where it listens.
    ("port", LISTEN),
    ("host", LISTEN),
    ("hostname", LISTEN),
    ("bind", LISTEN),
    ("address", LISTEN),
    ("addr", LISTEN),
    ("ip", LISTEN),
    ("interface", LISTEN),
    ("serverport", LISTEN),
    ("serverhost", LISTEN),
    ("ssl", TLS),
    ("https", TLS),
    // The machine.
    ("workers", Key("shards")),
    ("threads", Key("shards")),
    ("cores", Key("shards")),
    ("processes", Key("shards")),
    ("cpus", Key("shards")),
    ("metrics", Key("admin")),
    ("metricsport", Key("admin")),
    ("metricshost", Key("admin")),
    ("metricsprometheusprefix", Key("metrics_prefix")),
    ("prometheusprefix", Key("metrics_prefix")),
    ("shutdowngraceperiod", Key("ready_grace")),
    ("gracefulshutdown", Key("ready_grace")),
    ("graceperiod", Key("ready_grace")),
    // Apps.
    ("appmanager", Text("each app is a table [[apps]] with id, key and secret")),
    ("appmanagerarrayapps", Text("each app is a table [[apps]] with id, key and secret")),
    ("applications", Key("apps")),
    ("appsquery", Key("apps_url")),
    ("appverify", Key("apps_url")),
    ("appid", Key("id")),
    ("appkey", Key("key")),
    ("appsecret", Key("secret")),
    ("enableclientmessages", Key("client_events")),
    ("enableclientevents", Key("client_events")),
    ("clientmessages", Key("client_events")),
    ("acceptclienteventsfrom", Key("client_events")),
    ("active", Key("enabled")),
    ("webhooks", Text("each one is a table [[apps.hooks]] with url and events")),
    ("webhook", Text("each one is a table [[apps.hooks]] with url and events")),
    ("webhookurl", Text("each one is a table [[apps.hooks]] with url and events")),
    // Limits.
    ("capacity", Key("connections_max")),
    ("maxconnections", Key("connections_max")),
    ("connectionlimit", Key("connections_max")),
    ("maxclienteventspersecond", Key("client_events_per_second")),
    ("maxmessagesize", Key("message_bytes_max")),
    ("maxpayload", Key("message_bytes_max")),
    ("wsmaxpayload", Key("message_bytes_max")),
    ("maxrequestsize", Key("http_body_bytes_max")),
    ("httpapirequestlimitinmb", Key("http_body_bytes_max")),
    ("maxeventpayload", Key("event_data_bytes_max")),
    ("maxeventpayloadinkb", Key("event_data_bytes_max")),
    ("eventlimitsmaxpayloadinkb", Key("event_data_bytes_max")),
    ("maxeventnamelength", Key("event_name_characters_max")),
    ("eventlimitsmaxnamelength", Key("event_name_characters_max")),
    ("maxeventchannelsatonce", Key("channels_per_event_max")),
    ("eventlimitsmaxchannelsatonce", Key("channels_per_event_max")),
    ("maxeventbatchsize", Key("batch_events_max")),
    ("eventlimitsmaxbatchsize", Key("batch_events_max")),
    ("maxchannelnamelength", Key("channel_name_bytes_max")),
    ("channellimitsmaxnamelength", Key("channel_name_bytes_max")),
    ("maxpresencemembersperchannel", Key("presence_members_max")),
    ("presencemaxmembersperchannel", Key("presence_members_max")),
    ("maxpresencemembersizeinkb", Key("presence_user_bytes_max")),
    ("presencemaxmembersizeinkb", Key("presence_user_bytes_max")),
    ("activitytimeout", Key("activity_timeout_s")),
    ("pinginterval", Key("activity_timeout_s")),
    ("keepalive", Key("activity_timeout_s")),
    ("pongtimeout", Key("ping_grace_s")),
];

/// What a key that is none of ours means: by another server's name for it, or by another way to write one of ours.
pub(super) fn meaning(name: &str, mut ours: impl Iterator<Item = &'static str>) -> Option<Meaning> {
    let name = bare(name);
    let elsewhere = ROWS.iter().find(|(foreign, _)| *foreign == name).map(|(_, meaning)| *meaning);
    elsewhere.or_else(|| ours.find(|key| bare(key) == name).map(Key))
}

fn bare(name: &str) -> String {
    name.chars().filter(|c| !['_', '-', '.'].contains(c)).flat_map(char::to_lowercase).collect()
}

/// What to say of a file that is JSON, if this is one; no TOML begins like that.
pub(super) fn json_instead(text: &str) -> Option<&'static str> {
    let text = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
    if !text.starts_with('{') {
        return None;
    }
    let soketi = ["appManager", "enableClientMessages", "\"port\"", "\"host\""];
    Some(if soketi.iter().any(|word| text.contains(word)) {
        "this looks like soketi's JSON, but must be TOML: let its name end in .json to have it read as soketi's, or make \
         TOML of it with corecast config migrate FILE"
    } else {
        "this looks like JSON, but must be TOML: write each setting on a line of its own, as key = value"
    })
}

#[cfg(test)]
mod tests {
    use super::super::table::Table;
    use super::*;

    fn ours() -> impl Iterator<Item = &'static str> {
        Table::ALL.into_iter().flat_map(Table::keys).map(|key| key.name)
    }

    #[test]
    fn every_row_can_be_found_and_leads_to_a_key_of_ours() {
        for (foreign, here) in ROWS {
            assert_eq!(*foreign, bare(foreign), "{foreign} is never compared");
            if let Key(key) = here {
                assert!(ours().any(|ours| ours == *key), "{foreign}: {key} is no key");
            }
            assert_eq!(
                ROWS.iter().filter(|(other, _)| other == foreign).count(),
                1,
                "{foreign} is there twice"
            );
            // The meaning of a key of ours in another place is that key.
            assert!(!ours().any(|ours| bare(ours) == *foreign), "{foreign} is a key of ours");
        }
    }

    #[test]
    fn json_is_known_by_its_beginning() {
        let of = |text: &str| json_instead(text).map(|said| said.contains("soketi"));
        assert_eq!(of("\u{feff} {\"port\": 6001}"), Some(true));
        assert_eq!(of("\n{\"appManager.array.apps\": []}"), Some(true));
        assert_eq!(of("{\"a\": 1}"), Some(false));
        assert_eq!(of("[limits]\n"), None);
        assert_eq!(of("a = { b = 1 }"), None);
    }
}
