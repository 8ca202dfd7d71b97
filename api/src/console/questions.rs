//! What the console asks about channels and connections, and what an operator tells them to do: queries and bodies, checked
//! against the apps that there are.

use std::borrow::Cow;
use std::sync::Arc;

use protocol::app::{App, Apps};
use protocol::channel::ChannelKind;
use protocol::json::{Value, parse_object};
use protocol::limits::characters_beyond;
use protocol::query::{Query, parse_query};
use protocol::socket_id::SocketId;
use serde::Deserialize;

use crate::endpoints::channels::parse_name;
use crate::endpoints::events::{Publish, parse_event};
use crate::endpoints::terminate::Terminate;
use crate::refused::Refused;

/// Dead letters of a page.
const LETTERS_PER_PAGE: usize = 50;

/// A page of the channels of an app.
#[derive(Clone, Debug)]
pub struct ChannelPage {
    /// The app.
    pub app: Arc<App>,
    /// What the names begin with.
    pub prefix: Box<str>,
    /// The last name of the page before; empty: this is the first.
    pub after: Box<str>,
}

/// One channel.
#[derive(Clone, Debug)]
pub struct OneChannel {
    /// Its app.
    pub app: Arc<App>,
    /// Its name.
    pub name: Box<str>,
    /// What the name's prefix says.
    pub kind: ChannelKind,
}

/// A page of the dead letters of an endpoint, or of all.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LetterPage {
    /// The name of the endpoint.
    pub endpoint: Option<String>,
    /// The number of the last letter of the page before.
    pub after: i64,
    /// How many letters.
    pub count: usize,
}

/// Which dead letters are to be tried again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replay {
    /// The name of the endpoint.
    pub endpoint: String,
    /// Their numbers; None: all of the endpoint.
    pub ids: Option<Vec<i64>>,
}

/// The page of `?app=&prefix=&cursor=`.
pub fn parse_channel_page(apps: &Apps, query: &str) -> Result<ChannelPage, Refused> {
    let query = parse_query(query);
    let text = |name| query.first(name).unwrap_or_default().into();
    Ok(ChannelPage { app: app_of(apps, query.first("app"))?, prefix: text("prefix"), after: text("cursor") })
}

/// The channel of `?app=&name=`.
pub fn parse_one_channel(apps: &Apps, query: &str) -> Result<OneChannel, Refused> {
    let query = parse_query(query);
    let app = app_of(apps, query.first("app"))?;
    let name = query.first("name").ok_or_else(|| missing("name"))?;
    let kind = parse_name(&app, name)?;
    Ok(OneChannel { app, name: name.into(), kind })
}

/// The connection of `?socket_id=`.
pub fn parse_one_connection(query: &str) -> Result<SocketId, Refused> {
    socket_id_of(parse_query(query).first("socket_id"))
}

/// The dead letters of `?endpoint=&cursor=`.
pub fn parse_letter_page(query: &str) -> Result<LetterPage, Refused> {
    let query = parse_query(query);
    let after = match query.first("cursor").filter(|cursor| !cursor.is_empty()) {
        None => 0,
        Some(cursor) => cursor.parse().map_err(|_| Refused::invalid("Invalid cursor: it is no number"))?,
    };
    let endpoint = query.first("endpoint").filter(|name| !name.is_empty()).map(str::to_owned);
    Ok(LetterPage { endpoint, after, count: LETTERS_PER_PAGE })
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    app: Option<Value<'a>>,
    #[serde(borrow)]
    user: Option<Value<'a>>,
    #[serde(borrow)]
    socket_id: Option<Value<'a>>,
    #[serde(borrow)]
    reconnect: Option<Value<'a>>,
    #[serde(borrow)]
    seconds: Option<Value<'a>>,
    #[serde(borrow)]
    endpoint: Option<Value<'a>>,
    #[serde(borrow)]
    ids: Option<Value<'a>>,
}

fn parse_body(body: &[u8]) -> Result<Body<'_>, Refused> {
    parse_object(body).map_err(|error| Refused::invalid(format!("Invalid body: {error}")))
}

