//! `GET /apps/ID/channels` and `GET /apps/ID/channels/NAME`: which channels are occupied, and by how many.
//!
//! A channel that nobody is on is not an error: it is not occupied. `channels` is an object even when it is empty,
//! since strictly typed SDKs fail on a list.

use std::borrow::Cow;
use std::sync::Arc;

use protocol::app::App;
use protocol::channel::{ChannelKind, parse_channel_name};
use protocol::json::encode_string;
use protocol::query::Query;

use crate::answer::Answer;
use crate::info::{CachedEvent, Counts, Info, Row, attributes, parse_info};
use crate::refused::Refused;

/// Asks for the occupied channels of an app.
#[derive(Clone, Debug)]
pub struct Channels<'a> {
    /// The app.
    pub app: &'a Arc<App>,
    /// What the names must begin with; may be empty.
    pub prefix: Box<str>,
    /// Only channels that are neither private nor presence channels by their names.
    pub only_public: bool,
    /// What to say of each channel.
    pub info: Info,
}

/// Asks for one channel.
#[derive(Clone, Debug)]
pub struct Channel<'a> {
    /// The channel's app.
    pub app: &'a Arc<App>,
    /// The channel's name.
    pub name: Cow<'a, str>,
    /// What the name's prefix says.
    pub kind: ChannelKind,
    /// What to say of it.
    pub info: Info,
}

pub(crate) fn parse_channels<'a>(
    app: &'a Arc<App>,
    query: &Query<'_>,
    of_webman: bool,
) -> Result<Channels<'a>, Refused> {
    let filter = query.first("filter_by_prefix").unwrap_or_default();
    let (prefix, only_public) = if of_webman { prefix_of_type(filter) } else { (filter, false) };
    let info = parse_info(app, query.first("info").unwrap_or_default())?.without_cache()?;
    let info = Info { of_webman, ..info };
    // Without its hyphen the prefix has other channels beside all that have users.
    if info.user_count && !of_webman && prefix != "presence" && !prefix.starts_with("presence-") {
        return Err(Refused::invalid("user_count needs a filter_by_prefix that begins with presence-"));
    }
    Ok(Channels { app, prefix: prefix.into(), only_public, info })
}

pub(crate) fn parse_channel<'a>(
    app: &'a Arc<App>,
    name: Cow<'a, str>,
    query: &Query<'_>,
    of_webman: bool,
) -> Result<Channel<'a>, Refused> {
    let kind = parse_name(app, &name)?;
    let info = Info { of_webman, ..parse_info(app, query.first("info").unwrap_or_default())? };
    if info.user_count && !of_webman && !kind.is_presence() {
        return Err(Refused::invalid("user_count can only be asked of presence channels"));
    }
    if info.cache && !kind.is_cached() {
        return Err(Refused::invalid("cache can only be asked of cache channels"));
    }
    Ok(Channel { app, name, kind, info })
}

/// Checks a channel's name against its app's limit.
pub(crate) fn parse_name(app: &App, name: &str) -> Result<ChannelKind, Refused> {
    parse_channel_name(name, app.limits.channel_name_bytes_max)
        .map_err(|error| Refused::invalid(error.to_string()))
}

/// Channels, each with what was asked of it.
pub fn answer_channels<'a>(rows: impl IntoIterator<Item = Row<'a>>) -> Answer<'static> {
    let mut out = b"{\"channels\":{".to_vec();
    for (index, row) in rows.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        encode_string(&mut out, row.name);
        out.push(b':');
        encode_attributes(&mut out, &row);
    }
    out.extend_from_slice(b"}}");
    Answer::json(out)
}

// webman-push-server's client names a type here: the prefix that it means, and whether only public channels belong.
fn prefix_of_type(filter: &str) -> (&str, bool) {
    match filter {
        "public" => ("", true),
        "private" => ("private-", false),
        "presence" => ("presence-", false),
        prefix => (prefix, false),
    }
}

/// What webman-push-server calls the type of a channel. Its clients filter by it.
pub fn type_of(name: &str) -> &'static str {
    if name.starts_with("private-") {
        "private"
    } else if name.starts_with("presence-") {
        "presence"
    } else {
        "public"
    }
}

pub(crate) fn encode_attributes(out: &mut Vec<u8>, row: &Row<'_>) {
    out.push(b'{');
    let mut separator = "";
    if row.info.of_webman {
        out.extend_from_slice(format!("\"type\":\"{}\"", type_of(row.name)).as_bytes());
        separator = ",";
    }
    attributes(row.info, row.kind, row.counts, |name, value| {
        out.extend_from_slice(format!("{separator}\"{name}\":{value}").as_bytes());
        separator = ",";
    });
    out.push(b'}');
}

