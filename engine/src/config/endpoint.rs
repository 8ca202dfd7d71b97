//! Where the events of an app go: `[[apps.hooks]]`, or a URL of the command line.
//!
//! An endpoint has one destination, and a name under which the journal stores its progress, so names are unique in the
//! server. What must never happen here: a URL, a header's value or a secret in a message.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hooks::settings::{Endpoint, Format, Retry, Secret, SinkSettings, StandardSecret};
use protocol::app::App;
use protocol::hook_kind::{HookKind, HookKinds};

use super::fault::Fault;
use super::nearest::nearest;
use super::section::{Section, Value};
use super::table::Table;

const NAME_BYTES_MAX: usize = 100;

/// Each of them adds a signature to every webhook.
const STANDARD_SECRETS_MAX: usize = 8;

/// Headers that the webhook itself sets.
const HEADERS_KEPT: [&str; 12] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "sign",
    "transfer-encoding",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
    "x-pusher-key",
    "x-pusher-signature",
];

/// An endpoint whose app is known only by its id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndpointConfig {
    /// The id of the app whose events it receives.
    pub app_id: Box<str>,
    /// Unique in the server.
    pub name: String,
    /// The kinds of events that it receives.
    pub kinds: HookKinds,
    sink: SinkSettings,
    channel_prefix: Option<String>,
    channel_suffix: Option<String>,
    timeout: Option<Duration>,
    batch_window: Option<Duration>,
    batch_events_max: Option<usize>,
    retry: Option<Retry>,
    disable_after: Option<Duration>,
}

impl EndpointConfig {
    /// The endpoint of this app.
    pub(super) fn into_endpoint(self, app: &Arc<App>) -> Endpoint {
        let usual = Endpoint::new(self.name, Arc::clone(app), self.sink);
        Endpoint {
            kinds: self.kinds,
            channel_prefix: self.channel_prefix,
            channel_suffix: self.channel_suffix,
            timeout: self.timeout.unwrap_or(usual.timeout),
            batch_window: self.batch_window.unwrap_or(usual.batch_window),
            batch_events_max: self.batch_events_max.unwrap_or(usual.batch_events_max),
            retry: self.retry,
            disable_after: self.disable_after,
            ..usual
        }
    }

    fn new(app_id: &str, name: String, sink: SinkSettings) -> Self {
        Self {
            app_id: app_id.into(),
            name,
            kinds: usual_kinds(&sink),
            sink,
            channel_prefix: None,
            channel_suffix: None,
            timeout: None,
            batch_window: None,
            batch_events_max: None,
            retry: None,
            disable_after: None,
        }
    }
}

/// What an endpoint gets if it names no kinds.
fn usual_kinds(sink: &SinkSettings) -> HookKinds {
    match sink {
        // Its receivers know no others.
        SinkSettings::Webhook { format: Format::WebmanPush, .. } => HookKinds::EDGES,
        _ => HookKinds::USUAL,
    }
}

/// An endpoint and where it stands.
pub(super) type Placed = (EndpointConfig, String);

/// The endpoints of an app. None has the name of one of `others`.
pub(super) fn parse_endpoints(
    value: Option<Value<'_>>,
    app_id: &str,
    others: &mut Vec<Placed>,
) -> Result<(), Fault> {
    let sections = value.map_or_else(|| Ok(Vec::new()), |value| value.sections(Table::AppHook))?;
    for section in sections {
        let endpoint = parse_endpoint(section, app_id, others)?;
        others.push(endpoint);
    }
    Ok(())
}

fn parse_endpoint(mut section: Section<'_>, app_id: &str, others: &[Placed]) -> Result<Placed, Fault> {
    let place = section.place();
    let (sink, target) = parse_sink(&mut section)?;
    let name = section.take("name");
    let named = match &name {
        Some(value) => parse_name(value)?,
        None => derived_name(app_id, &target),
    };
    if let Some((_, of)) = others.iter().find(|(other, _)| other.name == named) {
        let why = format!("{named:?}: the endpoint {of} already has this name; choose another");
        return Err(
            name.map_or_else(|| section.fault(&format!("name = {why}")), |it| it.fault(&format!("= {why}")))
        );
    }
    let mut endpoint = EndpointConfig::new(app_id, named, sink);
    parse_filter(&mut section, &mut endpoint)?;
    parse_batching(&mut section, &mut endpoint)?;
    endpoint.retry = section.take("retry").map(|value| parse_retry(&value)).transpose()?;
    endpoint.disable_after =
        section.take("disable_after_s").map(|value| parse_disable_after(&value)).transpose()?;
    Ok((endpoint, place))
}

fn parse_filter(section: &mut Section<'_>, endpoint: &mut EndpointConfig) -> Result<(), Fault> {
    if let Some(value) = section.take("events") {
        endpoint.kinds =
            value.texts()?.iter().try_fold(HookKinds::NONE, |kinds, it| Ok(kinds.with(kind(it)?)))?;
    }
    for (key, part) in
        [("channel_prefix", &mut endpoint.channel_prefix), ("channel_suffix", &mut endpoint.channel_suffix)]
    {
        *part = section.take(key).map(|value| value.filled_text().map(str::to_owned)).transpose()?;
    }
    Ok(())
}

