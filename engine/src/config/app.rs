//! Apps in the file: credentials, rights and limits. What must never happen here: a secret in a message.

use protocol::app::{App, AppParseError};
use protocol::close::Close;

use super::endpoint::{EndpointConfig, parse_endpoints};
use super::fault::Fault;
use super::limits::ParsedLimits;
use super::section::{Section, Value};
use super::table::Table;

/// A delay of more than a second is not realtime.
const FLUSH_INTERVAL_MS_MAX: u64 = 1000;

/// The apps of `[[apps]]`, no two of which have the same id or key, and where their events go.
pub(super) fn parse_apps(
    value: Option<Value<'_>>,
    limits: &ParsedLimits<'_>,
) -> Result<(Vec<App>, Vec<EndpointConfig>), Fault> {
    let sections = value.map_or_else(|| Ok(Vec::new()), |value| value.sections(Table::App))?;
    let mut placed: Vec<Placed<'_>> = Vec::with_capacity(sections.len());
    let mut endpoints = Vec::new();
    for mut section in sections {
        let hooks = section.take("hooks");
        let app = parse_app(section, limits)?;
        refuse_twin(&placed, &app)?;
        parse_endpoints(hooks, &app.app.id, &mut endpoints)?;
        placed.push(app);
    }
    let apps = placed.into_iter().map(|placed| placed.app).collect();
    Ok((apps, endpoints.into_iter().map(|(endpoint, _)| endpoint).collect()))
}

/// An app, and the lines of its id and key.
struct Placed<'a> {
    app: App,
    id: Value<'a>,
    key: Value<'a>,
}

fn parse_app<'a>(mut section: Section<'a>, limits: &ParsedLimits<'_>) -> Result<Placed<'a>, Fault> {
    let (id, key, secret) = (section.need("id")?, section.need("key")?, section.need("secret")?);
    let mut app = App::of_parts(id.text()?, key.text()?, secret.text()?)
        .map_err(|error| bad_credentials(error, &id, &key, &secret))?;
    app.enabled = boolean(section.take("enabled"), app.enabled)?;
    app.client_events = boolean(section.take("client_events"), app.client_events)?;
    app.subscription_count = boolean(section.take("subscription_count"), app.subscription_count)?;
    let by_presence = section.take("terminate_by_presence");
    app.terminate_by_presence = boolean(by_presence, app.terminate_by_presence)?;
    if let Some(value) = section.take("flush_interval_ms") {
        app.flush_interval_ms = value.integer(0, FLUSH_INTERVAL_MS_MAX)? as u32;
    }
    if let Some(value) = section.take("over_quota_close_code") {
        app.over_quota_close = over_quota_close(&value)?;
    }
    app.limits = limits.parse_app(section.take("limits"))?;
    Ok(Placed { app, id, key })
}

fn bad_credentials(error: AppParseError, id: &Value<'_>, key: &Value<'_>, secret: &Value<'_>) -> Fault {
    let named = |what| match what {
        "id" => id,
        "key" => key,
        _ => secret,
    };
    match error {
        AppParseError::Empty(what) => named(what).fault("is empty"),
        AppParseError::Character { what, character } => {
            named(what).fault(&format!("holds {character:?}; it may hold A-Z a-z 0-9 - _ ."))
        }
        AppParseError::SecretCharacter | AppParseError::Shape => {
            secret.fault("holds white space or a control character")
        }
    }
}

fn boolean(value: Option<Value<'_>>, default: bool) -> Result<bool, Fault> {
    value.map_or(Ok(default), |value| value.boolean())
}

/// Clients reconnect after 4100 and stay away after 4004; no other code says that an app is full.
fn over_quota_close(value: &Value<'_>) -> Result<Close, Fault> {
    match value.integer(0, u64::MAX)? {
        4100 => Ok(Close::APP_FULL),
        4004 => Ok(Close::OVER_QUOTA),
        code => {
            let what = "possible are 4100 (clients come back) and 4004 (they stay away)";
            Err(value.wrong(&code.to_string(), what))
        }
    }
}

fn refuse_twin(others: &[Placed<'_>], app: &Placed<'_>) -> Result<(), Fault> {
    let same_id = others.iter().find(|other| other.app.id == app.app.id);
    if let Some(other) = same_id {
        return Err(twin(&app.id, &app.app.id, &other.id));
    }
    let key = &app.app.oldest_key().name;
    match others.iter().find(|other| other.app.oldest_key().name == *key) {
        Some(other) => Err(twin(&app.key, key, &other.key)),
        None => Ok(()),
    }
}

fn twin(mine: &Value<'_>, name: &str, theirs: &Value<'_>) -> Fault {
    mine.wrong(&format!("{name:?}"), &format!("the app of line {} has it already", theirs.line()))
}