/// One channel.
pub fn answer_channel(row: &Row<'_>) -> Answer<'static> {
    let Counts { subscriptions, .. } = row.counts;
    let mut out = format!("{{\"occupied\":{}", subscriptions > 0).into_bytes();
    if row.info.of_webman {
        out.extend_from_slice(format!(",\"type\":\"{}\"", type_of(row.name)).as_bytes());
    }
    attributes(row.info, row.kind, row.counts, |name, value| {
        out.extend_from_slice(format!(",\"{name}\":{value}").as_bytes());
    });
    if row.info.cache {
        encode_cache(&mut out, row.cache);
    }
    out.push(b'}');
    Answer::json(out)
}

fn encode_cache(out: &mut Vec<u8>, cache: Option<CachedEvent<'_>>) {
    let Some(CachedEvent { data_literal, ttl_s }) = cache else {
        return out.extend_from_slice(b",\"cache\":null");
    };
    out.extend_from_slice(format!(",\"cache\":{{\"data\":{data_literal},\"ttl\":{ttl_s}}}").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::query::parse_query;

    fn app() -> Arc<App> {
        Arc::new(App::new("3", "key", "secret"))
    }

    #[test]
    fn user_count_of_many_needs_a_presence_prefix() {
        let app = app();
        let parse = |query| parse_channels(&app, &parse_query(query), false);
        let prefix = |query| parse(query).unwrap().prefix;
        assert_eq!(&*prefix(""), "");
        assert_eq!(&*prefix("filter_by_prefix=a%2Cb"), "a,b");
        assert_eq!(&*prefix("filter_by_prefix=private"), "private");
        assert!(parse("filter_by_prefix=presence&info=user_count").unwrap().info.user_count);
        assert!(parse("filter_by_prefix=presence-x&info=user_count").unwrap().info.user_count);
        assert!(parse("info=subscription_count").unwrap().info.subscription_count);
        let both = parse("filter_by_prefix=presence-&info=user_count,subscription_count").unwrap().info;
        assert!(both.user_count && both.subscription_count);
        for bad in [
            "info=user_count",
            "info=user_count&filter_by_prefix=private-",
            "info=x",
            "info=cache&filter_by_prefix=cache-",
        ] {
            assert_eq!(parse(bad).unwrap_err().status, 400, "{bad}");
        }
    }

    #[test]
    fn a_type_is_a_filter_for_webman_and_a_prefix_for_everybody_else() {
        let app = app();
        let parse = |filter: &str, of_webman| {
            let channels =
                parse_channels(&app, &parse_query(&format!("filter_by_prefix={filter}")), of_webman);
            let Channels { prefix, only_public, .. } = channels.unwrap();
            (prefix.into_string(), only_public)
        };
        let table = [
            ("public", "", true),
            ("private", "private-", false),
            ("presence", "presence-", false),
            ("private-x", "private-x", false),
            ("pub", "pub", false),
            ("", "", false),
        ];
        for (filter, prefix, only_public) in table {
            assert_eq!(parse(filter, true), (prefix.to_owned(), only_public), "{filter}");
            assert_eq!(parse(filter, false), (filter.to_owned(), false), "{filter}");
        }
    }

    #[test]
    fn a_cache_is_asked_of_cache_channels_of_every_kind() {
        let app = app();
        let status = |name: &'static str| {
            let parsed = parse_channel(&app, name.into(), &parse_query("info=cache"), false);
            parsed.map_or_else(|refused| refused.status, |channel| u16::from(channel.info.cache))
        };
        for name in ["cache-a", "private-cache-a", "presence-cache-a", "private-encrypted-cache-a"] {
            assert_eq!(status(name), 1, "{name}");
        }
        for name in ["a", "my-cache-a", "private-a", "presence-a", "private-encrypted-a", "#server-to-user-1"]
        {
            assert_eq!(status(name), 400, "{name}");
        }
    }

    #[test]
    fn user_count_of_one_needs_a_presence_channel() {
        let app = app();
        let parse = |name: &'static str, query| parse_channel(&app, name.into(), &parse_query(query), false);
        assert_eq!(parse("presence-a", "info=user_count").unwrap().kind, ChannelKind::Presence);
        assert!(parse("a", "info=subscription_count").unwrap().info.subscription_count);
        for (name, query) in [("a", "info=user_count"), ("a b", ""), ("", ""), ("a", "info=cache_age")] {
            assert_eq!(parse(name, query).unwrap_err().status, 400, "{name} {query}");
        }
    }
}
