//! Signed REST calls: what a publisher with the right secret can make of a body.
//!
//! The first line of an input is `METHOD PATH?QUERY`, the rest is the body; the check signs it. Everything that becomes
//! a call is within the limits and makes good frames; everything else gets a refusal that can be read. Called by the
//! fuzz target and by the test that replays the seeds.

use api::answer::Manner;
use api::call::{Arrival, Call, parse_call};
use api::endpoints::events::{Event, Form};
use api::rate::Bucket;
use api::refused::{Refused, encode_refusal};
use protocol::app::{App, Apps};
use protocol::auth::sign_request;
use protocol::channel::{ChannelKind, parse_channel_name};
use protocol::http::{Request, RequestParse, parse_request};
use protocol::limits::AppLimits;
use protocol::path_prefix::PathPrefix;
use protocol::query::parse_query;
use protocol::server_event::{encode_event, event_data_literal};
use protocol::ws::Frame;
use serde_json::Value;

const NOW_UNIX_S: u64 = 1_353_088_179;
const ARRIVAL: Arrival = Arrival { secure: false, unix_s: NOW_UNIX_S };
const PARAMS_MAX: usize = 200;
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// `taken` or `refused`.
pub(crate) fn check(input: &[u8]) -> &'static str {
    let line = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let body = input.get(line + 1..).unwrap_or_default();
    let Some(bytes) = std::str::from_utf8(&input[..line]).ok().and_then(|line| signed(line, body)) else {
        return "refused";
    };
    let apps = Apps::new(vec![app()]).unwrap();
    match parse_request(&bytes) {
        RequestParse::Complete { request, .. } => check_call(&apps, &request),
        _ => "refused",
    }
}

fn app() -> App {
    let mut app = App::new("3", "278d425bdf160c739803", "7ad3773142a6692b25b8");
    app.limits.backend_events_per_second = Some(1);
    app.limits.read_requests_per_second = Some(1);
    app
}

fn signed(line: &str, body: &[u8]) -> Option<Vec<u8>> {
    let (method, target) = line.split_once(' ')?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query = parse_query(query);
    let own = |name: &str| name.starts_with("auth_") || name == "body_md5";
    let params = query.iter().filter(|(name, _)| !own(&name.to_lowercase())).take(PARAMS_MAX);
    let params: Vec<_> = params.collect();
    let query = sign_request(&app(), method, path, &params, body, NOW_UNIX_S);
    let head =
        format!("{method} {path}?{query} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len());
    path.starts_with('/').then(|| [head.as_bytes(), body].concat())
}

fn check_call(apps: &Apps, request: &Request<'_>) -> &'static str {
    match parse_call(apps, &PathPrefix::default(), request, ARRIVAL) {
        Ok(call) => {
            check_taken(&call);
            check_charge(&call);
            "taken"
        }
        Err(refused) => {
            check_refused(&refused);
            "refused"
        }
    }
}

fn check_taken(call: &Call<'_>) {
    let limits = AppLimits::default();
    match call {
        Call::Publish(publish) => {
            let is_batch = publish.form == Form::Batch;
            let events_max = if is_batch { limits.batch_events_max } else { 1 };
            assert!((1..=events_max).contains(&publish.events.len()));
            for event in &publish.events {
                check_event(event, is_batch, &limits);
            }
        }
        Call::Channel(channel) => {
            assert_eq!(parse_channel_name(&channel.name, limits.channel_name_bytes_max), Ok(channel.kind));
            assert!(!channel.info.cache || channel.kind.is_cached());
        }
        Call::Users(users) => assert!(ChannelKind::of(&users.name).is_presence()),
        Call::Terminate(terminate) => {
            assert!((1..=limits.user_id_characters_max).contains(&terminate.user_id.chars().count()));
        }
        Call::Channels(_)
        | Call::Connections(_)
        | Call::Health(_)
        | Call::AppHealth(_)
        | Call::Options(_) => {}
    }
}

// The first call is carried out, however large it is; one more that counts for something is too fast.
fn check_charge(call: &Call<'_>) {
    let Some(charge) = call.charge() else { return };
    assert!(charge.count > 0 && charge.per_second == 1);
    let mut bucket = Bucket::default();
    assert_eq!(charge.take_from(&mut bucket, 5_000), Ok(()));
    let refused = charge.take_from(&mut bucket, 5_000).expect_err("it is too fast");
    assert_eq!((refused.status, refused.header.map(|(name, _)| name)), (429, Some("Retry-After")));
}

fn check_event(event: &Event<'_>, is_in_batch: bool, limits: &AppLimits) {
    let channels_max = if is_in_batch { 1 } else { limits.channels_per_event_max };
    assert!((1..=channels_max).contains(&event.channels.len()));
    assert!((1..=limits.event_name_characters_max).contains(&event.name.chars().count()));
    assert!(!event.name.starts_with("pusher:") && !event.name.starts_with("pusher_internal:"));
    assert!(event.data.decoded_bytes <= limits.event_data_bytes_max);
    let text: String = serde_json::from_str(&event.data.literal).expect("data is a JSON string");
    assert_eq!(text.len(), event.data.decoded_bytes);
    for channel in &event.channels {
        let kind = parse_channel_name(&channel.name, limits.channel_name_bytes_max);
        assert_eq!(kind, Ok(channel.kind));
        let mut out = Vec::new();
        encode_event(&mut out, &event.name, &channel.name, &event.data, None);
        let frame = Frame::from(out);
        assert_eq!(event_data_literal(&frame), Some(&*event.data.literal));
        let frame: Value = serde_json::from_slice(frame.payload()).expect("a frame is JSON");
        assert_eq!((&frame["event"], &frame["data"]), (&(&*event.name).into(), &text.as_str().into()));
        assert_eq!(frame["channel"], *channel.name);
    }
}

// What is signed is authorised; the rest is told in JSON.
fn check_refused(refused: &Refused) {
    assert!(matches!(refused.status, 400 | 404 | 405 | 413 | 426), "{refused:?}");
    let mut out = Vec::new();
    encode_refusal(&mut out, DATE, refused, Manner { keep_alive: true, head_only: false });
    let end = out.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("an answer has a head");
    let body: Value = serde_json::from_slice(&out[end + 4..]).expect("a refusal is JSON");
    assert_eq!(body["error"], *refused.text);
    assert!(body["error"].as_str().is_some_and(|text| text.len() < 2048), "{} bytes", refused.text.len());
}