fn parse_batching(section: &mut Section<'_>, endpoint: &mut EndpointConfig) -> Result<(), Fault> {
    let ms = |value: Value<'_>| value.integer().map(Duration::from_millis);
    endpoint.timeout = section.take("timeout_ms").map(&ms).transpose()?;
    endpoint.batch_window = section.take("batch_ms").map(ms).transpose()?;
    let most = section.take("batch_events_max").map(|value| value.integer()).transpose()?;
    endpoint.batch_events_max = most.map(|most| most as usize);
    Ok(())
}

/// When a failed delivery is tried again.
pub(super) fn parse_retry(value: &Value<'_>) -> Result<Retry, Fault> {
    match value.text()? {
        "pusher" => Ok(Retry::Pusher),
        "day" => Ok(Retry::Day),
        other => {
            let what = "must be \"pusher\" (with growing pauses, for give_up_after_s) or \"day\" (8 tries over 28 hours)";
            Err(value.wrong(&format!("{other:?}"), what))
        }
    }
}

/// After how long an endpoint that accepts nothing is disabled; 0 for never.
pub(super) fn parse_disable_after(value: &Value<'_>) -> Result<Duration, Fault> {
    value.integer().map(Duration::from_secs)
}

/// The destination, and what distinguishes it from others.
fn parse_sink(section: &mut Section<'_>) -> Result<(SinkSettings, String), Fault> {
    let mut given: Vec<Value<'_>> =
        ["url", "file", "exec", "none"].into_iter().filter_map(|key| section.take(key)).collect();
    let Some(value) = given.pop() else {
        return Err(section.fault("needs one of url, file, exec, none"));
    };
    if let Some(other) = given.pop() {
        return Err(
            value.fault(&format!("cannot stand beside {}: an endpoint has one destination", other.key()))
        );
    }
    if value.key() == "url" {
        return parse_webhook(section, &value);
    }
    if let Some(lost) =
        ["format", "secret", "secrets", "headers"].into_iter().find_map(|key| section.take(key))
    {
        return Err(lost.fault(&format!("has no effect beside {}", value.key())));
    }
    match value.key() {
        "file" => {
            let path = value.filled_text()?.to_owned();
            Ok((SinkSettings::File { path: PathBuf::from(&path) }, path))
        }
        "exec" => {
            let command: Result<Vec<String>, Fault> =
                value.texts()?.iter().map(|part| part.filled_text().map(str::to_owned)).collect();
            let command = command?;
            let target = command.join("\0");
            Ok((SinkSettings::Exec { command }, target))
        }
        _ if value.boolean()? => Ok((SinkSettings::None, String::new())),
        _ => Err(value.wrong("false", "leave the key out, or name a destination")),
    }
}

fn parse_webhook(section: &mut Section<'_>, url: &Value<'_>) -> Result<(SinkSettings, String), Fault> {
    check_webhook_url(url.text()?).map_err(|why| url.fault(why))?;
    let (secret, secrets) = (section.take("secret"), section.take("secrets"));
    let format = section.take("format");
    let is_standard = format.as_ref().is_some_and(|format| format.text() == Ok("standard"));
    if let Some(secrets) = secrets.as_ref().filter(|_| !is_standard) {
        return Err(secrets.fault("has no effect without format = \"standard\""));
    }
    let format = match format {
        Some(value) => parse_format(&value, secret.as_ref(), secrets)?,
        None => Format::Pusher,
    };
    if let Some(secret) = &secret {
        let of = match &format {
            Format::Webman { .. } => None,
            Format::Standard { .. } => {
                return Err(
                    secret.fault("has no effect in the format \"standard\": write secrets = [\"whsec_…\"]")
                );
            }
            Format::Pusher => Some("Pusher's format"),
            Format::WebmanPush => Some("webman/push's format"),
        };
        if let Some(of) = of {
            return Err(secret.fault(&format!("has no effect in {of}, which signs with the app's secret")));
        }
    }
    let headers = section.take("headers").map_or_else(|| Ok(Vec::new()), parse_headers)?;
    let url = url.text()?.to_owned();
    Ok((SinkSettings::Webhook { url: url.clone(), format, headers }, url))
}

fn parse_format(
    value: &Value<'_>,
    secret: Option<&Value<'_>>,
    secrets: Option<Value<'_>>,
) -> Result<Format, Fault> {
    match value.text()? {
        "pusher" => Ok(Format::Pusher),
        "standard" => match secrets {
            Some(secrets) => parse_secrets(secrets),
            None => Err(value.fault("= \"standard\" needs secrets = [\"whsec_…\"]")),
        },
        "webman" => {
            let secret = secret.map(|secret| secret.filled_text()).transpose()?;
            Ok(Format::Webman { secret: secret.map(|text| Secret(text.to_owned())) })
        }
        "webman-push" => Ok(Format::WebmanPush),
        other => {
            let what = "must be \"pusher\", \"standard\", \"webman\" or \"webman-push\"";
            Err(value.wrong(&format!("{other:?}"), what))
        }
    }
}

