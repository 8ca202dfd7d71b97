//! `POST /apps/ID/channels/NAME/events`: publishing to one channel as it was done before 2012. Deprecated by Pusher, and
//! still answered, as it is there, with 202.
//!
//! The event's name and the connection that must not get it stand in the query; the body is the data, as it is.

use std::borrow::Cow;
use std::sync::Arc;

use protocol::app::App;
use protocol::json::{EventData, JsonError};
use protocol::query::Query;

use super::events::{Fields, Form, Publish, check_event, in_field};
use crate::refused::Refused;

pub(crate) fn parse_channel_event<'a>(
    app: &'a Arc<App>,
    channel: Cow<'a, str>,
    body: &'a [u8],
    query: &Query<'_>,
) -> Result<Publish<'a>, Refused> {
    let owned = |text: &str| Cow::Owned(text.to_owned());
    let data = std::str::from_utf8(body).map_err(|_| in_field("body", JsonError::NotUtf8))?;
    let fields = Fields {
        name: query.first("name").map(owned),
        data: Some(EventData::of_text(data)),
        channels: vec![channel],
        socket_id: query.first("socket_id").map(owned),
        info: None,
    };
    Ok(Publish { app, events: vec![check_event(app, fields)?], form: Form::Channel })
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::query::parse_query;
    use protocol::socket_id::SocketId;

    #[test]
    fn the_body_is_the_data_and_the_query_says_the_rest() {
        let app = Arc::new(App::new("3", "key", "secret"));
        let parse = |channel: &'static str, body: &'static [u8], query| {
            parse_channel_event(&app, channel.into(), body, &parse_query(query))
        };
        let publish = parse("a", br#"{"some":"data"}"#, "name=e&socket_id=1.2&info=user_count").unwrap();
        let [event] = &publish.events[..] else { panic!("one event") };
        assert_eq!((&*event.name, &*event.data.literal), ("e", r#""{\"some\":\"data\"}""#));
        assert_eq!((&*event.channels[0].name, event.except), ("a", Some(SocketId { first: 1, second: 2 })));
        assert!(publish.form == Form::Channel && !event.info.asked);
        assert_eq!(parse("a", b"no JSON", "name=e").unwrap().events[0].data.literal, r#""no JSON""#);
        assert_eq!(parse("a", b"", "name=e").unwrap().events[0].data.literal, r#""""#);
        for (channel, body, query) in [
            ("a", &b"x"[..], ""),
            ("a", b"x", "name=pusher:error"),
            ("a", b"x", "name=e&socket_id=x"),
            ("a b", b"x", "name=e"),
            ("a", b"\xff", "name=e"),
        ] {
            assert_eq!(parse(channel, body, query).unwrap_err().status, 400, "{channel} {query}");
        }
    }
}