/// The app that a body with `app` names.
pub fn parse_app(apps: &Apps, body: &[u8]) -> Result<Arc<App>, Refused> {
    let app = text("app", parse_body(body)?.app)?;
    app_of(apps, app.as_deref())
}

/// The event of `{app, channel, name, data}`.
pub fn parse_publish<'a>(app: &'a Arc<App>, body: &'a [u8]) -> Result<Publish<'a>, Refused> {
    parse_event(app, body, &Query::default())
}

/// The user of `{app, user}`.
pub fn parse_terminate<'a>(app: &'a Arc<App>, body: &[u8]) -> Result<Terminate<'a>, Refused> {
    let user = text("user", parse_body(body)?.user)?.ok_or_else(|| missing("user"))?;
    let max = app.limits.user_id_characters_max;
    if user.is_empty() || characters_beyond(&user, max).is_some() {
        let text = format!("Invalid user: an id has 1 to {max} characters (user_id_characters_max)");
        return Err(Refused::invalid(text));
    }
    Ok(Terminate { app, user_id: user.as_ref().into() })
}

/// The connection of `{socket_id, reconnect}`, and whether its client is to come back at once.
pub fn parse_disconnect(body: &[u8]) -> Result<(SocketId, bool), Refused> {
    let body = parse_body(body)?;
    let socket_id = text("socket_id", body.socket_id)?;
    Ok((socket_id_of(socket_id.as_deref())?, body.reconnect.is_some_and(|value| value.raw() == "true")))
}

/// The connection of `{socket_id, seconds}` whose messages are to be logged, and for how long.
pub fn parse_log(body: &[u8], seconds_max: u64) -> Result<(SocketId, u64), Refused> {
    let body = parse_body(body)?;
    let socket_id = text("socket_id", body.socket_id)?;
    let seconds = match body.seconds {
        None => seconds_max,
        Some(value) => {
            value.raw().parse().ok().filter(|seconds| *seconds <= seconds_max).ok_or_else(|| {
                Refused::invalid(format!("Invalid seconds: a number from 0 to {seconds_max}"))
            })?
        }
    };
    Ok((socket_id_of(socket_id.as_deref())?, seconds))
}

/// The letters of `{endpoint, ids}`.
pub fn parse_replay(body: &[u8]) -> Result<Replay, Refused> {
    let parsed = parse_body(body)?;
    let endpoint = text("endpoint", parsed.endpoint)?.ok_or_else(|| missing("endpoint"))?;
    let ids = match parsed.ids {
        None => None,
        Some(list) => {
            let wrong =
                || Refused::invalid("Invalid ids: a list of numbers, as GET /console/dead_letters has them");
            let ids = list.elements().map_err(|_| wrong())?;
            let number = |value: &Value<'_>| value.raw().parse::<i64>().map_err(|_| wrong());
            Some(ids.iter().map(number).collect::<Result<_, _>>()?)
        }
    };
    Ok(Replay { endpoint: endpoint.into_owned(), ids })
}

/// The endpoint of `{endpoint}`.
pub fn parse_endpoint(body: &[u8]) -> Result<String, Refused> {
    let endpoint = text("endpoint", parse_body(body)?.endpoint)?;
    Ok(endpoint.ok_or_else(|| missing("endpoint"))?.into_owned())
}

fn app_of(apps: &Apps, id: Option<&str>) -> Result<Arc<App>, Refused> {
    let id = id.filter(|id| !id.is_empty()).ok_or_else(|| missing("app"))?;
    let shown: String = id.chars().take(64).collect();
    let unknown =
        || Refused::new(404, format!("There is no app {shown:?}: give the id of one, as in the settings"));
    apps.by_id(id).map(Arc::clone).ok_or_else(unknown)
}

fn socket_id_of(text: Option<&str>) -> Result<SocketId, Refused> {
    let text = text.ok_or_else(|| missing("socket_id"))?;
    let invalid = "Invalid socket_id: two numbers with a dot between them, as clients have it";
    SocketId::parse(text).ok_or_else(|| Refused::invalid(invalid))
}

fn text<'a>(name: &str, value: Option<Value<'a>>) -> Result<Option<Cow<'a, str>>, Refused> {
    let text = value.map(|value| value.text()).transpose();
    text.map_err(|error| Refused::invalid(format!("Invalid {name}: {error}")))
}