fn parse_secrets(secrets: Value<'_>) -> Result<Format, Fault> {
    let each = |secret: &Value<'_>| {
        let why = "is no secret of Standard Webhooks: write whsec_ and the key in base64";
        StandardSecret::parse(secret.text()?).ok_or_else(|| secret.fault(why))
    };
    let mut texts = secrets.texts()?;
    if let Some(other) = texts.drain(STANDARD_SECRETS_MAX.min(texts.len())..).next() {
        return Err(other.fault(&format!("lists more than {STANDARD_SECRETS_MAX} secrets")));
    }
    Ok(Format::Standard { secrets: texts.iter().map(each).collect::<Result<_, Fault>>()? })
}

fn parse_headers(value: Value<'_>) -> Result<Vec<(String, String)>, Fault> {
    value.texts_by_name()?.iter().map(|(name, value)| header(name, value)).collect()
}

fn header(name: &str, value: &Value<'_>) -> Result<(String, String), Fault> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(value.wrong(&format!("{name:?}"), "not a valid header name"));
    }
    if HEADERS_KEPT.contains(&&*name.to_ascii_lowercase()) {
        return Err(value.wrong(&format!("{name:?}"), "the webhook sets this header itself"));
    }
    let text = value.text()?;
    if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(value.wrong(&format!("{name:?}"), "its value may contain printable ASCII only"));
    }
    Ok((name.to_owned(), text.to_owned()))
}

fn kind(value: &Value<'_>) -> Result<HookKind, Fault> {
    let text = value.text()?;
    HookKind::parse(text).ok_or_else(|| {
        let names = HookKind::EACH.map(HookKind::name);
        let advice = match nearest(text, names.into_iter()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("must be one of {}", names.join(", ")),
        };
        value.wrong(&format!("{text:?}"), &format!("unknown kind of event: {advice}"))
    })
}

fn parse_name(value: &Value<'_>) -> Result<String, Fault> {
    let text = value.text()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if text.is_empty() || text.len() > NAME_BYTES_MAX || !text.bytes().all(plain) {
        let why = format!("must be 1 to {NAME_BYTES_MAX} characters of A-Z a-z 0-9 - _ .");
        return Err(value.wrong(&format!("{text:?}"), &why));
    }
    if text == hooks::journal::STREAM_PLACE {
        return Err(value.wrong(&format!("{text:?}"), "the stream itself uses this name"));
    }
    Ok(text.to_owned())
}

/// A name that stays the same as long as app and destination do (FNV-1a).
fn derived_name(app_id: &str, target: &str) -> String {
    let hash =
        target.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("{app_id}-{hash:08x}")
}

fn check_webhook_url(url: &str) -> Result<(), &'static str> {
    let rest = ["http://", "https://"].into_iter().find_map(|scheme| url.strip_prefix(scheme));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or("");
    let named = host.rsplit('@').next().is_some_and(|host| !host.is_empty() && !host.starts_with(':'));
    if named && url.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(())
    } else {
        Err("is not the URL of a webhook; write http://HOST/PATH or https://HOST/PATH")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_follows_app_and_destination_alone() {
        let name = derived_name;
        assert_eq!(name("1", "http://a/b"), name("1", "http://a/b"));
        assert_ne!(name("1", "http://a/b"), name("2", "http://a/b"));
        assert_ne!(name("1", "http://a/b"), name("1", "http://a/c"));
    }

    #[test]
    fn an_endpoint_gets_by_default_what_its_format_has_words_for() {
        let kinds = |format| {
            let sink = SinkSettings::Webhook { url: "http://h/".to_owned(), format, headers: Vec::new() };
            EndpointConfig::new("1", "e".to_owned(), sink).kinds
        };
        assert_eq!(kinds(Format::Pusher), HookKinds::USUAL);
        assert_eq!(kinds(Format::Webman { secret: None }), HookKinds::USUAL);
        let names = HookKind::EACH.into_iter().filter(|kind| kinds(Format::WebmanPush).has(*kind));
        let names: Vec<_> = names.map(HookKind::name).collect();
        assert_eq!(names, ["channel_occupied", "channel_vacated", "member_added", "member_removed"]);
    }

    #[test]
    fn a_webhook_goes_to_a_host_over_http() {
        for url in ["http://h", "https://h:8443/a?b=c", "http://u:p@[::1]:80/"] {
            assert_eq!(check_webhook_url(url), Ok(()), "{url}");
        }
        for url in [
            "",
            "h",
            "ftp://h",
            "http://",
            "http:///a",
            "http://u:p@/",
            "http://:80/",
            "http://h/a b",
            "http://ü",
        ] {
            assert!(check_webhook_url(url).is_err(), "{url}");
        }
    }
}
