//! `POST /apps/ID/events` and `POST /apps/ID/batch_events`: publishing.
//!
//! Everything is checked before anything is published: a batch is taken whole or not at all. Names and data are borrowed
//! from the body; data is ready to be copied into a frame. An event may also come as query parameters, with no body.

use std::borrow::Cow;
use std::sync::Arc;

use protocol::app::App;
use protocol::channel::ChannelKind;
use protocol::event_name::parse_event_name;
use protocol::json::{self, EventData, JsonError, Value};
use protocol::limits::AppLimits;
use protocol::query::Query;
use protocol::socket_id::SocketId;
use serde::Deserialize;

use super::channels::{answer_channels, encode_attributes, parse_name};
use crate::answer::Answer;
use crate::info::{Info, Row, parse_info};
use crate::refused::Refused;

/// Publishes events.
#[derive(Clone, Debug)]
pub struct Publish<'a> {
    /// The app of all their channels.
    pub app: &'a Arc<App>,
    /// At least one.
    pub events: Vec<Event<'a>>,
    /// How they came, which decides the form of the answer.
    pub form: Form,
}

/// How events were asked to be published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// One event, to one or more channels.
    Event,
    /// A batch of events.
    Batch,
    /// One event, by the deprecated path of its channel.
    Channel,
}

/// An event and its channels.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// Its data.
    pub data: EventData<'a>,
    /// At least one, each once; in a batch exactly one.
    pub channels: Vec<Target<'a>>,
    /// The connection that must not get it.
    pub except: Option<SocketId>,
    /// What the answer says of each channel.
    pub info: Info,
}

/// A channel to publish to.
#[derive(Clone, Debug)]
pub struct Target<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// What the name's prefix says.
    pub kind: ChannelKind,
}

#[derive(Deserialize)]
struct EventBody<'a> {
    #[serde(borrow)]
    name: Option<Value<'a>>,
    #[serde(borrow, default, deserialize_with = "json::present")]
    data: Option<Value<'a>>,
    #[serde(borrow)]
    channel: Option<Value<'a>>,
    #[serde(borrow)]
    channels: Option<Value<'a>>,
    #[serde(borrow)]
    socket_id: Option<Value<'a>>,
    #[serde(borrow)]
    info: Option<Value<'a>>,
}

#[derive(Deserialize)]
struct BatchBody<'a> {
    #[serde(borrow)]
    batch: Option<Value<'a>>,
}

/// What an event consists of, wherever it was written.
pub(super) struct Fields<'a> {
    pub(super) name: Option<Cow<'a, str>>,
    pub(super) data: Option<EventData<'a>>,
    pub(super) channels: Vec<Cow<'a, str>>,
    pub(super) socket_id: Option<Cow<'a, str>>,
    pub(super) info: Option<Cow<'a, str>>,
}

/// One event, from the body or, when that is empty, from the query.
pub(crate) fn parse_event<'a>(
    app: &'a Arc<App>,
    body: &'a [u8],
    query: &Query<'_>,
) -> Result<Publish<'a>, Refused> {
    let fields = if body.is_empty() {
        query_fields(query)
    } else {
        body_fields(&json::parse_object(body).map_err(|error| in_field("body", error))?, &app.limits)?
    };
    Ok(Publish { app, events: vec![check_event(app, fields)?], form: Form::Event })
}

/// A batch of events, each with one channel.
pub(crate) fn parse_batch<'a>(app: &'a Arc<App>, body: &'a [u8]) -> Result<Publish<'a>, Refused> {
    let body: BatchBody<'_> = json::parse_object(body).map_err(|error| in_field("body", error))?;
    let batch = body.batch.ok_or_else(|| missing("batch"))?;
    let items = batch.elements().map_err(|error| in_field("batch", error))?;
    let events_max = app.limits.batch_events_max;
    if items.is_empty() {
        return Err(Refused::invalid("Invalid batch: it holds no event"));
    }
    if items.len() > events_max {
        // The first words are those of the hosted service, which suites of SDKs search for.
        let text = format!(
            "Batch too large: it holds {} events, and at most {events_max} are taken (batch_events_max)",
            items.len()
        );
        return Err(Refused::invalid(text));
    }
    let events: Result<_, _> = items.iter().map(|item| parse_item(app, item)).collect();
    Ok(Publish { app, events: events?, form: Form::Batch })
}