fn missing(name: &str) -> Refused {
    Refused::invalid(format!("Missing {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apps() -> Apps {
        Apps::new(vec![App::new("1", "key", "secret")]).unwrap()
    }

    fn status<T>(result: Result<T, Refused>) -> u16 {
        result.err().map_or(200, |refused| refused.status)
    }

    #[test]
    fn questions_name_an_app_that_there_is_and_a_channel_that_may_be() {
        let apps = apps();
        let page = parse_channel_page(&apps, "app=1&prefix=presence-&cursor=presence-%F0%9F%98%80").unwrap();
        assert_eq!((&*page.prefix, &*page.after), ("presence-", "presence-😀"));
        assert_eq!(status(parse_channel_page(&apps, "app=2")), 404);
        assert_eq!(status(parse_channel_page(&apps, "prefix=a")), 400);
        assert_eq!(&*parse_one_channel(&apps, "app=1&name=a").unwrap().name, "a");
        for bad in ["app=1", "app=1&name=", "app=1&name=%3Cimg%3E", "name=a"] {
            assert_eq!(status(parse_one_channel(&apps, bad)), 400, "{bad}");
        }
        assert!(parse_one_connection("socket_id=1.2").is_ok());
        for bad in ["", "socket_id=", "socket_id=1", "socket_id=a.b", "socket_id=1.2.3"] {
            assert_eq!(status(parse_one_connection(bad)), 400, "{bad}");
        }
    }

    #[test]
    fn what_is_to_be_done_is_checked_before_it_is() {
        let apps = apps();
        let app = parse_app(&apps, br#"{"app":"1","x":2}"#).unwrap();
        assert_eq!(status(parse_app(&apps, br#"{"app":"2"}"#)), 404);
        assert_eq!(status(parse_app(&apps, b"[]")), 400);
        let event = br#"{"app":"1","channel":"a","name":"e","data":"d"}"#;
        assert_eq!(parse_publish(&app, event).unwrap().events.len(), 1);
        assert_eq!(status(parse_publish(&app, br#"{"app":"1","channel":"a","name":"e"}"#)), 400);
        assert_eq!(&*parse_terminate(&app, r#"{"user":"ü"}"#.as_bytes()).unwrap().user_id, "ü");
        assert_eq!(status(parse_terminate(&app, br#"{"user":""}"#)), 400);
        assert!(!parse_disconnect(br#"{"socket_id":"1.2"}"#).unwrap().1);
        assert!(parse_disconnect(br#"{"socket_id":"1.2","reconnect":true}"#).unwrap().1);
        assert_eq!(status(parse_disconnect(br#"{"socket_id":7}"#)), 400);
        assert_eq!(parse_log(br#"{"socket_id":"1.2"}"#, 600).unwrap().1, 600);
        assert_eq!(parse_log(br#"{"socket_id":"1.2","seconds":0}"#, 600).unwrap().1, 0);
        assert_eq!(status(parse_log(br#"{"socket_id":"1.2","seconds":601}"#, 600)), 400);
    }

    #[test]
    fn letters_are_named_by_endpoint_and_number() {
        let page = |query| parse_letter_page(query).map(|page| (page.endpoint, page.after)).unwrap();
        assert_eq!(page("endpoint=a&cursor=7"), (Some("a".to_owned()), 7));
        assert_eq!(page(""), (None, 0));
        assert_eq!(status(parse_letter_page("cursor=x")), 400);
        let replay = |body: &str| parse_replay(body.as_bytes());
        let all = Replay { endpoint: "a".to_owned(), ids: None };
        assert_eq!(replay(r#"{"endpoint":"a"}"#).unwrap(), all);
        assert_eq!(
            replay(r#"{"endpoint":"a","ids":[1,2]}"#).unwrap(),
            Replay { ids: Some(vec![1, 2]), ..all }
        );
        for bad in ["{}", r#"{"endpoint":"a","ids":1}"#, r#"{"endpoint":"a","ids":["x"]}"#] {
            assert_eq!(status(replay(bad)), 400, "{bad}");
        }
        assert_eq!(parse_endpoint(br#"{"endpoint":"a"}"#).unwrap(), "a");
    }
}