fn parse_item<'a>(app: &App, item: &Value<'a>) -> Result<Event<'a>, Refused> {
    let body: EventBody<'a> = item.object().map_err(|error| in_field("event of the batch", error))?;
    let event = check_event(app, body_fields(&body, &app.limits)?)?;
    if event.channels.len() > 1 {
        return Err(Refused::invalid("Invalid batch: each of its events has one channel"));
    }
    Ok(event)
}

fn body_fields<'a>(body: &EventBody<'a>, limits: &AppLimits) -> Result<Fields<'a>, Refused> {
    Ok(Fields {
        name: text("name", body.name)?,
        data: body.data.map(|data| data.event_data()).transpose().map_err(|error| in_field("data", error))?,
        channels: match (body.channels, text("channel", body.channel)?) {
            (Some(list), _) => channel_list(&list, limits)?,
            (None, one) => one.into_iter().collect(),
        },
        socket_id: text("socket_id", body.socket_id)?,
        info: text("info", body.info)?,
    })
}

fn channel_list<'a>(list: &Value<'a>, limits: &AppLimits) -> Result<Vec<Cow<'a, str>>, Refused> {
    let names = list.elements().map_err(|error| in_field("channels", error))?;
    check_channel_count(names.len(), limits)?;
    names.iter().map(|name| name.text().map_err(|error| in_field("channels", error))).collect()
}

fn text<'a>(field: &'static str, value: Option<Value<'a>>) -> Result<Option<Cow<'a, str>>, Refused> {
    value.map(|value| value.text()).transpose().map_err(|error| in_field(field, error))
}

fn query_fields(query: &Query<'_>) -> Fields<'static> {
    let owned = |text: &str| Cow::Owned(text.to_owned());
    let lists = query.all("channels[]").chain(query.all("channel"));
    Fields {
        name: query.first("name").map(owned),
        data: query.first("data").map(EventData::of_text).map(EventData::into_owned),
        channels: lists.map(owned).collect(),
        socket_id: query.first("socket_id").map(owned),
        info: query.first("info").map(owned),
    }
}

pub(super) fn check_event<'a>(app: &App, fields: Fields<'a>) -> Result<Event<'a>, Refused> {
    let name = fields.name.ok_or_else(|| missing("name"))?;
    parse_event_name(&name, &app.limits).map_err(|error| Refused::invalid(error.to_string()))?;
    let data = fields.data.ok_or_else(|| missing("data"))?;
    check_size(&data, app.limits.event_data_bytes_max)?;
    let channels = check_channels(app, fields.channels)?;
    let except = fields.socket_id.map(|text| parse_socket_id(&text)).transpose()?;
    let info = parse_info(app, fields.info.as_deref().unwrap_or_default())?.without_cache()?;
    Ok(Event { name, data, channels, except, info })
}

// The first sentence is that of the hosted service, which SDKs and people search for.
fn check_size(data: &EventData<'_>, bytes_max: usize) -> Result<(), Refused> {
    if data.decoded_bytes <= bytes_max {
        return Ok(());
    }
    let text = format!(
        "The data content of this event exceeds the allowed maximum ({bytes_max} bytes). \
         It has {} bytes (event_data_bytes_max)",
        data.decoded_bytes
    );
    Err(Refused::new(413, text))
}

fn check_channels<'a>(app: &App, names: Vec<Cow<'a, str>>) -> Result<Vec<Target<'a>>, Refused> {
    if names.is_empty() {
        return Err(missing("channels"));
    }
    check_channel_count(names.len(), &app.limits)?;
    let mut channels: Vec<Target<'a>> = Vec::with_capacity(names.len());
    for name in names {
        let kind = parse_name(app, &name)?;
        // A channel that is named twice gets the event once.
        if channels.iter().all(|other| other.name != name) {
            channels.push(Target { name, kind });
        }
    }
    Ok(channels)
}

fn check_channel_count(count: usize, limits: &AppLimits) -> Result<(), Refused> {
    let channels_max = limits.channels_per_event_max;
    if count <= channels_max {
        return Ok(());
    }
    let text = format!(
        "Cannot publish to {count} channels at once: at most {channels_max} (channels_per_event_max)"
    );
    Err(Refused::invalid(text))
}

fn parse_socket_id(text: &str) -> Result<SocketId, Refused> {
    SocketId::parse(text)
        .ok_or_else(|| Refused::invalid("Invalid socket_id: it is two numbers joined by a dot"))
}

fn missing(field: &str) -> Refused {
    Refused::invalid(format!("Missing required parameter: {field}"))
}

pub(super) fn in_field(field: &str, error: JsonError) -> Refused {
    Refused::invalid(format!("Invalid {field}: {error}"))
}

/// The channels of an event that asked for `info`.
pub fn answer_event<'a>(rows: impl IntoIterator<Item = Row<'a>>) -> Answer<'static> {
    answer_channels(rows)
}

/// The channels of a batch in which some event asked for `info`, one for each of its events in their order.
pub fn answer_batch<'a>(rows: impl IntoIterator<Item = Row<'a>>) -> Answer<'static> {
    let mut out = b"{\"batch\":[".to_vec();
    for (index, row) in rows.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        encode_attributes(&mut out, &row);
    }
    out.extend_from_slice(b"]}");
    Answer::json(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::info::Counts;
    use proptest::prelude::*;
    use protocol::query::parse_query;
    use serde_json::json;

    fn app() -> Arc<App> {
        Arc::new(App::new("3", "key", "secret"))
    }

    fn status(body: &str) -> u16 {
        let app = app();
        parse_event(&app, body.as_bytes(), &Query::default()).map_or_else(|refused| refused.status, |_| 200)
    }

    fn batch_status(body: &str) -> u16 {
        let app = app();
        parse_batch(&app, body.as_bytes()).map_or_else(|refused| refused.status, |_| 200)
    }

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|i| format!("c{i}")).collect()
    }

    #[test]
    fn an_event_is_taken_with_all_its_parts() {
        let app = app();
        let body = r#"{"name":"a\nb","data":"{\"x\":1}","channels":["presence-a","b","b"],"socket_id":"1.2","info":"user_count"}"#;
        let publish = parse_event(&app, body.as_bytes(), &Query::default()).unwrap();
        assert_eq!(publish.form, Form::Event);
        let [event] = &publish.events[..] else { panic!("one event") };
        assert_eq!(event.name, "a\nb");
        assert_eq!((&*event.data.literal, event.data.decoded_bytes), (r#""{\"x\":1}""#, 7));
        assert!(matches!(event.data.literal, Cow::Borrowed(_)), "data is not copied");
        let channels: Vec<_> = event.channels.iter().map(|channel| (&*channel.name, channel.kind)).collect();
        assert_eq!(channels, [("presence-a", ChannelKind::Presence), ("b", ChannelKind::Public)]);
        assert_eq!(event.except, Some(SocketId { first: 1, second: 2 }));
        assert!(event.info.user_count && !event.info.subscription_count);
    }

    #[test]
    fn data_of_every_type_becomes_a_string() {
        let digits = "9".repeat(400);
        let table = [
            (r#""text""#, r#""text""#),
            (r#"{ "a" : [1, "x y"] }"#, r#""{\"a\":[1,\"x y\"]}""#),
            ("[ ]", r#""[]""#),
            ("1.50", r#""1.50""#),
            ("true", r#""true""#),
            ("null", r#""null""#),
            (&digits, &format!("\"{digits}\"")),
        ];
        let app = app();
        for (data, literal) in table {
            let body = format!(r#"{{"name":"e","channel":"c","data":{data}}}"#);
            let publish = parse_event(&app, body.as_bytes(), &Query::default()).unwrap();
            assert_eq!(publish.events[0].data.literal, literal);
        }
    }

    #[test]
    fn bad_events_are_refused() {
        let table = [
            ("", 400),
            ("[]", 400),
            ("{", 400),
            (r#"{"name":"e","channel":"c","data":"x"} {}"#, 400),
            (r#"{"name":"e","name":"f","channel":"c","data":"x"}"#, 400),
            (r#"{"channel":"c","data":"x"}"#, 400),
            (r#"{"name":null,"channel":"c","data":"x"}"#, 400),
            (r#"{"name":7,"channel":"c","data":"x"}"#, 400),
            (r#"{"name":"","channel":"c","data":"x"}"#, 400),
            (r#"{"name":"pusher:error","channel":"c","data":"x"}"#, 400),
            (r#"{"name":"pusher_internal:member_added","channel":"c","data":"x"}"#, 400),
            (r#"{"name":"e","channel":"c"}"#, 400),
            (r#"{"name":"e","channel":"c","data":"\ud800"}"#, 400),
            (r#"{"name":"e","channel":"c","data":{"a":"\ud800"}}"#, 400),
            (r#"{"name":"e","data":"x"}"#, 400),
            (r#"{"name":"e","channels":[],"data":"x"}"#, 400),
            (r#"{"name":"e","channels":"c","data":"x"}"#, 400),
            (r#"{"name":"e","channels":[1],"data":"x"}"#, 400),
            (r#"{"name":"e","channel":"a b","data":"x"}"#, 400),
            (r#"{"name":"e","channel":"c","data":"x","socket_id":"abc"}"#, 400),
            (r#"{"name":"e","channel":"c","data":"x","socket_id":""}"#, 400),
            (r#"{"name":"e","channel":"c","data":"x","info":"nothing"}"#, 400),
            (r#"{"name":"e","channel":"cache-c","data":"x","info":"cache"}"#, 400),
            (r##"{"name":"e","channel":"#server-to-user-","data":"x"}"##, 400),
            (r##"{"name":"e","channels":["#server-to-user-1","c"],"data":"x","socket_id":"1.2"}"##, 200),
            (r#"{"name":"e","channel":"c","data":"x","socket_id":null,"info":null}"#, 200),
            (r##"{"name":"e","channel":"#server-to-user-1","data":"x"}"##, 200),
        ];
        for (body, expected) in table {
            assert_eq!(status(body), expected, "{body}");
        }
    }

    #[test]
    fn channels_of_an_event_are_limited() {
        let body = |count| json!({"name": "e", "data": "x", "channels": names(count)}).to_string();
        assert_eq!((status(&body(100)), status(&body(101))), (200, 400));
        let long = |bytes: usize| json!({"name": "e", "data": "x", "channel": "c".repeat(bytes)}).to_string();
        assert_eq!((status(&long(200)), status(&long(201))), (200, 400));
    }

    #[test]
    fn data_is_limited_in_decoded_bytes() {
        let mut app = App::new("3", "key", "secret");
        app.limits.event_data_bytes_max = 10_240;
        let app = Arc::new(app);
        let refusal = |data: String| {
            let body = json!({"name": "e", "channel": "c", "data": data}).to_string();
            parse_event(&app, body.as_bytes(), &Query::default()).err()
        };
        assert_eq!(refusal("\"".repeat(10_240)), None, "escapes do not count");
        assert_eq!(refusal("é".repeat(5_120)), None);
        for data in ["x".repeat(10_241), "é".repeat(5_121)] {
            let refused = refusal(data).unwrap();
            assert_eq!(refused.status, 413);
            let text = "The data content of this event exceeds the allowed maximum (10240 bytes). ";
            assert!(refused.text.starts_with(text), "{}", refused.text);
        }
    }

    #[test]
    fn a_batch_is_taken_whole_or_not_at_all() {
        let item = r#"{"name":"e","channel":"c","data":"x"}"#;
        let batch = |items: &[&str]| format!(r#"{{"batch":[{}]}}"#, items.join(","));
        assert_eq!(batch_status(&batch(&[item; 10])), 200);
        let too_large = batch(&[item; 11]);
        let of_ten = app();
        let refused = parse_batch(&of_ten, too_large.as_bytes()).unwrap_err();
        assert_eq!(refused.status, 400);
        // What the PHP SDK's own suite looks for.
        assert!(refused.text.contains("Batch too large"), "{}", refused.text);
        let big = json!({"name": "e", "channel": "c", "data": "x".repeat(102_401)}).to_string();
        assert_eq!(batch_status(&batch(&[item, &big])), 413);
        let two = r#"{"name":"e","channels":["c","d"],"data":"x"}"#;
        for bad in [
            &batch(&[]),
            &batch(&[item, "{}"]),
            &batch(&[item, "1"]),
            &batch(&[two]),
            "{}",
            r#"{"batch":{}}"#,
        ] {
            assert_eq!(batch_status(bad), 400, "{bad}");
        }
        let app = app();
        let body = batch(&[item, r#"{"name":"f","channels":["d"],"data":"y"}"#]);
        let publish = parse_batch(&app, body.as_bytes()).unwrap();
        assert_eq!(publish.form, Form::Batch);
        let names: Vec<_> = publish.events.iter().map(|event| &*event.channels[0].name).collect();
        assert_eq!(names, ["c", "d"]);
    }

    #[test]
    fn events_for_users_are_events_of_their_channels() {
        let app = app();
        let body = r##"{"batch":[{"name":"e","channel":"#server-to-user-a,b","data":"x","socket_id":"1.2","info":"subscription_count"}]}"##;
        let publish = parse_batch(&app, body.as_bytes()).unwrap();
        let event = &publish.events[0];
        let Target { name, kind } = &event.channels[0];
        assert_eq!((&**name, *kind), ("#server-to-user-a,b", ChannelKind::ServerToUser));
        assert!(event.except.is_some() && !event.info.applies(*kind));
        let rows = [Row {
            name,
            kind: *kind,
            info: event.info,
            counts: Counts { subscriptions: 3, users: 0 },
            cache: None,
        }];
        assert_eq!(&*answer_batch(rows).body, br#"{"batch":[{}]}"#);
    }

    #[test]
    fn an_event_may_come_as_query_parameters() {
        let app = app();
        let query = parse_query("name=e&data=%7B%22a%22%3A1%7D&channels[]=a&channels%5B%5D=b&socket_id=1.2");
        let publish = parse_event(&app, b"", &query).unwrap();
        let event = &publish.events[0];
        assert_eq!((&*event.name, &*event.data.literal), ("e", r#""{\"a\":1}""#));
        assert_eq!(event.channels.len(), 2);
        assert!(event.except.is_some());
        let one = parse_event(&app, b"", &parse_query("name=e&data=&channel=a")).unwrap();
        assert_eq!(one.events[0].data.literal, "\"\"");
        assert_eq!(parse_event(&app, b"", &parse_query("name=e&channel=a")).unwrap_err().status, 400);
    }

    #[test]
    fn deep_nesting_is_refused_and_harmless() {
        for levels in [500, 10_000, 1_000_000] {
            let (open, close) = ("[".repeat(levels), "]".repeat(levels));
            let body = |data: &str| format!(r#"{{"name":"e","channel":"c","data":{data}}}"#);
            assert_eq!(status(&body(&open)), 400);
            assert_eq!(status(&body(&format!("{open}{close}"))), 400);
            assert_eq!(batch_status(&format!(r#"{{"batch":{open}"#)), 400);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_events_within_limits_or_a_refusal(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let app = app();
            for parsed in [parse_event(&app, &body, &Query::default()), parse_batch(&app, &body)] {
                match parsed {
                    Ok(publish) => prop_assert!(!publish.events.is_empty()),
                    Err(refused) => prop_assert!(matches!(refused.status, 400 | 413)),
                }
            }
        }

        #[test]
        fn what_a_publisher_sends_is_what_is_taken(
            name in "[a-zA-Z\u{e9}\"\\\\\n][^:]{0,40}", data in ".{0,200}", channel in "[a-z0-9_=@,.;-]{1,100}",
        ) {
            let app = app();
            let body = json!({"name": name, "data": data, "channel": channel}).to_string();
            let publish = parse_event(&app, body.as_bytes(), &Query::default()).unwrap();
            let event = &publish.events[0];
            prop_assert_eq!(&*event.name, &*name);
            prop_assert_eq!(event.data.decoded_bytes, data.len());
            prop_assert_eq!(serde_json::from_str::<String>(&event.data.literal).unwrap(), data);
            prop_assert_eq!(&*event.channels[0].name, &*channel);
        }
    }
}
